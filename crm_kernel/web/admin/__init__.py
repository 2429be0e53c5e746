"""The pages of administration: an overview, modules, custom fields, events and dead letters, health.

Every page that changes something names the command that does the same: nobody has to choose between the two for good.
Users, teams and roles are record types; jobs, the audit log and what modules bring have pages of their own.
"""

from __future__ import annotations

from flask import Blueprint
from flask_babel import lazy_gettext as _l

from crm_kernel.contributions import NavItem, Permission
from crm_kernel.web.admin import events, fields, health, invitations, modules, rights, settings, start


def blueprint() -> Blueprint:
    """Return the blueprint of the pages, under ``/admin``."""
    found = Blueprint("admin", __name__, url_prefix="/admin")
    for part in (start, modules, fields, rights, invitations, settings, events, health):
        part.add_routes(found)
    return found


def permissions() -> list[Permission]:
    """Return what may be granted over administration."""
    return [
        Permission(name="module.read", label=_l("Modules: read")),
        Permission(name="module.update", label=_l("Modules: enable, disable, upgrade")),
        Permission(name="event.read", label=_l("Events and deliveries: read")),
        Permission(name="event.update", label=_l("Events and deliveries: deliver again, discard")),
        Permission(name="setting.read", label=_l("Settings: read")),
        Permission(name="setting.update", label=_l("Settings: change")),
        Permission(name="health.inspect", label=_l("Health of the instance: inspect")),
    ]


def nav() -> list[NavItem]:
    """Return the entries of the navigation."""
    return [
        _entry("admin", _l("Overview"), "admin.overview", "layout-dashboard", "module.read", order=1),
        _entry("invitations", _l("Invitations"), "admin.invitations", "mail-forward", "user.create", order=11),
        _entry("rights", _l("Rights"), "admin.rights", "lock", "role.update", order=31),
        _entry("fields", _l("Custom fields"), "admin.field_types", "forms", "custom_field.update", order=40),
        _entry("modules", _l("Modules"), "admin.module_list", "puzzle", "module.read", order=50),
        _entry("events", _l("Events"), "admin.event_list", "bolt", "event.read", order=61),
        _entry("dead", _l("Dead letters"), "admin.dead_list", "alert-triangle", "event.read", order=62),
        _entry("schedules", _l("Schedules"), "jobs.schedule_list", "calendar-time", "job.read", order=60),
        _entry("settings", _l("Settings"), "admin.settings", "adjustments", "setting.read", order=52),
        _entry("health", _l("Health"), "admin.health", "activity", "health.inspect", order=90),
    ]


def _entry(name: str, label: str, endpoint: str, icon: str, permission: str, *, order: int) -> NavItem:
    return NavItem(
        name=f"kernel.{name}",
        label=label,
        endpoint=endpoint,
        icon=icon,
        permission=permission,
        section="administration",
        order=order,
    )
