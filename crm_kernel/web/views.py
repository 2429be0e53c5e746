"""The kernel's own pages that no record type gives: start, search, language, the API's document, health."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Blueprint, Response, current_app, redirect, render_template, request, session, url_for
from flask_babel import gettext as _

from crm_kernel import contributions as c
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.policy import permitted
from crm_kernel.records.api import json_response
from crm_kernel.records.highlighting import highlighted
from crm_kernel.records.openapi import openapi_document
from crm_kernel.records.pages.cards import card_of
from crm_kernel.records.search_page import OF_ONE_TYPE, PER_TYPE, search_everywhere, searchable_types
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("web", __name__)


@blueprint.get("/")
@permission("authenticated")
def home() -> str:
    """Show the start page with the plugins' tiles."""
    uow, runtime = current_uow(), runtime_of(current_app)
    tiles = permitted(uow.actor, c.active(runtime.registry.all("dashboard_tiles"), runtime.manager.names))
    return render_template(
        "kernel/home.html", tiles=[found for tile in tiles if (found := card_of(uow, tile)) is not None]
    )


@blueprint.get("/search")
@permission("authenticated")
def search() -> Any:
    """Search all records the actor may see, or those of the one type that ``type`` names."""
    text, only = request.args.get("q", "").strip(), request.args.get("type") or None
    limit = OF_ONE_TYPE if only else PER_TYPE
    groups = search_everywhere(current_uow(), text, limit=limit, only=only) if text else []
    if request.accept_mimetypes.best == "application/json":
        return json_response([{"type": group["type"].name, "items": group["items"]} for group in groups])
    kinds = [
        {"label": label, "url": url_for("web.search", q=text, type=name), "active": name == only}
        for name, label in (
            (None, _("Everything")),
            *((t.name, t.label_plural) for t in searchable_types(current_uow())),
        )
    ]
    return render_template("kernel/search.html", groups=groups, text=text, kinds=kinds, highlighted=highlighted)


@blueprint.post("/language")
@permission("public")
def choose_language() -> Any:
    """Remember the chosen language and go back to the page, if it is one of ours."""
    wanted = request.form.get("language", "")
    if wanted in runtime_of(current_app).config.languages:
        session["language"] = wanted
    return redirect(_own_page(request.referrer), 303)


@blueprint.get("/api/openapi.json")
@permission("authenticated")
def openapi() -> Response:
    """Give the API's OpenAPI document."""
    return json_response(openapi_document(current_app))


@blueprint.get("/api/docs")
@permission("authenticated")
def api_docs() -> str:
    """Show the API's document in Swagger UI, from our own files."""
    return render_template("kernel/api_docs.html")


@blueprint.get("/health/live")
@permission("public")
def live() -> Response:
    """Answer as long as the process does."""
    return json_response({"status": "ok"})


@blueprint.get("/health/ready")
@permission("public")
def ready() -> Response:
    """Answer ok when the database does; load balancers ask this before they send requests."""
    current_uow().session.execute(sa.select(1))
    return json_response({"status": "ok"})


def _own_page(address: str | None) -> str:
    parts = urlsplit(address or "")
    if parts.netloc != request.host or not parts.path.startswith("/") or parts.path.startswith("//"):
        return url_for("web.home")
    return parts.path + (f"?{parts.query}" if parts.query else "")
