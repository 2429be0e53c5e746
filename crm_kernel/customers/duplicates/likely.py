"""Asks the matcher about many new customers at once, for imports: who of them may be there already, or twice among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel._internal.rows import IN_LIMIT, among
from crm_kernel.access.field_access import hidden_fields
from crm_kernel.access.policy import visible
from crm_kernel.customers.choices import PHONE_CHANNELS
from crm_kernel.customers.duplicates.blocking import MAX_BLOCK, pairs_between, pairs_within, stored_keys_of
from crm_kernel.customers.duplicates.comparing import Vector, compare
from crm_kernel.customers.duplicates.loading import (
    load_profiles,
    profile_of_payload,
    site_profiler,
    stored_state,
    weights_in,
)
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.duplicates.profiles import Profile
from crm_kernel.customers.duplicates.queries import (
    PRIOR,
    WARN,
    mappings_in,
    normalised_number,
    normalised_point,
)
from crm_kernel.customers.duplicates.stored import profiles_of, sharers_of, write_profiles
from crm_kernel.customers.duplicates.terms import frequencies_for
from crm_kernel.customers.duplicates.weights import is_doubtful, probability_of
from crm_kernel.customers.models import ContactPoint, Customer, CustomerIdentifier
from crm_kernel.customers.values.names import sort_name
from crm_kernel.records.likely import Likely
from crm_kernel.records.plan import record_type

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


#: Customers that one row is compared with because they share keys with it: those that share most.
SHARERS = 50


def likely_customers(uow: UnitOfWork, payloads: Sequence[Mapping[str, Any]]) -> list[list[Likely]]:
    """Return for each payload as for ``create_customer`` the customers it may describe, the likeliest first.

    As ``similar_customers`` finds them for one: the visible ones, by fields that the actor may see. An earlier payload that
    may be the same customer is told by its place. Costs about ten queries per 5,000 values, whatever the number of rows.
    """
    hidden = hidden_fields(uow.actor, "customer")
    given = [{name: value for name, value in payload.items() if name not in hidden} for payload in payloads]
    profiler = site_profiler()
    profiles = [profile_of_payload(payload, profiler) for payload in given]
    pairs = [*_stored(uow, given, profiles), *_among(given, profiles)]
    weights = weights_in(stored_state(uow), 1_000).with_prior(PRIOR)
    common = frequencies_for(uow, ((profiles[pair.place], pair.vector) for pair in pairs))
    found: list[list[Likely]] = [[] for _payload in payloads]
    for pair in pairs:
        bits = weights.bits(pair.vector) + common.bits(profiles[pair.place], pair.vector, weights)
        if (likely := probability_of(bits)) >= WARN:
            found[pair.place].append(pair.told(round(likely, 4), doubtful=is_doubtful(pair.vector)))
    return [sorted(several, key=lambda likely: -likely.probability) for several in found]


def note_customers(uow: UnitOfWork, keys: Sequence[int]) -> None:
    """Write the keys of new customers now, by which the nightly scan else finds them; some seven statements per 5,000."""
    write_profiles(uow, keys, load_profiles(uow, keys))


def compare_again(uow: UnitOfWork, key: int) -> None:
    """Bring the keys of a customer and the levels of its open pairs to what is stored now; the next scan scores them.

    For what changes how a customer compares and is no change of the customer. Some nine statements, one more per pair.
    """
    note_customers(uow, [key])
    table: Any = DuplicateCandidate.__table__
    query = sa.select(table.c.id, table.c.first_id, table.c.second_id)
    query = query.where(table.c.state == "open", sa.or_(table.c.first_id == key, table.c.second_id == key))
    rows = uow.session.execute(query).all()
    profiles = profiles_of(uow, {found for row in rows for found in (row.first_id, row.second_id)})
    for row in rows:
        if row.first_id in profiles and row.second_id in profiles:
            levels = list(compare(profiles[row.first_id], profiles[row.second_id]))
            uow.session.connection().execute(sa.update(table).where(table.c.id == row.id).values(levels=levels))


@dataclass(frozen=True, slots=True)
class _Pair:
    """A payload, by its place, and who it was compared with: a stored customer, or an earlier payload."""

    place: int
    vector: Vector
    told: Callable[..., Likely]


def _stored(uow: UnitOfWork, given: Sequence[Mapping[str, Any]], profiles: Sequence[Profile]) -> Iterator[_Pair]:
    reach = visible(uow.actor, record_type("customer"))
    sharers = sharers_of(uow, [stored_keys_of(profile) for profile in profiles], reach, most=SHARERS)
    seen = _visible(uow, sorted(sharers | set(_by_values(uow, given, reach))))
    stored = load_profiles(uow, list(seen))
    places = list(stored)
    for place, other in pairs_between(profiles, [stored[key] for key in places]):
        key = places[other]
        if _may_be_one(profiles[place], stored[key]):
            uid, name = seen[key]
            yield _Pair(place, compare(profiles[place], stored[key]), partial(_customer, name, key, uid))


def _among(given: Sequence[Mapping[str, Any]], profiles: Sequence[Profile]) -> Iterator[_Pair]:
    for first, second in pairs_within(profiles):
        if _may_be_one(profiles[first], profiles[second]):
            names = (str(given[first].get(name) or "") for name in ("display_name", "given_name", "family_name"))
            told = partial(_earlier, " ".join(filter(None, names)), first)
            yield _Pair(second, compare(profiles[first], profiles[second]), told)


def _customer(name: str, key: int, uid: Any, likely: float, *, doubtful: bool) -> Likely:
    return Likely(name, likely, key, uid, doubtful=doubtful)


def _earlier(name: str, place: int, likely: float, *, doubtful: bool) -> Likely:
    return Likely(name, likely, place=place, doubtful=doubtful)


def _may_be_one(first: Profile, second: Profile) -> bool:
    return not (first.kind and second.kind and first.kind != second.kind)


def _visible(uow: UnitOfWork, keys: Sequence[int]) -> dict[int, tuple[Any, str]]:
    reach, found = visible(uow.actor, record_type("customer")), dict[int, tuple[Any, str]]()
    for part in _slices(keys):
        query = sa.select(Customer.id, Customer.uid, Customer.display_name).where(
            among(uow.session, Customer.id, part), reach
        )
        found |= {key: (uid, name) for key, uid, name in uow.session.execute(query)}
    return found


def _by_values(uow: UnitOfWork, given: Iterable[Mapping[str, Any]], reach: sa.ColumnElement[bool]) -> Iterator[int]:
    """Yield the visible customers with one of the contact values, identifiers or names, scanned yet or not.

    Of a value that many have, the newest ones.
    """
    points, numbers, names = set[tuple[bool, str]](), set[str](), set[str]()
    for payload in given:
        for part in mappings_in(payload.get("contact_points")):
            points.add((str(part.get("channel")) in PHONE_CHANNELS, normalised_point(part)))
        numbers |= {normalised_number(part) for part in mappings_in(payload.get("identifiers"))}
        said = (str(payload.get(name) or "") for name in ("kind", "given_name", "family_name", "display_name"))
        names.add(sort_name(*said))
    called = ContactPoint.channel.in_(PHONE_CHANNELS)
    asked: list[tuple[Any, Any, set[str], Any]] = [
        (ContactPoint.customer_id, ContactPoint.value_normalized, {v for phone, v in points if phone}, called),
        (ContactPoint.customer_id, ContactPoint.value_normalized, {v for phone, v in points if not phone}, ~called),
        (CustomerIdentifier.customer_id, CustomerIdentifier.value, numbers, sa.true()),
        (Customer.id, Customer.sort_name, names, sa.true()),
    ]
    for key, column, values, condition in asked:
        for some in _slices(sorted(values - {""})):
            rank = sa.func.row_number().over(partition_by=column, order_by=key.desc()).label("rank")
            named = among(uow.session, column, some)
            having = sa.select(key.label("key"), rank).where(named, condition, reach)
            ranked = (having if key is Customer.id else having.join(Customer, Customer.id == key)).subquery()
            yield from uow.session.scalars(sa.select(ranked.c.key).where(ranked.c.rank <= MAX_BLOCK))


def _slices(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    yield from (values[start : start + IN_LIMIT] for start in range(0, len(values), IN_LIMIT))
