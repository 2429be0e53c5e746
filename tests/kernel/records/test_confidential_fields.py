"""Who does not administer users sees their names, teams and whether they are active: in every channel nothing else."""

from __future__ import annotations

import pytest

from crm_kernel.testing.people import add_user

SHOWN = {"id", "version", "name", "team", "active"}
HIDDEN = {"email", "language", "timezone", "roles", "created_at", "updated_at"}


@pytest.fixture
def ada(unit):
    """Somebody to be looked up: her address begins with a word of its own."""
    with unit() as uow:
        user = add_user(uow, "manager", name="Ada Lovelace", team="North")
        user.email = "countess@crm.test"
        uow.session.flush()
        return user.uid


@pytest.fixture
def rep(api):
    """An API client of a representative who may export."""
    return api(grants={"user.read": "all", "user.export": "all", "team.read": "all"})


def test_the_api_shows_names_and_teams(rep, ada):
    one = rep.get(f"/api/users/{ada}").json
    listed = next(item for item in rep.get("/api/users").json["items"] if item["id"] == str(ada))

    assert set(one) - {"extensions"} == set(listed) - {"extensions"} == SHOWN
    assert (one["name"], one["team"]["title"], one["active"]) == ("Ada Lovelace", "North", True)


def test_naming_hidden_fields_does_not_show_them(rep, ada):
    asked = ",".join(sorted(HIDDEN))

    assert not HIDDEN & set(rep.get(f"/api/users/{ada}", fields=asked).json)
    assert not HIDDEN & set(rep.get("/api/users", fields=asked).json["items"][0])


@pytest.mark.parametrize(
    "query",
    [{"email": "countess@crm.test"}, {"email__contains": "countess"}, {"sort": "email"}, {"sort": "-created_at"}],
)
def test_nobody_filters_or_sorts_by_what_he_does_not_see(rep, ada, query):
    answer = rep.get("/api/users", **query)

    assert answer.status_code == 403
    assert "user.update" in answer.json["detail"]


def test_a_search_finds_names_and_no_addresses(rep, login, ada):
    client = login(grants={"user.read": "all", "team.read": "all"})

    assert [item["name"] for item in rep.get("/api/users", q="love").json["items"]] == ["Ada Lovelace"]
    assert rep.get("/api/users", q="countess").json["items"] == []
    assert [item["title"] for item in client.get("/users/suggest?q=ada").json] == ["Ada Lovelace"]
    assert client.get("/users/suggest?q=countess").json == []
    assert "Ada Lovelace" in client.get("/search?q=lovelace").get_data(as_text=True)
    assert "Ada Lovelace" not in client.get("/search?q=countess").get_data(as_text=True)


def test_pages_show_no_addresses(login, ada):
    client = login(grants={"user.read": "all", "team.read": "all"})
    pages = [client.get(path).get_data(as_text=True) for path in ("/users", f"/users/{ada}")]

    assert all("Ada Lovelace" in page for page in pages)
    assert not any("countess" in page or "E-mail" in page or "manager" in page for page in pages)


def test_an_export_has_no_column_of_them(login, ada):
    client = login(grants={"user.read": "all", "user.export": "all", "team.read": "all"})
    lines = client.get("/users/export.csv").get_data(as_text=True).lstrip("\ufeff").splitlines()

    assert lines[0] == "id,name,team,team.id,active"
    assert "countess" not in "".join(lines)
    assert client.get("/users/export.csv?sort=email").status_code == 403


@pytest.mark.parametrize("scopes", [None, ["*.read"]])
def test_an_administrator_sees_all_of_it_by_a_reading_token_too(api, ada, scopes):
    admin = api("administrator", scopes=scopes)

    assert set(admin.get(f"/api/users/{ada}").json) >= HIDDEN
    assert [item["email"] for item in admin.get("/api/users", q="countess").json["items"]] == ["countess@crm.test"]
    assert admin.get("/api/users", sort="email").status_code == 200
