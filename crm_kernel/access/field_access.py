"""Which fields of a record type an actor may not see, or not write: what his roles say of single fields.

A rule narrows one role: ``hidden`` (neither seen nor written) or ``read`` (seen, never written). Of several roles the
most permissive wins, and only a role that grants the reading (or the writing) of the type counts for it. Rules are read
with the user's grants and kept as long as these: a request pays no query. The system itself has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _

from crm_kernel.access.actor import Scope, widest
from crm_kernel.errors import Forbidden

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.plan import TypePlan

#: What a rule may say.
HIDDEN, READ = "hidden", "read"

#: Record type → field → what is left of it.
FieldRules = Mapping[str, Mapping[str, str]]


def hidden_fields(actor: Actor, record_type_name: str) -> frozenset[str]:
    """Return the names of the fields that the actor never sees; an extension's as ``bank.risk``. No query."""
    rules = actor.field_rules.get(record_type_name)
    return frozenset(name for name, access in rules.items() if access == HIDDEN) if rules else frozenset()


def locked_fields(actor: Actor, record_type_name: str) -> frozenset[str]:
    """Return the names of the fields that the actor does not write: hidden ones and those he only reads. No query."""
    return frozenset(actor.field_rules.get(record_type_name, ()))


def refuse_locked(actor: Actor, record_type_name: str, given: Iterable[str]) -> None:
    """Refuse a write of fields that the actor may not write; call it before anything is checked or written.

    Args:
        given: names of the fields as a payload has them, of extensions as ``extensions.bank.risk`` or ``bank.risk``.

    Raises:
        Forbidden: naming the fields.
    """
    locked = locked_fields(actor, record_type_name)
    found = sorted({name for name in given if name.removeprefix("extensions.") in locked}) if locked else []
    if found:
        raise Forbidden(
            _(
                "%(who)s may not write %(fields)s of %(type)s.",
                who=actor.name,
                fields=", ".join(found),
                type=record_type_name,
            )
        )


def payload_names(payload: Any) -> list[str]:
    """Return the names of the fields that a payload gives; none of what is no payload."""
    if not isinstance(payload, Mapping):
        return []
    names = [name for name in payload if name != "extensions"]
    extensions = payload.get("extensions")
    if isinstance(extensions, Mapping):
        for extension, values in extensions.items():
            names += [f"extensions.{extension}.{name}" for name in (values if isinstance(values, Mapping) else ())]
    return names


def writable_plan(actor: Actor, plan: TypePlan) -> TypePlan:
    """Return a plan whose forms hold only fields that the actor writes."""
    locked = locked_fields(actor, plan.record_type.name)
    if not locked:
        return plan
    sections = tuple(
        replace(section, fields=tuple(name for name in section.fields if name not in locked))
        for section in plan.record_type.form
    )
    extensions = tuple(
        replace(found, form=tuple(name for name in found.form if f"{found.name}.{name}" not in locked))
        for found in plan.extensions
    )
    form = tuple(section for section in sections if section.fields)
    return replace(plan, record_type=replace(plan.record_type, form=form), extensions=extensions)


def seen_value(actor: Actor, record_type_name: str, field: str, value: Any) -> Any:
    """Return a value that a card shows of a record, or an empty text if the actor never sees its field. No query."""
    return "" if field in hidden_fields(actor, record_type_name) else value


class SeenRecord:
    """A mapped row as the actor may see it: what his roles hide of it reads as None. It cannot be written through."""

    __slots__ = ("_hidden", "_row")

    def __init__(self, row: Any, hidden: frozenset[str]) -> None:
        """Take the row, and the names of the fields that are hidden of it."""
        self._row, self._hidden = row, hidden

    def __getattr__(self, name: str) -> Any:
        return None if _is_of(name, self._hidden) else getattr(self._row, name)


def seen_record(actor: Actor, record_type_name: str, row: Any, *, extension: str = "") -> Any:
    """Return a mapped record, or the row of one of its extensions, as the actor may see it. No query.

    A panel gives it to its template in place of the record; what ``card_of`` finds in a context is treated so by itself.
    """
    hidden = hidden_fields(actor, record_type_name)
    if extension:
        hidden = frozenset(name.removeprefix(f"{extension}.") for name in hidden if name.startswith(f"{extension}."))
    return SeenRecord(row, hidden) if hidden else row


def shown_anywhere(actor: Actor, payload: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what a payload gives without the fields that are hidden from the actor in any record type.

    For payloads that are kept without saying of which type they are. No query.
    """
    if payload is None:
        return None
    hidden = frozenset(name for record_type in actor.field_rules for name in hidden_fields(actor, record_type))
    return {name: value for name, value in payload.items() if not _is_of(name, hidden)} if hidden else dict(payload)


def combined(
    rules: Mapping[int, Mapping[tuple[str, str], str]], grants: Mapping[int, Mapping[str, Scope]]
) -> FieldRules:
    """Return what the rules of all roles of a user leave of each field: role key → rules, role key → grants."""
    found: dict[str, dict[str, str]] = {}
    for record_type, field in sorted({place for own in rules.values() for place in own}):
        place = (record_type, field)
        readers = [rules.get(role, {}).get(place) for role in grants if _grants(grants[role], record_type, "read")]
        writers = [
            rules.get(role, {}).get(place)
            for role in grants
            if _grants(grants[role], record_type, "update") or _grants(grants[role], record_type, "create")
        ]
        if all(access == HIDDEN for access in readers):
            found.setdefault(record_type, {})[field] = HIDDEN
        elif all(access is not None for access in writers):
            found.setdefault(record_type, {})[field] = READ
    return found


def opens(grants: Mapping[str, Scope], record_type: str, rule: str | None, *, hidden: bool) -> bool:
    """Say whether a role gives more of a field than somebody has who never sees it (``hidden``) or only reads it.

    Args:
        grants: what the role grants.
        rule: what it says of the field; None nothing.
    """
    if hidden and rule != HIDDEN and _grants(grants, record_type, "read"):
        return True
    return rule is None and any(_grants(grants, record_type, verb) for verb in ("update", "create"))


def _grants(grants: Mapping[str, Scope], record_type: str, verb: str) -> bool:
    return widest(grants, f"{record_type}.{verb}") is not None


def _is_of(path: str, hidden: frozenset[str]) -> bool:
    """Say whether an audit path is of a hidden field: the field itself, its key, a part of it, an extension's."""
    plain = path.removeprefix("extensions.")
    return plain in hidden or plain.partition(".")[0] in hidden or plain.removesuffix("_id") in hidden
