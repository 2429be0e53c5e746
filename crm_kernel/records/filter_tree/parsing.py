"""Reads a filter tree from JSON: what is unknown, unreadable, of the wrong form or too large is refused by its place.

The grammar, with one example each::

    {"and": [...]}   {"or": [...]}   {"not": {...}}
    {"field": "amount", "op": "gte", "value": "100"}
    {"has": "sale.customer", "at_least": 2, "where": {...}, "on": "occurred_at", "within": {"days": 30}}
    {"sum": "sale.customer", "of": "base_amount", "op": "gte", "value": "1000"}

``has`` also takes ``at_most``; ``{"at_most": 0}`` finds who has none. Places are named like ``filter.and[1].field``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from flask_babel import gettext as _

from crm_kernel.database import utcnow
from crm_kernel.errors import InvalidInput
from crm_kernel.records.catalogue import SUM_OPERATORS, Catalogue, Entry, Relation, catalogue_of
from crm_kernel.records.filter_tree import values
from crm_kernel.records.filter_tree.checking import (
    checked,
    count_of,
    dated,
    named_entry,
    named_relation,
    refuse,
    within_of,
)
from crm_kernel.records.filter_tree.nodes import (
    And,
    Comparison,
    Has,
    Node,
    Not,
    Or,
    Total,
    Value,
)
from crm_kernel.records.filter_tree.periods import Clock
from crm_kernel.records.plan import TypePlan

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor

#: Levels of a tree, nodes in it, bytes of its JSON: what a page can show and a database can plan.
MAX_DEPTH, MAX_NODES, MAX_BYTES = 8, 100, 16_384

_FORMS = '"and", "or", "not", "field", "has", "sum"'
_HAS_KEYS = frozenset({"has", "at_least", "at_most", "where", "on", "within"})
_SUM_KEYS = frozenset({"sum", "of", "op", "value", "currency", "where", "on", "within"})


def parse_text(plan: TypePlan, text: str, actor: Actor | None) -> Node:
    """Return the tree that a URL's ``filter=`` spells.

    Raises:
        InvalidInput: it is no JSON, too large, or ``parse_tree`` refuses it.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        refuse("filter", _("Too large: at most %(limit)s bytes of JSON.", limit=MAX_BYTES))
    try:
        data = orjson.loads(text)
    except ValueError as error:
        raise InvalidInput({"filter": [_("Not valid JSON: %(error)s.", error=error)]}) from error
    return parse_tree(plan, data, actor)


def parse_tree(plan: TypePlan, data: Any, actor: Actor | None) -> Node:
    """Return the tree that JSON values spell, every name and value checked; no query.

    Args:
        actor: who asks: what he may not read is as unknown as what does not exist. None checks the form alone.

    Raises:
        InvalidInput: naming the place (``filter.and[1].field``), what was found and what is expected.
    """
    try:
        size = len(orjson.dumps(data))
    except TypeError as error:
        raise InvalidInput({"filter": [_("Not valid JSON: %(error)s.", error=error)]}) from error
    if size > MAX_BYTES:
        refuse("filter", _("Too large: at most %(limit)s bytes of JSON.", limit=MAX_BYTES))
    clock = Clock.of(utcnow(), actor.timezone if actor else "UTC")
    return _Reader(clock).node(catalogue_of(plan, actor), data, "filter", 1)


