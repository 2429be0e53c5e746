"""Bulk actions: one change for many records, done in the background as the one who asked, and taken back if need be.

The set of records is fixed when a run starts. Each record is changed through the same service as alone, under the same
permissions; one that refuses is listed with its reason and stops nobody else.
"""
