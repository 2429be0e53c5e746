"""What roles say of single fields holds on every channel: a secret that is hidden appears nowhere."""

from __future__ import annotations

import pytest

from crm_kernel.access.models import AppUser
from crm_kernel.access.services import assign_role, create_role, grant, role_named
from crm_kernel.access.services.field_rules import free_field, restrict_field
from crm_kernel.errors import Conflict, InvalidInput

SECRET = "canary7319"
THING = "toyrecords.thing"


@pytest.fixture
def secret(add, make, unit):
    """A thing with a secret in a custom field, another in its own field and another in an extension; its id."""
    add("cf_secret", "text", searchable=True, listed=True)
    uid = make("lamp", cf_secret=SECRET, amount="7319", currency="EUR", extensions={"toyrecords": {"stars": 3}})
    return uid


@pytest.fixture
def rule(unit):
    """Restrict fields for the managers: ``rule("cf_secret", "hidden")``."""

    def run(*rules, role="manager"):
        with unit() as uow:
            for field, access in rules:
                restrict_field(uow, role_named(uow, role), THING, field, access)

    return run


def patch(manager, uid, changes):
    """Send a change of a thing at version 1."""
    headers = {"If-Match": '"1"'}
    return manager.api.open("PATCH", f"/api/toyrecords/things/{uid}", json=changes, headers=headers)


def pages_of(client, uid):
    yield "list", client.get("/toyrecords/things")
    yield "board", client.get("/toyrecords/things?view=board")
    yield "detail", client.get(f"/toyrecords/things/{uid}")
    yield "form", client.get(f"/toyrecords/things/{uid}/edit")
    yield "new", client.get("/toyrecords/things/new")
    yield "export", client.get("/toyrecords/things/export.csv")
    yield "search", client.get(f"/search?q={SECRET}")


@pytest.fixture
def manager(unit, login, api):
    """Somebody with a role of his own over all things: ``manager.page``, ``manager.api``."""
    from types import SimpleNamespace

    with unit() as uow:
        role = create_role(uow, name="keeper")
        grant(uow, role, "toyrecords.*")
    page, client = login("keeper"), api("keeper")
    return SimpleNamespace(page=page, api=client)


def test_a_hidden_field_is_on_no_page_and_in_no_answer(secret, rule, manager):
    rule(("cf_secret", "hidden"), ("amount", "hidden"), ("toyrecords.stars", "hidden"), role="keeper")

    answers = dict(pages_of(manager.page, secret))
    read = manager.api.get(f"/api/toyrecords/things/{secret}").json
    listed = manager.api.get("/api/toyrecords/things").json["items"][0]

    for name, answer in answers.items():
        text = answer.get_data(as_text=True)
        assert answer.status_code == 200, (name, answer.status_code)
        for word in (
            "cf_secret",
            SECRET if name != "search" else "lamp",
            "7319" if name != "search" else "lamp",
            "stars",
        ):
            assert word not in text, (name, word)
    for item in (read, listed):
        assert not {"cf_secret", "amount"} & item.keys()
        assert item["extensions"] == {"toyrecords": {}}


def test_a_hidden_field_is_no_filter_no_sort_and_no_search(secret, rule, manager):
    rule(("cf_secret", "hidden"), role="keeper")

    for query in ({"cf_secret": SECRET}, {"sort": "cf_secret"}, {"cf_secret__empty": "true"}):
        answer = manager.api.get("/api/toyrecords/things", **query)
        assert answer.status_code in (403, 422), query
        assert "cf_secret" in answer.get_data(as_text=True)
    assert manager.api.get("/api/toyrecords/things", q=SECRET).json["items"] == []
    assert len(manager.api.get("/api/toyrecords/things", q="lamp").json["items"]) == 1


@pytest.mark.parametrize("access", ["hidden", "read"])
@pytest.mark.parametrize(
    ("field", "payload"),
    [
        ("cf_secret",                  {"cf_secret": "x"}),
        ("amount",                     {"amount": "1"}),
        ("extensions.toyrecords.stars", {"extensions": {"toyrecords": {"stars": 1}}}),
    ],
)  # fmt: skip
def test_a_locked_field_refuses_writes_by_name_and_nothing_changes(secret, rule, manager, read, access, field, payload):
    rule((field.removeprefix("extensions."), access), role="keeper")
    before = read()[0]

    changed = patch(manager, secret, payload)
    created = manager.api.open("POST", "/api/toyrecords/things", json={"name": "new", **payload})

    assert (changed.status_code, created.status_code) == (403, 403)
    assert field in changed.json["detail"]
    assert field in created.json["detail"]
    assert read() == [before]


