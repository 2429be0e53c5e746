"""Customers: who they are, how to reach them, what they agreed to, and how two of them become one."""
