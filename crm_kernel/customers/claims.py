"""What must be unique among all customers: identifiers, and references of foreign systems; asked for many at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.rows import IN_LIMIT, among
from crm_kernel.customers.matching import PartsPlan
from crm_kernel.customers.models import Customer, CustomerIdentifier
from crm_kernel.customers.problems import Problems

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Claim:
    """A unique key somebody wants to write."""

    #: Where it stands in the input, for the message.
    path: str
    #: (type, value, issuer) of an identifier, (source, reference) of a foreign record.
    key: tuple[str, ...]
    #: The customer that will have it, None for a new one.
    customer_id: int | None


def identifier_claims(
    plan: PartsPlan[CustomerIdentifier], customer_id: int | None, prefix: str = ""
) -> Iterator[Claim]:
    """Yield the identifiers of a plan that are not stored as they are."""
    for item in plan.wanted:
        key = (item.row["type"], item.row["value"], item.row["issuer"])
        if item.part is None or (item.part.type, item.part.value, item.part.issuer) != key:
            yield Claim(f"{prefix}identifiers.{item.index}.value", key, customer_id)


def reference_claim(fields: Mapping[str, Any], customer_id: int | None, prefix: str = "") -> Iterator[Claim]:
    """Yield the reference of a foreign system among a customer's fields, if there is one."""
    if fields.get("source") and fields.get("external_ref"):
        yield Claim(f"{prefix}external_ref", (fields["source"], fields["external_ref"]), customer_id)


def refuse_taken_identifiers(
    uow: UnitOfWork, claims: Sequence[Claim], removed: Iterable[int], problems: Problems
) -> None:
    """Refuse identifiers that a customer has already or that are claimed twice; one query per 5,000.

    ``removed`` are keys of identifiers that will be gone.
    """
    table, gone = CustomerIdentifier, frozenset(removed)
    taken: set[tuple[str, ...]] = set()
    for values in _chunks([claim.key[1] for claim in claims]):
        query = sa.select(table.id, table.type, table.value, table.issuer).where(
            among(uow.session, table.value, values)
        )
        taken |= {(row[1], row[2], row[3]) for row in uow.session.execute(query) if row[0] not in gone}
    for claim in claims:
        if claim.key in taken:
            problems.add(claim.path, _("Belongs to a customer already: an identifier is given once only."))
        taken.add(claim.key)


def refuse_known_references(uow: UnitOfWork, claims: Sequence[Claim], problems: Problems) -> None:
    """Refuse references of a foreign system that another customer carries or that are claimed twice."""
    owners: dict[tuple[str, ...], int | None] = {}
    for values in _chunks([claim.key[1] for claim in claims]):
        named = among(uow.session, Customer.external_ref, values)
        query = sa.select(Customer.source, Customer.external_ref, Customer.id).where(named)
        owners |= {(row[0] or "", row[1] or ""): row[2] for row in uow.session.execute(query)}
    claimed = set()
    for claim in claims:
        if claim.key in claimed or owners.get(claim.key, claim.customer_id) != claim.customer_id:
            message = _("%(source)s knows another customer by this reference already.", source=claim.key[0])
            problems.add(claim.path, message)
        claimed.add(claim.key)


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[start : start + IN_LIMIT] for start in range(0, len(values), IN_LIMIT))
