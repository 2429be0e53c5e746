"""Reads records for every channel: one record, one page of a list, a count, titles for a type-ahead.

Every query carries the actor's visibility. Query counts are fixed: a page costs one query (two at the boundary between
rows with and without the sort value), plus one per extension and per collection that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.policy import sees_all, visible
from crm_kernel.errors import InvalidInput
from crm_kernel.records.confidential import refuse_hidden, shown_to
from crm_kernel.records.filter_tree import Aim, And, Comparison, Node, compile_tree, parse_text
from crm_kernel.records.filters import parse_conditions
from crm_kernel.records.hits import Asked, first_hits
from crm_kernel.records.paging import DEFAULT_LIMIT, MAX_LIMIT, Cursor, Order, decode_cursor, order_of, page_statements
from crm_kernel.records.plan import TypePlan, plan_of, said_title, title_column
from crm_kernel.records.projection import Projection, load_collection, load_extensions, projection_of
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.replacements import missing
from crm_kernel.records.search import matching

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

#: Counts stop here: people read "10,000+", and the query stays cheap.
COUNT_LIMIT = 10_000
_PAGING = ("sort", "cursor", "limit", "fields", "q", "view", "filter")


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a list request asks for, checked."""

    conditions: tuple[Comparison, ...]
    order: Order
    cursor: Cursor | None = None
    limit: int = DEFAULT_LIMIT
    #: Names of the fields to return; collections only when named.
    fields: tuple[str, ...] = ()
    text: str = ""
    #: The permission whose reach limits the rows, beside ``read``: an export shows only what may be exported.
    verb: str = "read"
    #: The tree that ``filter`` spelled; the conditions hold beside it.
    tree: Node | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, in order, and where the next one starts (None at the end)."""

    items: list[dict[str, Any]]
    order: Order
    after: Cursor | None

    @property
    def next_cursor(self) -> str | None:
        """The sealed cursor of the next page, for clients."""
        return self.after.encode(self.order) if self.after else None


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows a list has; not exact from ``COUNT_LIMIT`` on."""

    number: int
    exact: bool


def parse_query(
    record_type: RecordType,
    arguments: Iterable[tuple[str, str]],
    *,
    default_fields: Sequence[str] | None = None,
    actor: Actor | None = None,
) -> ListQuery:
    """Return the list query that URL arguments spell.

    Args:
        actor: who asks: what he may not read is refused in ``filter`` already here. Reading refuses it in any case.

    Raises:
        InvalidInput: an argument is unknown or does not fit; every such argument is named.
    """
    plan = plan_of(record_type)
    given = list(arguments)
    paging = {key: value for key, value in given if key in _PAGING}
    order = order_of(plan, paging.get("sort"))
    return ListQuery(
        conditions=tuple(parse_conditions(plan, (pair for pair in given if pair[0] not in _PAGING), actor)),
        order=order,
        cursor=decode_cursor(order, paging["cursor"]) if paging.get("cursor") else None,
        limit=_limit(paging.get("limit")),
        fields=parse_fields(plan, paging.get("fields"), default_fields or (*plan.plain(), "extensions")),
        text=paging.get("q", "").strip(),
        tree=parse_text(plan, paging["filter"], actor) if paging.get("filter") else None,
    )


def parse_fields(plan: TypePlan, text: str | None, default: Sequence[str]) -> tuple[str, ...]:
    """Return the field names of a sparse field set, ``id`` and ``version`` aside (they always come).

    Raises:
        InvalidInput: a name is not a readable field.
    """
    if not text:
        return tuple(default)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    known = {*(n for n, p in plan.fields.items() if p.readable), "id", "version", "extensions"}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidInput(
            {
                "fields": [
                    _("Unknown field %(found)s; known: %(known)s.", found=unknown[0], known=", ".join(sorted(known)))
                ]
            }
        )
    return tuple(name for name in names if name not in ("id", "version"))


def page_of(uow: UnitOfWork, record_type: RecordType, query: ListQuery) -> Page:
    """Return one page: dicts of field → value in the query's order."""
    plan = plan_of(record_type)
    names = shown_to(uow.actor, plan, query.fields)
    plain = tuple(n for n in names if n in plan.fields and plan.fields[n].column is not None)
    projection = projection_of(uow.actor, plan, _with(plain, query.order.names))
    statement = projection.statement.where(*restrictions(uow, plan, query, Aim.FIRST))
    rows: list[Any] = []
    for part in page_statements(statement, record_type.model, query.order, query.cursor):
        missing = query.limit + 1 - len(rows)
        if missing > 0:
            rows += uow.session.execute(part.limit(_written(missing))).all()
    shown, more = rows[: query.limit], len(rows) > query.limit
    items = [projection.read(row) for row in shown]
    after = query.order.cursor_at(items[-1], shown[-1][0]) if more else None
    _complete(uow, plan, names, [row[0] for row in shown], items)
    for name in (name for name in query.order.names if name not in plain):
        for item in items:
            del item[name]
    return Page(items, query.order, after)


def count_of(uow: UnitOfWork, record_type: RecordType, query: ListQuery) -> Count:
    """Return how many rows the query has, up to ``COUNT_LIMIT``; one query."""
    plan = plan_of(record_type)
    one: sa.ColumnElement[int] = sa.literal_column("1", sa.Integer)
    rows = sa.select(one).select_from(record_type.model).where(*restrictions(uow, plan, query))
    limited = rows.limit(_written(COUNT_LIMIT + 1)).subquery()
    number = uow.session.execute(sa.select(sa.func.count()).select_from(limited)).scalar_one()
    return Count(min(number, COUNT_LIMIT), number <= COUNT_LIMIT)


