"""Stores published exchange rates: new days are added, corrected ones changed, and what somebody entered stays.

All in one transaction, many at once: the whole history of the European Central Bank is 200,000 rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa

from crm_kernel.errors import InvalidInput
from crm_kernel.outbound import OutboundPolicy, Unreachable, send
from crm_kernel.records.bulk import create_many, update_many
from crm_kernel.records.codes import currencies
from crm_kernel.records.plan import record_type
from crm_kernel.sales import ecb
from crm_kernel.sales.catalogue import lock_rates
from crm_kernel.sales.models import ExchangeRate

if TYPE_CHECKING:
    from crm_kernel.sales.ecb import Published
    from crm_kernel.unit_of_work import UnitOfWork

#: Currency and day of a rate of one euro.
Day = tuple[str, dt.date]

_SECONDS = 60.0
#: Refused rates that are told of.
_TOLD = 20


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
    """Store the rates of one euro, flushed, audited and told; all or none. Nobody else writes rates meanwhile.

    Costs as many statements for one rate as for 5,000.

    Args:
        since: earlier days are left out.

    Raises:
        Forbidden: the actor may not add or change rates, whichever it comes to.
        InvalidInput: a module refuses rates; ``file`` says which.
    """
    asked = {(rate.currency, rate.day): rate.rate for rate in rates if since is None or rate.day >= since}
    known = {pair: rate for pair, rate in asked.items() if pair[0] in currencies() and pair[0] != ecb.BASE}
    lock_rates(uow)  # two who read a file at once must not add a day twice, nor overwrite what is corrected just now
    stored = _stored(uow, known)
    new = {pair: rate for pair, rate in known.items() if pair not in stored}
    kept = {pair for pair, row in stored.items() if row[2] != ecb.SOURCE and row[1] != known[pair]}
    changed = {pair: row[0] for pair, row in stored.items() if pair not in kept and row[1] != known[pair]}
    _add(uow, new)
    _correct(uow, {pair: (key, known[pair]) for pair, key in changed.items()})
    return Stored(
        added=len(new),
        changed=len(changed),
        unchanged=len(stored) - len(changed) - len(kept),
        kept=len(kept),
        unknown=tuple(sorted({code for code, _day in asked} - currencies())),
        latest=max((day for _code, day in known), default=None),
    )


def _stored(uow: UnitOfWork, wanted: Mapping[Day, Decimal]) -> dict[Day, tuple[int, Decimal, str | None]]:
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


def _add(uow: UnitOfWork, rates: Mapping[Day, Decimal]) -> None:
    rows = [
        {
            "from_currency": ecb.BASE,
            "to_currency": currency,
            "rate": rate,
            "valid_on": day,
            "source": ecb.SOURCE,
        }
        for (currency, day), rate in rates.items()
    ]
    if rows:
        with _named(list(rates)):
            create_many(uow, record_type("exchange_rate"), rows)


def _correct(uow: UnitOfWork, rates: Mapping[Day, tuple[int, Decimal]]) -> None:
    if rates:
        with _named(list(rates)):
            changes = {key: {"rate": rate, "source": ecb.SOURCE} for key, rate in rates.values()}
            update_many(uow, record_type("exchange_rate"), changes)


@contextmanager
def _named(days: Sequence[Day]) -> Iterator[None]:
    """Tell of refused rates by currency and day: their places mean nothing to who has a file."""
    try:
        yield
    except InvalidInput as error:
        found = list(error.errors.items())[:_TOLD]
        refused = [(days[int(path.partition(".")[0])], messages) for path, messages in found]
        told = [f"{currency} {day}: {' '.join(messages)}" for (currency, day), messages in refused]
        raise InvalidInput({"file": told}) from error
