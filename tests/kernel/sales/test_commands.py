"""The command that a missing exchange rate names does what it says."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from crm_kernel.sales.money import rate_on


def test_the_command_that_the_refusal_names_adds_the_rates(cli, unit, tmp_path):
    file = tmp_path / "rates.csv"
    file.write_text("from_currency,to_currency,rate,valid_on\nEUR,USD,1.0825,2026-03-01\nGBP,USD,1.27,2026-03-01\n")

    done = cli("import", file, "--record", "exchange_rate", "--yes")

    assert done.exit_code == 0, done.stderr
    with unit() as uow:
        assert rate_on(uow, "EUR", dt.date(2026, 3, 2)) == Decimal("1.0825")


def test_the_job_of_a_revaluation_is_shown_by_the_command_it_names(cli):
    done = cli("rates", "revalue", "--yes")
    named = done.stderr.rpartition("crm ")[2].split()

    shown = cli(*named)

    assert named[:2] == ["jobs", "show"], done.stderr
    assert (shown.exit_code, "kernel.revalue" in shown.stdout) == (0, True), shown.stdout
