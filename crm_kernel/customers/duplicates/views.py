"""Pages of duplicates: the check while a customer is typed in, the queue of pairs, two customers side by side."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.access.policy import allowed
from crm_kernel.contributions import NavItem
from crm_kernel.customers.duplicates.queries import (
    Candidate,
    candidate_of,
    described,
    open_candidates,
    similar_customers,
)
from crm_kernel.customers.duplicates.services import dismiss_duplicate
from crm_kernel.customers.duplicates.wording import in_words
from crm_kernel.customers.models import Customer
from crm_kernel.records.pages.forms import payload_of
from crm_kernel.records.pages.presenting import text_of
from crm_kernel.records.plan import Kind, plan_of, record_type
from crm_kernel.records.reading import read_one
from crm_kernel.unit_of_work import UnitOfWork, current_uow, reading
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
    """Show the pairs that wait for a decision, the likeliest first."""
    pairs, following = open_candidates(current_uow(), limit=_PAGE, after=_place(request.args.get("after", "")))
    after = f"{following[0]!r},{following[1]}" if following else None
    items = [_shown(pair) for pair in pairs]
    return render_template("customers/duplicates.html", items=items, after=after, first="after" not in request.args)


@blueprint.get("/customers/duplicates/<uuid:uid>")
@permission("customer.update")
def compare_page(uid: UUID) -> str:
    """Show two customers side by side."""
    uow = current_uow()
    pair = described(uow, candidate_of(uow, uid))
    may = {verb: all(allowed(uow.actor, f"customer.{verb}", customer) for customer in (pair.first, pair.second))
           for verb in ("update", "merge")}  # fmt: skip
    rows = _side_by_side(uow, pair.first, pair.second)
    return render_template("customers/duplicate.html", pair=_shown(pair), rows=rows, may_decide=may["update"],
                           may_merge=may["merge"])  # fmt: skip


@blueprint.post("/customers/duplicates/<uuid:uid>/dismiss")
@permission("customer.update")
def dismiss(uid: UUID) -> Any:
    """Note that two customers are two, and go back to the queue."""
    dismiss_duplicate(current_uow(), uid)
    flash(_("Noted: these are two customers. They will not be proposed again."), "success")
    return redirect(url_for("duplicates.queue"), 303)


def _place(text: str) -> tuple[float, int] | None:
    score, _comma, number = text.partition(",")
    try:
        return float(score), int(number)
    except ValueError:
        return None  # a place that nobody was sent to: the first page


def _shown(pair: Candidate) -> dict[str, Any]:
    return {
        "id": pair.id,
        "state": pair.state,
        "score": pair.score,
        "reasons": in_words(pair.reasons),
        "customers": [pair.first, pair.second],
    }


def _side_by_side(uow: UnitOfWork, first: Customer, second: Customer) -> list[dict[str, Any]]:
    """Return what either customer has, field by field: label, the two texts, and whether they differ."""
    kind = record_type("customer")
    plan = plan_of(kind)
    one, other = read_one(uow, kind, first.uid), read_one(uow, kind, second.uid)
    rows = []
    for name, field in plan.fields.items():
        if name in ("id", "version") or field.kind is Kind.JSON:
            continue
        texts = [_text(field, item.get(name), item) for item in (one, other)]
        if any(texts):
            rows.append({"label": field.label, "texts": texts, "differ": texts[0] != texts[1]})
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
