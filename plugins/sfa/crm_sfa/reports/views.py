"""The pages of the module that no record type gives: the pipeline dashboard."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission
from crm_sfa.reports.dashboard import dashboard_context
from crm_sfa.reports.scope import parse_scope, visible_teams

blueprint = Blueprint("sfa", __name__)


@blueprint.get("/dashboard")
@permission("sfa.dashboard.read")
def dashboard() -> str:
    """Show the figures of the pipelines; pipeline, team and period are in the address."""
    uow = current_uow()
    arguments = request.args.to_dict()
    teams = visible_teams(uow)
    scope = parse_scope(uow, arguments, teams)
    return render_template("sfa/dashboard.html", **dashboard_context(uow, scope, teams, arguments))
