"""The board page of a record type: one query for all cards, one for counts and totals, whatever the number of columns.

A column shows its first cards; the rest comes page by page behind a cursor, in the same order as the list has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode
from uuid import UUID

import sqlalchemy as sa
from flask import url_for
from flask_babel import gettext as _

from crm_kernel.errors import NotFound
from crm_kernel.records import fields
from crm_kernel.records.columns import said_with
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.filter_tree import Comparison
from crm_kernel.records.pages.presenting import money_text, record_url, text_of, title_of
from crm_kernel.records.paging import row_order
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, plan_of, target_of
from crm_kernel.records.projection import projection_of
from crm_kernel.records.reading import ListQuery, page_of, record_of, restrictions
from crm_kernel.records.record_type import Board, BoardColumn, RecordType

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Cards shown per column, and added by each "Show more"; the column's count and total are over all of its records.
CARDS = 50
#: Kinds that stand side by side at the foot of a card, not one below the other.
_FIGURES = (Kind.MONEY, Kind.NUMBER, Kind.DATE)


def board_context(
    uow: UnitOfWork, record_type: RecordType, query: ListQuery, arguments: Mapping[str, str]
) -> dict[str, Any]:
    """Return the columns of a board with their first cards, counts and totals."""
    plan, board = plan_of(record_type), _board(record_type)
    columns = board.columns(uow, arguments)
    keys = _value_keys(uow, plan, board, columns)
    counts = _column_totals(uow, plan, query, keys)
    cards, ends = _cards(uow, plan, query, columns, keys)
    return {
        "board_field": board.field,
        "boards": _choices(uow, record_type, arguments),
        "columns": [
            {
                "id": column.id,
                "label": column.label,
                "color": column.color,
                "asks": column.dialog is not None,
                **counts.get(column.id, {"count": 0, "total_text": None}),
                "cards": cards.get(column.id, []),
                "more": _more(plan, query, arguments, column.id, ends.get(column.id)),
            }
            for column in columns
        ],
    }


def more_cards(
    uow: UnitOfWork, record_type: RecordType, query: ListQuery, arguments: Mapping[str, str]
) -> dict[str, Any]:
    """Return the next cards of the column that the arguments name, and where the rest is; one query beside the columns'.

    Raises:
        NotFound: the board has no such column.
    """
    plan, board = plan_of(record_type), _board(record_type)
    columns = board.columns(uow, arguments)
    column = next((column for column in columns if column.id == arguments.get("column")), None)
    if column is None:
        raise NotFound(_("There is no such column on this board."))
    inside = replace(query, conditions=(*query.conditions, Comparison(board.field, "eq", column.id)))
    page = page_of(uow, record_type, replace(inside, fields=_card_fields(plan, query), limit=CARDS))
    asks = any(column.dialog for column in columns)
    return {
        "cards": [_card(plan, board, item, asks=asks) for item in page.items],
        "more": _more(plan, query, arguments, column.id, page.next_cursor),
    }


def _more(
    plan: TypePlan, query: ListQuery, arguments: Mapping[str, str], column_id: str, cursor: str | None
) -> dict[str, str] | None:
    """Return where a column goes on: the cards for the script, the same rows as a list for a browser without it."""
    if cursor is None:
        return None
    endpoint = plan.record_type.endpoint
    kept = {
        key: value
        for key, value in arguments.items()
        if key not in ("view", "as", "edited", "columns", "column", "cursor", "limit")
    }
    rest = {**kept, "cursor": cursor}
    listed = {**rest, _board(plan.record_type).field: column_id, "sort": query.order.parameter}
    return {
        "url": f"{url_for(f'{endpoint}_column')}?{urlencode({**rest, 'column': column_id})}",
        "list_url": f"{url_for(f'{endpoint}_list')}?{urlencode(listed)}",
    }


def _choices(uow: UnitOfWork, record_type: RecordType, arguments: Mapping[str, str]) -> list[dict[str, Any]]:
    board = _board(record_type)
    found = list(board.choices(uow)) if board.choices else []
    named = [choice for choice in found if all(arguments.get(key) == value for key, value in choice[1].items())]
    current = next(iter(named or found), None)
    base = url_for(f"{record_type.endpoint}_list")
    return [
        {"label": label, "url": f"{base}?{urlencode({'view': 'board', **own})}", "active": (label, own) == current}
        for label, own in found
    ]


def _column_totals(
    uow: UnitOfWork, plan: TypePlan, query: ListQuery, keys: Mapping[Any, str]
) -> dict[str, dict[str, Any]]:
    """Return column id → ``count`` and ``total_text``; amounts of different currencies stand side by side."""
    board = _board(plan.record_type)
    value: Any = plan.fields[board.field].column
    currency: Any = sa.null()
    amount: Any = sa.null()
    groups: list[Any] = []
    if board.total and board.total not in hidden_from(uow.actor, plan):
        total = plan.fields[board.total]
        amount = sa.func.sum(total.column)
        currency = cast(Any, plan.fields[cast(fields.Money, total.field).currency].column)
        groups.append(currency)  # PostgreSQL groups by no constant, not even by NULL
    statement = (
        sa.select(value, currency, sa.func.count(), amount)
        .where(value.in_(keys), *restrictions(uow, plan, query))
        .group_by(value, *groups)
    )
    found: dict[str, dict[str, Any]] = {}
    for key, code, count, total_amount in uow.session.execute(statement):
        entry = found.setdefault(keys[key], {"count": 0, "total_text": None})
        entry["count"] += count
        if total_amount is not None:
            entry["total_text"] = " + ".join(filter(None, (entry["total_text"], money_text(total_amount, code))))
    return found


def drop_dialog(uow: UnitOfWork, record_type: RecordType, uid: UUID, column_id: str) -> str:
    """Return the action whose dialog a drop on a column opens.

    Raises:
        NotFound: there is no such column, or it takes a card without asking.
    """
    record_of(uow, record_type, uid)
    columns = _board(record_type).columns(uow, {"record": str(uid)})
    found = next((column for column in columns if column.id == column_id), None)
    if found is None or found.dialog is None:
        raise NotFound(_("This column asks nothing."))
    return found.dialog


def _board(record_type: RecordType) -> Board:
    if record_type.board is None:
        raise NotFound(_("%(type)s has no board.", type=record_type.label_plural))
    return record_type.board


def _value_keys(uow: UnitOfWork, plan: TypePlan, board: Board, columns: Sequence[BoardColumn]) -> dict[Any, str]:
    """Return stored value → column id; references cost one query."""
    field = plan.fields[board.field]
    if field.kind is not Kind.REFERENCE:
        return {column.id: column.id for column in columns}
    target = target_of(field).model
    uids = [UUID(column.id) for column in columns]
    rows = uow.session.execute(sa.select(target.id, target.uid).where(target.uid.in_(uids)))
    return {key: str(uid) for key, uid in rows}


def _cards(
    uow: UnitOfWork, plan: TypePlan, query: ListQuery, columns: Sequence[BoardColumn], keys: Mapping[Any, str]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Return column id → its first cards, and column id → the cursor behind them where there are more."""
    board, model = _board(plan.record_type), plan.record_type.model
    value: Any = plan.fields[board.field].column
    rank = sa.func.row_number().over(partition_by=value, order_by=row_order(query.order, model)).label("place")
    ranked = sa.select(model.id, rank).where(value.in_(keys), *restrictions(uow, plan, query)).subquery()
    projection = projection_of(uow.actor, plan, _card_fields(plan, query))
    # One card more than is shown tells whether there is a rest.
    statement = (
        projection.statement.join(ranked, ranked.c.id == model.id)
        .where(ranked.c.place <= CARDS + 1)
        .order_by(ranked.c.place, model.id)
    )
    asks = any(column.dialog for column in columns)
    found: dict[str, list[dict[str, Any]]] = {}
    behind: dict[str, str] = {}
    ends: dict[str, str] = {}
    for row in uow.session.execute(statement):
        item = projection.read(row)
        column_id = _column_id(item[board.field])
        cards = found.setdefault(column_id, [])
        if len(cards) == CARDS:
            ends[column_id] = behind[column_id]
            continue
        cards.append(_card(plan, board, item, asks=asks))
        if len(cards) == CARDS:
            behind[column_id] = query.order.cursor_at(item, row[0]).encode(query.order)
    return found, ends


