"""Fields that an administrator adds to a record type while the CRM runs; their values are in the column ``custom``.

A field has a lasting name (``cf_tier``) and a type that never changes. Once it is declared it is a field like any other:
API, forms, lists, filters, sorts, search, import, export and audit take it from the record type's plan (``planning``).
Rows of fields whose record type is not loaded stay as they are and do nothing.
"""
