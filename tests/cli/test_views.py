"""``crm views``: views are seen, carried over, made the first and removed without a browser."""

from __future__ import annotations

import json

import pytest

ANN, BOB, CAT = "ann@example.com", "bob@example.com", "cat@example.com"
VIEWS = [
    {"name": "Leads", "record_type": "customer", "query": "stage=lead&sort=-created_at", "sharing": "everyone", "author": ANN},
    {"name": "Mine", "record_type": "customer", "columns": ["display_name"], "author": BOB},
    {"name": "Sold", "record_type": "sale", "kind": "calendar", "span": "week", "sharing": "everyone"},
]  # fmt: skip


@pytest.fixture
def taken(crm, instance):
    """Put the views into the instance and return what the command said."""
    assert crm("users", "create", BOB, "--role", "representative").exit_code == 0

    def take(views=VIEWS, *options):
        instance.folder.joinpath("views.json").write_text(json.dumps(views))
        return crm("views", "import", "views.json", *options)

    return take


def names(crm, *options):
    return [view["name"] for view in json.loads(crm("views", "list", "--json", *options).stdout)]


def test_views_are_imported_listed_and_shown(crm, taken):
    made = taken(VIEWS, "--json")

    assert (made.exit_code, json.loads(made.stdout)) == (0, {"created": 3, "changed": 0})
    assert names(crm) == ["Leads", "Mine", "Sold"]
    assert names(crm, "--type", "sale") == ["Sold"]
    shown = json.loads(crm("views", "show", "Mine", "--json").stdout)
    assert (shown["author"], shown["columns"], shown["sharing"]) == (BOB, ["display_name"], "private")
    assert "stage=lead" in crm("views", "show", "Leads").stdout


def test_the_address_of_an_author_is_found_however_it_is_written(crm, taken):
    assert taken([{**VIEWS[1], "author": " Bob@EXAMPLE.com "}]).exit_code == 0

    assert json.loads(crm("views", "show", "Mine", "--json").stdout)["author"] == BOB


def test_an_export_imported_again_changes_and_doubles_nothing(crm, taken):
    taken()
    printed = crm("views", "export").stdout

    again = taken(json.loads(printed))

    assert again.stderr == "0 views created, 3 changed.\n"
    assert crm("views", "export").stdout == printed


def test_the_team_that_a_view_is_shared_with_goes_by_its_name(crm, taken):
    assert crm("teams", "create", "North").exit_code == 0
    assert crm("users", "create", CAT, "--role", "representative", "--team", "North").exit_code == 0
    shared = {**VIEWS[1], "author": CAT, "sharing": "team", "team": "North"}

    made = taken([shared, {**VIEWS[2], "sharing": "team", "team": "North"}])
    refused = taken([{**shared, "team": "Nowhere"}])

    assert made.exit_code == 0, made.stderr
    printed = crm("views", "export").stdout
    assert [view["team"] for view in json.loads(printed)] == ["North", "North"]
    assert json.loads(crm("views", "show", "Mine", "--json").stdout)["team"] == "North"
    assert taken(json.loads(printed)).stderr == "0 views created, 2 changed.\n"
    assert crm("views", "export").stdout == printed
    assert refused.exit_code == 2
    assert "1.team" in refused.stderr


def test_an_import_is_all_or_nothing_and_names_the_view(crm, taken):
    wrong = [*VIEWS, {"name": "New", "record_type": "customer", "query": "gone=1", "sharing": "everyone"}]

    refused = taken(wrong)

    assert refused.exit_code == 2
    assert "4.query" in refused.stderr
    assert names(crm) == []


@pytest.mark.parametrize(
    ("view", "place"),
    [
        ({"name": "X", "record_type": "customer"}, "1.author"),
        ({"name": "X", "record_type": "customer", "author": "nobody@example.com"}, "1.author"),
        ({"name": "X", "record_type": "customer", "author": "nobody"}, "1.author"),
        ({"name": "X", "record_type": "gone", "sharing": "everyone"}, "1.record_type"),
        ("X", "1:"),
    ],
)
def test_a_view_that_fits_nobody_is_refused(taken, view, place):
    refused = taken([view])

    assert refused.exit_code != 0
    assert place in refused.stderr


def test_an_author_shares_no_further_than_he_may(taken):
    refused = taken([{**VIEWS[1], "sharing": "everyone"}])

    assert refused.exit_code != 0
    assert "administrators" in refused.stderr


def test_what_is_no_list_of_views_is_refused(crm, instance):
    for text in ("{", "{}"):
        instance.folder.joinpath("views.json").write_text(text)
        assert crm("views", "import", "views.json").exit_code == 2


def test_a_view_is_made_the_first_for_all_and_for_one(crm, taken):
    taken()

    assert crm("views", "default", "Leads").stderr == "Leads comes first now.\n"
    assert json.loads(crm("views", "show", "Leads", "--json").stdout)["default_for_all"] is True
    assert crm("views", "default", "Leads", "--off").exit_code == 0
    assert json.loads(crm("views", "show", "Leads", "--json").stdout)["default_for_all"] is False
    assert crm("views", "default", "Mine", "--user", BOB).exit_code == 0
    assert crm("views", "default", "Mine", "--user", BOB, "--off").exit_code == 0
    assert crm("views", "default", "Mine", "--user", ANN).exit_code != 0
    assert crm("views", "default", "Mine").exit_code != 0


def test_a_view_is_deleted_by_name_or_id_when_it_is_the_only_one(crm, taken):
    taken([*VIEWS, {**VIEWS[0], "author": None}])

    several = crm("views", "delete", "Leads", "--yes")
    first = json.loads(crm("views", "list", "--json").stdout)[0]["id"]

    assert several.exit_code != 0
    assert first in several.stderr
    assert crm("views", "delete", first, "--yes").exit_code == 0
    assert crm("views", "delete", "Leads", "--yes").exit_code == 0
    assert names(crm) == ["Mine", "Sold"]
    assert "crm views list" in crm("views", "show", "Leads").stderr


def test_a_dry_run_keeps_nothing(crm, taken):
    assert "Dry run" in taken(VIEWS, "--dry-run").stderr
    assert names(crm) == []
