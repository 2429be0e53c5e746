"""The figures of a real CRM export, loaded through the bulk service: what the report says is what is in the files.

The files are not in the repository: ``CRM_SHARED_DATA`` names the folder with ``crm_sales``, else it is looked for
beside the checkout.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from crm_sfa.opportunities.bulk import create_opportunities
from crm_sfa.pipelines.queries import stages_of
from crm_sfa.reports.queries import pipeline_report
from crm_sfa.reports.scope import ReportScope

from crm_kernel.access.models import AppUser
from crm_kernel.sales.models import Sale

FOLDER = Path(os.environ.get("CRM_SHARED_DATA") or Path(__file__).parents[3].parent / "shared" / "data") / "crm_sales"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no folder {FOLDER}: set CRM_SHARED_DATA")


def _rows(name: str) -> list[dict[str, str]]:
    opener = gzip.open if name.endswith(".gz") else open
    with opener(FOLDER / name, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _owners(uow: Any) -> dict[str, int]:
    names = [row["Sales_Agent"] for row in _rows("sales_teams.csv")]
    users = [AppUser(name=name, email=f"{n}@crm.test", fs_uniquifier=str(n)) for n, name in enumerate(names)]
    uow.session.add_all(users)
    uow.session.flush()
    return {user.name: user.id for user in users}


def _opportunities(uow: Any, pipeline: Any) -> list[dict[str, Any]]:
    owners = _owners(uow)
    regions = {row["Sales_Agent"]: row["Regional_Office"] for row in _rows("sales_teams.csv")}
    by_category = {stage.category: stage.id for stage in reversed(stages_of(uow, pipeline.id))}
    category = {"Won": "won", "Lost": "lost", "In_Progress": "open"}
    return [
        {
            "name": f"{row['Product']} {row['Opportunity_ID']}",
            "stage_id": by_category[category[row["Deal_Stage"]]],
            "amount": Decimal(row["Close_Value"]) if row["Close_Value"] else None,
            "close_date": dt.date.fromisoformat(row["Close_Date"]) if row["Close_Date"] else None,
            "opened_on": dt.date.fromisoformat(row["Created_On"]),
            "owner_id": owners[row["Sales_Agent"]],
            "region": regions[row["Sales_Agent"]],
            "source": "crm_sales",
            "external_ref": row["Opportunity_ID"],
        }
        for row in _rows("sales_pipeline.csv.gz")
    ]


def test_report_and_ledger_reproduce_the_figures_of_the_export(uow, pipeline, count_queries):
    create_opportunities(uow, _opportunities(uow, pipeline))

    with count_queries() as queries:
        report = pipeline_report(uow)

    queries.at_most(5)
    reps = report.pop("by_rep")
    assert report == {
        "currency": "USD",
        "won": 3137,
        "lost": 1711,
        "open": 2218,
        "won_value": Decimal(8507639),
        "win_rate": 0.64707,
        "mean_won_value": Decimal("2720.7032"),
        "median_days_to_win": 51,
        "mean_days_to_win": 49.879,
        "won_without_value": 10,
        "by_region": {"Central": 2633939, "East": 3057683, "West": 2816017},
        "by_quarter": {"2017Q1": 293470, "2017Q2": 1654986, "2017Q3": 3708677, "2017Q4": 2850506},
    }
    assert list(reps.items())[:3] == [("Darcel Schlecht", 977203), ("Cassey Cress", 466552), ("Zane Levy", 429218)]

    sales = sa.select(sa.func.count(), sa.func.sum(Sale.base_amount)).where(Sale.source_plugin == "sfa")
    assert uow.session.execute(sales).one() == (3127, Decimal(8507639))
    third = pipeline_report(uow, ReportScope(closed_from=dt.date(2017, 7, 1), closed_to=dt.date(2017, 9, 30)))
    assert third["won_value"] == third["by_quarter"]["2017Q3"] == Decimal(3708677)
    assert third["open"] == 2218
