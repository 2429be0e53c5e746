"""Reads about duplicates: who may already exist, and the pairs that wait for a decision. All as the actor may see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel._internal.rows import among
from crm_kernel.access.field_access import hidden_fields
from crm_kernel.access.policy import visible
from crm_kernel.customers.choices import PHONE_CHANNELS
from crm_kernel.customers.duplicates.blocking import MAX_BLOCK, stored_keys_of
from crm_kernel.customers.duplicates.comparing import compare
from crm_kernel.customers.duplicates.loading import (
    customers_sharing,
    load_profiles,
    profile_of_payload,
    site_profiler,
    stored_state,
    weights_in,
)
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.duplicates.terms import frequencies_for
from crm_kernel.customers.duplicates.weights import is_doubtful, probability_of, reasons
from crm_kernel.customers.models import ContactPoint, Customer, CustomerIdentifier
from crm_kernel.customers.normalising import contact_values
from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.values.identifiers import normalize_identifier
from crm_kernel.customers.values.names import sort_name
from crm_kernel.errors import NotFound
from crm_kernel.records.plan import record_type

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Comparison → the customer's field it tells of.
FIELDS: Mapping[str, str] = {
    "given_name": "given_name",
    "family_name": "family_name",
    "name": "display_name",
    "birth_date": "birth_date",
    **dict.fromkeys(("street", "street_number", "postal_code", "city", "region", "country"), "addresses"),
    **dict.fromkeys(("email", "phone"), "contact_points"),
    "identifier": "identifiers",
    "others": "",
}

#: Least probability at which somebody who types a customer in is warned.
WARN = 0.5
#: Customers shown to him, and compared for him, at most.
_SHOWN, _COMPARED = 5, 500
#: Of a payload: contact points and identifiers looked at, and characters of each text, more than any column takes.
_PARTS, _CHARACTERS = 50, 2_100
#: Customers who share keys, those that share most, that the database is asked about before it is known who of them is visible.
_RANKED = 5_000
#: A new customer is as likely to be known as this, whatever the size of the database: people look first when they doubt.
PRIOR = 0.001


@dataclass(frozen=True, slots=True)
class Similar:
    """A stored customer that may be the one at hand."""

    id: UUID
    name: str
    probability: float
    #: ``comparison:level`` of what agrees.
    reasons: Sequence[str]
    #: However probable: what agrees is not enough to take the one for the other unasked.
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair that waits for a decision or has one."""

    id: UUID
    first: Customer
    second: Customer
    score: float
    reasons: Sequence[str]
    state: str


def similar_customers(uow: UnitOfWork, payload: Mapping[str, Any], *, besides: UUID | None = None) -> list[Similar]:
    """Return the visible customers that a payload as for ``create_customer`` may describe, the likeliest first.

    Wrong values are passed over, and fields that the actor may not see are not looked at. ``besides`` is left out: the customer itself. Finds customers by contact value,
    identifier and name at once, by the other keys since the last scan. A rare name that both have says more than a common one, as the scan counted them.
    Costs about ten indexed queries, and one per comparison that has terms, whatever the payload: of its contact points and
    identifiers the first 50 each are looked at.
    """
    hidden = hidden_fields(uow.actor, "customer")
    # What he may not see is not compared: the answer would tell whether he guessed it.
    given = {name: _bounded(value) for name, value in payload.items() if name not in hidden}
    profile = profile_of_payload(given, site_profiler())
    blocks = customers_sharing(uow, stored_keys_of(profile), MAX_BLOCK)
    shared = Counter(key for block in blocks.values() for key in block)
    keys = dict.fromkeys([*_by_values(uow, given), *(key for key, _blocks in shared.most_common(_RANKED))])
    seen = _visible(uow, list(keys))
    compared = [
        (key, compare(profile, other))
        for key, other in load_profiles(uow, [key for key in keys if key in seen][:_COMPARED]).items()
        if (not profile.kind or other.kind == profile.kind) and seen[key][0] != besides
    ]
    weights = weights_in(stored_state(uow), 1_000).with_prior(PRIOR)
    common = frequencies_for(uow, ((profile, vector) for _key, vector in compared))
    found = []
    for key, vector in compared:
        likely = probability_of(weights.bits(vector) + common.bits(profile, vector, weights))
        if likely >= WARN:
            uid, name = seen[key]
            found.append(Similar(uid, name, round(likely, 4), reasons(vector), is_doubtful(vector)))
    return sorted(found, key=lambda similar: (-similar.probability, similar.name))[:_SHOWN]


def open_candidates(
    uow: UnitOfWork, *, limit: int = 50, after: tuple[float, int] | None = None, least: float = 0.0
) -> tuple[list[Candidate], tuple[float, int] | None]:
    """Return the open pairs of two customers the actor may see, the likeliest first, and where the next page begins.

    Three queries, whatever the number of pairs.
    """
    table = DuplicateCandidate
    query = visible_pairs(uow).where(table.state == "open", table.score >= least)
    if after is not None:
        query = query.where(sa.or_(table.score < after[0], sa.and_(table.score == after[0], table.id < after[1])))
    rows = uow.session.scalars(query.order_by(table.score.desc(), table.id.desc()).limit(limit + 1)).all()
    page = rows[:limit]
    following = (page[-1].score, page[-1].id) if len(rows) > limit else None
    return with_customers(uow, page), following


