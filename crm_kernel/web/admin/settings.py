"""The pages of settings: what each is, where that comes from, and a form for those that may stand in the database."""

from __future__ import annotations

import datetime as dt
import shlex
import textwrap
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask_babel import format_datetime
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response

from crm_kernel._internal.masking import without_passwords
from crm_kernel.access.models import AppUser
from crm_kernel.errors import CrmError, Forbidden, InvalidInput
from crm_kernel.mail.transport import can_send_mail
from crm_kernel.mail.trial import send_trial
from crm_kernel.stored_settings.services import (
    State,
    change_setting,
    leads_links,
    may_change,
    reset_setting,
    setting_state,
    setting_states,
)
from crm_kernel.unit_of_work import current_uow, reading
from crm_kernel.web.edge import own_unit, permission

#: Where a value comes from → word and color.
_SOURCES = {
    "environment": (_l("Environment"), "purple"),
    "database": (_l("Changed here"), "green"),
    "file": (_l("File"), "blue"),
    "default": (_l("Default"), "gray"),
}
#: The setting by which a test message is somebody's own.
_MAIL_SERVER = "mail_host"
#: Letters of what a mail server says: it may be any host and port.
_LONGEST_ANSWER = 160


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the pages of settings."""
    blueprint.add_url_rule("/settings", view_func=settings)
    blueprint.add_url_rule("/settings/<name>", view_func=setting)
    blueprint.add_url_rule("/mail/test", view_func=try_mail, methods=["POST"])
    blueprint.add_url_rule("/settings/<name>", view_func=save_setting, methods=["POST"])
    blueprint.add_url_rule("/settings/<name>/reset", view_func=forget_setting, methods=["POST"])


@permission("setting.read")
def settings() -> str:
    """List every setting by module; one query."""
    shown = [_described(state) for state in setting_states(current_uow())]
    modules = dict.fromkeys(row["module"] for row in shown if row["changeable_kind"])
    groups = [
        {"label": _group_label(module), "rows": [r for r in shown if r["module"] == module and r["changeable_kind"]]}
        for module in modules
    ]
    kept = [row for row in shown if not row["changeable_kind"]]
    may_try = can_send_mail() and may_change(current_uow().actor, _MAIL_SERVER)
    return render_template("admin/settings.html", groups=groups, kept=kept, may_try=may_try, email=_own_address())


@permission("setting.read")
def setting(name: str) -> str:
    """Show one setting with its form."""
    return _page(setting_state(current_uow(), name))


@permission("setting.update")
def save_setting(name: str) -> Any:
    """Put a setting into the database."""
    uow, raw = current_uow(), request.form.get("value", "")
    try:
        changed = change_setting(uow, name, raw)
    except InvalidInput as error:
        return _page(setting_state(uow, name), typed=raw, errors=error.errors), 422
    text = _("Saved; the servers take it up in a moment.") if changed else _("There was nothing to change.")
    flash(text, "success")
    return _back()


@permission("setting.update")
def forget_setting(name: str) -> Response:
    """Take a setting out of the database."""
    if reset_setting(current_uow(), name):
        flash(_("The setting is as the file or its default says; the servers take it up in a moment."), "success")
    return _back()


@permission("setting.update")
@own_unit
def try_mail() -> Response:
    """Send a test message to whoever asks and tell what the mail server said; no transaction is open meanwhile."""
    with reading(g.crm_actor, channel="web"):
        address = _own_address()
        if not may_change(g.crm_actor, _MAIL_SERVER):
            raise Forbidden(_("Only who may do everything decides where mails and the links in them go."))
    try:
        said = _short(send_trial(address))
        flash(_("Sent to %(email)s. The mail server said: %(answer)s", email=address, answer=said), "success")
    except CrmError as error:
        flash(_short(str(error)), "error")
    return _back()


def _short(said: str) -> str:
    return textwrap.shorten(said, _LONGEST_ANSWER, placeholder=" …")


def _own_address() -> str:
    user = current_uow().session.get(AppUser, current_uow().actor.user_id)
    return "" if user is None else user.email


def _back() -> Response:
    return redirect(url_for("admin.settings"), 303)


def _page(state: State, *, typed: str | None = None, errors: Any = None) -> str:
    shown = _described(state)
    text = _as_text(state.value) if typed is None else typed
    declared = state.declared
    field = {
        "name": "value",
        "label": str(declared.label),
        "kind": _kind(state),
        "help": str(declared.help),
        "value": "" if declared.secret else text,
        "error": next(iter((errors or {}).get("value", [])), None),
        "choices": _choices(declared.type, declared.choices),
        "autocomplete": "new-password" if declared.secret else "off",
        "required": declared.secret,
    }
    command = f"crm settings set {declared.name}" + ("" if declared.secret else f" {shlex.quote(text)}")
    actor = current_uow().actor
    return render_template(
        "admin/setting.html",
        setting=shown,
        field=field,
        may_change=may_change(actor, declared.name),
        not_his=actor.may("setting.update") and leads_links(declared.name),
        command=command,
        reset_command=f"crm settings reset {declared.name}",
    )


def _described(state: State) -> dict[str, Any]:
    declared, (label, color) = state.declared, _SOURCES[state.source]
    return {
        "name": declared.name,
        "module": declared.module,
        "label": str(declared.label),
        "help": str(declared.help),
        "text": _shown(state),
        "secret": declared.secret,
        "source": state.source,
        "source_label": str(label),
        "color": color,
        "place": state.place,
        "problem": state.problem,
        "changed": _changed(state),
        "why": str(declared.kept_in_file),
        "changeable": state.changeable,
        "changeable_kind": not declared.kept_in_file,
        "stored": bool(state.at),
        "url": url_for("admin.setting", name=declared.name),
    }


def _shown(state: State) -> str:
    """Return what the pages say of a value: of a secret only whether it is set."""
    if state.declared.secret:
        return str(_("Set") if state.source != "default" else _("Not set"))
    if isinstance(state.value, bool):
        return str(_("Yes") if state.value else _("No"))
    return without_passwords(_as_text(state.value))


def _as_text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _changed(state: State) -> str:
    if not state.at:
        return ""
    when = format_datetime(dt.datetime.fromisoformat(state.at), "short")
    return str(_("%(when)s by %(who)s", when=when, who=state.by))


def _kind(state: State) -> str:
    declared = state.declared
    if declared.secret:
        return "password"
    if declared.choices or declared.type is bool:
        return "choice"
    return "number" if declared.type in (int, float) else "text"


def _choices(kind: Any, choices: tuple[Any, ...]) -> list[dict[str, str]]:
    if choices:
        return [{"value": _as_text(value), "label": _as_text(value)} for value in choices]
    return [{"value": "true", "label": _("Yes")}, {"value": "false", "label": _("No")}] if kind is bool else []


def _group_label(module: str) -> str:
    return str(_("This instance")) if module == "kernel" else module
