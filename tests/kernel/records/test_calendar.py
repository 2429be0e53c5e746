"""Dates of every type and every module keep to one calendar, whichever channel they come by."""

from __future__ import annotations

import pytest
from marshmallow import Schema, ValidationError, fields

from crm_kernel.records.calendar import keep_to_calendar

THINGS = "/api/toyrecords/things"


class _Part(Schema):
    on = fields.Date()


class _Whole(Schema):
    at = fields.AwareDateTime()
    part = fields.Nested(_Part)
    parts = fields.List(fields.Nested(_Part))


@pytest.mark.parametrize("day", ["0001-01-01", "0999-12-31", "3001-01-01", "9999-12-31"])
def test_a_modules_date_outside_of_the_calendar_is_refused(api, day):
    answer = api("administrator").post(THINGS, {"name": "lamp", "made_on": day})

    assert answer.status_code == 422
    assert list(answer.json["errors"]) == ["made_on"]


@pytest.mark.parametrize("day", ["1000-01-01", "3000-12-31"])
def test_the_calendar_includes_its_ends(api, day):
    assert api("administrator").post(THINGS, {"name": "lamp", "made_on": day}).status_code == 201


def test_an_import_reports_a_date_outside_of_the_calendar(crm_app, types):
    from crm_kernel.records.importing.loading import Loader
    from crm_kernel.records.plan import plan_of

    with crm_app.app_context():
        _own, _extensions, errors = Loader(plan_of(types.thing)).load({"name": "lamp", "made_on": "9999-12-31"})

    assert list(errors) == ["made_on"]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"at": "9999-12-31T00:00:00Z"}, "at"),
        ({"part": {"on": "0001-01-01"}}, "part"),
        ({"parts": [{"on": "0001-01-01"}]}, "parts"),
    ],
)
def test_nested_schemas_keep_to_it_too_and_only_once(given, path):
    keep_to_calendar(_Whole)
    keep_to_calendar(_Whole)

    with pytest.raises(ValidationError) as refused:
        _Whole().load(given)

    assert list(refused.value.messages) == [path]
    assert len(_Whole._declared_fields["at"].validators) == 1
