"""Works out what a record has to become again once an import's change of it is undone.

A value that somebody else changed since stays as it is now, and so does one that who undoes it may not write; both are told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_kernel.records.bulk_rows import attribute_of
from crm_kernel.records.importing.targets import part_fields
from crm_kernel.records.plan import FieldPlan, TypePlan

Part = Mapping[str, Any]
_EXTENSION = "extensions."


@dataclass(slots=True)
class Restoration:
    """The values one record gets back, and the names of those that stay: changed since, or not the actor's to write."""

    values: dict[str, Any] = field(default_factory=dict)
    extensions: dict[str, dict[str, Any]] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)


def restoration_of(
    plan: TypePlan,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    now: Mapping[str, Any],
    locked: Collection[str] = (),
) -> Restoration:
    """Return what undoing a change from ``before`` to ``after`` does to a record that says ``now``.

    Args:
        locked: attributes that the actor may not write, of extensions as ``extensions.bank.risk``.
    """
    found = Restoration()
    collections = {attribute_of(collection): collection for collection in plan.collections()}
    for name, value in after.items():
        if name in locked:
            found.locked.append(name)
        elif name in collections:
            parts, kept = _parts(collections[name], before.get(name) or (), value or (), now.get(name, ()))
            found.values[name] = parts
            found.kept += [f"{name}.{attribute}" for attribute in kept]
        elif name not in now or now[name] != value:
            found.kept.append(name)
        elif name.startswith(_EXTENSION):
            extension, _dot, attribute = name.removeprefix(_EXTENSION).partition(".")
            found.extensions.setdefault(extension, {})[attribute] = before.get(name)
        else:
            found.values[name] = before.get(name)
    return found


def _parts(
    collection: FieldPlan, before: Sequence[Part], after: Sequence[Part], now: Sequence[Part]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the parts as they are to be, by the number they have, and what of them stays although it was imported."""
    old, new = {part["id"]: part for part in before}, {part["id"]: part for part in after}
    writable = {name: attribute_of(plan) for name, plan in part_fields(collection).items() if plan.writable}
    parts, kept = [], []
    for part in now:
        number, imported = part["id"], new.get(part["id"])
        if imported is None or imported == old.get(number):  # the import did not touch it
            parts.append({"uid": number})
        elif number in old:
            undone = {a: old[number].get(n) for n, a in writable.items() if part.get(n) == imported.get(n)}
            kept += [name for name in writable if part.get(name) not in (imported.get(name), old[number].get(name))]
            parts.append({"uid": number, **undone})
        elif any(part.get(name) != imported.get(name) for name in writable):  # added by the import, changed since
            parts.append({"uid": number})
            kept.append(str(part.get("value", number)))
    return parts, kept