@dataclass(slots=True)
class _Reader:
    """One pass over one tree; counts its nodes."""

    clock: Clock
    nodes: int = 0

    def node(self, catalogue: Catalogue, data: Any, path: str, depth: int) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            refuse(path, _("Too many conditions: at most %(limit)s.", limit=MAX_NODES))
        if depth > MAX_DEPTH:
            refuse(path, _("Too deep: at most %(limit)s levels.", limit=MAX_DEPTH))
        forms = {"and", "or", "not", "field", "has", "sum"} & data.keys() if isinstance(data, Mapping) else set()
        if len(forms) != 1:
            refuse(path, _("Expected an object with exactly one of %(forms)s.", forms=_FORMS))
        return self._readers()[forms.pop()](catalogue, data, path, depth)

    def _readers(self) -> Mapping[str, Callable[[Catalogue, Any, str, int], Node]]:
        return {
            "and": self._and,
            "or": self._or,
            "not": self._not,
            "field": self._comparison,
            "has": self._has,
            "sum": self._total,
        }

    def _and(self, catalogue: Catalogue, data: Any, path: str, depth: int) -> Node:
        return And(self._parts(catalogue, data, "and", path, depth))

    def _or(self, catalogue: Catalogue, data: Any, path: str, depth: int) -> Node:
        return Or(self._parts(catalogue, data, "or", path, depth))

    def _parts(self, catalogue: Catalogue, data: Any, key: str, path: str, depth: int) -> tuple[Node, ...]:
        _only(data, {key}, path)
        parts = data[key]
        if not isinstance(parts, list | tuple):
            refuse(f"{path}.{key}", _("Expected a list."))
        return tuple(self.node(catalogue, part, f"{path}.{key}[{n}]", depth + 1) for n, part in enumerate(parts))

    def _not(self, catalogue: Catalogue, data: Any, path: str, depth: int) -> Node:
        _only(data, {"not"}, path)
        return Not(self.node(catalogue, data["not"], f"{path}.not", depth + 1))

    def _comparison(self, catalogue: Catalogue, data: Any, path: str, _depth: int) -> Node:
        _only(data, {"field", "op", "value"}, path)
        entry = named_entry(catalogue, data["field"], f"{path}.field")
        operator = data.get("op", "eq")
        if operator not in entry.operators:
            known = ", ".join(entry.operators)
            refuse(f"{path}.op", _("Unknown operator; expected one of: %(known)s.", known=known))
        if "value" not in data:
            refuse(f"{path}.value", _("Missing data for required field."))
        return checked(entry, operator, data["value"], self.clock, f"{path}.value")

    def _has(self, catalogue: Catalogue, data: Any, path: str, depth: int) -> Node:
        _only(data, _HAS_KEYS, path)
        relation = named_relation(catalogue, data["has"], f"{path}.has")
        most = count_of(data["at_most"], f"{path}.at_most") if "at_most" in data else None
        least = count_of(data.get("at_least", 1 if most is None else 0), f"{path}.at_least")
        if least == 0 and most is None:
            refuse(f"{path}.at_least", _("Expected 1 or more; for none at all use “at_most”: 0."))
        where, on, within = self._limits(relation, data, path, depth)
        return Has(relation.name, least, where, on, within, most)

    def _total(self, catalogue: Catalogue, data: Any, path: str, depth: int) -> Node:
        _only(data, _SUM_KEYS, path)
        relation = named_relation(catalogue, data["sum"], f"{path}.sum")
        entry = named_entry(relation.rows, data.get("of"), f"{path}.of")
        if not entry.summable:
            known = ", ".join(found.name for found in relation.rows.fields() if found.summable) or "–"
            refuse(f"{path}.of", _("Not an amount or a number; expected one of: %(known)s.", known=known))
        operator = data.get("op", "gte")
        if operator not in SUM_OPERATORS:
            known = ", ".join(SUM_OPERATORS)
            refuse(f"{path}.op", _("Unknown operator; expected one of: %(known)s.", known=known))
        value = checked(entry, operator, data.get("value"), self.clock, f"{path}.value").value
        where, on, within = self._limits(relation, data, path, depth)
        currency = self._currency(relation, entry, data, where, path)
        return Total(relation.name, entry.name, operator, value, currency, where, on, within)

    def _currency(self, relation: Relation, entry: Entry, data: Any, where: Node | None, path: str) -> str | None:
        """Return the currency that is summed: amounts of different currencies have no sum."""
        given, name = data.get("currency"), entry.currency
        if name is None:
            if given is not None:
                refuse(f"{path}.currency", _("%(field)s has no currency of its own.", field=entry.name))
            return None
        field = named_entry(relation.rows, name, f"{path}.currency")
        if given is None and not _fixes(where, name):
            text = _("Amounts of different currencies are not summed: name the currency, or sum a base amount.")
            refuse(f"{path}.currency", text)
        if given is None:
            return None
        return str(values.operand(field, "eq", given, self.clock, f"{path}.currency"))

    def _limits(self, relation: Relation, data: Any, path: str, depth: int) -> tuple[Node | None, str | None, Value]:
        where = self.node(relation.rows, data["where"], f"{path}.where", depth + 1) if "where" in data else None
        on, within = data.get("on"), None
        if on is not None and not isinstance(on, str):
            refuse(f"{path}.on", _("Expected text."))
        if on is not None and "within" not in data:
            refuse(f"{path}.within", _("Missing data for required field."))
        if "within" in data:
            entry = dated(relation, on, path)
            within = within_of(data["within"], f"{path}.within")
            values.period(entry, within, self.clock, f"{path}.within")
        return where, on, within


def _fixes(where: Node | None, field: str) -> bool:
    """Say whether rows that fit have one value of a field."""
    if isinstance(where, And):
        return any(_fixes(part, field) for part in where.parts)
    return isinstance(where, Comparison) and (where.field, where.operator) == (field, "eq")


def _only(data: Mapping[str, Any], known: frozenset[str] | set[str], path: str) -> None:
    unknown = sorted(data.keys() - known)
    if unknown:
        refuse(f"{path}.{unknown[0][:40]}", _("Unknown key; known: %(known)s.", known=", ".join(sorted(known))))
