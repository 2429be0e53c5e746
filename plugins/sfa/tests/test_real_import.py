"""The mapping ``crm_sales`` on a real export: the figures of the files, and a second import that changes nothing."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from crm_sfa.reports.queries import pipeline_report
from crm_sfa.reports.scope import ReportScope

from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.models import AppUser, AuditLog, Team
from crm_kernel.customers.models import Customer
from crm_kernel.records.importing import Mode, Verdict, import_folder, load_mapping
from crm_kernel.sales.models import Product, Sale

FOLDER = Path(os.environ.get("CRM_SHARED_DATA") or Path(__file__).parents[3].parent / "shared" / "data") / "crm_sales"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no folder {FOLDER}: set CRM_SHARED_DATA")


def test_the_mapping_brings_a_real_export_in_once(crm_app, unit):
    with crm_app.app_context():
        mapping = load_mapping("crm_sales")
        first = import_folder(mapping, FOLDER, actor=SYSTEM)
        with unit() as uow:
            logged = uow.session.scalar(sa.select(sa.func.count(AuditLog.id)))
        second = import_folder(mapping, FOLDER, actor=SYSTEM, mode=Mode.ATOMIC)

    assert (first.refused, first.failure) == (0, None), first.to_json()
    assert (second.total(Verdict.CREATED), second.total(Verdict.UPDATED), second.failure) == (0, 0, None)
    with unit() as uow:
        report = pipeline_report(uow, ReportScope())
        numbers = {
            model: uow.session.scalar(sa.select(sa.func.count(model.id))) for model in (Customer, Team, Product, Sale)
        }
        agent = uow.session.scalars(sa.select(AppUser).where(AppUser.name == "Darcel Schlecht")).one()
        team = uow.session.get_one(Team, agent.team_id)
        assert uow.session.scalar(sa.select(sa.func.count(AuditLog.id))) == logged
        assert (team.name, uow.session.get_one(Team, team.parent_id).name) == ("Team Melvin Marxen", "East")
    assert numbers == {Customer: 49, Team: 9, Product: 8, Sale: 3_127}
    assert (report["won"], report["open"], report["lost"], report["won_without_value"]) == (3_137, 2_218, 1_711, 10)
    assert (report["won_value"], report["win_rate"], report["median_days_to_win"]) == (Decimal(8_507_639), 0.64707, 51)
    assert report["by_region"] == {"Central": 2_633_939, "East": 3_057_683, "West": 2_816_017}
    assert list(report["by_quarter"].values()) == [293_470, 1_654_986, 3_708_677, 2_850_506]
    assert [report["by_rep"][name] for name in ("Darcel Schlecht", "Cassey Cress", "Zane Levy")] == [
        977_203,
        466_552,
        429_218,
    ]
