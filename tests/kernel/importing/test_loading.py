"""The quick loader gives what marshmallow gives: the same values, the same errors."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from crm_kernel.customers.schemas import CustomerSchema
from crm_kernel.records.fields import Choice, Country, Money, Reference
from crm_kernel.records.importing.loading import quick_schema
from crm_kernel.records.texts import Text


class OddSchema(Schema):
    """One field of every kind, and a rule across fields."""

    name = Text(20, required=True)
    kind = Choice({"a": "A", "b": "B"}, load_default="a")
    amount = Money(allow_none=True)
    number = fields.Integer(validate=validate.Range(0, 9))
    on = fields.Date(data_key="day", attribute="on_day")
    at = fields.AwareDateTime(allow_none=True)
    yes = fields.Boolean()
    country = Country()
    owner = Reference("user", attribute="owner_id", allow_none=True)
    tags = fields.List(fields.String())
    secret = fields.String(dump_only=True)

    @validates_schema
    def _kinds(self, data, **_kwargs):
        if data.get("kind") == "b" and data.get("number") is None:
            raise ValidationError("b needs a number", "number")


def outcome(schema: Schema, payload, partial):
    try:
        return schema.load(payload, partial=partial)
    except ValidationError as error:
        return error.messages


values = st.one_of(
    st.none(), st.text(max_size=30), st.integers(-20, 20), st.booleans(), st.floats(allow_nan=True), st.lists(st.text(max_size=3)),
    st.sampled_from(["a", "b", "7", "1,5", "12.3456", "2026-04-25", "2026-04-25T10:00:00Z", "fr", "XX", "true", "non"]),
    st.uuids().map(str),
)  # fmt: skip
names = st.sampled_from(
    ["name", "kind", "amount", "number", "day", "at", "yes", "country", "owner", "tags", "secret", "nonsense"]
)
quick = quick_schema(OddSchema)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(names, values), st.booleans())
def test_any_input_gives_the_same_values_or_the_same_errors(payload, partial):
    # Twice: the second time values come from memory.
    assert (
        outcome(quick, payload, partial) == outcome(OddSchema(), payload, partial) == outcome(quick, payload, partial)
    )


@pytest.mark.parametrize(
    "payload",
    [
        {"kind": "person", "contact_points": [{"channel": "email", "value": "a@b.fr"}]},
        {"kind": "robot", "contact_points": [{"channel": "pigeon"}, {"value": "x", "label": "y" * 99}]},
        {"kind": "person", "contact_points": "none", "addresses": [{"country_code": "XX"}], "nonsense": 1},
        {"contact_points": [{"channel": "email", "value": "a@b.fr", "state": "valid"}]},
        {},
    ],
)
@pytest.mark.parametrize("partial", [False, True])
def test_parts_of_collections_are_judged_alike(crm_app, payload, partial):
    with crm_app.app_context():
        assert outcome(quick_schema(CustomerSchema), payload, partial) == outcome(CustomerSchema(), payload, partial)


@pytest.mark.parametrize("payload", [None, [], "text", 7, [{"name": "x"}]])
def test_what_is_no_object_is_refused_alike(payload):
    assert outcome(quick, payload, False) == outcome(OddSchema(), payload, False)
