"""The pages of imports: upload a file, say what it means, see what would become of it, import it, take it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.contributions import NavItem
from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing import forms, preparing, runs, undoing
from crm_kernel.records.importing.error_files import error_file, streamed
from crm_kernel.records.importing.jobs import is_undo_over, start_undo
from crm_kernel.records.importing.models import ImportRun, RunState
from crm_kernel.records.importing.presenting import SHOWN, described, kept_by_undoing, kept_mappings, problems_of
from crm_kernel.records.importing.session import ImportSession
from crm_kernel.records.importing.sheets import sheet_names
from crm_kernel.records.importing.sources import Source, format_of, open_source
from crm_kernel.records.importing.suggesting import whole_columns
from crm_kernel.records.importing.uploads import kept_upload
from crm_kernel.records.importing.verdict_files import verdict_file
from crm_kernel.records.plan import TypePlan, plan_of, record_type
from crm_kernel.unit_of_work import UnitOfWork, current_uow
from crm_kernel.web.edge import own_unit, permission

blueprint = Blueprint("imports", __name__, url_prefix="/imports")

#: Runs on the list.
_PAGE = 50


def nav() -> list[NavItem]:
    """Return the entry of imports in the navigation."""
    return [
        NavItem(
            name="kernel.imports",
            label=_l("Imports"),
            endpoint="imports.listing",
            icon="database-import",
            permission="authenticated",
            offered=lambda actor: bool(preparing.importable_types(actor)),
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
    return render_template(
        "imports/list.html",
        runs=[described(run) for run in runs.recent_runs(uow, limit=_PAGE)],
        mappings=kept_mappings(uow),
        kinds=kinds,
        chosen=request.args.get("type", "customer"),
    )


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
        with kept_upload(sent.stream, sent.filename) as path:
            run = preparing.draft_run(uow, path, kind)
    except InvalidInput as error:
        flash(_texts(error), "error")
        return redirect(url_for("imports.listing"), 303)
    if format_of(path) == "vcard" and preparing.rehearse_as_it_is(uow, run, path):
        return redirect(url_for("imports.detail", uid=run.uid), 303)
    return redirect(url_for("imports.mapping", uid=run.uid), 303)


@blueprint.get("/<uuid:uid>/mapping")
@permission("authenticated")
def mapping(uid: UUID) -> Any:
    """Ask what the columns of a draft's file hold, with what is proposed."""
    uow = current_uow()
    run = runs.run_of(uow, uid)
    runs.authorize_file(uow.actor, run)
    before = forms.said_before(run.mapping)
    try:
        source, plan = _opened(run, {**before, **{name: text for name, text in request.args.items() if text}})
    except InvalidInput:
        return redirect(url_for("imports.detail", uid=uid, **forms.how_read(request.args)), 303)
    return _mapping_page(uow, run, source, plan, _proposed(uow, run, source, plan))


@blueprint.post("/<uuid:uid>/mapping")
@permission("authenticated")
def map_columns(uid: UUID) -> Any:
    """Give a draft its meaning and have it rehearsed."""
    uow = current_uow()
    run = runs.run_of(uow, uid)
    runs.authorize_file(uow.actor, run)
    answers = request.form.to_dict()
    try:
        source, plan = _opened(run, answers)
    except InvalidInput:
        return redirect(url_for("imports.detail", uid=uid, **forms.how_read(answers)), 303)
    said: dict[str, Any] = {}
    try:
        said = forms.source_of_form(answers, source, plan, _proposed(uow, run, source, plan))
        meaning = forms.mapping_of(said, _file(run).name, plan)
        session = ImportSession(meaning, _file(run).parent)
        preparing.set_mapping(uow, run, meaning, session)
    except InvalidInput as error:
        return _mapping_page(uow, run, source, plan, said or _proposed(uow, run, source, plan), _texts(error)), 422
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
        run=described(run),
        undo_over=is_undo_over(uow, run),
        problems=problems_of(uow, run) if runs.may_read_file(uow.actor, run) else [],
        kept=kept_by_undoing(uow, undoing.kept_rows(uow, run, limit=SHOWN)) if run.undo else [],
        unreadable=_unreadable(uow, run),
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


@blueprint.post("/<uuid:uid>/discard")
@permission("authenticated")
def discard(uid: UUID) -> Any:
    """Delete a draft and its file."""
    preparing.discard(current_uow(), uid)
    flash(_("The draft and its file are deleted."), "success")
    return redirect(url_for("imports.listing"), 303)


