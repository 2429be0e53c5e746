"""The filter that somebody is building: a tree with gaps, as the builder's form sends it, and the way to a filter tree.

Every control is named by its place: ``f.0.field`` is the field of the first condition, ``f.1.join`` how the second part, a
group, joins its own. A draft holds texts only; what they mean is checked when it becomes a tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crm_kernel.records.filter_tree import And, Comparison, Has, Node, Not, Or, Relative, Total, Window
from crm_kernel.records.filter_tree.parsing import MAX_DEPTH, MAX_NODES

#: The name of the outermost group; the form's other arguments belong to the list.
ROOT = "f"


@dataclass(slots=True)
class Draft:
    """One part: ``group``, ``condition`` or ``related``; what the form said of it by key, and the parts below it."""

    kind: str
    texts: dict[str, list[str]] = field(default_factory=dict)
    parts: list[Draft] = field(default_factory=list)

    def first(self, key: str, otherwise: str = "") -> str:
        """Return the first text of a key."""
        return (self.texts.get(key) or [otherwise])[0] or otherwise

    def walk(self, path: str = ROOT) -> Iterator[tuple[str, Draft]]:
        """Yield every part with its place, outermost first."""
        yield path, self
        for number, part in enumerate(self.parts):
            yield from part.walk(f"{path}.{number}")


def empty_draft() -> Draft:
    """Return a draft without conditions."""
    return Draft("group", {"join": ["all"]})


def draft_from(arguments: Iterable[tuple[str, str]]) -> Draft | None:
    """Return the draft that form arguments hold, or None if they hold none; what is too deep or too much is left out."""
    nested: dict[str, Any] = {}
    for name, value in arguments:
        steps = name.split(".")
        if steps[0] != ROOT or not 2 <= len(steps) <= MAX_DEPTH + 2:
            continue
        place = nested
        for step in steps[1:-1]:
            place = place.setdefault(f".{step}", {})
        place.setdefault(steps[-1], []).append(value)
    return _drafted(nested, [MAX_NODES]) if nested else None


def _drafted(nested: Mapping[str, Any], left: list[int]) -> Draft:
    texts = {key: value for key, value in nested.items() if not key.startswith(".")}
    kind = "related" if "relation" in texts else "condition" if "field" in texts else "group"
    found = Draft(kind, texts)
    for key in sorted((k for k in nested if k.startswith(".")), key=lambda k: (len(k), k)):
        if left[0] > 0:
            left[0] -= 1
            found.parts.append(_drafted(nested[key], left))
    return found


def changed(draft: Draft, action: str) -> Draft:
    """Return the draft after a button: ``add:f.0``, ``group:f``, ``related:f``, ``drop:f.1``; others change nothing."""
    verb, _separator, path = action.partition(":")
    places = dict(draft.walk())
    if verb == "drop":
        above, _dot, number = path.rpartition(".")
        if above in places and number.isdigit() and int(number) < len(places[above].parts):
            del places[above].parts[int(number)]
    elif path in places and places[path].kind != "condition":
        places[path].parts += _new(verb)
    return draft


def _new(verb: str) -> list[Draft]:
    if verb == "add":
        return [Draft("condition", {"field": [""]})]
    if verb == "group":
        return [Draft("group", {"join": ["any"]}, _new("add"))]
    return [Draft("related", {"relation": [""], "measure": ["count"], "least": ["1"]})] if verb == "related" else []


def draft_of(node: Node | None) -> Draft:
    """Return the draft that shows a tree: its outermost part is a group."""
    if node is None:
        return empty_draft()
    found = _shown(node)
    return found if found.kind == "group" else Draft("group", {"join": ["all"]}, [found])


def _shown(node: Node) -> Draft:
    if isinstance(node, And | Or):
        join = "all" if isinstance(node, And) else "any"
        return Draft("group", {"join": [join]}, [_shown(part) for part in node.parts])
    if isinstance(node, Not):
        parts = node.part.parts if isinstance(node.part, Or) else (node.part,)
        return Draft("group", {"join": ["none"]}, [_shown(part) for part in parts])
    if isinstance(node, Comparison):
        return Draft("condition", {"field": [node.field], "op": [node.operator], **_value_texts(node.value)})
    return _shown_related(node)


def _shown_related(node: Has | Total) -> Draft:
    texts: dict[str, list[str]] = {"relation": [node.relation], "join": ["all"]}
    if isinstance(node, Has):
        texts |= {"measure": ["count"], "least": [str(node.at_least or "")]}
        texts["most"] = ["" if node.at_most is None else str(node.at_most)]
    else:
        texts |= {"measure": [f"sum:{node.of}"], "op": [node.operator], "value": [str(node.value)]}
        texts["currency"] = [node.currency or ""]
    texts["on"] = [node.on or ""]
    if node.within is not None:
        texts |= {f"within_{key}": value for key, value in _value_texts(node.within).items()}
    where = draft_of(node.where)
    return Draft("related", {**texts, "join": where.texts["join"]}, where.parts)


def _value_texts(value: Any) -> dict[str, list[str]]:
    if isinstance(value, Window):
        return {"value": [value.direction], "number": [str(value.number)], "unit": [value.unit]}
    if isinstance(value, Relative):
        return _relative_texts(value.text)
    if isinstance(value, bool):
        return {"value": ["true" if value else "false"]}
    texts = [str(part) for part in value] if isinstance(value, tuple) else [str(value)]
    return {"value": texts, "day": texts[:1]}


def _relative_texts(text: str) -> dict[str, list[str]]:
    if text[0] not in "+-":
        return {"mode": [text]}
    unit = {"h": "hours", "d": "days", "w": "weeks", "m": "months", "y": "years"}[text[-1]]
    return {"mode": ["ago" if text[0] == "-" else "ahead"], "number": [text[1:-1]], "unit": [unit]}