def candidate_of(uow: UnitOfWork, uid: UUID) -> DuplicateCandidate:
    """Return a pair by its public id.

    Raises:
        NotFound: there is none, or the actor may not see both customers.
    """
    row = uow.session.scalar(visible_pairs(uow).where(DuplicateCandidate.uid == uid))
    if row is None:
        raise NotFound(f"There is no pair of duplicates {uid}; see: crm customers duplicates list")
    return row


def described(uow: UnitOfWork, row: DuplicateCandidate) -> Candidate:
    """Return a pair with its two customers."""
    return with_customers(uow, [row])[0]


def with_customers(uow: UnitOfWork, rows: Sequence[DuplicateCandidate]) -> list[Candidate]:
    """Return pairs with their customers and what they agree on, as far as the actor may know; one query."""
    keys = {key for row in rows for key in (row.first_id, row.second_id)}
    query = sa.select(Customer).where(Customer.id.in_(keys)) if keys else None
    hidden = hidden_fields(uow.actor, "customer")
    by_key = {customer.id: customer for customer in uow.session.scalars(query)} if query is not None else {}
    return [
        Candidate(
            row.uid,
            by_key[row.first_id],
            by_key[row.second_id],
            row.score,
            [reason for reason in reasons(tuple(row.levels)) if FIELDS[reason.partition(":")[0]] not in hidden],
            row.state,
        )
        for row in rows
    ]


def visible_pairs(uow: UnitOfWork) -> sa.Select[DuplicateCandidate]:
    """Return the query of the pairs of two customers that the actor may see."""
    return sa.select(DuplicateCandidate).where(may_see(uow, DuplicateCandidate))


def may_see(uow: UnitOfWork, pair: type[DuplicateCandidate]) -> sa.ColumnElement[bool]:
    """Return the predicate over pairs, or an alias of them: the actor may see both customers.

    It asks pair by pair, by the customers' keys: a list of all customers that he may see would cost the whole table.
    """
    reach = visible(uow.actor, record_type("customer"))
    ends = (pair.first_id, pair.second_id)
    return sa.and_(*(sa.exists().where(Customer.id == end, reach).correlate(pair) for end in ends))


def _visible(uow: UnitOfWork, keys: Sequence[int]) -> dict[int, tuple[UUID, str]]:
    query = sa.select(Customer.id, Customer.uid, Customer.display_name).where(
        among(uow.session, Customer.id, keys), visible(uow.actor, record_type("customer"))
    )
    return {key: (uid, name) for key, uid, name in uow.session.execute(query)}


def _by_values(uow: UnitOfWork, payload: Mapping[str, Any]) -> list[int]:
    """Return the visible customers with one of the payload's identifiers or contact values, then those with its name.

    Scanned yet or not; some may come twice. A query for each of the three, which ends at so many customers of each value.
    """
    reach, found = visible(uow.actor, record_type("customer")), list[int]()
    for column, matches in _value_matches(payload):
        having = (
            sa.select(Customer.id).where(Customer.id.in_(sa.select(column).where(match)), reach).limit(MAX_BLOCK)
            for match in matches
        )
        several = [sa.select(one.subquery().c.id) for one in having]
        found += uow.session.scalars(sa.union_all(*several)) if several else ()
    return found


def _value_matches(payload: Mapping[str, Any]) -> list[tuple[Any, list[sa.ColumnElement[bool]]]]:
    """Return the column of customers and a condition for each value of a kind, the kind that says most first."""
    numbers = dict.fromkeys(normalised_number(part) for part in mappings_in(payload.get("identifiers")))
    points = dict.fromkeys(
        (_channels(part), normalised_point(part)) for part in mappings_in(payload.get("contact_points"))
    )
    name = sort_name(*(str(payload.get(name) or "") for name in ("kind", "given_name", "family_name", "display_name")))
    reached = [
        sa.and_(ContactPoint.channel.in_(channels), ContactPoint.value_normalized == value)
        for channels, value in points
        if value
    ]
    return [
        (CustomerIdentifier.customer_id, [CustomerIdentifier.value == number for number in numbers if number]),
        (ContactPoint.customer_id, reached),
        (Customer.id, [Customer.sort_name == name] if name else []),
    ]


def _channels(part: Mapping[str, Any]) -> tuple[str, ...]:
    channel = str(part.get("channel"))
    return PHONE_CHANNELS if channel in PHONE_CHANNELS else (channel,)


def _bounded(value: Any) -> Any:
    """Return as much of a field's value as is looked at."""
    if not isinstance(value, (list, tuple)):
        return _cut(value)
    return [{name: _cut(text) for name, text in part.items()} for part in mappings_in(value[:_PARTS])]


def _cut(value: Any) -> Any:
    return value[:_CHARACTERS] if isinstance(value, str) else value


def normalised_point(part: Mapping[str, Any]) -> str:
    """Return how a contact point's value is compared, empty for none or a wrong one."""
    channel, value = str(part.get("channel") or ""), str(part.get("value") or "")
    try:
        return contact_values().normalise(channel, value)[1] if value.strip() else ""
    except ValueProblem:
        return ""


def normalised_number(part: Mapping[str, Any]) -> str:
    """Return how an identifier's value is compared, empty for none or a wrong one."""
    try:
        return normalize_identifier(str(part.get("type")), str(part.get("value") or ""))
    except ValueProblem:
        return ""


def mappings_in(value: Any) -> list[Mapping[str, Any]]:
    """Return the parts of a list in a payload that are objects."""
    return [part for part in value if isinstance(part, Mapping)] if isinstance(value, (list, tuple)) else []
