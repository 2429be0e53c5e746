"""Writing: order of the checks, errors with their paths, versions, extensions, and nothing half-written."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.errors import Conflict, Forbidden, InvalidInput, NotFound, PreconditionRequired, StaleVersion
from crm_kernel.records.reading import read_one
from crm_kernel.records.services import create_record, delete_record, find_action, run_action, update_record
from crm_kernel.unit_of_work import reading, writing


@pytest.fixture
def thing(crm_app, types, make_things):
    """The public id of one thing at version 1."""
    make_things(("lamp", 5))
    with crm_app.app_context(), reading(SYSTEM) as uow:
        return uow.session.execute(sa.select(types.thing.model.uid)).scalar_one()


@pytest.fixture
def change(crm_app, types, thing):
    """Change the thing: ``change({…}, version=1)`` → its new version."""

    def run(payload, version=1, actor=SYSTEM):
        with crm_app.app_context(), writing(actor) as uow:
            return update_record(uow, types.thing, thing, payload, version=version).version

    return run


@pytest.fixture
def current(crm_app, types, thing):
    """Read the thing as it is now."""

    def run():
        with crm_app.app_context(), reading(SYSTEM) as uow:
            return read_one(uow, types.thing, thing)

    return run


@pytest.mark.parametrize(
    ("payload", "errors"),
    [
        ({}, {"name": ["Missing data for required field."]}),
        ({"name": "x", "nope": 1}, {"nope": ["Unknown field."]}),
        ({"name": "x", "id": 7}, {"id": ["Unknown field."]}),
        ({"name": "x", "version": 7}, {"version": ["Unknown field."]}),
        ({"name": "x", "owner_id": 7}, {"owner_id": ["Unknown field."]}),
        ({"name": "x", "amount": "1.23456"}, {"amount": ["found '1.23456': At most four decimals."]}),
        (
            {"name": "x", "amount": "NaN"},
            {"amount": ["found 'NaN': Special numeric values (nan or infinity) are not permitted."]},
        ),
        ({"name": "x", "made_on": "31/02/2020"}, {"made_on": ["found '31/02/2020': Not a valid date."]}),
        ({"name": "x", "nam": "y"}, {"nam": ["Unknown field. Did you mean name?"]}),
        (
            {"name": "x", "currency": "XYZ"},
            {"currency": ["XYZ is no ISO 4217 currency code; expected for example EUR."]},
        ),
        ({"name": "x", "labels": [{"value": "a"}, {}]}, {"labels.1.value": ["Missing data for required field."]}),
        ({"name": "x", "extensions": {"bank": {}}}, {"extensions.bank": ["Unknown field."]}),
        (
            {"name": "x", "extensions": {"toyrecords": {"stars": 9}}, "state": "lost"},
            {
                "state": ["found 'lost': Expected one of: new, used, broken."],
                "extensions.toyrecords.stars": [
                    "found 9: Must be greater than or equal to 1 and less than or equal to 5."
                ],
            },
        ),
    ],
)
def test_every_wrong_field_is_named_by_its_path_and_nothing_is_written(crm_app, types, payload, errors):
    with crm_app.app_context(), pytest.raises(InvalidInput) as refused, writing(SYSTEM) as uow:
        create_record(uow, types.thing, payload)

    assert refused.value.errors == errors
    with crm_app.app_context(), reading(SYSTEM) as uow:
        assert uow.session.execute(sa.select(sa.func.count()).select_from(types.thing.model)).scalar() == 0


def test_a_payload_that_is_no_object_is_refused(crm_app, types):
    with crm_app.app_context(), pytest.raises(InvalidInput, match="Expected an object"), writing(SYSTEM) as uow:
        create_record(uow, types.thing, ["name"])


def test_a_change_raises_the_version_and_keeps_what_it_does_not_name(change, current):
    assert change({"amount": "7.5"}) == 2
    assert (current()["name"], str(current()["amount"])) == ("lamp", "7.5000")


def test_a_change_of_nothing_keeps_the_version(change):
    assert change({"name": "lamp"}) == 1


def test_a_change_of_an_extension_alone_raises_the_version_too(change, current):
    assert change({"extensions": {"toyrecords": {"stars": 3}}}) == 2
    assert current()["extensions"]["toyrecords"]["stars"] == 3


def test_a_change_without_or_with_an_old_version_is_refused(change, current):
    change({"name": "first"})

    with pytest.raises(PreconditionRequired):
        change({"name": "second"}, version=None)
    with pytest.raises(StaleVersion):
        change({"name": "second"}, version=1)
    assert current()["name"] == "first"


def test_a_reference_to_a_record_that_does_not_exist_is_an_error_of_its_field(change):
    with pytest.raises(InvalidInput, match="There is no Maker with the id"):
        change({"maker": str(uuid.uuid4())})


def test_a_reference_to_a_record_the_actor_may_not_see_is_as_unknown(change, current):
    grants = {"toyrecords.thing.read": Scope.ALL, "toyrecords.thing.update": Scope.ALL}
    stranger = Actor(kind="user", name="stranger", user_id=None, grants=grants)

    with pytest.raises(InvalidInput, match="There is no Maker with the id"):
        change({"maker": str(current()["maker"]["id"])}, actor=stranger)


def test_a_reference_may_be_written_as_it_was_read(change, current):
    assert change({"maker": {"id": str(current()["maker"]["id"]), "title": "whatever"}}) == 1


def test_seeing_is_not_changing_and_not_seeing_is_not_found(crm_app, types, thing, change):
    reader = Actor(kind="user", name="reader", grants={"toyrecords.thing.read": Scope.ALL})

    with pytest.raises(Forbidden, match=r"reader lacks the permission toyrecords\.thing\.update"):
        change({"name": "x"}, actor=reader)
    with pytest.raises(NotFound):
        change({"name": "x"}, actor=Actor(kind="user", name="nobody"))
    with crm_app.app_context(), pytest.raises(Forbidden), writing(reader) as uow:
        delete_record(uow, types.thing, thing, version=1)
    with crm_app.app_context(), pytest.raises(Forbidden), writing(reader) as uow:
        create_record(uow, types.thing, {"name": "x"})


def test_a_taken_unique_value_is_a_conflict(crm_app, types, make_things):
    make_things()

    with crm_app.app_context(), pytest.raises(Conflict, match="already taken"), writing(SYSTEM) as uow:
        create_record(uow, types.maker, {"name": "Élan & Co"})


def test_a_record_that_others_need_is_not_deleted(crm_app, types, make_things):
    maker = make_things(("lamp", 5))

    with crm_app.app_context(), pytest.raises(Conflict, match="still used"), writing(SYSTEM) as uow:
        delete_record(uow, types.maker, maker, version=1)


def test_a_deleted_record_is_found_no_more(crm_app, types, thing, read):
    with crm_app.app_context(), writing(SYSTEM) as uow:
        delete_record(uow, types.thing, thing, version=1)

    assert read().items == read(q="lamp").items == []


def test_an_action_runs_its_service_with_checked_input(crm_app, types, thing, current):
    action = find_action(types.thing, "break")
    with crm_app.app_context():
        with pytest.raises(InvalidInput), writing(SYSTEM) as uow:
            run_action(uow, types.thing, thing, action, {}, version=1)
        with writing(SYSTEM) as uow:
            run_action(uow, types.thing, thing, action, {"reason": "dropped"}, version=1)
        with pytest.raises(Conflict, match="broken already"), writing(SYSTEM) as uow:
            run_action(uow, types.thing, thing, action, {"reason": "again"}, version=2)
        with pytest.raises(NotFound, match="known: break"):
            find_action(types.thing, "mend")

    assert (current()["state"], current()["name"]) == ("broken", "lamp (dropped)")
