"""Creates and changes many opportunities at once, as imports do: history is taken as it is.

Unlike one at a time, an opportunity may come in any stage and keeps its missing values: a won one without amount is
stored, records no sale, and is counted as ``won_without_value`` by the report. Won ones with an amount record their
sales. Audit, search entries and the one event of the run are the business of ``crm_kernel.records.bulk``, which calls
these; no event is told per opportunity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from uuid_utils.compat import uuid7

from crm_kernel.errors import InvalidInput, NotFound
from crm_kernel.records.ownership import with_teams
from crm_sfa.opportunities import ledger, rules
from crm_sfa.opportunities.history import change_stage, noon
from crm_sfa.opportunities.models import Opportunity, StageChange
from crm_sfa.opportunities.placing import Places, load_places
from crm_sfa.pipelines.choices import LOST, OPEN, WON

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Opportunities loaded, or references looked up, together.
_CHUNK = 500
#: Values of one ``IN`` list.
_IN_LIMIT = 5_000
_PLAIN = (
    "name", "customer_id", "amount", "close_date", "product_id", "region", "lost_reason", "lost_note",
    "owner_id", "source", "external_ref",
)  # fmt: skip


def create_opportunities(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Create opportunities from loaded data and return their keys in the order of the rows.

    All rows or none: wrong ones are all named by ``<row>.<field>`` (``17.stage``, rows from 0), so that a caller may
    leave them out and call again. Costs about ten statements per call, and one per 500 references.

    Raises:
        InvalidInput: a stage does not fit, a reason stands at what is not lost, or a reference is taken or given twice.
    """
    problems: dict[str, list[str]] = {}
    places = load_places(uow)
    owned = with_teams(uow, rows)
    found = [_new_row(uow, row, places, problems, f"{index}.") for index, row in enumerate(owned)]
    _refuse_taken(uow, [(None, row) for row in found], problems)
    for place in ledger.convert_many(uow, found, problems):
        if found[place]["status"] == WON:
            problems[f"{place}.currency"] = [_no_rate(found[place])]
    if problems:
        raise InvalidInput(problems)
    if not found:
        return []
    keys = _insert(uow, found)
    steps = [_first_step(uow, key, row) for key, row in zip(keys, found, strict=True)]
    uow.session.execute(sa.insert(StageChange), steps)
    ledger.record_wins(uow, [{"id": key, **row} for key, row in zip(keys, found, strict=True) if row["status"] == WON])
    return keys


