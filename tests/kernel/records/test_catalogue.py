"""The catalogue: what filters of a type may name, for whom, in code, API and lists."""

from __future__ import annotations

import orjson
import pytest

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.records.catalogue import catalogue_of, described
from crm_kernel.records.plan import plan_of, record_type

THING = "/api/toyrecords/things"


@pytest.fixture
def catalogue(crm_app):
    """Describe the catalogue of a record type: ``catalogue("customer", actor)``."""

    def run(name, actor=SYSTEM):
        with crm_app.app_context():
            return described(catalogue_of(plan_of(record_type(name)), actor))

    return run


def by_name(entries):
    return {entry["name"]: entry for entry in entries}


def test_fields_come_with_kind_operators_choices_and_targets(catalogue):
    fields = by_name(catalogue("toyrecords.thing")["fields"])

    assert list(fields) == [
        "id", "name", "amount", "currency", "made_on", "shown_from", "shown_until", "state", "maker", "created_at",
        "updated_at", "toyrecords.stars",
    ]  # fmt: skip
    assert fields["state"]["choices"][0] == {"value": "new", "label": "New"}
    assert fields["maker"]["record_type"] == "toyrecords.maker"
    assert fields["amount"]["currency"] == "currency"
    assert fields["made_on"]["operators"][-1] == "during"
    assert (fields["toyrecords.stars"]["nullable"], fields["name"]["nullable"]) == (True, False)


def test_relations_are_references_from_other_types_parts_and_events(catalogue):
    relations = by_name(catalogue("customer")["relations"])

    assert {"contact_points", "addresses", "sale.customer", "interaction.customer"} <= relations.keys()
    assert {"relationship.from_customer", "relationship.to_customer", "event:kernel.sale_recorded"} <= relations.keys()
    assert "event:kernel.records_bulk_changed" not in relations
    assert relations["sale.customer"]["usual_date"] == "occurred_at"
    assert "base_amount" in relations["sale.customer"]["sums"]
    assert relations["sale.customer"]["label"] == "Sales"
    assert relations["relationship.to_customer"]["label"] == "Relationships (of)"
    assert [entry["name"] for entry in relations["event:kernel.sale_recorded"]["fields"]] == ["occurred_at", "channel"]


def test_it_holds_only_what_the_actor_may_read(catalogue):
    reader = Actor(kind="user", name="r", user_id=7, grants={"customer.read": Scope.TEAM, "user.read": Scope.ALL})

    customers, users = catalogue("customer", reader), catalogue("user", reader)

    assert {relation["name"] for relation in customers["relations"]} == {"contact_points", "addresses", "identifiers"}
    assert "email" not in by_name(users["fields"])
    assert "email" in by_name(catalogue("user")["fields"])


def test_the_api_gives_the_catalogue_and_filters_by_it(api, make_things):
    make_things(("lamp", 5), ("torch", None))
    client = api(grants={"toyrecords.thing.read": "all", "toyrecords.maker.read": "all"})
    tree = orjson.dumps({"not": {"field": "amount", "op": "gt", "value": 1}}).decode()

    names = [entry["name"] for entry in client.get(f"{THING}/catalogue").json["fields"]]
    answer = client.get(THING, filter=tree, count="true", name__startswith="to")

    assert "toyrecords.stars" in names
    assert [item["name"] for item in answer.json["items"]] == ["torch"]
    assert answer.json["count"] == 1


@pytest.mark.parametrize("path", [THING, "/toyrecords/things", "/toyrecords/things/export.csv"])
def test_a_wrong_filter_is_refused_by_its_place_in_every_channel(api, login, path):
    grants = {"toyrecords.thing.read": "all", "toyrecords.thing.export": "all"}
    client = api(grants=grants) if path == THING else login(grants=grants)

    wrong = {"filter": '{"field": "maker.name", "value": 1}'}
    answer = client.get(path, **wrong) if path == THING else client.get(path, query_string=wrong)

    assert answer.status_code == 422
    assert "filter.field" in answer.get_data(as_text=True)


def test_hidden_fields_are_as_unknown_to_a_tree_as_any_other_name(api):
    client = api(grants={"user.read": "all"})
    tree = orjson.dumps({"field": "email", "op": "contains", "value": "a"}).decode()

    answer = client.get("/api/users", filter=tree)

    assert answer.status_code == 422
    assert answer.json["errors"]["filter.field"][0].startswith("Unknown field email; known: active, id, name")


def test_dates_in_the_address_are_read_in_the_users_zone(read, make_things):
    make_things(("lamp", 5))
    there = Actor(kind="system", name="s", grants={"*": Scope.ALL}, timezone="Pacific/Kiritimati")

    assert [item["name"] for item in read(actor=there, made_on__during="last_30_days").items] == []
    assert [item["name"] for item in read(actor=there, made_on__empty="true").items] == ["lamp"]
