"""Masks the records that a card hands to its template: what a role hides of a field does not depend on the card's author.

Mapped rows of record types and of extensions are masked, alone or in a list: a hidden value reads as None, of which the
templates' filters of dates and numbers write nothing (``crm_kernel.web.setup``); what a card has taken out of them already is
its own matter, and the conformance kit looks at it (``hidden-fields-kept``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crm_kernel.access.field_access import seen_record
from crm_kernel.records.plan import plan_of, record_types

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor

#: Model → the record type it is of, and the extension it is the row of.
_Models = Mapping[type[Any], tuple[str, str]]


def masked_context(actor: Actor, context: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template's context with its records as the actor may see them; no query, and no work where nothing is hidden."""
    if not actor.field_rules:
        return dict(context)
    models = _models()
    return {name: _masked(actor, models, value) for name, value in context.items()}


def _masked(actor: Actor, models: _Models, value: Any) -> Any:
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return [_masked(actor, models, part) for part in value]
    if type(value) not in models:
        return value
    record_type, extension = models[type(value)]
    return seen_record(actor, record_type, value, extension=extension)


def _models() -> dict[type[Any], tuple[str, str]]:
    found: dict[type[Any], tuple[str, str]] = {}
    for name, record_type in record_types().items():
        found[record_type.model] = (name, "")
        found |= {extension.model: (name, extension.name) for extension in plan_of(record_type).extensions}
    return found
