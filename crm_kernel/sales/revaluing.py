"""Values open records anew at the rates of a day: what that would come to, and the job that does it.

Record types say which amount is meant (``RecordType.valued``). Only what the one who asks may see and change is counted and
changed, and only where his roles show the amounts; closed records keep the worth of their day, sales are never touched.
Every change is one like any other: by the type's own service, asked of every module, audited.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.acting import actor_of
from crm_kernel.access.policy import allowed, authorize, visible
from crm_kernel.contributions import Job, JobKind, Permission
from crm_kernel.errors import InvalidInput
from crm_kernel.jobs.services import enqueue
from crm_kernel.records.bulk import update_many
from crm_kernel.records.bulk_rows import attribute_of
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.importing.savepoints import all_or_nothing
from crm_kernel.records.plan import plan_of, record_types
from crm_kernel.sales.money import base_currency, base_quotes_on, local_day, product
from crm_kernel.sales.services import in_base

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.records.valued import Valued
    from crm_kernel.sales.quotes import Quote
    from crm_kernel.unit_of_work import UnitOfWork

log = logging.getLogger("crm.revaluing")

JOB = "kernel.revalue"
PERMISSION = "exchange_rate.revalue"
#: Records per transaction.
CHUNK = 100


@dataclass(frozen=True, slots=True)
class Worth:
    """The open amounts of one record type in one currency, and what they are worth in the base currency."""

    record_type: str
    label: str
    currency: str
    count: int
    #: In ``currency``.
    amount: Decimal
    #: In the base currency, as it is kept now; ``unvalued`` records are not in it.
    before: Decimal
    unvalued: int
    #: The oldest day whose rate is in use; None where it is not known.
    oldest: dt.date | None
    #: At the rate of the day; None where no rate is known. Records are rounded one by one, so the last decimal may differ.
    after: Decimal | None
    quote: Quote | None


def permissions() -> list[Permission]:
    """Return the permission to value records anew."""
    from flask_babel import lazy_gettext as _l

    return [Permission(name=PERMISSION, label=_l("Exchange rates: value open records anew"))]


def jobs() -> list[Job]:
    """Return the job that values records anew."""
    return [Job(name=JOB, handler=revalue_chunk, kind=JobKind.CHUNKED)]


def worths(uow: UnitOfWork, day: dt.date) -> list[Worth]:
    """Return what is open, by record type and currency, as it is valued now and would be at a day's rates.

    One query per record type, and those for the rates.

    Raises:
        InvalidInput: the day is still to come in the company's time zone.
    """
    _refuse_future(uow, day)
    found = [(record_type, row) for record_type in _shown(uow) for row in _open_amounts(uow, record_type)]
    quotes = base_quotes_on(uow, {(row.currency, day) for _type, row in found})
    return [_worth(record_type, row, quotes.get((row.currency, day))) for record_type, row in found]


def start_revaluation(uow: UnitOfWork, day: dt.date) -> int:
    """Enqueue the work of valuing every open record anew at a day's rates, and return the job's key: ``job_uid`` says what others call it.

    Raises:
        Forbidden: the actor may not.
        InvalidInput: as for ``worths``.
    """
    authorize(uow.actor, PERMISSION)
    _refuse_future(uow, day)
    who = None if uow.actor.kind == "system" else uow.actor.user_id
    scopes = uow.actor.token_scopes
    payload = {"day": day.isoformat(), "user": who, "run": str(uuid4()), "scopes": list(scopes) if scopes else None}
    return enqueue(uow, JOB, payload, partition="revalue")


def revalue_chunk(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Value the next records anew and return how far it is; None when all are."""
    if payload["user"] is not None:
        actor = actor_of(uow, payload["user"], scopes=payload["scopes"])
        if actor is None or not actor.may(PERMISSION):
            return None
        uow.actor = actor
    uow.request_id = payload["run"]
    reached = payload.get("checkpoint") or {"type": "", "after": 0, "done": 0}
    day = dt.date.fromisoformat(payload["day"])
    for record_type in _shown(uow):
        if record_type.name < reached["type"]:
            continue
        after = reached["after"] if record_type.name == reached["type"] else 0
        if rows := _next(uow, record_type, after):
            changed = _revalue(uow, record_type, rows, day)
            done = reached["done"] + changed
            return {"type": record_type.name, "after": rows[-1].id, "done": done, "progress": {"done": done}}
    return None


def valued_types() -> list[RecordType]:
    """Return the record types whose open records are worth what the rates say, by name."""
    return [found for _name, found in sorted(record_types().items()) if found.valued is not None]


