"""The page that explains: the policy's rules with their answers, for oneself, and for administrators about others."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from crm_kernel.access.explain import explain
from crm_kernel.access.models import AppUser
from crm_kernel.access.services import role_named
from crm_kernel.access.services.field_rules import restrict_field


@pytest.fixture
def narrowed(unit):
    """The role reader does not see the industry of customers, and reads their notes only."""
    with unit() as uow:
        role = role_named(uow, "reader")
        restrict_field(uow, role, "customer", "industry", "hidden")
        restrict_field(uow, role, "customer", "notes", "read")


def text_of(client, address, status=200):
    answer = client.get(address)
    assert answer.status_code == status, answer.status_code
    return answer.get_data(as_text=True)


def test_an_administrator_asks_about_others_from_their_page_and_from_a_records(login, customer_factory):
    administrator, reader = login("administrator"), login("reader", name="Rita").user
    customer = customer_factory()
    page = text_of(administrator, f"/access/explain?user={reader.uid}&permission=customer.update&record={customer.uid}")

    assert "Not allowed" in page
    assert "Rita" in page
    assert f"/access/explain?user={reader.uid}" in text_of(administrator, f"/users/{reader.uid}")
    assert f"/access/explain?permission=customer.read&amp;record={customer.uid}" in text_of(
        administrator, f"/customers/{customer.uid}"
    )


def test_what_the_services_refuse_is_a_row_of_its_own(login, api):
    clerk, administrator = login(grants={"user.*": "all"}), login("administrator")
    asked = {"user": clerk.user.uid, "permission": "user.set_password", "record": administrator.user.uid}

    page = text_of(administrator, f"/access/explain?{urlencode(asked)}")
    answer = api("administrator").get("/api/access/explain", **asked)

    assert "Not allowed" in page
    assert "Limit" in page
    assert "only somebody who may do as much changes this account" in page
    assert (answer.json["allowed"], answer.json["steps"][-1]["rule"]) == (False, "limit")


def test_everybody_asks_about_himself_and_nobody_else_about_others(login, customer_factory):
    reader, other = login("reader"), login("manager").user
    customer = customer_factory()

    assert "Allowed" in text_of(reader, "/access/explain?permission=customer.read")
    text_of(reader, f"/access/explain?permission=customer.read&user={other.uid}", status=403)
    assert "Who may see it?" not in text_of(reader, f"/customers/{customer.uid}")


def test_a_record_that_the_asker_does_not_see_is_not_found(login, customer_factory):
    small = login(grants={"customer.read": "own"})

    page = text_of(small, f"/access/explain?permission=customer.read&record={customer_factory().uid}", status=404)

    assert "you do not see it" in page


@pytest.mark.parametrize(
    ("permission", "field", "allowed"),
    [
        ("customer.read", "industry", False),
        ("customer.read", "notes", True),
        ("customer.read", "website", True),
        ("customer.export", "industry", False),
    ],
)
def test_a_field_is_explained_by_what_each_role_says_of_it(narrowed, login, unit, permission, field, allowed):
    reader = login(grants={permission: "all"}).user if permission == "customer.export" else login("reader").user
    if permission == "customer.export":
        with unit() as uow:
            from crm_kernel.access.services import assign_role

            assign_role(uow, uow.session.get(AppUser, reader.id), role_named(uow, "reader"))

    with unit() as uow:
        found = explain(uow, uow.session.get(AppUser, reader.id), permission, field=field)

    assert found.allowed is allowed
    assert [step.source for step in found.steps if step.rule == "field"] == [field]
    assert ("reader", field != "website") in {
        (step.source, "Leaves" not in step.text) for step in found.steps if step.rule == "fields"
    }


def test_a_field_that_is_only_read_may_not_be_written(login, unit):
    manager = login("manager").user
    with unit() as uow:
        restrict_field(uow, role_named(uow, "manager"), "customer", "notes", "read")
    with unit() as uow:
        user = uow.session.get(AppUser, manager.id)
        writing, reading = (explain(uow, user, f"customer.{verb}", field="notes") for verb in ("update", "read"))

    assert (writing.allowed, reading.allowed) == (False, True)


def test_without_a_field_the_answer_lists_what_is_kept_from_the_user(narrowed, login):
    page = text_of(login("reader"), "/access/explain?permission=customer.read")

    assert "Not shown: industry." in page
    assert "Only read: notes." in page


def test_an_unknown_field_is_refused_by_page_and_api(login, api):
    page = text_of(login("reader"), "/access/explain?permission=customer.read&field=shoe_size", status=422)
    answer = api("reader").get("/api/access/explain", permission="customer.read", field="shoe_size")

    assert "shoe_size" in page
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["field"])


def test_the_command_takes_a_field(narrowed, login, cli):
    reader = login("reader").user

    found = cli("access", "explain", reader.email, "customer.read", "--field", "industry", "--json").json()

    assert found["allowed"] is False


def test_a_record_is_found_by_its_title_once_the_permission_is_named(login, customer_factory):
    administrator = login("administrator")
    customer = customer_factory()

    first = text_of(administrator, "/access/explain")
    page = text_of(administrator, f"/access/explain?permission=customer.read&record={customer.uid}")

    assert 'name="record"' not in first
    assert "/customers/suggest" in page
    assert f"selected>{customer.display_name}</option>" in page


def test_reaches_are_said_in_words(login, customer_factory):
    page = text_of(login("administrator"), f"/access/explain?permission=customer.read&record={customer_factory().uid}")

    assert "(All records)." in page
    assert "Reach: All records." in page
