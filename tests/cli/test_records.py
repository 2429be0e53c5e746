"""``crm records fields`` and ``crm export --where``: what can be asked, and asking it."""

from __future__ import annotations

import json


def test_fields_and_relations_are_listed_for_people_and_programs(crm, instance):
    shown = crm("records", "fields", "team").stdout.splitlines()
    read = json.loads(crm("records", "fields", "team", "--json").stdout)

    assert shown[0] == "name\tlabel\tkind\toperators"
    assert next(line for line in shown if line.startswith("parent\t")).endswith("\treference\teq ne in empty")
    assert "customer.team\tCustomers\trelation\thas" in shown
    assert {"user.team", "team.parent"} <= {relation["name"] for relation in read["relations"]}


def test_a_tree_narrows_an_export_and_its_errors_name_the_place(crm, instance):
    crm("teams", "create", "Sales")
    crm("teams", "create", "North", "--parent", "Sales")
    above = json.dumps({"has": "team.parent", "where": {"not": {"field": "name", "op": "startswith", "value": "s"}}})

    found = crm("export", "team", "--fields", "name", "--format", "jsonl", "--where", above)
    refused = crm("export", "team", "--where", '{"has": "team.boss"}')

    assert [json.loads(line)["name"] for line in found.stdout.splitlines()] == ["Sales"]
    assert refused.exit_code == 2
    assert "filter.has: Unknown relation team.boss" in refused.stderr
