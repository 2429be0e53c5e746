"""Every permission there is, by module, with a sentence that says what it allows; and how far roles reach with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import Scope, matches
from crm_kernel.access.grants import effective_grants
from crm_kernel.access.models import Role, RolePermission

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Verb of a record type → what it allows.
_VERBS: Mapping[str, Any] = {
    "read": _l("See them: pages, lists, search, API"),
    "create": _l("Add new ones, by form, import and API"),
    "update": _l("Change them"),
    "delete": _l("Delete them"),
    "export": _l("Take them out as a file"),
    "import": _l("Bring them in from a file"),
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One permission: its name, whom it is about, and what it allows."""

    name: str
    about: str
    allows: str
    #: Whether own and team make a difference; else a narrower grant reads at most.
    scoped: bool


def permissions_by_module() -> dict[str, list[Listed]]:
    """Return every permission that can be granted: module → permissions in the order of their names. No query."""
    registry = runtime_of(current_app).registry
    types = {found.name: found for found in registry.all("record_types")}
    found: dict[str, list[Listed]] = {}
    for name, label in registry.permissions().items():
        host, _dot, verb = name.rpartition(".")
        kind = types.get(host)
        if kind is None or registry.get("permissions", name) is not None:
            listed = Listed(name, "", str(label), bool(kind and kind.owned))
        else:
            action = kind.action(verb)
            allows = _VERBS.get(verb) or (action.label if action else _("Do “%(verb)s” with them", verb=verb))
            listed = Listed(name, str(kind.label_plural), str(allows), bool(kind.owned or kind.author))
        found.setdefault(_module(name, kind), []).append(listed)
    return {module: sorted(found[module], key=lambda p: p.name) for module in sorted(found, key=_kernel_first)}


def parts_of(listed: Iterable[Listed]) -> list[tuple[str, list[Listed]]]:
    """Return permissions by whom they are about, in the order of these names; what is about nobody's records first."""
    found: dict[str, list[Listed]] = {}
    for one in listed:
        found.setdefault(one.about, []).append(one)
    return sorted(found.items())


def grants_by_role(uow: UnitOfWork) -> dict[str, dict[str, Scope]]:
    """Return role → what it says itself, pattern → scope; roles by name; one query."""
    rows = sa.select(Role.name, RolePermission.permission, RolePermission.scope).outerjoin(
        RolePermission, RolePermission.role_id == Role.id
    )
    found: dict[str, dict[str, Scope]] = {}
    for name, pattern, scope in uow.session.execute(rows.order_by(Role.name, RolePermission.permission)):
        grants = found.setdefault(name, {})
        if pattern is not None:
            grants[pattern] = Scope(scope)
    return found


def reaches(grants: Mapping[str, Scope], permissions: Iterable[str]) -> dict[str, Scope]:
    """Return how far these grants really reach: permission → scope, without those they do not give. No query."""
    effective = effective_grants(grants, runtime_of(current_app).registry)
    found = {}
    for permission in permissions:
        scope = max((s for pattern, s in effective.items() if matches(pattern, permission)), default=None)
        if scope is not None:
            found[permission] = scope
    return found


def _module(name: str, kind: Any) -> str:
    if kind is not None:
        return str(kind.plugin)
    registry = runtime_of(current_app).registry
    return registry.owner("permissions", name) if registry.get("permissions", name) is not None else "kernel"


def _kernel_first(module: str) -> tuple[bool, str]:
    return (module != "kernel", module)
