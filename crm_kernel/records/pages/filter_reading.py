"""Turns a draft of the filter builder into the JSON of a filter tree, remembering which part stands where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crm_kernel.records.catalogue import Catalogue, Entry
from crm_kernel.records.filter_tree.periods import MOMENTS
from crm_kernel.records.numbers import number_text, typed_number
from crm_kernel.records.pages.filter_drafts import ROOT, Draft
from crm_kernel.records.plan import Kind

DATES = (Kind.DATE, Kind.DATETIME)
_NUMBERS = (Kind.NUMBER, Kind.MONEY)
_LETTERS = {"hours": "h", "days": "d", "weeks": "w", "months": "m", "years": "y"}


@dataclass(slots=True)
class Reading:
    """The tree of a draft, and the place in the tree → the place in the form."""

    tree: dict[str, Any]
    places: dict[str, str] = field(default_factory=dict)

    def place_of(self, path: str) -> str:
        """Return the part of the form that an error of the tree is about."""
        known = [place for place in self.places if path == place or path.startswith((f"{place}.", f"{place}["))]
        return self.places[max(known, key=len)] if known else ROOT


def read_draft(draft: Draft, catalogue: Catalogue) -> Reading:
    """Return the tree that a draft spells; what it lacks is found when the tree is parsed."""
    found = Reading({})
    found.tree = _group(draft, catalogue, "filter", ROOT, found.places)
    return found


def typed_again(draft: Draft, catalogue: Catalogue) -> Draft:
    """Return the draft of a tree with its numbers as the reader would type them; a tree's own are plain."""
    entry = chosen_entry(draft, catalogue) if draft.kind == "condition" else None
    if (entry and entry.plan.kind in _NUMBERS) or draft.first("measure").startswith("sum:"):
        draft.texts["value"] = [number_text(text) for text in draft.texts.get("value", [])]
    relation = next((r for r in catalogue.relations() if r.name == draft.first("relation")), None)
    for part in draft.parts:
        typed_again(part, relation.rows if relation else catalogue)
    return draft


def chosen_entry(draft: Draft, catalogue: Catalogue) -> Entry | None:
    """Return the field that a condition is about; the first one offered while none is chosen."""
    name = draft.first("field")
    if name:
        return catalogue.field(name)
    return next((entry for entry in catalogue.fields() if entry.kind != "id"), None)


def chosen_operator(draft: Draft, entry: Entry) -> str:
    """Return the operator of a condition; the field's first one if it has no such operator."""
    wanted = draft.first("op")
    return wanted if wanted in entry.operators else entry.operators[0]


def _part(draft: Draft, catalogue: Catalogue, path: str, place: str, places: dict[str, str]) -> dict[str, Any]:
    places[path] = place
    if draft.kind == "condition":
        return _condition(draft, catalogue)
    if draft.kind == "related":
        return _related(draft, catalogue, path, place, places)
    return _group(draft, catalogue, path, place, places)


def _group(draft: Draft, catalogue: Catalogue, path: str, place: str, places: dict[str, str]) -> dict[str, Any]:
    join = draft.first("join", "all")
    inner = {"all": f"{path}.and", "any": f"{path}.or"}.get(join, f"{path}.not.or")
    places[path] = place
    parts = [_part(part, catalogue, f"{inner}[{n}]", f"{place}.{n}", places) for n, part in enumerate(draft.parts)]
    return {"and": parts} if join == "all" else {"or": parts} if join == "any" else {"not": {"or": parts}}


def _condition(draft: Draft, catalogue: Catalogue) -> dict[str, Any]:
    entry = chosen_entry(draft, catalogue)
    if entry is None:
        return {"field": draft.first("field"), "op": draft.first("op", "eq"), "value": draft.first("value")}
    operator = chosen_operator(draft, entry)
    return {"field": entry.name, "op": operator, "value": _value(draft, entry, operator)}


def _value(draft: Draft, entry: Entry, operator: str) -> Any:
    if operator == "empty":
        return draft.first("value", "true") != "false"
    if operator == "in":
        lines = (line.strip() for text in draft.texts.get("value", []) for line in text.splitlines())
        return [_typed(entry, line) for line in lines if line]
    if operator == "during":
        return _period(draft, "")
    mode = draft.first("mode", "date")
    if entry.plan.kind in DATES and operator not in ("eq", "ne") and mode != "date":
        return {"relative": _relative(draft, mode)}
    return _typed(entry, draft.first("value")) or None


def _typed(entry: Entry, text: str) -> str:
    return typed_number(text) if text and entry.plan.kind in _NUMBERS else text


def _relative(draft: Draft, mode: str) -> str:
    if mode in MOMENTS:
        return mode
    sign = "-" if mode == "ago" else "+"
    return f"{sign}{draft.first('number', '30')}{_LETTERS.get(draft.first('unit'), 'd')}"


def _period(draft: Draft, prefix: str) -> Any:
    name = draft.first(f"{prefix}value", "today" if not prefix else "")
    if name in ("last", "next"):
        number = draft.first(f"{prefix}number", "30")
        return {
            name: int(number) if number.isascii() and number.isdigit() else number,
            "unit": draft.first(f"{prefix}unit", "days"),
        }
    return draft.first(f"{prefix}day") if name == "day" else name


def _related(draft: Draft, catalogue: Catalogue, path: str, place: str, places: dict[str, str]) -> dict[str, Any]:
    relations = {relation.name: relation for relation in catalogue.relations()}
    name = draft.first("relation") or next(iter(relations), "")
    relation, measure = relations.get(name), draft.first("measure", "count")
    found = _sum(draft, name, measure) if measure.startswith("sum:") else _count(draft, name)
    if draft.first("within_value"):
        found["within"] = _period(draft, "within_")
        if draft.first("on"):
            found["on"] = draft.first("on")
    if draft.parts and relation is not None:
        found["where"] = _group(draft, relation.rows, f"{path}.where", place, places)
    return found


def _count(draft: Draft, name: str) -> dict[str, Any]:
    limits = {"at_least": draft.first("least"), "at_most": draft.first("most")}
    given = {key: int(text) if text.isascii() and text.isdigit() else text for key, text in limits.items() if text}
    return {"has": name, **({"at_least": 1} if not given else _sensible(given))}


def _sensible(given: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out a lower bound of nothing where there is an upper one."""
    return {key: value for key, value in given.items() if not (key == "at_least" and value == 0 and "at_most" in given)}


def _sum(draft: Draft, name: str, measure: str) -> dict[str, Any]:
    found: dict[str, Any] = {"sum": name, "of": measure.removeprefix("sum:"), "op": draft.first("op", "gte")}
    found["value"] = typed_number(draft.first("value")) if draft.first("value") else None
    return found | ({"currency": draft.first("currency")} if draft.first("currency") else {})
