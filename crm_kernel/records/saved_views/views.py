"""The pages that save a view and choose the first one; what they write goes through the record type's services."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, flash, request, url_for
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.pages.going import go
from crm_kernel.records.pages.listing import address
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.records.saved_views.models import BOARD, CALENDAR
from crm_kernel.records.saved_views.opening import ALL
from crm_kernel.records.saved_views.services import pairs_of, prefer, problem_text
from crm_kernel.records.services import create_record, update_record
from crm_kernel.unit_of_work import attempt, current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("views", __name__)


@blueprint.post("/views/save")
@permission("saved_view.create", post="saved_view.create")
def save() -> Any:
    """Save what a list shows as a new view, or into the view that `into` names, and open it."""
    form = request.form
    listed = record_type(form.get("record_type", ""))
    columns = [name for name in form.get("columns", "").split(",") if name]
    payload: dict[str, Any] = {"kind": form.get("kind"), "query": form.get("query", ""), "columns": columns or None}
    payload |= {name: form.get(name) or None for name in ("calendar", "span")}
    try:
        with attempt(current_uow()):
            view = _store(payload, listed.name)
    except InvalidInput as error:
        flash(_("The view was not saved: %(reason)s", reason=problem_text(error)), "error")
        return go(address(listed, _shown_again(payload)))
    flash(_("The view “%(name)s” is saved.", name=view.name), "success")
    return go(address(listed, [("view", str(view.uid))]))


@blueprint.post("/views/<uuid:uid>/first")
@permission("authenticated")
def prefer_view(uid: UUID) -> Any:
    """Make a view the first that the reader sees of its records."""
    view = record_of(current_uow(), record_type("saved_view"), uid)
    listed = record_type(view.record_type)
    prefer(current_uow(), view, listed)
    flash(_("“%(name)s” is now what you see first.", name=view.name), "success")
    return go(address(listed, [("view", str(view.uid))]))


@blueprint.post("/views/first/none")
@permission("authenticated")
def prefer_none() -> Any:
    """Take back the reader's choice of a first view."""
    listed = record_type(request.form.get("record_type", ""))
    prefer(current_uow(), None, listed)
    flash(_("You see the whole list first again."), "success")
    return go(url_for(f"{listed.endpoint}_list"))


def _shown_again(payload: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the arguments of the list as it was to be saved: what somebody built is not lost with a refused name."""
    given = {"columns": ",".join(payload["columns"] or ()), "calendar": payload["calendar"], "span": payload["span"]}
    kind = payload["kind"] if payload["kind"] in (BOARD, CALENDAR) else ""
    view = [("view", request.form["into"]), ("edited", "1")] if request.form.get("into", type=UUID) else []
    found = [*view, *pairs_of(payload["query"]), ("as", kind), *given.items()]
    return [(name, value) for name, value in found if value] or [("view", ALL)]


def _store(payload: dict[str, Any], listed: str) -> Any:
    uow, kept, form = current_uow(), record_type("saved_view"), request.form
    if form.get("into"):
        uid = form.get("into", type=UUID)
        if uid is None:
            raise InvalidInput({"into": [_("Not a valid UUID.")]})
        return update_record(uow, kept, uid, payload, version=form.get("version", type=int))
    named = {"name": form.get("name", "").strip(), "sharing": form.get("sharing", "private"), "record_type": listed}
    return create_record(uow, kept, {**payload, **named, "team": form.get("team") or None})
