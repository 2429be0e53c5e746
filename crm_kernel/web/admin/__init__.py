"""The pages of administration: an overview, modules, events and dead letters, settings, health.

Every page that changes something names the command that does the same: nobody has to choose between the two for good.
Users, teams, roles and fields are record types; jobs, the audit log and what modules bring have pages of their own.
"""

from __future__ import annotations

from flask import Blueprint
from flask_babel import lazy_gettext as _l

from crm_kernel.contributions import NavItem, Permission
from crm_kernel.web.admin import events, health, modules, start


def blueprint() -> Blueprint:
    """Return the blueprint of the pages, under ``/admin``."""
    found = Blueprint("admin", __name__, url_prefix="/admin")
    for part in (start, modules, events, health):
        part.add_routes(found)
    return found


def permissions() -> list[Permission]:
    """Return what may be granted over administration."""
    return [
        Permission(name="module.read", label=_l("Modules: read")),
        Permission(name="module.update", label=_l("Modules: enable, disable, upgrade")),
        Permission(name="event.read", label=_l("Events and deliveries: read")),
        Permission(name="event.update", label=_l("Events and deliveries: deliver again, discard")),
        Permission(name="health.inspect", label=_l("Health of the instance: inspect")),
    ]


def nav() -> list[NavItem]:
    """Return the entries of the navigation."""
    return [
        _entry("admin", _l("Overview"), "admin.overview", "layout-dashboard", "module.read", order=1),
        _entry("modules", _l("Modules"), "admin.module_list", "puzzle", "module.read", order=50),
        _entry("events", _l("Events"), "admin.event_list", "bolt", "event.read", order=61),
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
