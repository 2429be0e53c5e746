"""Shows the audit log to people: which entries a reader may see, and what their values say in words.

The policy decides: an entry about a record is for those who see the record, with the fields that their roles show them.
Entries about no record are for those who oversee the log, and for whoever made them.
"""
