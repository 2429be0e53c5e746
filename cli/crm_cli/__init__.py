"""The ``crm`` command: everything an integrator or admin does without a browser."""
