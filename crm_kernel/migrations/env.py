"""The one Alembic environment: it works on the connection and the branch that the runner hands it.

Never run by the ``alembic`` command: there is no ini file. The transaction belongs to the runner, too
(``crm_kernel.migrations.running``), because a step and its version row must commit together on both databases.
"""

from alembic import context

from crm_kernel.migrations.autogenerate import options

context.configure(
    connection=context.config.attributes["connection"],
    **options(context.config.attributes["branch"]),
)
context.run_migrations()
