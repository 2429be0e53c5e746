"""What sales offers to automation rules: open an opportunity for the customer that a rule is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_babel import lazy_gettext as _l
from marshmallow import Schema

from crm_kernel.contributions import RuleAction
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record
from crm_kernel.records.texts import Text

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


class NewOpportunitySchema(Schema):
    """What the opportunity is called; everything else is what the form proposes."""

    name = Text(200, required=True, metadata={"label": _l("Name")})


def rule_actions() -> list[RuleAction]:
    """Return the module's actions of rules."""
    return [
        RuleAction(
            name="sfa.open_opportunity",
            label=_l("Open an opportunity"),
            run=open_for_customer,
            schema=NewOpportunitySchema,
            applies=lambda found: found.name == "customer",
            icon="target-arrow",
        )
    ]


def open_for_customer(uow: UnitOfWork, customer: Any, *, name: str) -> None:
    """Open an opportunity for a customer.

    Raises:
        Forbidden, InvalidInput: as for any new opportunity.
    """
    create_record(uow, record_type("sfa.opportunity"), {"name": name, "customer": str(customer.uid)})