@blueprint.post("/mappings/<uuid:uid>/delete")
@permission("authenticated")
def delete_mapping(uid: UUID) -> Any:
    """Delete a mapping that is kept."""
    preparing.delete_mapping(current_uow(), uid)
    flash(_("The mapping is deleted."), "success")
    return redirect(url_for("imports.listing"), 303)


@blueprint.get("/<uuid:uid>/errors")
@own_unit
@permission("authenticated")
def errors(uid: UUID) -> Response:
    """Send the refused rows with what is wrong with them, to be corrected and imported again."""
    return streamed(error_file(g.crm_actor, uid))


@blueprint.get("/<uuid:uid>/verdicts")
@own_unit
@permission("authenticated")
def verdicts(uid: UUID) -> Response:
    """Send the rows of a rehearsed file with what would become of each."""
    return streamed(verdict_file(g.crm_actor, uid))


def _mapping_page(
    uow: UnitOfWork, run: ImportRun, source: Source, plan: TypePlan, said: dict[str, Any], problem: str = ""
) -> str:
    columns = said.get("columns", {})
    whole = whole_columns(source)
    choices, choices_of_whole = forms.field_choices(plan), forms.whole_choices(plan)
    return render_template(
        "imports/mapping.html",
        run=described(run),
        problem=problem,
        columns=[
            {
                "name": name,
                "samples": forms.samples_of(source, name),
                "path": forms.path_of_entry(columns.get(name)),
                "fields": choices_of_whole if name in whole else choices,
            }
            for name in source.columns
        ],
        constants=[_constant(plan, name, said.get("constants", {})) for name in forms.constant_fields(plan)],
        matches=forms.match_choices(plan, said),
        matched=forms.matched_by(said, plan),
        beyond=forms.beyond(said, plan),
        said=said,
        found=source.detected,
        sheets=sheet_names(_file(run)) if source.kind == "xlsx" else [],
        saved=kept_mappings(uow, plan.record_type.name),
        kind=plan.record_type,
    )


def _opened(run: ImportRun, said: dict[str, str]) -> tuple[Source, TypePlan]:
    return open_source(_file(run), **forms.how_read(said)), plan_of(record_type(_type_name(run)))


def _type_name(run: ImportRun) -> str:
    return str(run.mapping.get("record_type") or run.mapping["sources"][0]["record_type"])


def _unreadable(uow: UnitOfWork, run: ImportRun) -> dict[str, Any] | None:
    """Return why a draft's file cannot be read and what may be said about it; None if it can, or is not asked about.

    Reads the file to its end, as the page of its columns does.
    """
    asked = forms.how_read(request.args)
    settled = not run.files or (preparing.is_mapped(run) and not asked)
    if run.state != RunState.DRAFT or run.expired_at or settled or not runs.may_read_file(uow.actor, run):
        return None
    kind = format_of(_file(run))
    try:
        _opened(run, {**forms.said_before(run.mapping), **asked})
    except InvalidInput as error:
        why = _texts(error)
    else:
        return None
    return {
        "why": why,
        "kind": kind,
        "sheets": _sheets(run) if kind == "xlsx" else [],
        "said": asked,
        "type": _type_name(run),
    }


def _sheets(run: ImportRun) -> list[str]:
    try:
        return sheet_names(_file(run))
    except InvalidInput:
        return []  # no workbook at all


def _proposed(uow: UnitOfWork, run: ImportRun, source: Source, plan: TypePlan) -> dict[str, Any]:
    """Return the source that the page is filled from: the kept one that was chosen, else what the draft means so far.

    The latter while it is about these columns; of another sheet or separator, new suggestions.
    """
    saved, wanted = preparing.saved_mappings(uow, plan.record_type.name), request.values.get("saved")
    chosen = next((kept for kept in saved if str(kept.uid) == wanted), None)
    if chosen is not None:
        return forms.with_columns(chosen.source, source, plan)
    before = forms.said_before(run.mapping)
    if before and _opened(run, before)[0].columns == source.columns:
        return forms.with_columns(before, source, plan)
    return forms.suggested_again(before, source, plan)


def _file(run: ImportRun) -> Path:
    return Path(run.folder) / str(run.files[0]["name"])


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
        "help": _("A new record needs it, here or from a column.") if field.field.required else "",
    }


def _texts(error: InvalidInput) -> str:
    return " ".join(f"{path}: {' '.join(texts)}" for path, texts in error.errors.items())
