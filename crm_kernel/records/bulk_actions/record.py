"""Bulk runs as a record type: ``/api/bulk-runs`` and pages with progress, refusals and the button that takes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import url_for
from flask_babel import lazy_gettext as _l
from marshmallow import Schema
from marshmallow import fields as ma

from crm_kernel.access.actor import Scope
from crm_kernel.access.field_access import hidden_fields, shown_anywhere
from crm_kernel.records.bulk_actions.models import (
    CANCELLED,
    DELETE,
    DONE,
    QUEUED,
    REFUSED,
    RUNNING,
    TAGS,
    UNDO,
    UPDATE,
    BulkRun,
)
from crm_kernel.records.bulk_actions.services import UNDO_DAYS, can_undo, cancel, outcomes, titles, undo
from crm_kernel.records.fields import Choice, Reference
from crm_kernel.records.plan import record_types
from crm_kernel.records.record_type import Action, FormSection, RecordType
from crm_kernel.unit_of_work import current_uow

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

STATES = {QUEUED: _l("Waiting"), RUNNING: _l("Running"), DONE: _l("Done"), CANCELLED: _l("Cancelled")}
WHATS = {
    UPDATE: _l("Change fields"),
    TAGS: _l("Change tags"),
    DELETE: _l("Delete"),
    UNDO: _l("Take back"),
}


class Given(ma.Dict):
    """The payload of a run, without the fields that are hidden from whoever reads it."""

    def said(self, value: Any) -> Any:
        """Return a stored payload as the actor of the open unit of work may see it."""
        return shown_anywhere(current_uow().actor, value)


class BulkRunSchema(Schema):
    """A bulk run, as it is read."""

    record_type = ma.String(dump_only=True, metadata={"label": _l("Record type"), "show_as": "record_type"})
    what = Choice(WHATS, dump_only=True, validate=[], metadata={"label": _l("What is done")})
    data = Given(dump_only=True, allow_none=True, metadata={"label": _l("Values")})
    state = Choice(STATES, dump_only=True, metadata={"label": _l("State")})
    total = ma.Integer(dump_only=True, metadata={"label": _l("Records")})
    changed = ma.Integer(dump_only=True, metadata={"label": _l("Changed")})
    unchanged = ma.Integer(dump_only=True, metadata={"label": _l("As they were")})
    refused = ma.Integer(dump_only=True, metadata={"label": _l("Refused")})
    author = Reference("user", attribute="author_id", dump_only=True, metadata={"label": _l("Asked by")})
    undoes = Reference("bulk_run", attribute="undoes_id", dump_only=True, metadata={"label": _l("Takes back")})
    finished_at = ma.AwareDateTime(dump_only=True, allow_none=True, metadata={"label": _l("Finished")})


def visible_runs(actor: Actor) -> sa.ColumnElement[bool]:
    """Return the predicate: the actor's own runs, all for those who may take back everybody's."""
    if actor.kind == "system" or actor.scope_of("bulk_run.undo") is Scope.ALL:
        return sa.true()
    return BulkRun.author_id == actor.user_id if actor.user_id is not None else sa.false()


def details(uow: UnitOfWork, run: BulkRun) -> Mapping[str, Any]:
    """Return what a run's page shows beside its fields: progress, the refused with their reasons, and its taking back."""
    record_type = record_types().get(run.record_type)
    rows = outcomes(uow, run, REFUSED) if record_type else []
    known = titles(uow, run, rows) if record_type else {}
    back = _taken_back(uow, run)
    return {
        "running": run.state in (QUEUED, RUNNING) or bool(back and back["running"]),
        "done": _done(uow, run),
        "back": back,
        "undo_days": UNDO_DAYS,
        "refusals": [
            {
                "title": known.get(row.record_uid),
                "url": url_for(f"{record_type.endpoint}_detail", uid=row.record_uid)
                if record_type and row.record_uid in known
                else None,
                "reason": row.reason,
            }
            for row in rows
        ],
    }


def _done(uow: UnitOfWork, run: BulkRun) -> int | None:
    hidden = hidden_fields(uow.actor, "bulk_run") & {"changed", "unchanged", "refused"}
    return None if hidden else run.changed + run.unchanged + run.refused


def _taken_back(uow: UnitOfWork, run: BulkRun) -> dict[str, Any] | None:
    """Return how far the run that takes this one back is, and its page; of one the reader may not see, only that it is there."""
    query = sa.select(BulkRun, visible_runs(uow.actor)).where(BulkRun.undoes_id == run.id)
    found = uow.session.execute(query.limit(1)).one_or_none()
    if found is None:
        return None
    back, seen = found
    if not seen:
        return {"running": False, "done": None, "total": None, "url": None}
    url = url_for("records.bulk_run_detail", uid=back.uid)
    return {"running": back.state in (QUEUED, RUNNING), "done": _done(uow, back), "total": back.total, "url": url}


def bulk_record_types() -> list[RecordType]:
    """Return the record type ``bulk_run``."""
    return [
        RecordType(
            name="bulk_run",
            model=BulkRun,
            schema=BulkRunSchema,
            label=_l("Bulk action"),
            label_plural=_l("Bulk actions"),
            slug="bulk-runs",
            icon="checks",
            title="what",
            columns=("what", "record_type", "state", "total", "changed", "refused", "author", "created_at"),
            filters=("record_type", "state", "author", "undoes"),
            sorts=("created_at",),
            form=(
                FormSection(
                    title=_l("Bulk action"),
                    fields=("record_type", "what", "state", "total", "changed", "unchanged", "refused"),
                ),
            ),
            verbs=("read",),
            author="author_id",
            visibility=visible_runs,
            actions=(
                Action(
                    name="undo",
                    label=_l("Take back"),
                    service=lambda uow, run: undo(uow, run),
                    icon="arrow-back-up",
                    available=lambda run: can_undo(run),
                ),
                Action(
                    name="cancel",
                    label=_l("Cancel"),
                    service=lambda uow, run: cancel(uow, run),
                    icon="x",
                    available=lambda run: run.state in (QUEUED, RUNNING),
                ),
            ),
            nav_section="administration",
            nav_order=45,
            detail_template="records/bulk_run.html",
            detail_context=details,
        )
    ]