def _shown(uow: UnitOfWork) -> list[RecordType]:
    """Return the valued types whose amounts the actor's roles show him: sums and rates would tell the others."""

    def is_shown(record_type: RecordType) -> bool:
        plan, valued = plan_of(record_type), record_type.valued
        hidden = {attribute_of(plan.fields[name]) for name in hidden_from(uow.actor, plan) if name in plan.fields}
        return valued is not None and hidden.isdisjoint((valued.amount, valued.currency, valued.base_amount))

    return [found for found in valued_types() if is_shown(found)]


def _refuse_future(uow: UnitOfWork, day: dt.date) -> None:
    if day > local_day(uow.now):
        raise InvalidInput({"on": [_("The rates of a day that is still to come are not known.")]})


def _revalue(uow: UnitOfWork, record_type: RecordType, rows: list[Any], day: dt.date) -> int:
    valued: Any = record_type.valued
    quotes = base_quotes_on(uow, {(getattr(row, valued.currency), day) for row in rows})
    changes: dict[int, dict[str, Any]] = {}
    for row in rows:
        quote = quotes.get((getattr(row, valued.currency), day))
        if quote is not None and allowed(uow.actor, record_type.permission("update"), row):
            changes[row.id] = _new_worth(row, valued, quote, day)
    changed = _write(uow, record_type, {key: found for key, found in changes.items() if found})
    uow.session.expire_all()
    return changed


def _new_worth(row: Any, valued: Valued, quote: Quote, day: dt.date) -> dict[str, Any]:
    """Return what changes in a record; nothing where the rate has not moved, so that its version stays."""
    try:
        base = in_base(getattr(row, valued.amount), quote.rate)
    except InvalidInput:  # more than the ledger holds: it keeps the worth it has
        return {}
    if (getattr(row, valued.base_amount), getattr(row, valued.rate)) == (base, quote.rate):
        return {}
    return {valued.base_amount: base, valued.rate: quote.rate, valued.rate_on: day}


def _write(uow: UnitOfWork, record_type: RecordType, changes: dict[int, dict[str, Any]]) -> int:
    """Write what the rules of modules allow and return how many are different now; the others keep their worth."""
    while changes:
        try:
            with all_or_nothing(uow):
                return len(update_many(uow, record_type, changes))
        except InvalidInput as error:
            refused = {int(number) for path in error.errors if (number := path.partition(".")[0]).isdecimal()}
            if not refused:
                raise
            log.warning("%s of %s are refused and keep their worth: %s", len(refused), record_type.name, error)
            changes = {key: found for place, (key, found) in enumerate(changes.items()) if place not in refused}
    return 0


def _next(uow: UnitOfWork, record_type: RecordType, after: int) -> list[Any]:
    model, moves = record_type.model, _may_move(record_type)
    query = sa.select(model).where(model.id > after, moves, *_open(uow, record_type)).order_by(model.id)
    return list(uow.session.scalars(query.limit(CHUNK)))


def _may_move(record_type: RecordType) -> sa.ColumnElement[bool]:
    """Return the predicate that leaves out what is in the base currency, unless it was another one once."""
    valued: Any = record_type.valued
    names = (valued.currency, valued.amount, valued.base_amount, valued.rate)
    currency, amount, base, rate = (getattr(record_type.model, name) for name in names)
    return sa.or_(currency != base_currency(), base.is_distinct_from(amount), rate.is_distinct_from(Decimal(1)))


def _open(uow: UnitOfWork, record_type: RecordType) -> Iterator[sa.ColumnElement[bool]]:
    valued: Any = record_type.valued
    yield getattr(record_type.model, valued.amount).is_not(None)
    yield valued.open()
    yield visible(uow.actor, record_type)
    yield visible(uow.actor, record_type, "update")


def _open_amounts(uow: UnitOfWork, record_type: RecordType) -> list[Any]:
    valued: Any = record_type.valued
    model = record_type.model
    amount, base = getattr(model, valued.amount), getattr(model, valued.base_amount)
    currency = getattr(model, valued.currency).label("currency")
    query = sa.select(
        currency,
        sa.func.count().label("count"),
        sa.func.sum(amount).label("amount"),
        sa.func.sum(base).label("before"),
        sa.func.count(sa.case((base.is_(None), 1))).label("unvalued"),
        sa.func.min(getattr(model, valued.rate_on)).label("oldest"),
    )
    rows = uow.session.execute(query.where(*_open(uow, record_type)).group_by(currency).order_by(currency))
    return list(rows)


def _worth(record_type: RecordType, row: Any, quote: Quote | None) -> Worth:
    return Worth(
        record_type=record_type.name,
        label=str(record_type.label_plural),
        currency=row.currency,
        count=row.count,
        amount=row.amount,
        before=row.before or Decimal(0),
        unvalued=row.unvalued,
        oldest=row.oldest,
        after=None if quote is None else product(row.amount, quote.rate),
        quote=quote,
    )
