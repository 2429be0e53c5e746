"""The pages of modules: what there is, what enabling one would change, and the verbs of its life but the last.

The same code runs as for ``crm modules``, with its lock, its trial load in a child process and its audit rows; a running
server replaces its workers by itself. Deleting a module's rows stays with the command line, which exports them first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, current_app, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response

from crm_kernel._internal import lifecycle
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.config import Config
from crm_kernel.errors import CrmError
from crm_kernel.web.edge import channel, own_unit, permission, request_id

#: State of a module → what the page says and its colour.
_STATES = {
    "loaded": (_l("Enabled"), "green"),
    "failed": (_l("Failed"), "red"),
    "installed": (_l("Not enabled"), "blue"),
    "disabled": (_l("Disabled"), "orange"),
    "uninstalled": (_l("Uninstalled"), "gray"),
    "orphaned": (_l("Code is gone"), "red"),
}
#: Kind of contribution → its name on the page, in the order of the page.
_KINDS = {
    "record_types": _l("Record types"),
    "extensions": _l("Extensions of records"),
    "nav": _l("Pages in the navigation"),
    "panels": _l("Cards on records"),
    "dashboard_tiles": _l("Cards on the start page"),
    "settings": _l("Settings"),
    "events": _l("Events"),
    "subscribers": _l("Subscribers of events"),
    "jobs": _l("Jobs"),
    "contact_rules": _l("Rules of contact"),
    "health_checks": _l("Health checks"),
    "import_mappings": _l("Import mappings"),
}


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the pages of modules."""
    blueprint.add_url_rule("/modules", view_func=module_list)
    blueprint.add_url_rule("/modules/<name>", view_func=module_detail)
    verbs = "/modules/<name>/<any(enable, disable, upgrade):verb>"
    blueprint.add_url_rule(verbs, view_func=change_module, methods=["POST"])


@dataclass(frozen=True, slots=True)
class Verb:
    """What can be done to a module here: the button, what it says once done, and the command that does the same."""

    name: str
    label: str
    done: str
    run: Callable[[Config, Sequence[str]], list[lifecycle.Change]]
    danger: bool = False

    def command(self, module: str, *, cascade: Sequence[str] = ()) -> str:
        """Return the command that does the same."""
        return f"crm modules {self.name} {module}" + (" --cascade" if cascade else "")


def _disable(config: Config, names: Sequence[str]) -> list[lifecycle.Change]:
    others = lifecycle.dependants(config, names) if request.form.get("cascade") else ()
    return lifecycle.disable(config, names, cascade=others)


VERBS = {
    verb.name: verb
    for verb in (
        Verb("enable", _l("Enable"), _l("%(name)s is enabled; the server takes it up in a moment."), lifecycle.enable),
        Verb("upgrade", _l("Upgrade"), _l("%(name)s is at its installed version."), lifecycle.upgrade_modules),
        Verb("disable", _l("Disable"), _l("%(name)s is disabled; its rows are kept."), _disable, danger=True),
    )
}


@permission("module.read")
@own_unit
def module_list() -> str:
    """List every module; loads the enabled ones once in a child process, which takes a second."""
    config = runtime_of(current_app).config
    return render_template(
        "admin/modules.html",
        modules=[_described(state) for state in lifecycle.module_states(config)],
        failure=lifecycle.stored_failure(config),
        may_change=g.crm_actor.may("module.update"),
    )


@permission("module.read")
@own_unit
def module_detail(name: str) -> str:
    """Show a module with what it adds, what it needs, and what enabling or upgrading it would change."""
    config = runtime_of(current_app).config
    found = lifecycle.explain(config, name)
    plan = lifecycle.plan_module(config, name) if found.module.version else None
    return render_template(
        "admin/module.html",
        module=_described(found.module),
        explained=found,
        plan=plan,
        adds=_adds(plan) if plan else [],
        actions=_actions(found) if g.crm_actor.may("module.update") else [],
        commands=_commands(found),
    )


@permission("module.update")
@own_unit
def change_module(name: str, verb: str) -> Response:
    """Do one verb to a module and say what came of it."""
    done, config = VERBS[verb], runtime_of(current_app).config
    try:
        with lifecycle.acting(g.crm_actor, channel=channel(), request_id=request_id()):
            changes = done.run(config, [name])
    except CrmError as error:
        flash(str(error), "error")
    else:
        for change in changes:
            text = done.done if change.changed else _l("There was nothing to do for %(name)s.")
            flash(str(text) % {"name": change.module}, "success")
    return redirect(url_for("admin.module_detail", name=name), 303)


def _described(state: lifecycle.ModuleState) -> dict[str, Any]:
    label, color = _STATES.get(state.state, (state.state, "gray"))
    return {
        "name": state.name,
        "state": state.state,
        "label": label,
        "color": color,
        "version": state.version or state.enabled_version,
        "summary": state.summary,
        "reason": state.reason,
        "url": url_for("admin.module_detail", name=state.name),
        "outdated": bool(state.version and state.enabled_version and state.version != state.enabled_version),
    }


def _actions(found: lifecycle.Explanation) -> list[dict[str, Any]]:
    """Return the buttons that fit the module's state, each with its command."""
    module, names = found.module, []
    if module.state in ("installed", "disabled", "uninstalled") and module.version:
        names.append("enable")
    if module.state in ("loaded", "failed"):
        names += ["upgrade"] if _described(module)["outdated"] else []
        names.append("disable")
    return [_action(VERBS[name], found) for name in names]


def _action(verb: Verb, found: lifecycle.Explanation) -> dict[str, Any]:
    cascade = found.dependants if verb.danger else ()
    return {
        "label": verb.label,
        "url": url_for("admin.change_module", name=found.module.name, verb=verb.name),
        "danger": verb.danger,
        "cascade": cascade,
        "command": verb.command(found.module.name, cascade=cascade),
    }


def _commands(found: lifecycle.Explanation) -> list[dict[str, str]]:
    """Return the commands that have no button, and what they are for."""
    name, gone = found.module.name, found.module.state in ("disabled", "uninstalled", "orphaned")
    shown = [{"text": _("What this page shows"), "command": f"crm modules plan {name}"}]
    if gone and found.module.state != "uninstalled":
        shown.append({"text": _("Mark it as uninstalled"), "command": f"crm modules uninstall {name}"})
    if gone and found.tables:
        text = _("Export its rows to a folder, then delete them")
        shown.append({"text": text, "command": f"crm modules purge {name} --export-to {name}-export"})
    return shown


def _adds(plan: lifecycle.Plan) -> list[dict[str, Any]]:
    """Return what a module brings: heading → names, nothing for what it brings none of."""
    groups = [(_("Addresses"), plan.routes), (_("Permissions"), plan.permissions)]
    groups += [(str(label), plan.contributions.get(kind, ())) for kind, label in _KINDS.items()]
    groups.append((_("Columns with personal data or a customer"), plan.personal_columns))
    return [{"label": label, "names": names} for label, names in groups if names]
