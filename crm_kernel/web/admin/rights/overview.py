"""Roles beside permissions, in parts that open: how far each role really reaches, patterns spelt out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, render_template, request, url_for

from crm_kernel.access.action_schemas import SCOPES
from crm_kernel.access.actor import Scope
from crm_kernel.access.models import Role
from crm_kernel.errors import NotFound
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.admin.rights.catalogue import Listed, grants_by_role, parts_of, permissions_by_module, reaches
from crm_kernel.web.edge import permission


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the matrix."""
    blueprint.add_url_rule("/rights", view_func=rights)


@permission("role.update")
def rights() -> str:
    """Show the permissions, of all modules or of one, with how far each role reaches; two queries."""
    uow, modules = current_uow(), permissions_by_module()
    module = request.args.get("module", "")
    if module and module not in modules:
        raise NotFound(module)
    shown = {name: listed for name, listed in modules.items() if module in ("", name)}
    names = [one.name for listed in shown.values() for one in listed]
    cells = {role: reaches(grants, names) for role, grants in grants_by_role(uow).items()}
    uids = dict(uow.session.execute(sa.select(Role.name, Role.uid)).all())
    return render_template(
        "admin/rights/matrix.html",
        modules=[{"name": name, "active": name == module} for name in ("", *modules)],
        sections=[{"module": name, "parts": _parts(listed, cells)} for name, listed in shown.items()],
        roles=[{"name": role, "url": url_for("admin.role_rights", uid=uids[role])} for role in cells],
        cells={role: {name: scope.name.lower() for name, scope in found.items()} for role, found in cells.items()},
        scopes=SCOPES,
    )


def _parts(listed: Sequence[Listed], cells: Mapping[str, Mapping[str, Scope]]) -> list[dict[str, Any]]:
    return [
        {
            "label": about,
            "rows": rows,
            "given": {role: sum(row.name in reached for row in rows) for role, reached in cells.items()},
        }
        for about, rows in parts_of(listed)
    ]
