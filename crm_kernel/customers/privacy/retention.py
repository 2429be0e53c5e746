"""Rules for how long customers are kept without anything happening, planned first and carried out at night.

A customer is idle when nothing of it was written for so long: no touch point, sale or consent, no change of its own. Held
and merged ones are never among them: the latter go with the one they became.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.contributions import Job, JobKind
from crm_kernel.customers.consent.models import Consent
from crm_kernel.customers.models import Customer, new_uid
from crm_kernel.customers.privacy.choices import RETENTION
from crm_kernel.customers.privacy.erasing import erase_many
from crm_kernel.customers.privacy.holds import held
from crm_kernel.customers.privacy.models import RetentionRule
from crm_kernel.errors import InvalidInput
from crm_kernel.records.filter_tree import compile_tree, parse_text
from crm_kernel.records.filter_tree.periods import shifted
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.sales.models import Sale
from crm_kernel.touchpoints.models import Interaction

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Customers erased in one transaction, with one receipt.
CHUNK = 200


def jobs() -> list[Job]:
    """Return the job that carries out the active rules, at night."""
    return [Job(name="kernel.retention", handler=run_chunk, kind=JobKind.CHUNKED, schedule="15 3 * * *", priority=10)]


def create_rule(uow: UnitOfWork, data: Mapping[str, Any]) -> RetentionRule:
    """Create a rule and return it, flushed; without ``active`` it is only planned with.

    Raises:
        InvalidInput: the name is taken, or the condition is no filter over customers.
    """
    _check(uow, data)
    rule = RetentionRule(uid=new_uid(), created_at=uow.now, updated_at=uow.now, **data)
    uow.session.add(rule)
    uow.session.flush()
    return rule


def update_rule(uow: UnitOfWork, rule: RetentionRule, changes: Mapping[str, Any]) -> None:
    """Change a rule.

    Raises:
        InvalidInput: as for ``create_rule``.
    """
    _check(uow, changes, besides=rule.id)
    for name, value in changes.items():
        setattr(rule, name, value)
    rule.updated_at = uow.now
    uow.session.flush()


def idle_customers(uow: UnitOfWork, rule: RetentionRule) -> sa.Select[Any]:
    """Return the keys of the customers a rule would erase now, as a select of ``customer.id``.

    Raises:
        InvalidInput: its condition names a field that is gone: nobody is erased by it.
    """
    since = _cutoff(uow, rule)
    quiet = [
        sa.not_(sa.exists().where(Interaction.customer_id == Customer.id, Interaction.occurred_at >= since)),
        sa.not_(sa.exists().where(Sale.customer_id == Customer.id, Sale.occurred_at >= since)),
        sa.not_(sa.exists().where(Consent.customer_id == Customer.id, Consent.captured_at >= since)),
    ]
    query = sa.select(Customer.id).where(
        Customer.updated_at < since,
        Customer.merged_into_id.is_(None),
        Customer.id.not_in(held(uow.now)),
        *(condition.correlate(Customer) if isinstance(condition, sa.Exists) else condition for condition in quiet),
    )
    if rule.condition:
        plan = plan_of(record_type("customer"))
        query = query.where(compile_tree(uow, plan, parse_text(plan, rule.condition, None)))
    return query


def idle_number(uow: UnitOfWork, rule: RetentionRule) -> int:
    """Return how many customers a rule would erase now; one query."""
    return cast(int, uow.session.scalar(sa.select(sa.func.count()).select_from(idle_customers(uow, rule).subquery())))


def run_rule(uow: UnitOfWork, rule: RetentionRule, *, limit: int = CHUNK) -> int:
    """Erase up to ``limit`` of the customers a rule names, with one receipt, and return how many; fewer when none is left.

    Raises:
        InvalidInput: as for ``idle_customers``.
    """
    keys = list(uow.session.scalars(idle_customers(uow, rule).order_by(Customer.id).limit(limit)))
    rule.last_run_at, rule.last_erased = uow.now, len(keys)
    uow.session.flush()
    if keys:
        erase_many(uow, keys, reason=RETENTION, rule=rule.name)
    return len(keys)


def run_chunk(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Carry out the active rules, one chunk of one rule per call; a rule whose condition is out of date is passed over."""
    done: list[str] = (payload.get("checkpoint") or {}).get("done", [])
    query = sa.select(RetentionRule).where(RetentionRule.active == sa.true()).order_by(RetentionRule.id)
    for rule in uow.session.scalars(query):
        key = str(rule.uid)
        if key in done:
            continue
        try:
            number = run_rule(uow, rule)
        except InvalidInput:
            number = 0
        return {"done": done if number == CHUNK else [*done, key]}
    return None


def _cutoff(uow: UnitOfWork, rule: RetentionRule) -> dt.datetime:
    day = shifted(uow.now.date(), -rule.months, "month")
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _check(uow: UnitOfWork, data: Mapping[str, Any], *, besides: int = 0) -> None:
    if data.get("condition"):
        parse_text(plan_of(record_type("customer")), data["condition"], None)
    query = sa.select(RetentionRule.id).where(RetentionRule.name == data.get("name"), RetentionRule.id != besides)
    if data.get("name") and uow.session.scalar(query) is not None:
        raise InvalidInput({"name": [_("There is another rule of that name.")]})
