"""Says conditions in words: the chips over a list, and what a filter tree asks for as one sentence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from flask_babel import ngettext

from crm_kernel.access.policy import visible
from crm_kernel.records.catalogue import Catalogue, catalogue_of
from crm_kernel.records.filter_tree import periods
from crm_kernel.records.filter_tree.nodes import And, Comparison, Has, Node, Not, Or, Relative, Total, Value, Window
from crm_kernel.records.numbers import decimal_text
from crm_kernel.records.pages.presenting import plain_text
from crm_kernel.records.pages.saying import said_value
from crm_kernel.records.pages.submitted import reader_zone
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, said_title, target_of

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def operator_label(operator: str, kind: Kind | None = None) -> str:
    """Return an operator in words; those of dates have words of their own."""
    dated: Mapping[str, str] = {"lt": _("before"), "lte": _("until"), "gt": _("after"), "gte": _("since")}
    if kind in (Kind.DATE, Kind.DATETIME) and operator in dated:
        return dated[operator]
    labels: Mapping[str, str] = {
        "eq": _("is"),
        "ne": _("is not"),
        "in": _("is one of"),
        "contains": _("contains"),
        "startswith": _("starts with"),
        "lt": _("below"),
        "lte": _("at most"),
        "gt": _("above"),
        "gte": _("at least"),
        "empty": _("is empty"),
        "during": _("lies in"),
    }
    return labels[operator]


def comparison_text(uow: UnitOfWork, field: FieldPlan, comparison: Comparison) -> str:
    """Return what a condition says of its field: operator and value; references cost one query."""
    return f"{operator_label(comparison.operator, field.kind)} {value_text(uow, field, comparison)}"


def value_text(uow: UnitOfWork, field: FieldPlan, comparison: Comparison) -> str:
    """Return what a field is compared with as people read it; references cost one query."""
    value = comparison.value
    if comparison.operator == "empty":
        return str(_("Yes") if value else _("No"))
    several = [str(part) for part in value] if isinstance(value, tuple) else [str(value)]
    if field.kind is Kind.REFERENCE:
        return _titles(uow, field, several)
    if field.kind is Kind.BOOLEAN:
        return str(_("Yes") if several[0].lower() in ("true", "1", "yes") else _("No"))
    if field.kind in (Kind.NUMBER, Kind.MONEY):
        return ", ".join(map(_number, several))
    if field.kind in (Kind.DATE, Kind.DATETIME):
        return ", ".join(map(_day, several)) if isinstance(value, tuple) else time_text(value)
    typed = comparison.operator in ("contains", "startswith")
    return ", ".join(part if typed else said_value(field, part) for part in several)


def _number(plain: str) -> str:
    try:
        found = Decimal(plain)
    except InvalidOperation:
        return plain
    return decimal_text(found) if found.is_finite() else plain


def time_text(value: Value) -> str:
    """Return a value in words if it is a time that moves with the clock, else as it is written."""
    if isinstance(value, Relative):
        return _relative_text(value.text)
    if isinstance(value, Window):
        return _window_text(value)
    return _named().get(value) or _day(value) if isinstance(value, str) else str(value)


def _day(plain: str) -> str:
    """Return a day or a time as the reader's language writes it; what is none as it is written."""
    try:
        if periods.is_day(plain):
            return plain_text(dt.date.fromisoformat(plain))
        moment = dt.datetime.fromisoformat(plain)
    except ValueError:
        return plain
    # One without a zone is the reader's, as conditions take it.
    return plain_text(moment if moment.tzinfo else moment.replace(tzinfo=reader_zone()))


def tree_text(uow: UnitOfWork, plan: TypePlan, node: Node) -> str:
    """Return what a tree asks for as one sentence without a full stop."""
    return _said(uow, catalogue_of(plan, uow.actor), node)


def _said(uow: UnitOfWork, catalogue: Catalogue, node: Node) -> str:
    if isinstance(node, Not):
        return str(_("not (%(condition)s)", condition=_said(uow, catalogue, node.part)))
    if isinstance(node, And | Or):
        word = f" {_('and') if isinstance(node, And) else _('or')} "
        return word.join(_in_brackets(uow, catalogue, part) for part in node.parts) or "–"
    if isinstance(node, Comparison):
        entry = catalogue.field(node.field)
        if entry is None:
            return node.field
        return f"{entry.plan.label} {comparison_text(uow, entry.plan, node)}"
    return _said_of_related(uow, catalogue, node)


