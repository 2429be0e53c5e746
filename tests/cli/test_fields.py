"""``crm fields``: what an administrator declares on the command line is there at once."""

from __future__ import annotations

import json

import pytest

ADD = ("fields", "add", "customer", "tier", "--kind", "choice", "--choice", "gold=Gold", "--choice", "tin")


def listed(crm, *arguments):
    return json.loads(crm("fields", "list", *arguments, "--json").stdout)


def test_a_field_is_declared_changed_archived_and_removed(crm, instance):
    added = crm(*ADD, "--label", "en=Tier", "--label", "fr=Niveau", "--indexed")
    changed = crm("fields", "change", "customer", "cf_tier", "--label", "fr=Rang", "--listed")
    archived = crm("fields", "archive", "customer", "tier")
    gone = crm("fields", "remove", "customer", "tier", "--yes", "--json")

    assert (added.exit_code, added.stderr) == (0, "customer has a field cf_tier now.\n")
    assert [changed.exit_code, archived.exit_code, gone.exit_code] == [0, 0, 0]
    assert json.loads(gone.stdout)["rows"] == 0
    assert listed(crm) == []


def test_fields_of_a_section_are_put_in_order(crm, instance):
    for name in ("a", "b"):
        crm("fields", "add", "customer", name, "--kind", "text")

    moved, again = crm("fields", "move", "customer", "b", "up"), crm("fields", "move", "customer", "b", "up")

    assert [field["name"] for field in listed(crm)] == ["cf_b", "cf_a"]
    assert (moved.stderr, again.stderr) == ("cf_b is moved.\n", "cf_b is at the end already.\n")


def test_a_field_goes_back_to_the_section_at_the_end(crm, instance):
    crm(*ADD, "--section", "Person")

    crm("fields", "change", "customer", "tier", "--section", "")

    assert listed(crm)[0]["section"] is None


def test_the_list_says_everything_about_a_field(crm, instance):
    crm(*ADD, "--default", "gold", "--section", "Person")

    found = listed(crm, "customer")[0]

    assert (found["name"], found["kind"], found["default"], found["section"]) == ("cf_tier", "choice", "gold", "Person")
    assert [choice["value"] for choice in found["choices"]] == ["gold", "tin"]


def test_a_dry_run_says_what_would_be_and_adds_nothing(crm, instance):
    result = crm(*ADD, "--dry-run", "--json")

    assert json.loads(result.stdout)["name"] == "cf_tier"
    assert listed(crm) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add", "customer", "Tier", "--kind", "text"],                       2, "expected lower-case letters"),
        (["add", "nothing", "tier", "--kind", "text"],                        3, "no record type 'nothing'"),
        (["add", "customer", "tier", "--kind", "text", "--label", "Tier"],    2, "expected for example en=Tier"),
        (["add", "customer", "tier", "--kind", "choice"],                     2, "at least one choice"),
        (["change", "customer", "tier", "--listed"],                          3, "has no custom field cf_tier"),
        (["remove", "customer", "tier", "--yes"],                             3, "has no custom field cf_tier"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(crm, instance, arguments, code, words):
    result = crm("fields", *arguments)

    assert (result.exit_code, words in result.stderr) == (code, True), result.stderr


def test_an_added_field_is_exported_and_imported(crm, instance, tmp_path):
    crm(*ADD)
    file = tmp_path / "customers.csv"
    file.write_text("kind,display_name,cf_tier\norganization,Acme,gold\n", "utf-8")

    imported = crm("import", file, "--record", "customer", "--yes", "--json")
    exported = crm("export", "customer")

    assert imported.exit_code == 0, imported.stderr
    lines = exported.stdout.splitlines()
    assert dict(zip(lines[0].lstrip("\ufeff").split(","), lines[1].split(","), strict=True))["cf_tier"] == "gold"
