"""Reads about duplicates: who may already exist, and the pairs that wait for a decision. All as the actor may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

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
from crm_kernel.customers.duplicates.weights import probability_of, reasons
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
#: A new customer is as likely to be known as this, whatever the size of the database: people look first when they doubt.
_PRIOR = 0.001


@dataclass(frozen=True, slots=True)
class Similar:
    """A stored customer that may be the one at hand."""

    id: UUID
    name: str
    probability: float
    #: ``comparison:level`` of what agrees.
    reasons: Sequence[str]


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
    identifier and name at once, by the other keys since the last scan. Costs about ten indexed queries.
    """
    hidden = hidden_fields(uow.actor, "customer")
    # What he may not see is not compared: the answer would tell whether he guessed it.
    given = {name: value for name, value in payload.items() if name not in hidden}
    profile = profile_of_payload(given, site_profiler())
    blocks = customers_sharing(uow, stored_keys_of(profile), MAX_BLOCK)
    keys = {key for block in blocks.values() for key in block} | _by_values(uow, given)
    seen = _visible(uow, sorted(keys)[:_COMPARED])
    weights = weights_in(stored_state(uow), 1_000)
    found = []
    for key, other in load_profiles(uow, seen).items():
        if profile.kind and other.kind != profile.kind:
            continue
        vector = compare(profile, other)
        likely = probability_of(weights.with_prior(_PRIOR).bits(vector))
        uid, name = seen[key]
        if likely >= WARN and uid != besides:
            found.append(Similar(uid, name, round(likely, 4), reasons(vector)))
    return sorted(found, key=lambda similar: (-similar.probability, similar.name))[:_SHOWN]


def open_candidates(
    uow: UnitOfWork, *, limit: int = 50, after: tuple[float, int] | None = None, least: float = 0.0
) -> tuple[list[Candidate], tuple[float, int] | None]:
    """Return the open pairs of two customers the actor may see, the likeliest first, and where the next page begins.

    Three queries, whatever the number of pairs.
    """
    table = DuplicateCandidate
    query = _visible_pairs(uow).where(table.state == "open", table.score >= least)
    if after is not None:
        query = query.where(sa.or_(table.score < after[0], sa.and_(table.score == after[0], table.id < after[1])))
    rows = uow.session.scalars(query.order_by(table.score.desc(), table.id.desc()).limit(limit + 1)).all()
    page = rows[:limit]
    following = (page[-1].score, page[-1].id) if len(rows) > limit else None
    return _with_customers(uow, page), following


def candidate_of(uow: UnitOfWork, uid: UUID) -> DuplicateCandidate:
    """Return a pair by its public id.

    Raises:
        NotFound: there is none, or the actor may not see both customers.
    """
    row = uow.session.scalar(_visible_pairs(uow).where(DuplicateCandidate.uid == uid))
    if row is None:
        raise NotFound(f"There is no pair of duplicates {uid}; see: crm customers duplicates list")
    return row


def described(uow: UnitOfWork, row: DuplicateCandidate) -> Candidate:
    """Return a pair with its two customers."""
    return _with_customers(uow, [row])[0]


def _with_customers(uow: UnitOfWork, rows: Sequence[DuplicateCandidate]) -> list[Candidate]:
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


def _visible_pairs(uow: UnitOfWork) -> sa.Select[DuplicateCandidate]:
    mine = sa.select(Customer.id).where(visible(uow.actor, record_type("customer")))
    table = DuplicateCandidate
    return sa.select(table).where(table.first_id.in_(mine), table.second_id.in_(mine))


def _visible(uow: UnitOfWork, keys: Sequence[int]) -> dict[int, tuple[UUID, str]]:
    query = sa.select(Customer.id, Customer.uid, Customer.display_name).where(
        Customer.id.in_(keys), visible(uow.actor, record_type("customer"))
    )
    return {key: (uid, name) for key, uid, name in uow.session.execute(query)}


def _by_values(uow: UnitOfWork, payload: Mapping[str, Any]) -> set[int]:
    """Return the customers with one of the payload's contact values, identifiers or its name, scanned yet or not."""
    found: set[int] = set()
    for query in _value_queries(payload):
        found.update(uow.session.scalars(query.limit(MAX_BLOCK)))
    return found


def _value_queries(payload: Mapping[str, Any]) -> list[sa.Select[int]]:
    queries: list[sa.Select[int]] = []
    for part in _mappings(payload.get("contact_points")):
        if compared := _normalised_point(part):
            channel = str(part["channel"])
            channels = PHONE_CHANNELS if channel in PHONE_CHANNELS else (channel,)
            queries.append(
                sa.select(ContactPoint.customer_id).where(
                    ContactPoint.channel.in_(channels), ContactPoint.value_normalized == compared
                )
            )
    for part in _mappings(payload.get("identifiers")):
        if number := _normalised_number(part):
            queries.append(sa.select(CustomerIdentifier.customer_id).where(CustomerIdentifier.value == number))
    names = (str(payload.get(name) or "") for name in ("kind", "given_name", "family_name", "display_name"))
    if wanted := sort_name(*names):
        queries.append(sa.select(Customer.id).where(Customer.sort_name == wanted))
    return queries


def _normalised_point(part: Mapping[str, Any]) -> str:
    channel, value = str(part.get("channel") or ""), str(part.get("value") or "")
    try:
        return contact_values().normalise(channel, value)[1] if value.strip() else ""
    except ValueProblem:
        return ""


def _normalised_number(part: Mapping[str, Any]) -> str:
    try:
        return normalize_identifier(str(part.get("type")), str(part.get("value") or ""))
    except ValueProblem:
        return ""


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [part for part in value if isinstance(part, Mapping)] if isinstance(value, (list, tuple)) else []
