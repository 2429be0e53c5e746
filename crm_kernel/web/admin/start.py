"""The overview of administration: every page of that section the reader may open, and what waits for him.

It lists the navigation itself, so that a module's page appears here by being in the section ``administration``.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, render_template, url_for

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import Scope
from crm_kernel.jobs.queries import backlogs
from crm_kernel.records.plan import record_types
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission
from crm_kernel.web.shell import entries_of


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the overview."""
    blueprint.add_url_rule("/", view_func=overview)


@permission("authenticated")
def overview() -> str:
    """Show the pages of administration; one query, for what failed for good."""
    uow, runtime = current_uow(), runtime_of(current_app)
    pages = [entry for entry in entries_of("administration") if entry["endpoint"] != "admin.overview"]
    return render_template("admin/start.html", pages=pages + _views(), waiting=_waiting() if uow.actor.may("job.read") else [],
                           failed=sorted(runtime.manager.failed) if uow.actor.may("module.read") else [])  # fmt: skip


def _views() -> list[dict[str, Any]]:
    """Return the list of saved views, for who looks after everybody's: all others reach theirs from their lists."""
    found = record_types().get("saved_view")
    if found is None or current_uow().actor.scope_of("saved_view.update") is not Scope.ALL:
        return []
    return [{"url": url_for(f"{found.endpoint}_list"), "icon": found.icon, "label": found.label_plural}]


def _waiting() -> list[dict[str, Any]]:
    dead_url = url_for("jobs.listing", state="dead")
    return [{"module": b.module, "dead": b.dead, "url": dead_url} for b in backlogs(current_uow()) if b.dead]
