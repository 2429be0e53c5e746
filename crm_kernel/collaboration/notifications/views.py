"""The pages of one's own notifications: the bell, the list, and how one wants to be told."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from crm_kernel.collaboration.notifications.kinds import DIGESTS, known_kinds
from crm_kernel.collaboration.notifications.queries import (
    COUNT_LIMIT,
    address_of,
    notifications_of,
    settings_of,
    unread_count,
)
from crm_kernel.collaboration.notifications.services import mark_read, own_notification, save_settings
from crm_kernel.errors import InvalidInput
from crm_kernel.mail.transport import can_send_mail
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

blueprint = Blueprint("notifications", __name__, url_prefix="/notifications")


@blueprint.get("")
@permission("authenticated")
def page() -> str:
    """Show one's notifications, newest first."""
    uow = current_uow()
    found = notifications_of(uow, before=_before(request.args.get("before")))
    more = url_for("notifications.page", before=found.earlier) if found.earlier else None
    unread = unread_count(uow)
    return render_template("collaboration/notifications.html", items=found.items, more_url=more, unread=unread)


@blueprint.get("/bell")
@permission("authenticated")
def bell() -> str:
    """Show how many are unread: the part of the bell that renews itself."""
    count = unread_count(current_uow())
    text = f"{COUNT_LIMIT}+" if count > COUNT_LIMIT else str(count)
    return render_template("collaboration/bell.html", count=count, text=text)


@blueprint.post("/<uuid:uid>/open")
@permission("authenticated")
def open_one(uid: UUID) -> Any:
    """Mark one notification as read and lead to what it is about."""
    uow = current_uow()
    found = own_notification(uow, uid)
    address = address_of(found)
    mark_read(uow, [uid])
    return redirect(address or url_for("notifications.page"), 303)


@blueprint.post("/read")
@permission("authenticated")
def read_all() -> Any:
    """Mark all of one's notifications as read."""
    mark_read(current_uow())
    return redirect(url_for("notifications.page"), 303)


@blueprint.get("/settings")
@permission("authenticated")
def settings() -> str:
    """Show how one is told of what."""
    return render_template(
        "collaboration/notification_settings.html",
        kinds=settings_of(current_uow()),
        digests=DIGESTS,
        can_send_mail=can_send_mail(),
    )


@blueprint.post("/settings")
@permission("authenticated")
def change_settings() -> Any:
    """Keep how one wants to be told."""
    form = request.form
    save_settings(
        current_uow(),
        {
            kind: {"in_app": f"{kind}.in_app" in form, "email": form.get(f"{kind}.email", "")}
            for kind in known_kinds()
            if f"{kind}.email" in form
        },
    )
    flash(_("Saved."), "success")
    return redirect(url_for("notifications.settings"), 303)


def _before(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        message = _("Not a record id: expected a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057.")
        raise InvalidInput({"before": [message]}) from error
