"""The board page of a record type: one query for all cards, one for counts and totals, whatever the number of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode
from uuid import UUID

import sqlalchemy as sa
from flask import url_for
from flask_babel import gettext as _

from crm_kernel.errors import NotFound
from crm_kernel.records import fields
from crm_kernel.records.pages.presenting import money_text, record_url, text_of, title_of
from crm_kernel.records.plan import Kind, TypePlan, plan_of, target_of
from crm_kernel.records.projection import projection_of
from crm_kernel.records.reading import ListQuery, record_of, restrictions
from crm_kernel.records.record_type import Board, BoardColumn, RecordType

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Cards shown per column; the column's count and total are over all of its records.
CARDS = 50


def board_context(
    uow: UnitOfWork, record_type: RecordType, query: ListQuery, arguments: Mapping[str, str]
) -> dict[str, Any]:
    """Return the columns of a board with their first cards, counts and totals."""
    plan, board = plan_of(record_type), _board(record_type)
    columns = board.columns(uow, arguments)
    keys = _value_keys(uow, plan, board, columns)
    counts = _column_totals(uow, plan, query, keys)
    cards = _cards(uow, plan, query, columns, keys)
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
            }
            for column in columns
        ],
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
    if board.total:
        total = plan.fields[board.total]
        amount = sa.func.sum(total.column)
        currency = cast(Any, plan.fields[cast(fields.Money, total.field).currency].column)
    statement = (
        sa.select(value, currency, sa.func.count(), amount)
        .where(value.in_(keys), *restrictions(uow, plan, query))
        .group_by(value, currency)
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
) -> dict[str, list[dict[str, Any]]]:
    record_type, board = plan.record_type, _board(plan.record_type)
    model = record_type.model
    value: Any = plan.fields[board.field].column
    order = query.order.column.desc() if query.order.descending else query.order.column.asc()
    rank = sa.func.row_number().over(partition_by=value, order_by=(order.nulls_last(), model.id)).label("place")
    ranked = sa.select(model.id, rank).where(value.in_(keys), *restrictions(uow, plan, query)).subquery()
    names = tuple(dict.fromkeys((record_type.title, board.field, *board.card, *_currencies(plan, board))))
    projection = projection_of(uow.actor, plan, names)
    statement = (
        projection.statement.join(ranked, ranked.c.id == model.id)
        .where(ranked.c.place <= CARDS)
        .order_by(ranked.c.place, model.id)
    )
    dialogs = {column.id: column.dialog for column in columns}
    found: dict[str, list[dict[str, Any]]] = {}
    for row in uow.session.execute(statement):
        item = projection.read(row)
        column = item[board.field]
        column_id = str(column["id"] if isinstance(column, Mapping) else column)
        found.setdefault(column_id, []).append(_card(plan, board, item, asks=any(dialogs.values())))
    return found


def _card(plan: TypePlan, board: Board, item: Mapping[str, Any], *, asks: bool) -> dict[str, Any]:
    endpoint = plan.record_type.endpoint
    lines = [text_of(plan.fields[name], item.get(name), item) for name in board.card]
    return {
        "id": str(item["id"]),
        "title": title_of(plan, item),
        "url": record_url(plan.record_type, item["id"]),
        "lines": [line for line in lines if line],
        "version": item["version"],
        "move_url": url_for(f"{endpoint}_move", uid=item["id"]),
        "dialog_url": url_for(f"{endpoint}_drop", uid=item["id"]) if asks else None,
    }


def _currencies(plan: TypePlan, board: Board) -> list[str]:
    return [
        cast(fields.Money, plan.fields[name].field).currency
        for name in board.card
        if plan.fields[name].kind is Kind.MONEY
    ]
