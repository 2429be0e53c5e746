"""Migrations: one Alembic environment for the kernel and all plugins, one branch and one version table each."""