def update_opportunities(uow: UnitOfWork, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Change many opportunities; ``changes`` maps key → loaded changes. Those that stay as they are are not touched.

    A stage of any category may be entered; what becomes won with an amount records its sale.

    Raises:
        InvalidInput: by ``<place in changes>.<field>``: a stage does not fit, a recorded sale has sealed the field, or
            the amount is more than the ledger holds.
        NotFound: a key belongs to no opportunity.
    """
    problems: dict[str, list[str]] = {}
    places, stored = load_places(uow), _load(uow, changes)
    _refuse_taken(uow, [(key, _reference_of(stored[key], row)) for key, row in changes.items()], problems)
    wanted = []
    for index, (key, row) in enumerate(changes.items()):
        opportunity = stored[key]
        changed = {name: value for name, value in row.items() if getattr(opportunity, name) != value}
        if changed:
            _check_change(opportunity, changed, places, problems, f"{index}.")
            wanted.append((opportunity, changed))
    if problems:
        raise InvalidInput(problems)
    wanted = _with_new_teams(uow, wanted)
    for opportunity, changed in wanted:
        try:
            _apply(uow, opportunity, changed, places)
        except InvalidInput as error:
            place = list(changes).index(opportunity.id)
            problems |= {f"{place}.{field}": messages for field, messages in error.errors.items()}
    if problems:
        raise InvalidInput(problems)
    uow.session.flush()
    ledger.record_wins(
        uow, [ledger.row_of(opportunity) for opportunity, _changed in wanted if ledger.lacks_sale(opportunity)]
    )


def _new_row(
    uow: UnitOfWork,
    row: Mapping[str, Any],
    places: Places,
    problems: dict[str, list[str]],
    path: str,
) -> dict[str, Any]:
    stage = places.stage_for(row.get("pipeline_id"), row.get("stage_id"), problems, path)
    found: dict[str, Any] = {name: row.get(name) for name in _PLAIN}
    closed = stage is not None and stage.category != OPEN
    if found["lost_reason"] is not None and stage is not None and stage.category != LOST:
        problems[f"{path}lost_reason"] = [_("Only a lost opportunity has a reason.")]
    day = found["close_date"] if closed else None
    today = rules.today_of(uow)
    found |= {
        "uid": uuid7(),
        "version": 1,
        "created_at": uow.now,
        "updated_at": uow.now,
        "pipeline_id": stage.pipeline_id if stage else None,
        "stage_id": stage.id if stage else None,
        "status": stage.category if stage else OPEN,
        "currency": row.get("currency") or (ledger.base_currency() if found["amount"] is not None else None),
        "opened_on": row.get("opened_on") or min(today, day or today),
        "closed_at": noon(day) if day else None,
        "team_id": row.get("team_id"),
    }
    found["stage_since"] = found["closed_at"] or noon(found["opened_on"])
    return found


def _insert(uow: UnitOfWork, rows: Sequence[dict[str, Any]]) -> list[int]:
    # Not RETURNING in the order of the rows: SQLite would then insert them one by one.
    uow.session.execute(sa.insert(cast(sa.Table, Opportunity.__table__)), list(rows))
    uids, keys = [row["uid"] for row in rows], dict[UUID, int]()
    for start in range(0, len(uids), _IN_LIMIT):
        query = sa.select(Opportunity.uid, Opportunity.id).where(Opportunity.uid.in_(uids[start : start + _IN_LIMIT]))
        keys.update({row[0]: row[1] for row in uow.session.execute(query)})
    return [keys[uid] for uid in uids]


def _no_rate(row: Mapping[str, Any]) -> str:
    message: str = _(
        "No exchange rate from %(currency)s to %(base)s is known on %(day)s or before: add it, then import again.",
        currency=row["currency"],
        base=ledger.base_currency(),
        day=row["close_date"] or row["opened_on"],
    )
    return message


def _first_step(uow: UnitOfWork, key: int, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "opportunity_id": key,
        "to_stage_id": row["stage_id"],
        "at": row["stage_since"],
        "actor_id": uow.actor.user_id,
        "actor_name": uow.actor.name,
    }


def _load(uow: UnitOfWork, keys: Iterable[int]) -> dict[int, Opportunity]:
    wanted, found = list(keys), dict[int, Opportunity]()
    for start in range(0, len(wanted), _CHUNK):
        query = sa.select(Opportunity).where(Opportunity.id.in_(wanted[start : start + _CHUNK]))
        found |= {opportunity.id: opportunity for opportunity in uow.session.scalars(query)}
    missing = [index for index, key in enumerate(wanted) if key not in found]
    if missing:
        raise NotFound(_("Row %(row)s: there is no such opportunity.", row=missing[0]))
    return found


def _check_change(
    opportunity: Opportunity,
    changed: Mapping[str, Any],
    places: Places,
    problems: dict[str, list[str]],
    path: str,
) -> None:
    try:
        rules.refuse_sealed(opportunity, {name: value for name, value in changed.items() if name in rules.SEALED})
    except InvalidInput as error:
        problems.update({path + field: messages for field, messages in error.errors.items()})
    stage = places.next_for(opportunity, changed, problems, path)
    if stage is not None and opportunity.sale_id is not None and stage.category != WON:
        problems[f"{path}stage"] = [_("Its sale is recorded: use the action Reopen, which refunds it.")]


def _with_new_teams(
    uow: UnitOfWork, wanted: Sequence[tuple[Opportunity, dict[str, Any]]]
) -> list[tuple[Opportunity, dict[str, Any]]]:
    """Give those that change hands the new owner's team, as changing one alone does; at most one query."""
    moved = iter(with_teams(uow, [changed for _opportunity, changed in wanted if "owner_id" in changed]))
    return [(opportunity, next(moved) if "owner_id" in changed else changed) for opportunity, changed in wanted]


def _apply(
    uow: UnitOfWork,
    opportunity: Opportunity,
    changed: Mapping[str, Any],
    places: Places,
) -> None:
    stage = places.next_for(opportunity, changed, {}, "")
    for name, value in changed.items():
        if name not in ("pipeline_id", "stage_id"):
            setattr(opportunity, name, value)
    if opportunity.amount is not None and opportunity.currency is None:
        opportunity.currency = ledger.base_currency()
    if stage is not None or "close_date" in changed:  # else the moment stays: whoever closed it alone left it exact
        status = stage.category if stage else opportunity.status
        day = opportunity.close_date if status != OPEN else None
        opportunity.closed_at = noon(day) if day else None
    if stage is not None:
        change_stage(uow, opportunity, stage, at=opportunity.closed_at or uow.now)
    if "amount" in changed or "currency" in changed:
        ledger.value(uow, opportunity)


def _reference_of(opportunity: Opportunity, row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name, getattr(opportunity, name)) for name in ("source", "external_ref")}


def _refuse_taken(
    uow: UnitOfWork, rows: Sequence[tuple[int | None, Mapping[str, Any]]], problems: dict[str, list[str]]
) -> None:
    """Note every row whose reference belongs to another opportunity or to an earlier row."""
    known = _known_references(uow, {row["external_ref"] for _key, row in rows if row["external_ref"] is not None})
    seen: dict[tuple[str, str], int] = {}
    for index, (key, row) in enumerate(rows):
        if row["source"] is None or row["external_ref"] is None:
            continue
        pair = (row["source"], row["external_ref"])
        if known.get(pair, key) != key:
            message = _("%(found)s of %(source)s is another opportunity already.", found=pair[1], source=pair[0])
            problems[f"{index}.external_ref"] = [message]
        elif pair in seen:
            problems[f"{index}.external_ref"] = [_("Is row %(row)s already.", row=seen[pair])]
        seen.setdefault(pair, index)


def _known_references(uow: UnitOfWork, references: set[str]) -> dict[tuple[str | None, str | None], int]:
    wanted, found = sorted(references), dict[tuple[str | None, str | None], int]()
    for start in range(0, len(wanted), _CHUNK):
        part = wanted[start : start + _CHUNK]
        query = sa.select(Opportunity.source, Opportunity.external_ref, Opportunity.id)
        for source, reference, key in uow.session.execute(query.where(Opportunity.external_ref.in_(part))):
            found[source, reference] = key
    return found
