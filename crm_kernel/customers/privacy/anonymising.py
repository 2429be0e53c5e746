"""Anonymises customers: what names them goes from every table, rows, dates, amounts, country and region stay.

The rows are found as for an erasure, so that disabled and uninstalled modules are covered; the data map says which columns
name somebody. What is nothing but a name, an address or a number is deleted. The caller authorises, and commits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from crm_kernel.customers.events import CustomerAnonymised
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.choices import ANONYMISE, KEPT
from crm_kernel.customers.privacy.erasing import beside, children_first, record_type_of
from crm_kernel.customers.privacy.letting_go import Way, let_go
from crm_kernel.customers.privacy.mentions import Named, traces
from crm_kernel.customers.privacy.models import AnonymisedCustomer, Erasure
from crm_kernel.customers.privacy.steps import Step, emptied
from crm_kernel.customers.privacy.subject import CUSTOMER, Fate, Part, SubjectMap
from crm_kernel.data_map.tables import unique_keys

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Tables of the kernel whose rows say nothing without what names somebody, or would bring it back (a merge taken back).
DELETED = frozenset(
    {
        "contact_point", "contact_point_event", "customer_identifier", "merge_run",
        "duplicate_candidate", "duplicate_key", "duplicate_profile",
    }
)  # fmt: skip
#: Columns that name somebody once the person's name is gone, though they are no personal data by themselves.
NAMING = frozenset({("organization", "legal_name"), ("organization", "website"), ("relationship", "role")})
#: What tables call the key that another system knows a row by.
_ELSEWHERE = "external_ref"
#: What tables call the times of a row.
_TIMES = ("created_at", "updated_at")
#: Leading characters of a postal code that stay: a region, not a street.
PREFIX = 2


def anonymise_many(
    uow: UnitOfWork,
    customer_ids: Collection[int],
    *,
    reason: str,
    rule: str | None = None,
    known: SubjectMap | None = None,
) -> Erasure:
    """Anonymise some customers, and those merged into them, with one receipt; statements as for an erasure.

    Their ``updated_at`` stays: nothing happened with them. Done twice, it changes nothing more but versions.

    Args:
        reason: a key of ``choices.ERASURE_REASONS``.

    Raises:
        Conflict: a legal hold keeps one of them.
        InvalidInput: there is no such reason.
    """
    receipt, ids = let_go(uow, customer_ids, ANONYMISING, reason=reason, rule=rule, known=known)
    uow.session.execute(sa.delete(AnonymisedCustomer).where(AnonymisedCustomer.customer_id.in_(ids)))
    rows = [{"customer_id": key, "erasure_id": receipt.id, "anonymised_at": uow.now} for key in ids]
    uow.session.execute(sa.insert(AnonymisedCustomer), rows)
    return receipt


def still_anonymous(known: SubjectMap) -> sa.ColumnElement[bool]:
    """Return the predicate: a customer was anonymised, and nothing that may name somebody was written since.

    Asks every table whose rows are about customers and hold what anonymising takes out, and what is attached to any of
    their rows, by time: a few lookups per anonymised customer and table. A table without times is left out.
    """
    done = cast(sa.Table, AnonymisedCustomer.__table__).c
    told = [
        found.correlate(AnonymisedCustomer) for found in _written_since(known, done.customer_id, done.anonymised_at)
    ]
    return (
        sa.exists()
        .where(
            AnonymisedCustomer.customer_id == Customer.id,
            AnonymisedCustomer.anonymised_at >= Customer.updated_at,
            *(sa.not_(found) for found in told),
        )
        .correlate(Customer)
    )


def _written_since(known: SubjectMap, customer: sa.Column[Any], since: sa.Column[Any]) -> Iterator[sa.Exists]:
    """Yield for each table whether it has a row about the customer that is younger and may name somebody."""
    parts = known.own(customer)
    for part in parts:
        if part.table.name != CUSTOMER and _timed(part.table) and naming_columns(known, part):
            yield sa.exists().where(part.where, _younger(part.table, since))
    for column in known.attachments():
        table = known.tables[column.table]
        if not _timed(table) or not any(found.personal for found in known.covered[column.table]):
            continue
        for part in parts:
            if "uid" in part.table.c:
                about = table.c[column.type_column or ""] == record_type_of(part.table.name)
                mine = table.c[column.column] == part.table.c.uid
                yield sa.exists().where(part.where, about, mine, _younger(table, since))


def _timed(table: sa.Table) -> bool:
    return any(name in table.c for name in _TIMES)


def _younger(table: sa.Table, since: sa.Column[Any]) -> sa.ColumnElement[bool]:
    return sa.or_(*(table.c[name] > since for name in _TIMES if name in table.c))


def _steps(known: SubjectMap, named: Named) -> Iterator[Step]:
    parts = known.parts(named.keys)
    gone = deleted_tables(known, parts)
    changed = [part for part in parts if part.table.name not in gone]
    yield from traces(known, named)
    yield from beside(known, parts, [part for part in parts if part.fate is Fate.ERASED or part.personal])
    for part in changed:
        yield _forgetting(known, part)
    for part in children_first([part for part in parts if part.table.name in gone]):
        yield Step(part.table, part.plugin, Fate.ERASED, part.where, sa.delete(part.table).where(part.where))


def _forgetting(known: SubjectMap, part: Part) -> Step:
    """Return the step that takes out of rows what names somebody; one that only counts them where nothing does."""
    values = {name: _without_person(part.table.c[name]) for name in naming_columns(known, part)}
    why = part.retention or "statistics"
    if not values:
        return Step(part.table, part.plugin, KEPT, part.where, why=why)
    if "version" in part.table.c:
        # Whoever still holds the row with its names must not write them back.
        values["version"] = part.table.c.version + 1
    statement = sa.update(part.table).where(part.where).values(values)
    return Step(part.table, part.plugin, Fate.ANONYMISED, part.where, statement, why)


def naming_columns(known: SubjectMap, part: Part) -> list[str]:
    """Return the columns of some rows that name somebody.

    Those that the data map marks, custom fields, and keys of other systems; of a table that nobody declared, all texts.
    """
    columns = part.table.c
    found = {*part.personal, "custom"} | {name for table, name in NAMING if table == part.table.name}
    if part.fate is Fate.ERASED and _ELSEWHERE in columns and columns[_ELSEWHERE].nullable:
        found.add(_ELSEWHERE)
    if part.table.name not in known.covered and part.fate is Fate.ERASED:
        found |= {column.name for column in columns if isinstance(column.type, _TEXTS) and not column.foreign_keys}
    return sorted(found & set(columns.keys()))


_TEXTS = (sa.String, sa.JSON)


def _without_person(column: sa.Column[Any]) -> Any:
    if (column.table.name, column.name) == ("address", "postal_code"):
        return sa.func.substr(column, 1, PREFIX)
    return emptied(column)


def deleted_tables(known: SubjectMap, parts: Sequence[Part]) -> set[str]:
    """Return the tables whose rows are deleted: the named ones, what cannot be emptied, and the rows below either."""
    attached = {column.table for column in known.attachments()}
    found = {
        part.table.name
        for part in parts
        if part.table.name in DELETED
        or (part.table.name in attached and part.personal)
        or (part.fate is Fate.ERASED and _stubborn(known, part))
    }
    links = known.links[Fate.ERASED]
    while below := {name for name in links if any(link.parent in found for link in links[name])} - found:
        found |= below
    return found


def _stubborn(known: SubjectMap, part: Part) -> bool:
    """Say whether something that names a person cannot be taken out: it must be there and be unique, or is no text."""
    keys = frozenset().union(*unique_keys(part.table))
    return any(
        not column.nullable and (column.name in keys or not isinstance(column.type, (*_TEXTS, sa.LargeBinary)))
        for column in (part.table.c[name] for name in naming_columns(known, part))
    )


ANONYMISING = Way(ANONYMISE, "anonymised", CustomerAnonymised, _steps)
