"""Background work: the ``job`` table is the truth, a runner claims from it with lease and fencing token."""
