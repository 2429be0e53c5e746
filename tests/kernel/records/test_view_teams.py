"""Which team a view is shared with: one of its author's, whoever says so."""

from __future__ import annotations

import re

import pytest

THING = "toyrecords.thing"


@pytest.fixture
def teams(unit):
    """Make North with North West below it, and South: name → public id."""
    from crm_kernel.access.services import create_team

    with unit() as uow:
        north = create_team(uow, name="North")
        below = create_team(uow, name="North West", parent_id=north.id)
        south = create_team(uow, name="South")
        return {team.name: str(team.uid) for team in (north, below, south)}


@pytest.fixture
def author(types, api, teams):
    """Give a representative of North, below which there is another team."""
    return api("representative", team="North", name="Nora")


def saved(client, **fields):
    answer = client.post("/api/views", {"name": "Ours", "record_type": THING, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json


def everybodys(unit, view):
    """Share a view with everybody as the system."""
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.services import update_record

    with unit() as uow:
        update_record(uow, record_type("saved_view"), view["id"], {"sharing": "everyone"}, version=view["version"])
    return f"/api/views/{view['id']}"


def offered(page, name):
    """Return what a select offers: value → label."""
    found = re.search(rf'<select[^>]*name="{name}".*?</select>', page, re.DOTALL)
    return dict(re.findall(r'<option value="([^"]*)"[^>]*>([^<]*)<', found[0])) if found else None


def test_a_view_goes_to_its_authors_own_team_unless_another_of_his_is_named(author, teams):
    own, below = saved(author, sharing="team"), saved(author, sharing="team", team=teams["North West"])
    private = saved(author, team=teams["North"])

    assert own["team"] == {"id": teams["North"], "title": "North"}
    assert below["team"]["title"] == "North West"
    assert private["team"] is None


@pytest.mark.parametrize("team", ["South", None])
def test_an_administrator_shares_a_view_with_the_team_of_its_author(author, api, unit, teams, team):
    admin, address = api("administrator", team=team), everybodys(unit, saved(author))

    shared = admin.patch(address, {"sharing": "team"})
    moved = admin.patch(address, {"team": teams["North West"]})
    refused = admin.patch(address, {"team": teams["South"]})

    assert (shared.status_code, shared.json["team"]["title"]) == (200, "North")
    assert (moved.status_code, moved.json["team"]["title"]) == (200, "North West")
    assert refused.status_code == 422
    assert refused.json["errors"] == {"team": ["Expected a team of the view’s author: North, North West."]}


def test_a_view_whose_author_is_in_no_team_is_shared_with_none(types, api, unit):
    address = everybodys(unit, saved(api("representative")))

    refused = api("administrator", team="South").patch(address, {"sharing": "team"})

    assert refused.json["errors"] == {"sharing": ["Its author is in no team."]}


def test_a_view_without_an_author_is_shared_with_a_team_that_is_named(types, teams, unit):
    from crm_kernel.errors import InvalidInput
    from crm_kernel.records.saved_views.exchange import take_views

    entry = {"name": "Ours", "record_type": THING, "sharing": "team"}

    with pytest.raises(InvalidInput) as refused, unit() as uow:
        take_views(uow, [entry])
    with unit() as uow:
        taken = take_views(uow, [{**entry, "team": "South"}])

    assert refused.value.errors == {"1.team": ["A view without an author needs its team."]}
    assert taken == {"created": 1, "changed": 0}


def test_its_team_is_forgotten_when_a_view_is_shared_otherwise(author):
    view = saved(author, sharing="team")

    assert author.patch(f"/api/views/{view['id']}", {"sharing": "private"}).json["team"] is None


def test_the_form_offers_the_teams_of_the_author(author, login, unit, teams):
    address = everybodys(unit, saved(author)).removeprefix("/api")
    admin = login("administrator", team="South")

    page = admin.get(f"{address}/edit").text
    saving = admin.post(f"{address}/edit", data={"version": "2", "sharing": "team", "team": teams["North West"]})

    assert offered(page, "team") == {"": "–", teams["North"]: "North", teams["North West"]: "North West"}
    assert "team" in offered(page, "sharing")
    assert saving.status_code == 303
    assert re.search(r"North West", admin.get(address).text)


def test_whoever_is_in_several_teams_chooses_one_when_he_saves(types, login, teams):
    north, south = login("representative", team="North"), login("representative", team="South")
    sent = {"record_type": THING, "kind": "list", "query": "", "columns": "", "name": "Below", "sharing": "team"}

    page = north.get("/toyrecords/things").text
    north.post("/views/save", data={**sent, "team": teams["North West"]})

    assert offered(page, "team") == {teams["North"]: "North", teams["North West"]: "North West"}
    assert offered(south.get("/toyrecords/things").text, "team") is None
    assert "Below</a>" in login("representative", team="North West").get("/toyrecords/things").text
