"""Stores published exchange rates: new days are added, corrected ones changed, and what somebody entered stays.

All in one transaction, below the session: the whole history of the European Central Bank is 200,000 rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from uuid_utils.compat import uuid7

from crm_kernel._internal.rows import insert_rows, reserve_keys
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.outbound import OutboundPolicy, Unreachable, send
from crm_kernel.records.codes import currencies
from crm_kernel.records.events import RecordsBulkChanged
from crm_kernel.sales import ecb
from crm_kernel.sales.models import ExchangeRate

if TYPE_CHECKING:
    from crm_kernel.sales.ecb import Published
    from crm_kernel.unit_of_work import UnitOfWork

_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of published rates."""

    added: int
    changed: int
    unchanged: int
    #: Days that have a rate which somebody entered: it stays.
    kept: int
    #: Codes that are no currencies here.
    unknown: tuple[str, ...]
    #: The latest day among them; None for none.
    latest: dt.date | None


def fetch_ecb(which: str, policy: OutboundPolicy) -> bytes:
    """Return the bytes of one of ``ecb.ADDRESSES``; call it with no transaction open.

    Raises:
        Unreachable: nobody answered, or not with a file.
        AddressRefused: as for ``send``.
    """
    address = ecb.ADDRESSES[which]
    answer = send(address, policy=policy, method="GET", timeout=_SECONDS, max_answer=ecb.LARGEST)
    if answer.status != 200 or answer.truncated:
        raise Unreachable(f"{address} answered {answer.status}, expected 200: get the file by hand, and import it")
    return answer.body


def store_published(uow: UnitOfWork, rates: Iterable[Published], *, since: dt.date | None = None) -> Stored:
    """Store the rates of one euro, flushed and audited; three queries, and one per changed rate.

    Args:
        since: earlier days are left out.
    """
    asked = {(rate.currency, rate.day): rate.rate for rate in rates if since is None or rate.day >= since}
    known = {pair: rate for pair, rate in asked.items() if pair[0] in currencies() and pair[0] != ecb.BASE}
    stored = _stored(uow, known)
    new = {pair: rate for pair, rate in known.items() if pair not in stored}
    kept = [pair for pair in stored if stored[pair][2] != ecb.SOURCE and stored[pair][1] != known[pair]]
    changed = {pair: row for pair, row in stored.items() if pair not in kept and row[1] != known[pair]}
    _add(uow, new)
    for pair, row in changed.items():
        uow.session.get_one(ExchangeRate, row[0]).rate = known[pair]
    uow.session.flush()
    return Stored(
        added=len(new),
        changed=len(changed),
        unchanged=len(stored) - len(changed) - len(kept),
        kept=len(kept),
        unknown=tuple(sorted({code for code, _day in asked} - currencies())),
        latest=max((day for _code, day in known), default=None),
    )


def _stored(
    uow: UnitOfWork, wanted: Mapping[tuple[str, dt.date], Decimal]
) -> dict[tuple[str, dt.date], tuple[int, Decimal, str | None]]:
    """Return those of (currency, day) that have a rate: key, rate and source."""
    if not wanted:
        return {}
    table = ExchangeRate
    days = [day for _code, day in wanted]
    query = sa.select(table.to_currency, table.valid_on, table.id, table.rate, table.source).where(
        table.from_currency == ecb.BASE, table.valid_on.between(min(days), max(days))
    )
    rows = uow.session.execute(query)
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows if (row[0], row[1]) in wanted}


def _add(uow: UnitOfWork, rates: Mapping[tuple[str, dt.date], Decimal]) -> None:
    if not rates:
        return
    table = cast(sa.Table, ExchangeRate.__table__)
    keys = reserve_keys(uow.session, table, len(rates))
    rows: list[dict[str, Any]] = [
        {
            "id": key,
            "uid": uuid7(),
            "version": 1,
            "created_at": uow.now,
            "updated_at": uow.now,
            "from_currency": ecb.BASE,
            "to_currency": currency,
            "rate": rate,
            "valid_on": day,
            "source": ecb.SOURCE,
        }
        for key, ((currency, day), rate) in zip(keys, rates.items(), strict=True)
    ]
    insert_rows(uow.session, table, rows)
    names = ("from_currency", "to_currency", "rate", "valid_on", "source")
    audited = [AuditRow(row["uid"], None, {name: row[name] for name in names}) for row in rows]
    record_audit_many(uow, "exchange_rate", "created", audited)
    uow.record(
        RecordsBulkChanged(run_id=uow.request_id, record_type="exchange_rate", changed_at=uow.now, created=len(rows))
    )
