"""The pages of the audit log: the list with its filters, one entry, the export; each shows the command that does the same."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import orjson
from flask import Blueprint, Flask, Response, current_app, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.access.actor import ANONYMOUS
from crm_kernel.access.audit import record_access
from crm_kernel.access.audit_chain.heads import RECORD_TYPE
from crm_kernel.access.audit_reading.asking import Question, entries, entry, question_of
from crm_kernel.access.audit_reading.checks import VERIFY, state_of_log
from crm_kernel.access.audit_reading.labels import ACTIONS, CHANNELS, action_label, channel_label
from crm_kernel.access.audit_reading.visibility import OVERSEE, READ, oversees
from crm_kernel.access.audit_reading.wording import Told, titles_of, told_by
from crm_kernel.contributions import NavItem, Permission
from crm_kernel.jobs.services import enqueue
from crm_kernel.records.exporting import csv_text
from crm_kernel.records.pages.presenting import moment_text, record_url
from crm_kernel.records.plan import record_types
from crm_kernel.unit_of_work import current_uow, reading
from crm_kernel.web.edge import channel, own_unit, permission, request_id

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

blueprint = Blueprint("audit", __name__)

#: Entries read at a time by the export.
_BATCH = 500
_COLUMNS = ("id", "at", "actor", "channel", "request_id", "action", "record_type", "record", "changes")


def permissions() -> list[Permission]:
    """Return what may be granted over the audit log."""
    return [
        Permission(name=READ, label=_l("Audit log: history of the records one sees"), limits_itself=True),
        Permission(name=OVERSEE, label=_l("Audit log: all of it, and its export")),
    ]


def nav() -> list[NavItem]:
    """Return the entry of the log in the navigation."""
    return [
        NavItem(
            name="kernel.audit",
            label=_l("Audit log"),
            endpoint="audit.listing",
            icon="history",
            permission=READ,
            section="administration",
            order=70,
        )
    ]


def history_url(actor: Actor, record_type: str, uid: UUID) -> str | None:
    """Return the address of a record's history, or None where the actor may not read it."""
    if not actor.may(READ) or "audit.listing" not in current_app.view_functions:
        return None
    return url_for("audit.listing", record_type=record_type, record=uid)


@blueprint.get("/audit")
@permission(READ)
def listing() -> str:
    """List entries, newest first; above them, for those who oversee the log, its end and the last verification."""
    uow = current_uow()
    arguments = request.args.to_dict()
    question = question_of(uow, arguments)
    found = entries(uow, question, more=1)
    shown = found[: question.limit]
    chosen: dict[str, Any] = {
        name: value for name, value in arguments.items() if value and name not in ("before", "limit")
    }
    more = {**chosen, "before": str(shown[-1].uid)} if len(found) > len(shown) else None
    return render_template(
        "audit/list.html",
        rows=_rows(uow, shown),
        chosen=chosen,
        subject=_subject(uow, question),
        kinds=[(found.name, found.label_plural) for found in record_types().values()],
        actions=[(name, label) for name, (label, _color) in ACTIONS.items()],
        channels=list(CHANNELS.items()),
        log=state_of_log(uow) if oversees(uow.actor) else None,
        next_url=url_for("audit.listing", **more) if more else None,
        export_url=url_for("audit.log_export", **chosen) if oversees(uow.actor) else None,
        command=_command(question),
    )


@blueprint.get("/audit/<uuid:uid>")
@permission(READ)
def detail(uid: UUID) -> str:
    """Show one entry: who, when, through what, and each value before and after."""
    uow = current_uow()
    from crm_kernel.records.pages.fields import undo_url

    row = entry(uow, uid)
    label, color = action_label(row.action)
    return render_template(
        "audit/entry.html",
        row=row,
        label=label,
        color=color,
        told=told_by(uow, [row])[0],
        facts=_facts(uow, row),
        undo_url=undo_url(row.record_type, row.record_uid, row.request_id) if row.action == "updated" else None,
        erased=row.before is None and row.after is None and row.action in ("created", "updated", "deleted"),
    )


@blueprint.post("/audit/verify")
@permission(OVERSEE)
def verify_now() -> Response:
    """Let the log be verified in the background."""
    enqueue(current_uow(), VERIFY, {})
    flash(_("The log is being verified: the result will be shown here."), "success")
    return cast(Response, redirect(url_for("audit.listing"), 303))


