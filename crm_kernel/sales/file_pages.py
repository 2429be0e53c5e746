"""The page that takes a file of exchange rates as the European Central Bank publishes them: XML, CSV or ZIP."""

from __future__ import annotations

import datetime as dt
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.access.policy import authorize
from crm_kernel.contributions import NavItem
from crm_kernel.errors import InvalidInput
from crm_kernel.records.pages.presenting import plain_text
from crm_kernel.sales.ecb import LARGEST, read_ecb
from crm_kernel.sales.publishing import Stored, store_published
from crm_kernel.web.edge import open_unit, own_unit, permission

blueprint = Blueprint("rate_files", __name__)

#: What the page needs: a corrected rate is changed, so reading the file takes both.
CREATE, UPDATE = "exchange_rate.create", "exchange_rate.update"


def nav() -> list[NavItem]:
    """Return the entry of the page, below the exchange rates."""
    return [
        NavItem(
            name="kernel.rate_file",
            label=_l("File of exchange rates"),
            endpoint="rate_files.upload",
            icon="upload",
            permission=CREATE,
            also=(UPDATE,),
            section="administration",
            order=71,
        )
    ]


@blueprint.route("/exchange-rates/file", methods=["GET", "POST"])
@own_unit
@permission(CREATE)
def upload() -> Any:
    """Ask for a file, or store the rates it holds and say what became of them; it is read before anything is locked."""
    authorize(g.crm_actor, UPDATE)
    if request.method == "GET":
        return _page({})
    try:
        since, published = _since(request.form.get("since", "")), read_ecb(_content())
        with open_unit() as uow:
            found = store_published(uow, published, since=since)
    except InvalidInput as error:
        return _page(error.errors), 422
    flash(_summary(found), "success")
    return redirect(url_for("records.exchange_rate_list"), 303)


def _page(errors: dict[str, list[str]]) -> str:
    return render_template("sales/rate_file.html", errors=errors, since=request.form.get("since", ""))


def _content() -> bytes:
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        raise InvalidInput({"file": [_("Choose a file.")]})
    content = sent.stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise InvalidInput({"file": [_("Larger than %(most)s MB, the most that is taken.", most=LARGEST // 1_000_000)]})
    return content


def _since(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidInput({"since": [_("Not a valid date.")]}) from error


def _summary(found: Stored) -> str:
    parts = [
        _("Added: %(added)s, changed: %(changed)s, as they were: %(unchanged)s.", added=plain_text(found.added),
          changed=plain_text(found.changed), unchanged=plain_text(found.unchanged)),
        _("Entered by hand, and kept: %(kept)s.", kept=plain_text(found.kept)) if found.kept else "",
        _("The latest day is %(day)s.", day=plain_text(found.latest)) if found.latest else "",
        _("Not known here: %(codes)s.", codes=", ".join(found.unknown)) if found.unknown else "",
    ]  # fmt: skip
    return " ".join(part for part in parts if part)
