"""Rules for how long customers are kept without anything happening, planned first and carried out at night.

A customer is idle when nothing of it was written for so long: no touch point, sale or consent, no change of its own; and
when no module has it in use: no row that a record type's ``in_use`` names. Held and merged ones are never among them: the
latter go with the one they became. A rule erases or anonymises; whoever was anonymised is due again only when something that
may name somebody was written since.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.contributions import Job, JobKind
from crm_kernel.customers.consent.models import Consent
from crm_kernel.customers.models import Customer, new_uid
from crm_kernel.customers.privacy.anonymising import ANONYMISING, anonymise_many, still_anonymous
from crm_kernel.customers.privacy.choices import ACTIONS, ANONYMISE, RETENTION
from crm_kernel.customers.privacy.erasing import ERASING, erase_many
from crm_kernel.customers.privacy.holds import held
from crm_kernel.customers.privacy.letting_go import Entry, planned
from crm_kernel.customers.privacy.models import RetentionRule
from crm_kernel.customers.privacy.subject import SubjectMap, with_predecessors
from crm_kernel.errors import InvalidInput
from crm_kernel.records.filter_tree import compile_tree, parse_text
from crm_kernel.records.filter_tree.periods import shifted
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.sales.models import Sale
from crm_kernel.touchpoints.models import Interaction

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Customers erased or anonymised in one transaction, with one receipt.
CHUNK = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk over idle customers stands: the last one's time of change, and its key."""

    updated_at: dt.datetime
    id: int


