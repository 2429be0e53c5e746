"""The schema changes of the sales module."""
