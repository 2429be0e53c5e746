"""Creates, changes, moves and deletes opportunities one at a time; winning and losing are in ``closing``.

``data`` and ``changes`` are what ``OpportunitySchema`` loaded: attribute → value, references resolved to keys. Writing
flushes and never commits. For many opportunities see ``bulk``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _
from uuid_utils.compat import uuid7

from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.records.ownership import with_team
from crm_sfa.contract import OpportunityCreated
from crm_sfa.opportunities import ledger, rules
from crm_sfa.opportunities.history import customer_uid, enter_stage, noon, note_start
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.pipelines.choices import WON
from crm_sfa.pipelines.models import Stage

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def create_opportunity(uow: UnitOfWork, data: Mapping[str, Any]) -> Opportunity:
    """Open an opportunity in an open stage and return it, flushed.

    Raises:
        InvalidInput: the stage is a closed one or of another pipeline, or the dates contradict each other.
    """
    if data.get("lost_reason") is not None:
        raise InvalidInput({"lost_reason": [_("Only a lost opportunity has a reason: use the action Lose.")]})
    stage = rules.starting_stage(uow, data)
    values = _with_currency(with_team(uow, data))
    opened_on = values.pop("opened_on", None) or rules.today_of(uow)
    rules.check_dates(opened_on, values.get("close_date"))
    values |= {"pipeline_id": stage.pipeline_id, "stage_id": stage.id, "status": stage.category}
    opportunity = Opportunity(uid=uuid7(), opened_on=opened_on, stage_since=uow.now, created_at=uow.now, **values)
    ledger.value(uow, opportunity)
    uow.session.add(opportunity)
    uow.session.flush()
    note_start(uow, opportunity)
    customer = customer_uid(uow, opportunity)
    uow.record(OpportunityCreated(opportunity_id=opportunity.uid, customer_id=customer, stage_id=stage.uid))
    return opportunity


def update_opportunity(uow: UnitOfWork, opportunity: Opportunity, changes: Mapping[str, Any]) -> None:
    """Change the given fields; a changed stage is a move. Nothing is written when everything is as it was.

    A won opportunity that has no sale yet, because its amount was unknown, records it once the amount is given.

    Raises:
        InvalidInput: a field is sealed by a recorded sale, the stage needs an action of its own, or does not fit.
        Conflict: the opportunity is closed and would move.
    """
    changed = {name: value for name, value in changes.items() if getattr(opportunity, name) != value}
    rules.refuse_sealed(opportunity, changed)
    stage = rules.next_stage(uow, opportunity, changed)
    if "owner_id" in changed:
        changed = with_team(uow, changed)
    for name, value in _with_currency(changed, opportunity).items():
        if name not in ("pipeline_id", "stage_id"):
            setattr(opportunity, name, value)
    rules.check_dates(opportunity.opened_on, opportunity.close_date)
    _follow(uow, opportunity, changed)
    if stage is not None:
        enter_stage(uow, opportunity, stage)


def move_opportunity(uow: UnitOfWork, opportunity: Opportunity, stage: Stage) -> None:
    """Move an opportunity to another stage of its pipeline that is open as it is.

    Raises:
        InvalidInput: the stage is of another pipeline, or means won or lost (the text names the action).
        Conflict: the opportunity is closed.
    """
    update_opportunity(uow, opportunity, {"stage_id": stage.id})


def delete_opportunity(uow: UnitOfWork, opportunity: Opportunity) -> None:
    """Delete an opportunity with its history.

    Raises:
        Conflict: its sale is in the ledger.
    """
    if opportunity.sale_id is not None:
        message = _("The sale of “%(name)s” is recorded: use the action Reopen, which refunds it, then delete.")
        raise Conflict(message % {"name": opportunity.name})
    uow.session.delete(opportunity)


def _with_currency(values: Mapping[str, Any], opportunity: Opportunity | None = None) -> dict[str, Any]:
    """Return values whose amount has a currency: that of the opportunity, else the company's."""
    known = values.get("currency") or (opportunity.currency if opportunity else None)
    if known is not None or values.get("amount", opportunity.amount if opportunity else None) is None:
        return dict(values)
    return {**values, "currency": ledger.base_currency()}


def _follow(uow: UnitOfWork, opportunity: Opportunity, changed: Mapping[str, Any]) -> None:
    """Bring up to date what depends on changed fields: base amount, moment of closing, the sale that was missing."""
    if opportunity.closed_at is not None and "close_date" in changed and opportunity.close_date is not None:
        opportunity.closed_at = noon(opportunity.close_date)
    if "amount" in changed or "currency" in changed:
        ledger.value(uow, opportunity)
    if opportunity.status == WON and opportunity.sale_id is None and opportunity.amount is not None:
        ledger.record_win(uow, opportunity)
