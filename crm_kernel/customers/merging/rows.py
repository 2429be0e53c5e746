"""What merging must know of the kernel's own rows beyond the data map: primaries, ties to oneself, decided pairs, words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.customers.merging.book import Move, numbered
from crm_kernel.customers.merging.json_member import is_member, with_member
from crm_kernel.customers.relationships import RELATIONSHIP_TYPES
from crm_kernel.data_map.references import KEY, STAY
from crm_kernel.errors import Conflict

if TYPE_CHECKING:
    from crm_kernel.customers.merging.giving import Giver
    from crm_kernel.data_map.columns import CoveredColumn

#: Tables with a rule of their own here or in ``fields``.
APART = frozenset({"person", "organization", "duplicate_candidate"})


def give_all(giver: Giver, columns: list[CoveredColumn], source: sa.Row[Any], target: sa.Row[Any]) -> None:
    """Give every row that the data map knows; ``source`` and ``target`` are raw rows of ``customer``."""
    for column in columns:
        rule = column.merge_rule or "move"
        if rule == STAY or column.table in APART:
            continue
        table = giver.book.table(column.table)
        if column.is_foreign_key:
            giver.give(table, column.column, source.id, target.id, rule=rule)
        else:
            old, new = (source.id, target.id) if column.points_to == KEY else (source.uid, target.uid)
            _rename(giver, table, column, old, new)


def _rename(giver: Giver, table: sa.Table, column: CoveredColumn, old: Any, new: Any) -> None:
    """Write the survivor's id where no foreign key does: beside a type, or in a JSON object."""
    stored, book, member = table.c[column.column], giver.book, column.json_key
    if member is not None and not isinstance(old, int):
        old, new = _text(old), _text(new)
    mine = is_member(stored, member, old) if member else stored == old
    if column.type_column is not None:
        mine = sa.and_(mine, table.c[column.type_column] == "customer")
    key = numbered(table)
    if key is None:
        raise Conflict(_("%(table)s refers to customers and has no whole number as its key: it cannot be merged.",
                         table=table.name))  # fmt: skip
    last = book.connection.execute(sa.select(sa.func.max(table.c[key]))).scalar()
    found = book.moved(table, Move(stored.name, old, new, member, last), sa.select(table.c[key]).where(mine))
    if found:
        value = with_member(stored, member, new, book.connection) if member else new
        giver.write(table, sa.update(table).where(mine).values({stored.name: value, **giver.advance(table)}))


def _text(uid: Any) -> str:
    import uuid

    return str(uuid.UUID(bytes=uid) if isinstance(uid, bytes) else uid)


def demote(giver: Giver, source: int, target: int) -> None:
    """Take primacy from what the source brings where the target has a primary one already."""
    for name, group in (("contact_point", "channel"), ("address", None)):
        table = giver.book.table(name)
        other = table.alias("other")
        rival = sa.exists().where(other.c.customer_id == target, other.c.is_primary == sa.true())
        if group:
            rival = rival.where(other.c[group] == table.c[group])
        where = sa.and_(table.c.customer_id == source, table.c.is_primary == sa.true(), rival.correlate(table))
        giver.change(table, where, {"is_primary": False})


def untie(giver: Giver, source: int, target: int) -> None:
    """Remove the ties between the two: nobody is tied to himself."""
    table = giver.book.table("relationship")
    ends = table.c.from_customer_id, table.c.to_customer_id
    giver.remove(
        table,
        sa.or_(
            sa.and_(ends[0] == source, ends[1] == target),
            sa.and_(ends[0] == target, ends[1] == source),
        ),
    )


def refuse_circles(connection: sa.Connection, target: int) -> None:
    """Refuse a survivor that would be its own ancestor.

    Raises:
        Conflict: naming the kind of tie.
    """
    table = sa.table(
        "relationship",
        sa.column("from_customer_id", sa.BigInteger),
        sa.column("to_customer_id", sa.BigInteger),
        sa.column("type", sa.String),
    )
    for name, kind in RELATIONSHIP_TYPES.items():
        if not kind.acyclic:
            continue
        above = sa.select(table.c.to_customer_id.label("id")).where(
            table.c.from_customer_id == target, table.c.type == name
        )
        ancestors = above.cte("ancestors", recursive=True)
        further = sa.select(table.c.to_customer_id).join(ancestors, table.c.from_customer_id == ancestors.c.id)
        ancestors = ancestors.union(further.where(table.c.type == name))
        found = sa.select(sa.literal(1)).select_from(ancestors).where(ancestors.c.id == target).limit(1)
        if connection.execute(found).first() is not None:
            raise Conflict(_("Merged, the customer would be its own relative (%(tie)s): end that tie first.",
                             tie=kind.label))  # fmt: skip


def settle_pairs(giver: Giver, source: int, target: int) -> None:
    """Let the proposed pairs of the source be the target's; what somebody decided about either stays decided."""
    table = giver.book.table("duplicate_candidate")
    about = sa.or_(*(table.c[name].in_((source, target)) for name in ("first_id", "second_id")))
    rows = giver.book.connection.execute(sa.select(table).where(about).order_by(table.c.id)).all()
    others = {({row.first_id, row.second_id} - {target}).pop(): row for row in rows if target in _pair(row)}
    for row in rows:
        if source not in _pair(row):
            continue
        [other] = _pair(row) - {source}
        if other == target:
            decided = {
                "state": "merged",
                "decided_at": giver.book.uow.now,
                "decided_by": giver.book.uow.actor.name[:120],
            }
            giver.change(table, table.c.id == row.id, decided)
        elif (known := others.get(other)) is None:
            ends = {"first_id": min(other, target), "second_id": max(other, target)}
            giver.change(table, table.c.id == row.id, ends)
        else:
            if row.state == "dismissed" and known.state == "open":
                decided = {"state": row.state, "decided_at": row.decided_at, "decided_by": row.decided_by}
                giver.change(table, table.c.id == known.id, decided)
            giver.remove(table, table.c.id == row.id)


def _pair(row: Any) -> set[int]:
    return {row.first_id, row.second_id}


def forget_words(giver: Giver, source: int) -> None:
    """Take the one that goes out of the search."""
    table = giver.book.table("search_entry")
    giver.remove(table, sa.and_(table.c.record_type == "customer", table.c.record_id == source))