def _column_id(value: Any) -> str:
    return str(value["id"] if isinstance(value, Mapping) else value)


def _card_fields(plan: TypePlan, query: ListQuery) -> tuple[str, ...]:
    board = _board(plan.record_type)
    names = (
        plan.record_type.title,
        *said_with(plan),
        board.field,
        *query.order.names,
        *board.card,
        *_currencies(plan, board),
    )
    return tuple(dict.fromkeys(names))


def _card(plan: TypePlan, board: Board, item: Mapping[str, Any], *, asks: bool) -> dict[str, Any]:
    endpoint = plan.record_type.endpoint
    texts = {name: text_of(plan.fields[name], item.get(name), item) for name in board.card}
    person = next((name for name, text in texts.items() if text and _is_user(plan.fields[name])), None)
    figures = [name for name in texts if plan.fields[name].kind in _FIGURES]
    return {
        "id": str(item["id"]),
        "title": title_of(plan, item),
        "url": record_url(plan.record_type, item["id"]),
        "lines": [text for name, text in texts.items() if text and name not in (*figures, person)],
        "figures": [texts[name] for name in figures if texts[name]],
        "avatar": {"name": texts[person]} if person else None,
        "version": item["version"],
        "move_url": url_for(f"{endpoint}_move", uid=item["id"]),
        "dialog_url": url_for(f"{endpoint}_drop", uid=item["id"]) if asks else None,
    }


def _is_user(field: FieldPlan) -> bool:
    return field.kind is Kind.REFERENCE and target_of(field).name == "user"


def _currencies(plan: TypePlan, board: Board) -> list[str]:
    return [
        cast(fields.Money, plan.fields[name].field).currency
        for name in board.card
        if plan.fields[name].kind is Kind.MONEY
    ]