@dataclass(frozen=True, slots=True)
class Done:
    """What one chunk did: how many customers, and where the next one goes on; nowhere when none is left."""

    customers: int
    place: Place | None


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
    """Return the keys of the customers a rule is about now, as a select of ``customer.id``.

    Raises:
        InvalidInput: its condition names a field that is gone: it is about nobody.
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
        *(sa.not_(busy) for busy in _in_use(uow.now)),
    )
    if rule.action == ANONYMISE:
        query = query.where(sa.not_(still_anonymous(SubjectMap.read(uow))))
    if rule.condition:
        plan = plan_of(record_type("customer"))
        query = query.where(compile_tree(uow, plan, parse_text(plan, rule.condition, None)))
    return query


def _in_use(at: dt.datetime) -> Iterator[sa.Exists]:
    """Yield for each record type that says so whether a customer has a row in use."""
    for found in runtime_of(current_app).registry.all("record_types"):
        if found.in_use is not None:
            mine = getattr(found.model, found.customer) == Customer.id
            yield sa.exists().where(mine, found.in_use(at)).correlate(Customer)


def idle_number(uow: UnitOfWork, rule: RetentionRule) -> int:
    """Return how many customers a rule is about now; one query."""
    return cast(int, uow.session.scalar(sa.select(sa.func.count()).select_from(idle_customers(uow, rule).subquery())))


def rule_plan(uow: UnitOfWork, rule: RetentionRule) -> list[Entry]:
    """Return what a rule would do now, table by table; reads all rows about these customers, a chunk at a time.

    Raises:
        InvalidInput: as for ``idle_customers``.
    """
    known, way = SubjectMap.read(uow), ANONYMISING if rule.action == ANONYMISE else ERASING
    total: Counter[Entry] = Counter()
    for keys in _chunks(uow, rule):
        for entry in planned(uow, keys, way, known):
            total[replace(entry, rows=0)] += entry.rows
    return [replace(entry, rows=rows) for entry, rows in total.items()]


def run_rule(uow: UnitOfWork, rule: RetentionRule, *, limit: int = CHUNK, after: Place | None = None) -> Done:
    """Do to up to ``limit`` of the customers a rule names what it says, with one receipt; fewer when none is left.

    What the session holds is stale afterwards and let go, the rule too.

    Args:
        after: where the chunk before ended; without it every chunk would walk again over all that are done.

    Raises:
        InvalidInput: as for ``idle_customers``.
    """
    return _run(uow, rule, idle_customers(uow, rule), limit=limit, after=after)


def _run(uow: UnitOfWork, rule: RetentionRule, idle: sa.Select[Any], *, limit: int, after: Place | None) -> Done:
    key, name, carry_out = rule.id, rule.name, anonymise_many if rule.action == ANONYMISE else erase_many
    earlier = rule.last_erased or 0 if after else 0
    found = uow.session.execute(due(idle, limit=limit, after=after)).all()
    keys = _still_idle(uow, idle, [row.id for row in found])
    if keys:
        carry_out(uow, keys, reason=RETENTION, rule=name)
    rule = uow.session.get_one(RetentionRule, key)  # carrying out let go of it
    rule.last_run_at, rule.last_erased = uow.now, earlier + len(keys)
    uow.session.flush()
    return Done(len(keys), Place(found[-1].updated_at, found[-1].id) if len(found) == limit else None)


def _still_idle(uow: UnitOfWork, idle: sa.Select[Any], keys: list[int]) -> list[int]:
    """Lock customers and return those that are idle still: on PostgreSQL somebody may have written since they were found.

    Whoever writes a row about a customer holds the customer's until he commits, so that nothing comes after the lock.
    """
    locked = sa.select(Customer.id).where(Customer.id.in_(with_predecessors(uow, keys))).order_by(Customer.id)
    uow.session.execute(locked.with_for_update()).all()
    return list(uow.session.scalars(idle.where(Customer.id.in_(keys))))


def due(idle: sa.Select[Any], *, limit: int, after: Place | None = None) -> sa.Select[Any]:
    """Return the next of ``idle_customers``, as a select of ``id`` and ``updated_at``, longest unchanged first.

    It walks the index over ``updated_at`` and stops where customers are too young: what it costs grows with those that are
    due, not with all there are.
    """
    query = idle.add_columns(Customer.updated_at).order_by(Customer.updated_at, Customer.id)
    if after is not None:
        later = sa.or_(Customer.updated_at > after.updated_at, Customer.id > after.id)
        query = query.where(Customer.updated_at >= after.updated_at, later)
    return query.limit(limit)


def run_chunk(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Carry out the active rules, one chunk of one rule per call; a rule whose condition is out of date is passed over.

    What goes wrong while one is carried out fails the job and takes the chunk back.
    """
    checkpoint = payload.get("checkpoint") or {}
    done: list[str] = checkpoint.get("done", [])
    query = sa.select(RetentionRule).where(RetentionRule.active == sa.true()).order_by(RetentionRule.id)
    for rule in uow.session.scalars(query):
        key = str(rule.uid)
        if key in done:
            continue
        try:
            idle = idle_customers(uow, rule)
        except InvalidInput:
            return {"done": [*done, key]}
        chunk = _run(uow, rule, idle, limit=CHUNK, after=_place(checkpoint.get("after"), key))
        if chunk.place is None:
            return {"done": [*done, key]}
        return {"done": done, "after": [key, chunk.place.updated_at.isoformat(), chunk.place.id]}
    return None


def _place(stored: list[Any] | None, rule: str) -> Place | None:
    if stored is None or stored[0] != rule:
        return None
    return Place(dt.datetime.fromisoformat(stored[1]), stored[2])


def _chunks(uow: UnitOfWork, rule: RetentionRule) -> Iterator[list[int]]:
    idle, after = idle_customers(uow, rule), None
    while found := uow.session.execute(due(idle, limit=CHUNK, after=after)).all():
        yield [row.id for row in found]
        after = Place(found[-1].updated_at, found[-1].id)


def _cutoff(uow: UnitOfWork, rule: RetentionRule) -> dt.datetime:
    day = shifted(uow.now.date(), -rule.months, "month")
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _check(uow: UnitOfWork, data: Mapping[str, Any], *, besides: int = 0) -> None:
    if data.get("action", ANONYMISE) not in ACTIONS:
        raise InvalidInput({"action": [_("Choose one of: %(known)s.", known=", ".join(ACTIONS))]})
    if data.get("condition"):
        parse_text(plan_of(record_type("customer")), data["condition"], None)
    query = sa.select(RetentionRule.id).where(RetentionRule.name == data.get("name"), RetentionRule.id != besides)
    if data.get("name") and uow.session.scalar(query) is not None:
        raise InvalidInput({"name": [_("There is another rule of that name.")]})
