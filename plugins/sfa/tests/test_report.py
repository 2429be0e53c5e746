"""The figures: counted in SQL, in one currency, the same on both databases."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest
from crm_sfa.opportunities.bulk import create_opportunities
from crm_sfa.pipelines.services import create_pipeline
from crm_sfa.reports.queries import by_quarter, funnel_of, median_of, pipeline_report, won_by_month
from crm_sfa.reports.scope import ReportScope, parse_scope, pipeline_named, visible_teams

from crm_kernel.errors import InvalidInput, NotFound
from crm_kernel.sales.models import ExchangeRate

DAY = dt.date(2026, 3, 31)


def _won(stage, day=DAY, days=10, **values):
    opened = day - dt.timedelta(days=days)
    return {
        "name": "Chairs",
        "stage_id": stage("Won").id,
        "close_date": day,
        "opened_on": opened,
        "amount": Decimal(100),
        **values,
    }


@pytest.mark.parametrize(
    ("distribution", "median"),
    [
        ([], None),
        ([(5, 1)], 5),
        ([(5, 1), (8, 1)], 6.5),
        ([(1, 3), (9, 3)], 5),
        ([(1, 3), (9, 4)], 9),
        ([(-2, 1), (0, 2)], 0),
    ],
)
def test_the_median_of_a_distribution(distribution, median):
    assert median_of(distribution) == median


def test_an_empty_pipeline_has_figures_too(uow, pipeline):
    report = pipeline_report(uow)

    assert (report["won"], report["won_value"], report["by_region"]) == (0, 0, {})
    assert (report["win_rate"], report["mean_won_value"], report["median_days_to_win"]) == (None, None, None)


def test_currencies_are_never_mixed(uow, pipeline, stage):
    uow.session.add(
        ExchangeRate(from_currency="EUR", to_currency="USD", rate=Decimal("1.25"), valid_on=dt.date(2020, 1, 1))
    )

    create_opportunities(uow, [_won(stage), _won(stage, currency="EUR")])

    assert pipeline_report(uow)["won_value"] == Decimal(225)


def test_what_has_no_region_owner_or_day_is_counted_as_unknown(uow, pipeline, stage):
    create_opportunities(uow, [_won(stage, region="East"), _won(stage, close_date=None, opened_on=DAY)])

    report = pipeline_report(uow)

    assert report["by_region"] == {"East": 100, "unknown": 100}
    assert report["by_quarter"] == {"2026Q1": 100, "unknown": 100}
    assert report["by_rep"] == {"unknown": 200}


def test_months_become_quarters(uow, pipeline, stage):
    days = [dt.date(2025, 12, 31), dt.date(2026, 1, 1), DAY, dt.date(2026, 4, 1)]
    create_opportunities(uow, [_won(stage, day=day) for day in days])

    months = won_by_month(uow, ReportScope())

    assert [part.key for part in months] == ["2025-12", "2026-01", "2026-03", "2026-04"]
    assert {part.key: part.deals for part in by_quarter(months)} == {"2025Q4": 1, "2026Q1": 2, "2026Q2": 1}


def test_days_are_counted_across_leap_years(uow, pipeline, stage):
    create_opportunities(
        uow, [_won(stage, day=dt.date(2024, 3, 1), days=366), _won(stage, days=0), _won(stage, days=3)]
    )

    report = pipeline_report(uow)

    assert (report["median_days_to_win"], report["mean_days_to_win"]) == (3, 123)


def test_the_funnel_has_empty_stages_and_weighs_by_probability(uow, pipeline, stage):
    create_opportunities(
        uow,
        [
            {"name": "A", "amount": Decimal(80), "stage_id": stage("Proposal").id},
            {"name": "B", "stage_id": stage("Proposal").id},
        ],
    )

    stages = [(load.name, load.deals, load.value, load.weighted) for load in funnel_of(uow, ReportScope())]

    assert stages == [
        ("Qualification", 0, 0, 0),
        ("Needs analysis", 0, 0, 0),
        ("Proposal", 2, 80, 40),
        ("Negotiation", 0, 0, 0),
    ]


def test_a_scope_limits_to_one_pipeline_and_to_a_team_with_those_below(uow, pipeline, stage, factories):
    other = create_pipeline(uow, {"name": "Tenders"})
    north = factories.record("team", name="North")
    leeds = factories.record("team", name="Leeds", parent=north)
    south = factories.record("team", name="South")
    create_opportunities(
        uow,
        [_won(stage, team_id=team.id) for team in (north, leeds, south)]
        + [{"name": "Open", "pipeline_id": other.id, "team_id": leeds.id}],
    )
    teams = visible_teams(uow)

    whole = parse_scope(uow, {"team": str(north.uid)}, teams)
    part = parse_scope(uow, {"team": str(leeds.uid), "pipeline": str(other.uid)}, teams)

    assert (pipeline_report(uow, whole)["won"], pipeline_report(uow, whole)["open"]) == (2, 1)
    assert (pipeline_report(uow, part)["won"], pipeline_report(uow, part)["open"]) == (0, 1)
    assert set(whole.links()["team__in"].split(",")) == {str(north.uid), str(leeds.uid)}


def test_a_wrong_scope_names_every_wrong_argument(uow, pipeline):
    arguments = {"from": "2026-02-30", "to": "x", "pipeline": "1", "team": "00000000-0000-0000-0000-000000000001"}

    with pytest.raises(InvalidInput) as refused:
        parse_scope(uow, arguments, [])

    assert set(refused.value.errors) == {"from", "to", "pipeline", "team"}


def test_a_pipeline_is_found_by_name_or_the_known_ones_are_listed(uow, pipeline):
    assert pipeline_named(uow, "SALES") == pipeline.uid
    with pytest.raises(NotFound, match="There is no pipeline 'Rentals'; known: Sales"):
        pipeline_named(uow, "Rentals")


def test_the_command_prints_the_report_as_json_and_as_lines(cli, unit):
    with unit() as uow:
        from crm_sfa.pipelines.queries import first_of, stages_of
        from crm_sfa.pipelines.services import ensure_default_pipeline

        won = first_of(stages_of(uow, ensure_default_pipeline(uow).id), "won")
        rows = [
            _won(lambda _name: won, amount=Decimal("99.5"), region="East"),
            _won(lambda _name: won, amount=Decimal(1100)),
        ]
        create_opportunities(uow, rows)

    report = cli("sfa", "report", "--json").json()
    lines = cli("sfa", "report").stdout

    assert (report["won"], report["won_value"], report["win_rate"]) == (2, 1199.5, 1.0)
    assert report["by_region"] == {"East": 99.5, "unknown": 1100}
    assert "by_region: East\t99.50" in lines
    assert "won_value\t1199.50" in lines
    assert json.dumps(report["by_quarter"]) == '{"2026Q1": 1199.5}'


def test_the_command_takes_pipeline_and_period_and_refuses_what_does_not_fit(cli, unit):
    with unit() as uow:
        from crm_sfa.pipelines.services import ensure_default_pipeline

        ensure_default_pipeline(uow)

    assert cli("sfa", "report", "--pipeline", "sales", "--from", "2026-01-01", "--json").json()["won"] == 0
    assert cli("sfa", "report", "--pipeline", "Rentals").exit_code == 3
    backwards = cli("sfa", "report", "--from", "2026-02-01", "--to", "2026-01-01")
    assert (backwards.exit_code, "is before" in backwards.stderr) == (2, True)
