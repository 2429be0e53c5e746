"""Find by keys: the strongest pair of a cluster, and what jobs, deliveries and messages say of a customer."""

import re
import uuid

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0323"
down_revision = "20261122_0322"
branch_labels = None
depends_on = None
needs_kernel = None

_ABOUT = sa.text("event_id IS NULL AND partition IS NOT NULL")
_PARTIAL = {"sqlite_where": _ABOUT, "postgresql_where": _ABOUT}
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: Ids looked up at a time.
_MANY = 5_000


def upgrade() -> None:
    """Change the schema."""
    op.drop_index(op.f("ix_duplicate_candidate_cluster"), table_name="duplicate_candidate")
    columns = ["cluster", "state", "score", "id"]
    op.create_index(op.f("ix_duplicate_candidate_cluster_state_score_id"), "duplicate_candidate", columns, unique=False)
    op.create_index("ix_job_about", "job", ["partition"], unique=False, **_PARTIAL)
    op.create_index(op.f("ix_webhook_delivery_event_uid"), "webhook_delivery", ["event_uid"], unique=False)
    for name, row, column, which in (
        ("job", "job_id", "payload", sa.column("event_id").is_(None)),
        ("webhook_message", "message_id", "result", sa.column("result").is_not(None)),
    ):
        _note(_create(f"{name}_subject", name, row), name, column, which)


def _create(name: str, parent: str, row: str) -> sa.Table:
    table = op.create_table(
        name,
        sa.Column("customer_id", database.Key, autoincrement=False, nullable=False),
        sa.Column(row, database.Key, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f(f"fk_{name}_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint([row], [f"{parent}.id"], name=op.f(f"fk_{name}_{row}_{parent}"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("customer_id", row, name=op.f(f"pk_{name}")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f(f"ix_{name}_{row}"), name, [row], unique=False)
    return table


def _note(table: sa.Table, parent: str, column: str, which: sa.ColumnElement[bool]) -> None:
    """Write down whom the values there are mention; reads each once, some at a time."""
    connection, last = op.get_bind(), 0
    rows_of = sa.table(parent, sa.column("id"), sa.column(column))
    said = sa.select(rows_of.c.id, sa.cast(rows_of.c[column], sa.Text).label("said")).where(which)
    some = said.where(rows_of.c.id > sa.bindparam("last")).order_by(rows_of.c.id).limit(_MANY)
    while rows := connection.execute(some, {"last": last}).all():
        last = rows[-1].id
        mentioned = [(uuid.UUID(one), row.id) for row in rows for one in _ids(row.said)]
        for start in range(0, len(mentioned), _MANY):
            _store(connection, table, mentioned[start : start + _MANY])


def _ids(text: str | None) -> set[str]:
    return {match.lower() for match in _ID.findall(text or "")}


def _store(connection: sa.Connection, table: sa.Table, found: list[tuple[uuid.UUID, int]]) -> None:
    customer = sa.table("customer", sa.column("id"), sa.column("uid", database.Uid()))
    known = sa.select(customer.c.uid, customer.c.id).where(customer.c.uid.in_({uid for uid, _row in found}))
    keys = {row.uid: row.id for row in connection.execute(known)}
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, (keys[uid], row), strict=True)) for uid, row in found if uid in keys]
    if rows:
        connection.execute(sa.insert(table), rows)


def downgrade() -> None:
    """Change it back."""
    for name in ("webhook_message_subject", "job_subject"):
        op.drop_table(name)
    op.drop_index(op.f("ix_webhook_delivery_event_uid"), table_name="webhook_delivery")
    op.drop_index("ix_job_about", table_name="job", **_PARTIAL)
    op.drop_index(op.f("ix_duplicate_candidate_cluster_state_score_id"), table_name="duplicate_candidate")
    op.create_index(op.f("ix_duplicate_candidate_cluster"), "duplicate_candidate", ["cluster"], unique=False)
