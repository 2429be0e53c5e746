"""Pages of merging: choose the other customer, choose the values, look at what was done, take it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.access.field_access import hidden_fields
from crm_kernel.access.policy import allowed, authorize
from crm_kernel.contributions import Panel, Permission
from crm_kernel.customers.duplicates.queries import similar_customers
from crm_kernel.customers.merging.comparison import choices_of, lines_of
from crm_kernel.customers.merging.queries import described, moving, run_by, runs_into
from crm_kernel.customers.merging.services import merge, unmerge
from crm_kernel.customers.models import Customer
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import read_one, record_of, suggestions
from crm_kernel.unit_of_work import UnitOfWork, attempt, current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("merging", __name__)


def permissions() -> list[Permission]:
    """Return the permission to merge."""
    return [Permission(name="customer.merge", label=_l("Merge customers, and take merges back"))]


def panels() -> list[Panel]:
    """Return the card on the customer page: what was merged into it, and the way to merge it with another."""
    return [
        Panel(
            name="kernel.merges",
            label=_l("Merging"),
            template="customers/merges_panel.html",
            load=_panel,
            permission="customer.merge",
            icon="arrow-merge",
            order=95,
        )
    ]


@blueprint.get("/customers/<uuid:uid>/merge")
@permission("customer.merge")
def prepare(uid: UUID) -> Any:
    """Let the user choose the customer to merge with, then the one that stays and the values."""
    uow = current_uow()
    one = record_of(uow, record_type("customer"), uid)
    authorize(uow.actor, "customer.merge", one)
    if not request.args.get("with"):
        return _choose_other(uow, one)
    other = _other(uow, request.args["with"])
    return _side_by_side(uow, one, other, None, 200)


@blueprint.post("/customers/<uuid:uid>/merge")
@permission("customer.merge")
def perform(uid: UUID) -> Any:
    """Merge, and show what was done."""
    uow = current_uow()
    one = record_of(uow, record_type("customer"), uid)
    other = _other(uow, request.form.get("with", ""))
    _refuse_strangers(one, other)
    stays = int(_kept(one, other) == str(other.uid))
    pair, seen = (one, other), (request.form.get("version", type=int), request.form.get("other_version", type=int))
    choices = choices_of(lines_of(uow, pair, request.form, _kept(one, other)), 1 - stays)
    try:
        with attempt(uow):
            run = merge(uow, pair[1 - stays], pair[stays], choices, versions=(seen[1 - stays], seen[stays]))
    except (InvalidInput, Conflict) as error:
        return _side_by_side(uow, one, other, error, error.status)
    flash(_("Merged. The old address leads here from now on."), "success")
    return redirect(url_for("merging.run", uid=run.uid), 303)


@blueprint.get("/customers/merges/<uuid:uid>")
@permission("customer.read")
def run(uid: UUID) -> str:
    """Show what a merge did, by whom, and how to take it back."""
    uow = current_uow()
    [found] = described(uow, [run_by(uow, uid)])
    may = found.state == "merged" and all(
        allowed(uow.actor, "customer.merge", customer) for customer in (found.source, found.target)
    )
    return render_template("customers/merge_run.html", run=found, may_undo=may, words=_words())


@blueprint.post("/customers/merges/<uuid:uid>/undo")
@permission("customer.merge")
def undo(uid: UUID) -> Any:
    """Take a merge back."""
    uow = current_uow()
    found = run_by(uow, uid)
    try:
        with attempt(uow):
            unmerge(uow, found)
    except Conflict as error:
        flash(str(error), "error")
    else:
        flash(_("Taken back: these are two customers again."), "success")
    return redirect(url_for("merging.run", uid=uid), 303)


def _choose_other(uow: UnitOfWork, one: Customer) -> str:
    text = request.args.get("q", "").strip()
    kind = record_type("customer")
    if text:
        items = [(item["id"], item["title"]) for item in suggestions(uow, kind, text, limit=20)]
    else:
        found = similar_customers(uow, read_one(uow, kind, one.uid), besides=one.uid)
        items = [(similar.id, similar.name) for similar in found]
    others = [(uid, name) for uid, name in items if uid != one.uid]
    return render_template("customers/merge_choose.html", customer=one, text=text, others=others)


def _side_by_side(uow: UnitOfWork, one: Customer, other: Customer, error: Any, status: int) -> tuple[str, int]:
    keep = _kept(one, other)
    source = one if keep == str(other.uid) else other
    context = {
        "pair": (one, other),
        "keep": keep,
        "lines": lines_of(uow, (one, other), request.values, keep),
        "moving": moving(uow, source),
        "source": source,
        "error": error,
        "tells_age": "created_at" not in hidden_fields(uow.actor, "customer"),
    }
    return render_template("customers/merge.html", **context), status


def _refuse_strangers(one: Customer, other: Customer) -> None:
    """Refuse a form that keeps something of a third customer: the usual choice in its place would merge what nobody chose.

    Raises:
        InvalidInput: naming the choices.
    """
    pair = ("", str(one.uid), str(other.uid))
    chosen = {name: value for name, value in request.form.items() if name == "keep" or name.startswith("choice.")}
    wrong = {name: [_("Expected one of the two.")] for name, value in chosen.items() if value not in pair}
    if wrong:
        raise InvalidInput(wrong)


def _kept(one: Customer, other: Customer) -> str:
    """Return the id of the one that stays: as chosen, else the older one."""
    asked = request.values.get("keep")
    if asked in (str(one.uid), str(other.uid)):
        return str(asked)
    return str(min((one, other), key=lambda customer: (customer.created_at, customer.id)).uid)


def _other(uow: UnitOfWork, text: str) -> Customer:
    try:
        uid = UUID(text)
    except ValueError as error:
        raise InvalidInput({"with": [_("Not a valid UUID.")]}) from error
    found: Customer = record_of(uow, record_type("customer"), uid)
    authorize(uow.actor, "customer.merge", found)
    return found


def _panel(uow: UnitOfWork, customer: Any) -> Mapping[str, Any] | None:
    if not allowed(uow.actor, "customer.merge", customer):
        return None
    return {"runs": described(uow, runs_into(uow, customer)), "customer": customer}


def _words() -> dict[str, str]:
    return {
        "written": _("written since"),
        "kept": _("changed since"),
        "missing": _("gone since"),
    }
