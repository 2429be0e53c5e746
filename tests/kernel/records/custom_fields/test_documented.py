"""The API's document tells of custom fields: those there are at the moment it is asked for, to whom they are shown."""

from __future__ import annotations

import pytest

from crm_kernel.access.services import role_named
from crm_kernel.access.services.field_rules import restrict_field

THINGS = "/api/toyrecords/things"


def schemas(client):
    return client.get("/api/openapi.json").json["components"]["schemas"]


def test_a_field_is_in_the_document_of_the_next_request_and_gone_once_archived(api, add, unit):
    from crm_kernel.records.custom_fields.services import archive_field, field_named

    client = api("administrator")
    before = schemas(client)
    add("cf_tier", "choice", choices=[{"value": "gold", "labels": {"en": "Gold"}}])
    added = schemas(client)
    with unit() as uow:
        archive_field(uow, field_named(uow, "toyrecords.thing", "tier"))

    assert "cf_tier" not in before["ToyrecordsThing"]["properties"]
    for name in ("ToyrecordsThing", "ToyrecordsThingInput", "ToyrecordsThingInputChanges"):
        assert added[name]["properties"]["cf_tier"]["enum"] == ["gold", None]
    assert schemas(client) == before


def test_every_kind_is_described_and_the_document_stays_valid(every_kind, api):
    from openapi_spec_validator import validate

    document = api("administrator").get("/api/openapi.json").json

    validate(document)
    described = document["components"]["schemas"]["ToyrecordsThing"]["properties"]
    assert {name for name in described if name.startswith("cf_")} == {*every_kind, "cf_budget_currency"}
    parameters = {found["name"]: found for found in document["paths"][THINGS]["get"]["parameters"]}
    assert {"cf_number__gte", "cf_tags", "cf_day__during"} <= parameters.keys()
    assert {"cf_number", "-cf_day"} <= set(parameters["sort"]["schema"]["items"]["enum"])


def test_an_answer_fits_what_the_document_says(every_kind, api, make, maker):
    from jsonschema import Draft202012Validator

    make(cf_number="1.5", cf_tags=["gold"], cf_day="2026-01-02", cf_flag=False, cf_origin=str(maker()))
    client = api("administrator")
    document = client.get("/api/openapi.json").json
    schema = {"$ref": "#/components/schemas/ToyrecordsThing", "components": document["components"]}

    for item in client.get(THINGS).json["items"]:
        assert [error.message for error in Draft202012Validator(schema).iter_errors(item)] == []


def test_a_required_field_is_required_where_a_record_is_made_and_not_where_it_is_changed(api, add):
    add("cf_code", "text", required=True)

    found = schemas(api("administrator"))

    assert "cf_code" in found["ToyrecordsThingInput"]["required"]
    assert "cf_code" not in found["ToyrecordsThingInputChanges"].get("required", ())


@pytest.mark.parametrize(("access", "read", "written"), [("hidden", False, False), ("read", True, False)])
def test_the_document_tells_nobody_of_a_field_his_roles_hide(api, add, unit, access, read, written):
    add("cf_secret", "text")
    with unit() as uow:
        restrict_field(uow, role_named(uow, "manager"), "toyrecords.thing", "cf_secret", access)
    client = api("manager")

    found = schemas(client)

    assert ("cf_secret" in found["ToyrecordsThing"]["properties"]) is read
    assert ("cf_secret" in found["ToyrecordsThingInput"]["properties"]) is written
    assert ("cf_secret" in client.get("/api/openapi.json").text) is read
