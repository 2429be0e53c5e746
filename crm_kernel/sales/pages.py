"""The page on which an administrator sees what open amounts are worth, and values them anew."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import format_decimal
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response

from crm_kernel.contributions import NavItem
from crm_kernel.errors import InvalidInput
from crm_kernel.records.pages.presenting import money_text, plain_text
from crm_kernel.sales.money import base_currency, local_day
from crm_kernel.sales.quotes import Quote
from crm_kernel.sales.revaluing import PERMISSION, Worth, start_revaluation, worths
from crm_kernel.unit_of_work import UnitOfWork, current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("rates", __name__)

_WAYS = {"direct": _l("as quoted"), "inverse": _l("turned round")}


def nav() -> list[NavItem]:
    """Return the entry of the page, below the exchange rates."""
    return [
        NavItem(
            name="kernel.revaluation",
            label=_l("Revaluation"),
            endpoint="rates.revaluation",
            icon="coins",
            permission=PERMISSION,
            section="administration",
            order=71,
        )
    ]


@blueprint.get("/revaluation")
@permission(PERMISSION)
def revaluation() -> str:
    """Show open amounts by currency, what they are kept to be worth, and what they would be at a day's rates."""
    uow = current_uow()
    day = _day(uow, request.args.get("on"))
    found = worths(uow, day)
    known = [worth for worth in found if worth.after is not None]
    return render_template(
        "sales/revaluation.html",
        day=day,
        today=local_day(uow.now),
        currency=base_currency(),
        rows=[_row(worth) for worth in found],
        before=money_text(sum((worth.before for worth in known), Decimal(0)), base_currency()),
        after=money_text(sum((worth.after or Decimal(0) for worth in known), Decimal(0)), base_currency()),
        left_out=sum(worth.count for worth in found if worth.after is None),
    )


@blueprint.post("/revaluation")
@permission(PERMISSION)
def revalue() -> Response:
    """Value open records anew at the rates of the day that was shown, in the background."""
    uow = current_uow()
    start_revaluation(uow, _day(uow, request.form.get("on")))
    flash(_("Open records are being valued anew; the page of jobs shows how far it is."), "success")
    return redirect(url_for("rates.revaluation"))


def _day(uow: UnitOfWork, text: str | None) -> dt.date:
    try:
        return dt.date.fromisoformat(text) if text else local_day(uow.now)
    except ValueError as error:
        raise InvalidInput({"on": [_("Not a valid date.")]}) from error


def _row(worth: Worth) -> dict[str, Any]:
    return {
        "cells": {
            "what": {"text": worth.label},
            "count": {"text": plain_text(worth.count)},
            "amount": {"text": money_text(worth.amount, worth.currency)},
            "before": {"text": _kept(worth)},
            "rate": {"text": _rate_text(worth.quote)},
            "after": {"text": money_text(worth.after, base_currency())},
        }
    }


def _kept(worth: Worth) -> str:
    text = money_text(worth.before, base_currency()) if worth.unvalued < worth.count else "–"
    if worth.unvalued:
        return str(_("%(worth)s, %(count)s without a rate", worth=text, count=plain_text(worth.unvalued)))
    since = plain_text(worth.oldest) if worth.oldest else None
    return str(_("%(worth)s, at rates since %(day)s", worth=text, day=since)) if since else text


def _rate_text(quote: Quote | None) -> str:
    if quote is None:
        return str(_("none known"))
    how = _("over %(currency)s", currency=quote.over) if quote.over else _WAYS[quote.how]
    rate = format_decimal(quote.rate.normalize(), "#,##0.############")
    return str(_("%(rate)s of %(day)s, %(how)s", rate=rate, day=plain_text(quote.day), how=how))
