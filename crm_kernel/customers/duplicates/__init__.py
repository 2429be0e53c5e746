"""Duplicates of customers: one matcher for files, forms, the API, imports and the nightly scan."""
