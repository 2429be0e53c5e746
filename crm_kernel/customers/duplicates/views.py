"""Pages of duplicates: the check while a customer is typed in, the queue, two or several customers side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext

from crm_kernel.access.field_access import hidden_fields
from crm_kernel.access.policy import allowed
from crm_kernel.contributions import NavItem
from crm_kernel.customers.duplicates.queries import (
    Candidate,
    candidate_of,
    described,
    similar_customers,
)
from crm_kernel.customers.duplicates.queue import Cluster, cluster_of, open_clusters
from crm_kernel.customers.duplicates.services import dismiss_cluster, dismiss_duplicate, merge_members
from crm_kernel.customers.duplicates.wording import in_words
from crm_kernel.customers.merging.comparison import Line, lines_of
from crm_kernel.customers.models import Customer
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.records.pages.forms import payload_of
from crm_kernel.records.pages.presenting import text_of
from crm_kernel.records.plan import Kind, plan_of, record_type
from crm_kernel.records.reading import read_some
from crm_kernel.unit_of_work import UnitOfWork, attempt, current_uow, reading
from crm_kernel.web.edge import own_unit, permission, request_id

blueprint = Blueprint("duplicates", __name__)

#: Pairs on one page of the queue.
_PAGE = 25


def nav() -> list[NavItem]:
    """Return the entry of the queue, below the customers."""
    return [
        NavItem(
            name="kernel.duplicates",
            label=_l("Possible duplicates"),
            endpoint="duplicates.queue",
            icon="copy",
            permission="customer.update",
            order=11,
        )
    ]


@blueprint.post("/customers/duplicates/check")
@own_unit
@permission("customer.read")
def check_form() -> str:
    """Give the customers that the form at hand may describe, as the fragment that the form shows above itself."""
    # A POST so that what is typed in stays out of addresses; it only reads.
    with reading(g.crm_actor, channel="web", request_id=request_id()) as uow:
        found = similar_customers(uow, payload_of(plan_of(record_type("customer")), request.form))
        items = [{"similar": similar, "reasons": in_words(similar.reasons)} for similar in found]
        return render_template("customers/similar.html", items=items)


@blueprint.get("/customers/duplicates")
@permission("customer.update")
def queue() -> str:
    """Show the pairs and clusters that wait for a decision, the likeliest first."""
    found, following = open_clusters(current_uow(), limit=_PAGE, after=_place(request.args.get("after", "")))
    after = f"{following[0]!r},{following[1]}" if following else None
    items = [{**_shown(cluster.pairs[0]), "cluster": cluster} for cluster in found]
    return render_template("customers/duplicates.html", items=items, after=after, first="after" not in request.args)


@blueprint.get("/customers/duplicates/<uuid:uid>")
@permission("customer.update")
def compare_page(uid: UUID) -> str:
    """Show two customers side by side."""
    uow = current_uow()
    pair = described(uow, candidate_of(uow, uid))
    may = {verb: all(allowed(uow.actor, f"customer.{verb}", customer) for customer in (pair.first, pair.second))
           for verb in ("update", "merge")}  # fmt: skip
    rows = _side_by_side(_read(uow, (pair.first, pair.second)))
    others = len(cluster_of(uow, uid).members) - 2 if pair.state == "open" else 0
    return render_template("customers/duplicate.html", pair=_shown(pair), rows=rows, may_decide=may["update"],
                           may_merge=may["merge"], others=others)  # fmt: skip


@blueprint.post("/customers/duplicates/<uuid:uid>/dismiss")
@permission("customer.update")
def dismiss(uid: UUID) -> Any:
    """Note that two customers are two, and go back to the queue."""
    dismiss_duplicate(current_uow(), uid)
    flash(_("Noted: these are two customers. They will not be proposed again."), "success")
    return redirect(url_for("duplicates.queue"), 303)


@blueprint.get("/customers/duplicates/<uuid:uid>/all")
@permission("customer.update")
def cluster_page(uid: UUID) -> Any:
    """Show all customers that may be one with those of a pair."""
    uow = current_uow()
    found = cluster_of(uow, uid)
    if len(found.members) == 2:
        return redirect(url_for("duplicates.compare_page", uid=found.id))
    return _together(uow, found, None, 200)


@blueprint.post("/customers/duplicates/<uuid:uid>/all")
@permission("customer.merge")
def merge_all(uid: UUID) -> Any:
    """Merge the customers that were ticked, all or none, and show the one that stays."""
    uow = current_uow()
    try:
        keep, going = UUID(request.form.get("keep", "")), [UUID(text) for text in request.form.getlist("same")]
    except ValueError as error:
        raise InvalidInput({"keep": [_("Not a valid UUID.")]}) from error
    found = cluster_of(uow, uid)
    versions = {one.uid: seen for one in found.members
                if (seen := request.form.get(f"version.{one.uid}", type=int)) is not None}  # fmt: skip
    try:
        with attempt(uow):
            values = _chosen(uow, found, keep)
            runs = merge_members(uow, found, keep, going, values=values, versions=versions)
    except (InvalidInput, Conflict) as error:
        return _together(uow, cluster_of(uow, uid), error, error.status)
    flash(ngettext("Merged: %(num)s customer became this one.", "Merged: %(num)s customers became this one.", len(runs)),
          "success")  # fmt: skip
    return redirect(url_for("records.customer_detail", uid=keep), 303)


@blueprint.post("/customers/duplicates/<uuid:uid>/all/dismiss")
@permission("customer.update")
def dismiss_all(uid: UUID) -> Any:
    """Note that the customers of every pair of a cluster are different ones, and go back to the queue."""
    dismiss_cluster(current_uow(), uid)
    flash(_("Noted: these are different customers. The pairs shown will not be proposed again."), "success")
    return redirect(url_for("duplicates.queue"), 303)


def _together(uow: UnitOfWork, found: Cluster, error: Any, status: int) -> tuple[str, int]:
    may = {verb: all(allowed(uow.actor, f"customer.{verb}", customer) for customer in found.members)
           for verb in ("update", "merge")}  # fmt: skip
    oldest = min(found.members, key=lambda customer: (customer.created_at, customer.id))
    keep = request.form.get("keep", str(oldest.uid))
    items = _read(uow, found.members)
    rows = _side_by_side(items)
    lines = {line.name: line for line in _lines(uow, found, keep, items) if line.differs} if may["merge"] else {}
    shown = {row["name"] for row in rows}
    rows += [{"name": name} for name in lines if name not in shown]  # those of modules
    context = {
        "cluster": found,
        "pairs": [_shown(pair) for pair in found.pairs],
        "rows": rows,
        "lines": lines,
        "keep": keep,
        "same": request.form.getlist("same") if request.form else [str(one.uid) for one in found.members],
        "may": may,
        "error": error,
        "tells_age": "created_at" not in hidden_fields(uow.actor, "customer"),
    }
    return render_template("customers/duplicate_cluster.html", **context), status


def _lines(uow: UnitOfWork, found: Cluster, keep: str, items: Sequence[Mapping[str, Any]]) -> list[Line]:
    known = {str(member.uid) for member in found.members}
    going = request.form.getlist("same") if request.form else None
    stays = keep if keep in known else str(found.members[0].uid)
    return lines_of(uow, found.members, request.form, stays, going, items)


def _chosen(uow: UnitOfWork, found: Cluster, keep: UUID) -> dict[str, UUID]:
    """Return field → the customer whose value was chosen, of the fields in which they differ."""
    members = found.members
    lines = _lines(uow, found, str(keep), _read(uow, members))
    return {line.name: members[line.chosen].uid for line in lines if line.differs}


def _place(text: str) -> tuple[float, int] | None:
    score, _comma, number = text.partition(",")
    try:
        place = float(score), int(number)
    except ValueError:
        return None  # a place that nobody was sent to: the first page
    return place if 0 <= place[0] <= 1 and 0 <= place[1] < 2**63 else None


def _shown(pair: Candidate) -> dict[str, Any]:
    return {
        "id": pair.id,
        "state": pair.state,
        "score": pair.score,
        "reasons": in_words(pair.reasons),
        "customers": [pair.first, pair.second],
    }


def _read(uow: UnitOfWork, customers: Sequence[Customer]) -> list[dict[str, Any]]:
    return read_some(uow, record_type("customer"), [customer.uid for customer in customers])


def _side_by_side(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what any of the customers has, field by field: name, label, their texts, and whether they differ."""
    plan = plan_of(record_type("customer"))
    rows = []
    for name, field in plan.fields.items():
        if name in ("id", "version", "sort_name") or field.kind is Kind.JSON:
            continue
        texts = [_text(field, item.get(name), item) for item in items]
        if any(texts):
            rows.append({"name": name, "label": field.label, "texts": texts, "differ": len(set(texts)) > 1})
    return rows


def _text(field: Any, value: Any, item: Any) -> str:
    if field.kind is not Kind.COLLECTION:
        return text_of(field, value, item)
    lines = (
        ", ".join(str(part[name]) for name in _PART_FIELDS if part.get(name) not in (None, "")) for part in value or ()
    )
    return "\n".join(sorted(lines))


#: What is shown of a contact point, an address and an identifier.
_PART_FIELDS = ("type", "value", "street", "postal_code", "city", "region", "country_code")
