"""``crm sales report``: what the ledger holds, counted in the database."""

from __future__ import annotations

import json

SALES = """id,title,channel,occurred_at,amount,currency,source_plugin,external_ref
,Chairs,web,2026-01-05T10:00:00+00:00,120.50,USD,till,A1
,Table,store,2026-01-06T10:00:00+00:00,80,USD,till,A2
,Chairs back,web,2026-01-07T10:00:00+00:00,-20.25,USD,till,C1
,Lamp,web,2026-01-08T10:00:00+00:00,5,USD,shop,A1
"""


def _report(crm, *options):
    return json.loads(crm("sales", "report", "--json", *options).stdout)


def test_the_ledger_is_counted_in_all_and_by_source_and_reference(crm, instance, tmp_path):
    file = tmp_path / "sales.csv"
    file.write_text(SALES, encoding="utf-8")
    assert crm("import", file, "--record", "sale", "--yes").exit_code == 0

    whole, back = _report(crm), _report(crm, "--source", "till", "--reference", "C")

    assert whole == {
        "sales": 4,
        "lines": 0,
        "customers": 0,
        "products": 0,
        "given_back": 1,
        "lines_given_back": 0,
        "anonymous": 4,
        "lines_anonymous": 0,
        "amounts": {"USD": "185.2500"},
        "base_currency": "USD",
        "base_amount": "185.2500",
    }
    assert (back["sales"], back["amounts"], _report(crm, "--reference", "%")["sales"]) == (1, {"USD": "-20.2500"}, 0)
    assert "amount in USD\t185.2500" in crm("sales", "report").stdout