def _in_brackets(uow: UnitOfWork, catalogue: Catalogue, node: Node) -> str:
    text = _said(uow, catalogue, node)
    return f"({text})" if isinstance(node, And | Or) and len(node.parts) > 1 else text


def _said_of_related(uow: UnitOfWork, catalogue: Catalogue, node: Has | Total) -> str:
    relation = catalogue.relation(node.relation)
    if relation is None:
        return node.relation
    limits = [] if node.where is None else [_said(uow, relation.rows, node.where)]
    limits += [time_text(node.within)] if node.within is not None else []
    which = f"{relation.label} ({'; '.join(limits)})" if limits else str(relation.label)
    if isinstance(node, Has):
        return f"{_number_text(node)} × {which}"
    amount = relation.rows.field(node.of)
    label = amount.plan.label if amount else node.of
    value = " ".join(filter(None, (_number(str(node.value)), node.currency)))
    return str(
        _("sum of %(field)s over %(records)s %(comparison)s %(value)s",
          field=label, records=which, comparison=operator_label(node.operator), value=value)
    )  # fmt: skip


def _number_text(node: Has) -> str:
    if node.at_most is None:
        return str(_("at least %(number)s", number=node.at_least))
    if node.at_least:
        return str(_("%(least)s to %(most)s", least=node.at_least, most=node.at_most))
    return str(_("at most %(number)s", number=node.at_most))


def _relative_text(text: str) -> str:
    known = _moments().get(text)
    if known is not None:
        return known
    span = _span(int(text[1:-1]), {"h": "hours", "d": "days", "w": "weeks", "m": "months", "y": "years"}[text[-1]])
    return str(_("%(span)s ago", span=span) if text[0] == "-" else _("in %(span)s", span=span))


def _window_text(window: Window) -> str:
    span = _span(window.number, window.unit)
    return str(_("the last %(span)s", span=span) if window.direction == "last" else _("the next %(span)s", span=span))


def _span(number: int, unit: str) -> str:
    if unit == "hours":
        return cast(str, ngettext("%(num)s hour", "%(num)s hours", number))
    if unit == "days":
        return cast(str, ngettext("%(num)s day", "%(num)s days", number))
    if unit == "weeks":
        return cast(str, ngettext("%(num)s week", "%(num)s weeks", number))
    if unit == "months":
        return cast(str, ngettext("%(num)s month", "%(num)s months", number))
    return cast(str, ngettext("%(num)s year", "%(num)s years", number))


def _moments() -> Mapping[str, str]:
    return {
        "now": _("now"),
        "today": _("today"),
        "yesterday": _("yesterday"),
        "tomorrow": _("tomorrow"),
        "start_of_week": _("the start of this week"),
        "start_of_month": _("the start of this month"),
        "start_of_quarter": _("the start of this quarter"),
        "start_of_year": _("the start of this year"),
    }


def _named() -> Mapping[str, str]:
    return {
        "today": _("today"),
        "yesterday": _("yesterday"),
        "tomorrow": _("tomorrow"),
        "this_week": _("this week"),
        "last_week": _("last week"),
        "next_week": _("next week"),
        "this_month": _("this month"),
        "last_month": _("last month"),
        "next_month": _("next month"),
        "this_quarter": _("this quarter"),
        "last_quarter": _("last quarter"),
        "next_quarter": _("next quarter"),
        "this_year": _("this year"),
        "last_year": _("last year"),
        "next_year": _("next year"),
    }


def moment_labels() -> Mapping[str, str]:
    """Return the named moments in words, in the order they are offered."""
    return _moments()


def unit_labels() -> Mapping[str, str]:
    """Return the units of time in words, shortest first."""
    return {"hours": _("hours"), "days": _("days"), "weeks": _("weeks"), "months": _("months"), "years": _("years")}


def period_labels() -> Mapping[str, str]:
    """Return the named periods in words, in the order they are offered."""
    return _named()


def _titles(uow: UnitOfWork, field: FieldPlan, ids: Sequence[str]) -> str:
    mine = [str(_("me"))] if "me" in ids else []
    uids = []
    for text in ids:
        with suppress(ValueError):
            uids.append(UUID(text))
    if not uids:
        return ", ".join(mine) or "–"
    target = target_of(cast(Any, field))
    statement = sa.select(said_title(target)).where(target.model.uid.in_(uids), visible(uow.actor, target))
    return ", ".join([*mine, *map(str, uow.session.execute(statement).scalars())]) or "–"
