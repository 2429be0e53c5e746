"""Fields that not everybody sees: those whose metadata ``needs`` a verb of the type, and those that roles hide.

Everybody who may read users picks owners by their names; their addresses, roles and preferences are for those who may
change users. Such a field is left out of every answer, page, export and search, and nobody else filters or sorts by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask_babel import gettext as _

from crm_kernel.access.actor import widest
from crm_kernel.access.field_access import hidden_fields
from crm_kernel.errors import Forbidden, InvalidInput

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.plan import TypePlan
    from crm_kernel.records.reading import ListQuery


def hidden_from(actor: Actor, plan: TypePlan) -> frozenset[str]:
    """Return the names of the fields that the actor's roles do not show him; no query.

    Asks the roles, not a token's own limits: a token that only reads still reads for its administrator.
    """
    needed = {name: verb for name, field in plan.fields.items() if (verb := field.field.metadata.get("needs"))}
    return hidden_fields(actor, plan.record_type.name) | frozenset(
        name for name, verb in needed.items() if widest(actor.grants, plan.record_type.permission(verb)) is None
    )


def shown_to(actor: Actor, plan: TypePlan, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the names that the actor may see, in order."""
    hidden = hidden_from(actor, plan)
    return tuple(name for name in names if name not in hidden)


def refuse_hidden(actor: Actor, plan: TypePlan, query: ListQuery) -> None:
    """Refuse a list that filters or sorts by what the actor may not see: its order or its rows would tell.

    Raises:
        InvalidInput: a role hides the field: said as of one that does not exist.
        Forbidden: naming the field and the permission that shows it.
    """
    used = {*query.order.names, *(condition.field for condition in query.conditions)}
    for name in sorted(used & hidden_from(actor, plan)):
        if name in hidden_fields(actor, plan.record_type.name):
            raise InvalidInput({name: [_("Unknown field %(found)s.", found=name)]})
        needed = plan.record_type.permission(plan.fields[name].field.metadata["needs"])
        raise Forbidden(
            _("Filtering or sorting by %(field)s needs the permission %(permission)s.", field=name, permission=needed)
        )