def read_one(
    uow: UnitOfWork, record_type: RecordType, uid: UUID, fields: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return one record with its extensions, and all its collections unless ``fields`` says otherwise.

    Raises:
        NotFound: there is none, or none the actor may see.
    """
    plan = plan_of(record_type)
    names, projection = _whole(uow, plan, fields)
    statement = projection.one
    if record_type.replaced_by or not sees_all(uow.actor, record_type):
        statement = statement.where(visible(uow.actor, record_type))
    row = uow.session.connection().execute(statement, {"uid": uid}).first()
    if row is None:
        raise missing(uow, record_type, uid)
    item = projection.read(row)
    _complete(uow, plan, names, [row[0]], [item])
    return item


def read_some(uow: UnitOfWork, record_type: RecordType, uids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Return records as ``read_one`` does, in the order that is asked for; as many queries as for one.

    Raises:
        NotFound: one of them is not there, or the actor may not see it.
    """
    plan = plan_of(record_type)
    names, projection = _whole(uow, plan, None)
    statement = projection.statement.where(record_type.model.uid.in_(uids), visible(uow.actor, record_type))
    rows = uow.session.connection().execute(statement).all()
    items = [projection.read(row) for row in rows]
    _complete(uow, plan, names, [row[0] for row in rows], items)
    found = {item["id"]: item for item in items}
    for uid in uids:
        if uid not in found:
            raise missing(uow, record_type, uid)
    return [found[uid] for uid in uids]


def record_of(uow: UnitOfWork, record_type: RecordType, uid: UUID) -> Any:
    """Return the mapped object of a record the actor may see, for a service to work on.

    Raises:
        NotFound: there is none, or none the actor may see.
    """
    statement = sa.select(record_type.model).where(record_type.model.uid == uid, visible(uow.actor, record_type))
    found = uow.session.execute(statement).scalar_one_or_none()
    if found is None:
        raise missing(uow, record_type, uid)
    return found


def sees(uow: UnitOfWork, record_type: RecordType, uid: UUID) -> bool:
    """Say whether the actor may see a record; after a change that hands it over he may not any more."""
    statement = sa.select(sa.literal(1)).where(record_type.model.uid == uid, visible(uow.actor, record_type))
    return uow.session.execute(statement).first() is not None


def suggestions(uow: UnitOfWork, record_type: RecordType, text: str, *, limit: int = 10) -> list[dict[str, Any]]:
    """Return ``{"id", "title"}`` of the first visible records whose words start with the text's; by title without."""
    if record_type.search:
        asked = Asked.of(uow, record_type, text, limit)
        hits = first_hits(asked, forgiving=False) if asked.words or not text else {}
        return [{"id": uid, "title": title} for uid, title in hits.items()]
    model, title = record_type.model, title_column(record_type)
    shown = sa.select(model.uid, said_title(record_type))
    statement = shown.where(visible(uow.actor, record_type)).order_by(title, model.id).limit(limit)
    if text:
        typed = text.lower().replace("\x00", "")
        statement = statement.where(sa.func.lower(title).contains(typed, autoescape=True))
    return [{"id": row[0], "title": row[1]} for row in uow.session.execute(statement)]


def restrictions(uow: UnitOfWork, plan: TypePlan, query: ListQuery, aim: Aim = Aim.ALL) -> list[sa.ColumnElement[bool]]:
    """Return what limits a list: visibility, conditions, searched words.

    Raises:
        Forbidden: the list filters or sorts by a field that needs a permission of its own.
        InvalidInput: a condition, the tree or the order names what the actor may not read, or what does not exist any more.
    """
    refuse_hidden(uow.actor, plan, query)
    found = [visible(uow.actor, plan.record_type)]
    if query.conditions:
        found.append(compile_tree(uow, plan, And(query.conditions)))
    if query.tree is not None:
        found.append(compile_tree(uow, plan, query.tree, aim))
    if query.verb != "read":
        found.append(visible(uow.actor, plan.record_type, query.verb))
    if query.text:
        found.append(matching(uow.actor, plan.record_type, query.text))
    return found


def _whole(uow: UnitOfWork, plan: TypePlan, fields: Sequence[str] | None) -> tuple[Sequence[str], Projection]:
    """Return the fields of a record as it is read alone, every one unless said otherwise, and how the plain ones are."""
    every = (*plan.plain(), *(p.name for p in plan.collections()), "extensions")
    names = shown_to(uow.actor, plan, every if fields is None else fields)
    plain = tuple(n for n in names if n in plan.fields and plan.fields[n].column is not None)
    return names, projection_of(uow.actor, plan, plain)


def _complete(
    uow: UnitOfWork, plan: TypePlan, names: Sequence[str], keys: Sequence[int], items: Sequence[dict[str, Any]]
) -> None:
    if not keys:
        return
    for field in plan.collections():
        if field.name in names:
            parts = load_collection(uow, plan, field, keys)
            for key, item in zip(keys, items, strict=True):
                item[field.name] = parts[key]
    if plan.extensions and "extensions" in names:
        extensions = load_extensions(uow, plan, keys)
        for key, item in zip(keys, items, strict=True):
            item["extensions"] = extensions[key]


def _with(names: tuple[str, ...], sorts: tuple[str, ...]) -> tuple[str, ...]:
    return (*names, *(sort for sort in sorts if sort not in names))


def _written(number: int) -> sa.BindParameter[int]:
    """Return a limit that stands in the statement itself: PostgreSQL plans a prepared one anew each time without it."""
    return sa.bindparam(None, number, sa.Integer, literal_execute=True)


def _limit(text: str | None) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_LIMIT:
        raise InvalidInput({"limit": [_("Found %(found)s, expected 1 to %(most)s.", found=text[:20], most=MAX_LIMIT)]})
    return int(text)