def test_a_field_that_is_read_only_is_shown_and_stays_when_the_form_is_saved(secret, rule, manager, read):
    rule(("cf_secret", "read"), ("amount", "read"), role="keeper")

    form = manager.page.get(f"/toyrecords/things/{secret}/edit").get_data(as_text=True)
    saved = manager.page.post(
        f"/toyrecords/things/{secret}/edit", data={"name": "torch", "state": "new", "version": "1", "cf_secret": "x"}
    )

    assert 'name="cf_secret"' not in form
    assert SECRET in manager.page.get(f"/toyrecords/things/{secret}").get_data(as_text=True)
    assert saved.status_code == 303
    found = read()[0]
    assert (found["name"], found["cf_secret"], str(found["amount"])) == ("torch", SECRET, "7319.0000")


def test_an_import_that_gives_a_locked_field_is_refused_before_a_row_is_read(secret, rule, manager, crm_app, tmp_path):
    from crm_kernel.access.actor import Actor, Scope
    from crm_kernel.errors import Forbidden
    from crm_kernel.records.importing import import_file
    from crm_kernel.records.importing.mapping import plain_mapping

    file = tmp_path / "things.csv"
    file.write_text("name,cf_secret\nnew,x\n", "utf-8")
    actor = Actor(
        kind="user", name="kim", user_id=1, grants={"*": Scope.ALL}, field_rules={THING: {"cf_secret": "read"}}
    )

    with crm_app.app_context(), pytest.raises(Forbidden, match="cf_secret"):
        import_file(plain_mapping(file, THING), file, actor=actor)


def test_the_most_permissive_role_wins_and_only_one_that_grants_the_type_counts(secret, rule, unit, manager, api):
    rule(("cf_secret", "hidden"), role="keeper")
    with unit() as uow:
        other = create_role(uow, name="elsewhere")
        grant(uow, other, "customer.read")
        open_ = create_role(uow, name="open")
        grant(uow, open_, "toyrecords.thing.read")
        assign_role(uow, uow.session.get(AppUser, manager.api.user.id), other)
    hidden = manager.api.get(f"/api/toyrecords/things/{secret}").json
    with unit() as uow:
        assign_role(uow, uow.session.get(AppUser, manager.api.user.id), role_named(uow, "open"))
    shown = manager.api.get(f"/api/toyrecords/things/{secret}").json
    refused = patch(manager, secret, {"cf_secret": "x"})

    assert "cf_secret" not in hidden
    assert shown["cf_secret"] == SECRET
    # The open role only reads: what it shows it does not let be written.
    assert refused.status_code == 403


def test_a_rule_costs_no_query_and_holds_from_the_next_request_on(secret, rule, manager, count_queries, unit):
    manager.api.get("/api/toyrecords/things")
    with count_queries() as before:
        manager.api.get("/api/toyrecords/things")
    rule(("cf_secret", "hidden"), role="keeper")
    manager.api.get("/api/toyrecords/things")
    with count_queries() as after:
        answer = manager.api.get("/api/toyrecords/things")
    with unit() as uow:
        free_field(uow, role_named(uow, "keeper"), THING, "cf_secret")

    assert (len(after), len(after.authentication)) == (len(before), len(before.authentication))
    assert "cf_secret" not in answer.json["items"][0]
    assert "cf_secret" in manager.api.get("/api/toyrecords/things").json["items"][0]


@pytest.mark.parametrize(
    ("field", "access", "error"),
    [
        ("nothing",          "hidden", InvalidInput),
        ("toyrecords.moons", "hidden", InvalidInput),
        ("name",             "hidden", InvalidInput),
        ("state",            "hidden", InvalidInput),
        ("amount",           "write",  InvalidInput),
    ],
)  # fmt: skip
def test_a_rule_that_could_not_hold_is_refused(uow, field, access, error):
    with pytest.raises(error):
        restrict_field(uow, role_named(uow, "manager"), THING, field, access)


def test_the_administrator_is_never_restricted(uow):
    with pytest.raises(Conflict):
        restrict_field(uow, role_named(uow, "administrator"), THING, "amount", "hidden")


def test_audit_values_of_a_hidden_field_are_left_out():
    from crm_kernel.access.actor import Actor
    from crm_kernel.access.field_access import shown_anywhere

    actor = Actor(
        kind="user", name="kim", field_rules={THING: {"cf_secret": "hidden", "maker": "hidden", "b.risk": "hidden"}}
    )
    values = {"cf_secret": 1, "maker_id": 2, "extensions.b.risk": 3, "name": "x"}

    assert shown_anywhere(actor, values) == {"name": "x"}


@pytest.mark.parametrize("access", ["hidden", "read"])
def test_an_action_writes_no_field_that_the_role_may_not_write(secret, rule, manager, access):
    rule(("amount", access), role="keeper")
    address = f"/api/toyrecords/things/{secret}"
    headers = {"If-Match": '"1"'}

    refused = manager.api.open("POST", f"{address}/break", json={"reason": "old", "amount": "1"}, headers=headers)
    allowed = manager.api.open("POST", f"{address}/break", json={"reason": "old"}, headers=headers)

    assert (refused.status_code, "amount" in refused.json["detail"]) == (403, True)
    assert allowed.status_code == 200, allowed.text
