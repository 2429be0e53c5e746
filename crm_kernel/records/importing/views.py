"""The pages of imports: upload a file, say what it means, see what would become of it, import it, take it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.contributions import NavItem
from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing import forms, preparing, runs, undoing
from crm_kernel.records.importing.error_files import error_file, problem_text
from crm_kernel.records.importing.jobs import start_undo
from crm_kernel.records.importing.models import ImportRow, ImportRun, RunState
from crm_kernel.records.importing.session import ImportSession
from crm_kernel.records.importing.sheets import sheet_names
from crm_kernel.records.importing.sources import Source, open_source
from crm_kernel.records.plan import TypePlan, plan_of, record_type
from crm_kernel.unit_of_work import UnitOfWork, current_uow
from crm_kernel.web.edge import own_unit, permission

blueprint = Blueprint("imports", __name__, url_prefix="/imports")

#: Runs on the list, and rows with problems on a run's page.
_PAGE, _SHOWN = 50, 50

_STATES = {
    RunState.DRAFT: (_l("Draft"), "gray"),
    RunState.REHEARSING: (_l("Being checked"), "azure"),
    RunState.RUNNING: (_l("Running"), "azure"),
    RunState.STOPPED: (_l("Stopped"), "orange"),
    RunState.DONE: (_l("Done"), "green"),
    RunState.UNDOING: (_l("Being undone"), "azure"),
    RunState.UNDONE: (_l("Undone"), "gray"),
}
_COUNTS = {
    "created": _l("New"),
    "updated": _l("Changed"),
    "unchanged": _l("Unchanged"),
    "skipped": _l("Left out"),
    "refused": _l("Refused"),
}


def nav() -> list[NavItem]:
    """Return the entry of imports in the navigation."""
    return [
        NavItem(
            name="kernel.imports",
            label=_l("Imports"),
            endpoint="imports.listing",
            icon="database-import",
            permission="customer.create",
            section="administration",
            order=55,
        )
    ]


@blueprint.get("")
@permission("authenticated")
def listing() -> str:
    """List the imports that the reader may see, newest first, with the form for a new file."""
    uow = current_uow()
    kinds = [(kind.name, kind.label_plural) for kind in preparing.importable_types(uow.actor)]
    found = [_described(run) for run in runs.recent_runs(uow, limit=_PAGE)]
    return render_template("imports/list.html", runs=found, kinds=kinds, chosen=request.args.get("type", "customer"))


@blueprint.post("")
@permission("authenticated")
def upload() -> Any:
    """Keep a file and lead to the page that asks what it means."""
    uow, sent = current_uow(), request.files.get("file")
    try:
        if sent is None or not sent.filename:
            raise InvalidInput({"file": [_("Choose a file.")]})
        kind = record_type(request.form.get("record_type", ""))
        preparing.refuse_importer(uow.actor, kind)
        run = preparing.draft_run(uow, preparing.keep_upload(sent.stream, sent.filename), kind)
    except InvalidInput as error:
        flash(_texts(error), "error")
        return redirect(url_for("imports.listing"), 303)
    return redirect(url_for("imports.mapping", uid=run.uid), 303)


@blueprint.get("/<uuid:uid>/mapping")
@permission("authenticated")
def mapping(uid: UUID) -> Any:
    """Ask what the columns of a draft's file hold, with what is proposed."""
    uow = current_uow()
    run = runs.run_of(uow, uid)
    try:
        source, plan = _opened(run, request.args.to_dict())
    except InvalidInput as error:
        flash(_texts(error), "error")
        return redirect(url_for("imports.detail", uid=uid), 303)
    saved = preparing.saved_mappings(uow, plan.record_type.name)
    chosen = next((kept for kept in saved if str(kept.uid) == request.args.get("saved")), None)
    said = dict(chosen.source) if chosen else forms.suggested_source(source, plan)
    return _mapping_page(uow, run, source, plan, said)


@blueprint.post("/<uuid:uid>/mapping")
@permission("authenticated")
def map_columns(uid: UUID) -> Any:
    """Give a draft its meaning and have it rehearsed."""
    uow = current_uow()
    run = runs.run_of(uow, uid)
    answers = request.form.to_dict()
    source, plan = _opened(run, answers)
    said: dict[str, Any] = {}
    try:
        said = forms.source_of_form(answers, source, plan)
        meaning = forms.mapping_of(said, _file(run).name, plan)
        session = ImportSession(meaning, _file(run).parent)
        preparing.set_mapping(uow, run, meaning, session)
    except InvalidInput as error:
        return _mapping_page(uow, run, source, plan, said or forms.suggested_source(source, plan), _texts(error)), 422
    if answers.get("save_as", "").strip():
        audience = "all" if answers.get("share") else "own"
        preparing.save_mapping(uow, answers["save_as"].strip()[:120], plan.record_type.name, said, audience=audience)
    preparing.rehearse(uow, run, session)
    return redirect(url_for("imports.detail", uid=uid), 303)


@blueprint.get("/<uuid:uid>")
@permission("authenticated")
def detail(uid: UUID) -> str:
    """Show what became, or would become, of a file; while it is under way the page asks again."""
    uow = current_uow()
    run = runs.run_of(uow, uid)
    return render_template(
        "imports/detail.html",
        run=_described(run),
        problems=_problems(uow, run),
        kept=[_kept(row) for row in undoing.kept_rows(uow, run, limit=_SHOWN)] if run.undo else [],
    )


