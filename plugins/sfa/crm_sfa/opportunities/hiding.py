"""What a role hides of opportunities, for the module's own cards and figures: they go past the derived pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crm_kernel.access.field_access import hidden_fields

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Each of them tells the others.
AMOUNTS = ("amount", "base_amount", "currency")


def hidden_of(uow: UnitOfWork, *fields: str) -> list[str]:
    """Return those of the fields that the actor never sees, in order. No query."""
    hidden = hidden_fields(uow.actor, "sfa.opportunity")
    return [name for name in fields if name in hidden]


def amounts_hidden(uow: UnitOfWork) -> bool:
    """Say whether the actor sees no amounts: of an amount and its value neither is shown where one is hidden."""
    return bool(hidden_of(uow, *AMOUNTS))