@blueprint.get("/audit/export.csv", endpoint="log_export")
@own_unit
@permission(OVERSEE)
def export() -> Response:
    """Stream the entries as CSV with what each of them tells the reader; the export leaves an entry of its own."""
    actor = g.get("crm_actor", ANONYMOUS)
    with reading(actor, channel=channel(), request_id=request_id()) as uow:
        question = replace(question_of(uow, request.args.to_dict()), limit=_BATCH)
    details = {name: value for name, value in request.args.items() if value} or None
    record_access(
        actor,
        action="exported",
        record_type=RECORD_TYPE,
        channel=channel(),
        request_id=request_id(),
        details=details,
    )
    app = cast(Any, current_app)._get_current_object()
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"', "X-Accel-Buffering": "no"}
    return Response(_lines(app, actor, question), mimetype="text/csv", headers=headers)


def _lines(app: Flask, actor: Actor, question: Question) -> Iterator[bytes]:
    """Yield the export in batches; none of them holds a transaction while the reader is slow."""
    yield b"\xef\xbb\xbf" + _csv([_COLUMNS])
    following: Question | None = question
    while following is not None:
        with app.app_context(), reading(actor, channel="web") as uow:
            found = entries(uow, following)
            told = told_by(uow, found)
        yield _csv([_cells(row, tells) for row, tells in zip(found, told, strict=True)])
        full = len(found) == question.limit
        following = replace(question, before=found[-1].uid) if full else None


def _cells(row: Any, told: Sequence[Told]) -> list[str]:
    changes = {found.field: [found.before, found.after] for found in told}
    values = (
        row.uid,
        row.at,
        row.actor,
        row.channel,
        row.request_id,
        row.action,
        row.record_type,
        row.record_uid,
        orjson.dumps(changes, default=str).decode() if changes else "",
    )
    return [csv_text(str(value) if isinstance(value, UUID) else value) for value in values]


def _csv(lines: Sequence[Sequence[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(lines)
    return buffer.getvalue().encode()


def _rows(uow: UnitOfWork, found: Sequence[Any]) -> list[dict[str, Any]]:
    titles = titles_of(uow, found)
    return [
        _row(row, told, titles.get((row.record_type, row.record_uid)))
        for row, told in zip(found, told_by(uow, found), strict=True)
    ]


def _row(row: Any, told: Sequence[Told], title: str | None) -> dict[str, Any]:
    label, color = action_label(row.action)
    fields = ", ".join(dict.fromkeys(found.label for found in told[:4])) + (" …" if len(told) > 4 else "")
    return {
        "id": row.uid,
        "url": url_for("audit.detail", uid=row.uid),
        "label": label,
        "cells": {
            "at": {"text": moment_text(row.at, "medium")},
            "actor": {"text": row.actor},
            "action": {"text": label, "color": color},
            "record": {"text": title or _kind(row.record_type), "url": _record_url(row, title)},
            "fields": {"text": fields},
            "channel": {"text": channel_label(row.channel)},
        },
    }


def _facts(uow: UnitOfWork, row: Any) -> list[dict[str, Any]]:
    title = titles_of(uow, [row]).get((row.record_type, row.record_uid))
    record = f"{_kind(row.record_type)}: {title}" if title else _kind(row.record_type)
    return [
        {"label": _("When"), "text": moment_text(row.at, "long"), "kind": "datetime"},
        {"label": _("Who"), "text": row.actor},
        {"label": _("Record"), "text": record, "url": _record_url(row, title)},
        {"label": _("Channel"), "text": channel_label(row.channel)},
        {
            "label": _("Request"),
            "text": row.request_id,
            "url": url_for("audit.listing", request=row.request_id),
        },
        {"label": _("Entry"), "text": str(row.uid)},
    ]


def _subject(uow: UnitOfWork, question: Question) -> dict[str, Any] | None:
    """Return the record whose history is shown, with its page; None if it is none, or none that the actor sees."""
    wanted = question.wanted
    if wanted.record_uid is None or wanted.record_type not in record_types():
        return None
    titles = titles_of(uow, [wanted])
    title = titles.get((wanted.record_type, wanted.record_uid))
    found = record_types()[wanted.record_type]
    return {"title": title, "url": record_url(found, wanted.record_uid), "icon": found.icon} if title else None


def _kind(name: str) -> str:
    found = record_types().get(name)
    return str(found.label) if found else name


def _record_url(row: Any, title: str | None) -> str | None:
    return record_url(record_types()[row.record_type], row.record_uid) if title else None


def _command(question: Question) -> str:
    names: Mapping[str, str] = {"record_uid": "record", "request_id": "request"}
    given = {name: value for name, value in asdict(question.wanted).items() if value is not None}
    given.pop("actor_uid", None)
    options = [f"--{names.get(name, name).replace('_', '-')} {_argument(value)}" for name, value in given.items()]
    return " ".join(["crm audit list", *options])


def _argument(value: Any) -> str:
    import shlex

    return value.strftime("%Y-%m-%dT%H:%M:%S") if hasattr(value, "strftime") else shlex.quote(str(value))
