"""Answers what the palette's field is asked while somebody types."""

from __future__ import annotations

from flask import Blueprint, Response, request, session

from crm_kernel.records.api import json_response
from crm_kernel.records.palette.finding import palette
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission
from crm_kernel.web.setup import icon_url

blueprint = Blueprint("palette", __name__)

#: Nobody types more to find something.
_MOST = 200


@blueprint.get("/palette")
@permission("authenticated")
def find() -> Response:
    """Give the groups that fit what was typed."""
    recent = [(str(name), str(uid)) for name, uid in session.get("crm_recent", [])]
    groups = palette(current_uow(), request.args.get("q", "").strip()[:_MOST], recent)
    for group in groups:
        group["items"] = [{**item, "icon": icon_url(item["icon"])} for item in group["items"]]
    return json_response(groups)
