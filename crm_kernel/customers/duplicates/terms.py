"""How common names, streets and places are among the stored customers: to share a rare one says more.

Counted by the database from the stored profiles, one statement per comparison; a term that fewer than ``_LEAST`` share
counts as borne by one. Counts are anew when a tenth of the customers changed since: shares move no faster.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel._internal.rows import among
from crm_kernel.customers.duplicates.comparing import COMPARISONS, Vector
from crm_kernel.customers.duplicates.models import DuplicateProfile, DuplicateTerm
from crm_kernel.customers.duplicates.profiles import Profile
from crm_kernel.customers.duplicates.weights import LAST, TERMS, Frequencies

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Fewer customers than this are not told of: a count must not tell who is there.
_LEAST = 3
#: Customers nobody has seen that count too, with the share that strangers agree: few customers tell little of names.
_UNSEEN = 1_000
_PROFILES: Any = DuplicateProfile.__table__
_TERMS: Any = DuplicateTerm.__table__
#: Comparison with a term → the column of the stored profile that holds it.
COLUMNS: Mapping[str, str] = {
    "given_name": "given",
    "family_name": "family",
    "name": "words",
    "street": "street",
    "postal_code": "postcode",
    "city": "city",
    "region": "region",
    "country": "country",
}
_PLACES = {place: COLUMNS[COMPARISONS[place].name] for place, _term in TERMS}


def count_terms(uow: UnitOfWork) -> None:
    """Count all terms anew; two statements per comparison that has some."""
    connection = uow.session.connection()
    connection.execute(sa.delete(_TERMS))
    into = sa.insert(_TERMS)
    for place, name in _PLACES.items():
        column, number = _PROFILES.c[name], sa.literal(place, sa.Integer)
        known, size = column != "", sa.func.count()
        every = sa.select(number, sa.literal("", sa.Text), size).where(known)
        common = sa.select(number, column, size).where(known).group_by(column).having(size >= _LEAST)
        for counts in (every, common):
            connection.execute(into.from_select(["comparison", "term", "customers"], counts))


def frequencies_for(uow: UnitOfWork, agreeing: Iterable[tuple[Profile, Vector]]) -> Frequencies:
    """Return how common the terms are that these pairs agree on; one query per comparison that has some."""
    wanted: dict[int, set[str]] = defaultdict(set)
    for profile, vector in agreeing:
        for place, term in TERMS:
            if vector[place] == LAST[place]:
                wanted[place].add(term(profile))
    counts: dict[int, Counter[str]] = {}
    totals: dict[int, int] = {}
    for place, terms in wanted.items():
        mine = sa.and_(_TERMS.c.comparison == place, among(uow.session, _TERMS.c.term, {"", *terms}))
        rows = uow.session.connection().execute(sa.select(_TERMS.c.term, _TERMS.c.customers).where(mine))
        found: dict[str, int] = {row.term: row.customers for row in rows}
        totals[place] = found.pop("", 0)
        counts[place] = Counter(found)
    return Frequencies(counts, totals, unseen=_UNSEEN)