@blueprint.post("/<uuid:uid>/start")
@permission("authenticated")
def start(uid: UUID) -> Any:
    """Import a rehearsed file, or go on with a stopped import, in the background."""
    preparing.start(current_uow(), uid)
    return redirect(url_for("imports.detail", uid=uid), 303)


@blueprint.post("/<uuid:uid>/stop")
@permission("authenticated")
def stop(uid: UUID) -> Any:
    """Stop an import after the rows at hand."""
    preparing.stop(current_uow(), uid)
    return redirect(url_for("imports.detail", uid=uid), 303)


@blueprint.post("/<uuid:uid>/undo")
@permission("authenticated")
def undo(uid: UUID) -> Any:
    """Take an import back in the background."""
    uow = current_uow()
    start_undo(uow, undoing.begin_undo(uow, uid))
    return redirect(url_for("imports.detail", uid=uid), 303)


@blueprint.get("/<uuid:uid>/errors")
@own_unit
@permission("authenticated")
def errors(uid: UUID) -> Response:
    """Send the refused rows with what is wrong with them, to be corrected and imported again."""
    from flask import g

    found = error_file(g.crm_actor, uid)
    headers = {"Content-Disposition": f'attachment; filename="{found.name}"', "Cache-Control": "no-store"}
    return Response(found.lines, mimetype=found.mimetype, headers=headers)


def _mapping_page(
    uow: UnitOfWork, run: ImportRun, source: Source, plan: TypePlan, said: dict[str, Any], problem: str = ""
) -> str:
    columns = said.get("columns", {})
    match = said.get("match") or []
    key = list(plan.record_type.external_key)
    matched = forms.NONE if not match else forms.KEY if match == key else match[0]
    return render_template(
        "imports/mapping.html",
        run=_described(run),
        problem=problem,
        columns=[
            {"name": name, "samples": forms.samples_of(source, name), "path": _path(columns.get(name))}
            for name in source.columns
        ],
        fields=forms.field_choices(plan),
        constants=[_constant(plan, name, said.get("constants", {})) for name in forms.constant_fields(plan)],
        matches=forms.match_choices(plan),
        matched=matched,
        said=said,
        found=source.detected,
        sheets=sheet_names(_file(run)) if source.kind == "xlsx" else [],
        saved=preparing.saved_mappings(uow, plan.record_type.name),
        kind=plan.record_type,
    )


def _opened(run: ImportRun, said: dict[str, str]) -> tuple[Source, TypePlan]:
    name = run.mapping.get("record_type") or run.mapping["sources"][0]["record_type"]
    how = {key: said[key].strip() for key in ("encoding", "separator", "sheet") if said.get(key, "").strip()}
    return open_source(_file(run), **how), plan_of(record_type(name))


def _file(run: ImportRun) -> Path:
    return Path(run.folder) / str(run.files[0]["name"])


def _path(entry: Any) -> str:
    return str(entry.get("field", "")) if isinstance(entry, dict) else str(entry or "")


def _constant(plan: TypePlan, name: str, said: dict[str, Any]) -> dict[str, Any]:
    field = plan.fields[name]
    choices = getattr(field.field, "choices", None) or {}
    kind = "choice" if choices else "text"
    shown = [{"value": value, "label": label} for value, label in choices.items()]
    return {
        "name": f"constant-{name}",
        "label": field.label,
        "kind": kind,
        "choices": shown,
        "value": said.get(name, ""),
    }


def _described(run: ImportRun) -> dict[str, Any]:
    label, color = _STATES[RunState(run.state)]
    totals = {name: sum(counts.get(name, 0) for counts in run.counts) for name in (*_COUNTS, "total", "left_out")}
    done = sum(totals[name] for name in _COUNTS)
    return {
        "id": run.uid,
        "name": run.name,
        "who": run.actor,
        "at": run.created_at,
        "state": run.state,
        "label": label,
        "color": color,
        "counts": [(text, totals[name]) for name, text in _COUNTS.items()],
        "total": totals["total"],
        "done": done,
        "refused": totals["refused"],
        "left_out": totals["left_out"],
        "failure": run.failure,
        "undo": run.undo,
        "expired": run.expired_rows,
        "mapped": preparing.is_mapped(run),
        "rehearsed": run.state == RunState.DRAFT and run.finished_at is not None and preparing.is_mapped(run),
        "under_way": run.state in (RunState.RUNNING, RunState.REHEARSING, RunState.UNDOING),
        "detected": [pair for counts in run.counts for pair in counts.get("detected", {}).items()],
    }


def _problems(uow: UnitOfWork, run: ImportRun) -> list[dict[str, Any]]:
    query = sa.select(ImportRow).where(ImportRow.run_id == run.id, ImportRow.verdict.in_(("refused", "review")))
    rows = uow.session.scalars(query.order_by(ImportRow.id).limit(_SHOWN))
    return [{"number": row.number, "text": " · ".join(map(problem_text, row.problems or ()))} for row in rows]


def _kept(row: ImportRow) -> dict[str, Any]:
    kind = record_type(row.record_type)
    url = url_for(f"{kind.endpoint}_detail", uid=row.record_uid)
    return {"label": kind.label, "url": url, "why": problem_text((row.problems or [{}])[0])}


def _texts(error: InvalidInput) -> str:
    return " ".join(f"{path}: {' '.join(texts)}" for path, texts in error.errors.items())
