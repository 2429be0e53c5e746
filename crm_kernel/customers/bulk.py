"""Creates and changes many customers at once: the same drafts and rules as one at a time, a fraction of the cost.

These are the type's ``create_many`` and ``update_many``: they write the customers' own tables below the ORM and nothing
else. Audit, search, extensions and the bulk event are added by ``crm_kernel.records.bulk``, which everybody calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.rows import among, insert_rows, reserve_keys, update_rows
from crm_kernel.customers import rules
from crm_kernel.customers.claims import (
    Claim,
    identifier_claims,
    reference_claim,
    refuse_known_references,
    refuse_taken_identifiers,
)
from crm_kernel.customers.consent.suppression import match_points_of
from crm_kernel.customers.drafting import PART_MODELS, Draft, Stored, draft_changes, draft_new
from crm_kernel.customers.effects import Effects, effects_of, new_part
from crm_kernel.customers.evidence import history_of
from crm_kernel.customers.models import ContactPointEvent, Customer
from crm_kernel.customers.normalising import contact_values
from crm_kernel.customers.problems import Problems
from crm_kernel.customers.values.states import ContactState
from crm_kernel.customers.writing import needs_history
from crm_kernel.errors import NotFound
from crm_kernel.records.ownership import with_teams

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Customers whose stored parts are loaded together.
_CHUNK = 5_000
#: A draft with the customer it changes; None for a new one.
Drafted = tuple[Stored | None, Draft]


def create_customers(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Create customers from loaded data and return their keys in the order of the rows.

    All rows or none: wrong ones are all named by ``<row>.<path>`` (``17.contact_points.0.value``, rows from 0), so
    that a caller may leave them out and call again. Costs about ten statements per call.

    Raises:
        InvalidInput: a row breaks a rule, or an identifier or external reference is taken or given twice.
    """
    problems, values = Problems(), contact_values()
    owned = with_teams(uow, rows)
    drafts = [draft_new(row, values, problems.of_row(place)) for place, row in enumerate(owned)]
    _refuse_taken(uow, {place: (None, draft) for place, draft in enumerate(drafts)}, problems)
    problems.refuse()
    keys = reserve_keys(uow.session, _table(Customer), len(rows))
    pairs = list(zip(keys, drafts, strict=True))
    insert_rows(uow.session, _table(Customer), [_new_row(uow, key, draft) for key, draft in pairs])
    for kind, model in rules.SIDE_MODELS.items():
        own = [{"customer_id": key, **draft.side} for key, draft in pairs if draft.customer["kind"] == kind]
        insert_rows(uow.session, _table(model), own)
    for name, model in PART_MODELS.items():
        insert_rows(uow.session, _table(model), _new_parts(uow, name, pairs))
    match_points_of(uow, keys)
    return keys


def _new_row(uow: UnitOfWork, key: int, draft: Draft) -> dict[str, Any]:
    """Return the row of a new customer; without custom values, which are written afterwards: COPY knows no defaults."""
    return {"id": key, "custom": {}, **new_part(uow, draft.customer)}


