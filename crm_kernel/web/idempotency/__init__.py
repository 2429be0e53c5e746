"""Idempotency keys: a POST of the API that is sent twice with one ``Idempotency-Key`` is done once and answered twice.

The key and its answer are stored by the commit that does the work: there is never work without its key, nor a key without
its work. ``models`` is the table, ``once`` what the edge does, ``expiry`` how answers go.
"""
