"""Asking for a link to set a new password; it replaces Flask-Security's view, which sends from inside the request."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from crm_kernel.access.reset import ask_for_reset
from crm_kernel.access.services.checks import Errors, checked_email
from crm_kernel.mail.transport import can_send_mail
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission


@permission("public")
def forgot_password() -> Any:
    """Show the form, or store what mails a link; the answer is the same whoever has the address.

    What was stored answers with a redirect: loading the page anew asks for nothing again.
    """
    email, errors = request.form.get("email", "").strip(), Errors()
    if request.method == "POST" and can_send_mail():
        address = checked_email(errors, email)
        if not errors:
            ask_for_reset(current_uow(), address)
            flash(_("If there is an account for this address, a link is on its way."), "success")
            return redirect(url_for("security.forgot_password"), 303)
    page = render_template(
        "access/forgot_password.html", email=email, errors=errors.get("email", []), can_send_mail=can_send_mail()
    )
    return page, 422 if errors else 200