def update_customers(uow: UnitOfWork, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Change many customers; ``changes`` maps key → loaded changes. Customers that stay as they are are not touched.

    Locks the rows. Costs at most seven queries per 5,000 customers, and batched writes of what differs. Mapped objects
    of these customers are stale afterwards: expire them.

    Raises:
        InvalidInput: by ``<place in changes>.<path>``, from 0; nothing is written then.
        NotFound: a key belongs to no customer.
    """
    uow.session.flush()
    problems, values = Problems(), contact_values()
    stored = _load_all(uow, changes)
    given = {key: {"owner_id": stored[key].customer.owner_id, **row} for key, row in changes.items()}
    moved = [key for key, row in given.items() if row["owner_id"] != stored[key].customer.owner_id]
    given |= dict(zip(moved, with_teams(uow, [given[key] for key in moved]), strict=True))
    drafts: dict[int, Drafted] = {
        place: (stored[key], draft_changes(stored[key], given[key], values, problems.of_row(place)))
        for place, key in enumerate(changes)
    }
    _refuse_taken(uow, drafts, problems)
    problems.refuse()
    history = history_of(uow, [old.customer.id for old, draft in drafts.values() if old and needs_history(draft)])
    found = [(old, effects_of(uow, old, draft, history)) for old, draft in drafts.values() if old]
    _write(uow, [(old, effects) for old, effects in found if effects.names()])


def _write(uow: UnitOfWork, changed: Sequence[tuple[Stored, Effects]]) -> None:
    touched = {"updated_at": uow.now}
    own = {old.customer.id: {**effects.customer, **touched} for old, effects in changed}
    update_rows(uow.session, _table(Customer), own)
    for kind, model in rules.SIDE_MODELS.items():
        of_kind = [(old, effects.side) for old, effects in changed if old.customer.kind == kind and effects.side]
        update_rows(uow.session, _table(model), {old.customer.id: side for old, side in of_kind if old.side})
        new = [{"customer_id": old.customer.id, **side} for old, side in of_kind if not old.side]
        for row in new:  # one at a time: each may hold other columns, and hardly any customer lacks its row
            insert_rows(uow.session, _table(model), [row])
    for name, model in PART_MODELS.items():
        table = _table(model)
        parts = [(old.customer.id, effects.parts[name]) for old, effects in changed if name in effects.parts]
        gone = [part.id for _key, effects in parts for part in effects.removed]
        for start in range(0, len(gone), _CHUNK):
            uow.session.execute(sa.delete(table).where(table.c.id.in_(gone[start : start + _CHUNK])))
        demoted = [part.id for _key, effects in parts for part in effects.demoted]
        update_rows(uow.session, table, {key: {"is_primary": False} for key in demoted})
        updates = {part.id: {**row, **touched} for _key, effects in parts for part, row in effects.updates}
        update_rows(uow.session, table, updates)
        inserts = [{"customer_id": key, **row} for key, effects in parts for row in effects.inserts]
        insert_rows(uow.session, table, inserts)
        evidence = [row for _key, effects in parts for row in effects.evidence]
        insert_rows(uow.session, _table(ContactPointEvent), evidence)
        for event in (event for _key, effects in parts for event in effects.events):
            uow.record(event)
    match_points_of(uow, [old.customer.id for old, effects in changed if effects.parts.get("contact_points")])


def _load_all(uow: UnitOfWork, changes: Mapping[int, Mapping[str, Any]]) -> dict[int, Stored]:
    """Return key → customer as plain values: what the session does not know, it neither flushes nor audits."""
    keys = sorted(changes)
    found: dict[int, Stored] = {}
    for start in range(0, len(keys), _CHUNK):
        part = keys[start : start + _CHUNK]
        table = _table(Customer)
        lock = sa.select(table).where(among(uow.session, table.c.id, part)).with_for_update()
        found |= {row.id: Stored(row, None, {}) for row in _plain(uow, lock)}
        if missing := sum(key not in found for key in part):
            raise NotFound(_("%(count)s of these customers do not exist.", count=missing))
        for model in rules.SIDE_MODELS.values():
            for row in _plain(uow, _of_customers(uow, model, part)):
                found[row.customer_id].side = row
        for name in rules.PARTS:
            if any(name in row for row in changes.values()):
                for key in part:
                    found[key].parts[name] = []
                for row in _plain(uow, _of_customers(uow, PART_MODELS[name], part)):
                    found[row.customer_id].parts[name].append(row)
    return found


def _of_customers(uow: UnitOfWork, model: type[Any], keys: Sequence[int]) -> sa.Select[Any]:
    table = _table(model)
    theirs = among(uow.session, table.c.customer_id, keys)
    return sa.select(table).where(theirs).order_by(*table.primary_key)


def _plain(uow: UnitOfWork, query: sa.Select[Any]) -> Iterable[Any]:
    return (SimpleNamespace(**row._mapping) for row in uow.session.execute(query))


def _refuse_taken(uow: UnitOfWork, drafts: Mapping[int, Drafted], problems: Problems) -> None:
    identifiers: list[Claim] = []
    references: list[Claim] = []
    removed: list[int] = []
    for place, (stored, draft) in drafts.items():
        key = stored.customer.id if stored else None
        references += reference_claim(draft.customer, key, f"{place}.")
        if (plan := draft.parts.get("identifiers")) is not None:
            identifiers += identifier_claims(plan, key, f"{place}.")
            removed += [part.id for part in plan.removed]
    refuse_taken_identifiers(uow, identifiers, removed, problems)
    refuse_known_references(uow, references, problems)


def _new_parts(uow: UnitOfWork, name: str, pairs: Sequence[tuple[int, Draft]]) -> list[dict[str, Any]]:
    state = {"state": ContactState.UNVERIFIED.value, "state_since": uow.now} if name == "contact_points" else {}
    return [
        {"customer_id": key, **state, **new_part(uow, item.row)}
        for key, draft in pairs
        for item in draft.parts[name].wanted
    ]


def _table(model: type[Any]) -> sa.Table:
    return cast(sa.Table, model.__table__)
