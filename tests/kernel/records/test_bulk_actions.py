"""Bulk actions: what they change, whom they refuse, that a run's set is fixed, and that it is taken back."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM

THINGS = "/toyrecords/things"
API = "/api/toyrecords/things"
THING = "toyrecords.thing"


@pytest.fixture
def states(unit):
    """The things by name: ``states()`` → {"lamp": "new"}."""

    def read():
        from crm_toyrecords.models import Thing

        with unit() as uow:
            return {row[0]: row[1] for row in uow.session.execute(sa.select(Thing.name, Thing.state))}

    return read


def test_everything_that_a_filter_matches_is_changed(bulk_run, three, states):
    found = bulk_run(set={"state": "used"}, query="amount__gte=100")

    assert (found["state"], found["total"], found["changed"], found["refused"]) == ("done", 2, 2, 0)
    assert states() == {"lamp": "new", "torch": "used", "beacon": "used"}


def test_records_are_chosen_one_by_one_by_tree_or_all(bulk_run, admin_api, three, states):
    ids = [item["id"] for item in admin_api.get(API, name="lamp").json["items"]]

    assert bulk_run(set={"state": "used"}, ids=ids)["changed"] == 1
    assert bulk_run(set={"state": "broken"}, filter={"field": "name", "op": "eq", "value": "torch"})["changed"] == 1
    assert states() == {"lamp": "used", "torch": "broken", "beacon": "new"}
    again = bulk_run(set={"state": "used"}, all=True)
    assert (again["changed"], again["unchanged"]) == (2, 1)


def test_nothing_chosen_is_refused_and_not_taken_for_everything(admin_api, three, states):
    for body in ({}, {"ids": []}, {"all": False}, {"ids": ["nonsense"]}, {"ids": ["1" * 32], "all": True}):
        assert admin_api.post(f"{API}/bulk", {"set": {"state": "used"}, **body}).status_code == 422
    assert set(states().values()) == {"new"}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"set": {"gone": 1}}, "gone"),
        ({"set": {"state": "gone"}}, "state"),
        ({"set": {}}, "set"),
        ({"do": "gone"}, "do"),
        ({"do": "break", "data": {"reason": ""}}, "reason"),
        ({"do": "delete", "data": {"why": "x"}}, "data"),
        ({"set": {"state": "used"}, "query": "gone=1"}, "gone"),
        ({"set": {"state": "used"}, "other": 1}, "other"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_stored(admin_api, three, unit, body, place):
    from crm_kernel.records.bulk_actions.models import BulkRun

    refused = admin_api.post(f"{API}/bulk", {"all": True, **body})

    assert refused.status_code == 422
    assert place in refused.json["errors"]
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(BulkRun)) == 0


def test_an_id_that_is_not_there_for_the_asker_is_refused(admin_api, api, make_things):
    make_things(("lamp", 1))
    found = admin_api.get(API).json["items"][0]["id"]
    stranger = api("representative")

    assert stranger.post(f"{API}/bulk", {"set": {"state": "used"}, "ids": [found]}).status_code == 422


def test_the_set_is_fixed_when_the_run_starts(admin_api, make_things, deliver_events, states):
    make_things(("lamp", 5), ("torch", 6))
    answer = admin_api.post(f"{API}/bulk", {"set": {"state": "used"}, "query": "state=new"})
    make_things_later = admin_api.post(API, {"name": "late", "state": "new"})
    assert make_things_later.status_code == 201

    deliver_events()

    found = admin_api.get(answer.headers["Location"]).json
    assert (found["total"], found["changed"]) == (2, 2)
    assert states() == {"lamp": "used", "torch": "used", "late": "new"}


def test_each_record_is_refused_by_itself(bulk_run, three, states):
    bulk_run(set={"state": "broken"}, query="name=lamp")

    found = bulk_run(do="break", data={"reason": "fell"}, all=True)

    assert (found["changed"], found["refused"]) == (2, 1)
    assert states() == {"lamp": "broken", "torch (fell)": "broken", "beacon (fell)": "broken"}


def test_a_user_changes_in_bulk_only_what_he_may_change_alone(api, bulk_run, make_things, states, unit):
    from crm_toyrecords.models import Thing

    make_things(("lamp", 5), ("torch", 6))
    seller = api(grants={f"{THING}.read": "all", f"{THING}.update": "own", "bulk_run.*": "own"})
    with unit() as uow:
        uow.session.execute(sa.update(Thing).where(Thing.name == "lamp").values(owner_id=seller.user.id))

    found = bulk_run(by=seller, set={"state": "used"}, all=True)

    assert (found["changed"], found["refused"]) == (1, 1)
    assert states() == {"lamp": "used", "torch": "new"}


def test_who_may_not_change_the_type_is_refused_at_once(api, three):
    assert api("reader").post(f"{API}/bulk", {"set": {"state": "used"}, "all": True}).status_code == 403


def test_a_token_that_only_reads_changes_nothing_in_bulk(api, three):
    admin_api = api("administrator", scopes=["*.read"])

    assert admin_api.post(f"{API}/bulk", {"set": {"state": "used"}, "all": True}).status_code == 403


def test_a_run_of_somebody_who_is_locked_out_meanwhile_stops(api, admin_api, three, deliver_events, states, unit):
    from crm_kernel.access.models import AppUser

    other = api("administrator")
    answer = other.post(f"{API}/bulk", {"set": {"state": "used"}, "all": True})
    with unit() as uow:
        uow.session.get(AppUser, other.user.id).active = False

    deliver_events()

    assert admin_api.get(answer.headers["Location"]).json["state"] == "cancelled"
    assert set(states().values()) == {"new"}


def test_a_preview_tells_what_would_happen_and_changes_nothing(admin_api, bulk_run, three, states):
    bulk_run(set={"state": "broken"}, query="name=lamp")

    found = admin_api.post(f"{API}/bulk", {"do": "break", "data": {"reason": "x"}, "all": True, "preview": True}).json

    assert found["count"] == 3
    refused = {row["title"]: row["refused"] for row in found["sample"]}
    assert refused["torch"] is None
    assert "broken already" in refused["lamp"]
    assert states() == {"lamp": "broken", "torch": "new", "beacon": "new"}


def test_a_run_is_taken_back_where_nobody_changed_the_values_since(admin_api, bulk_run, take_back, three, states):
    first = bulk_run(set={"state": "used", "amount": "7"}, all=True)
    torch = admin_api.get(API, name="torch").json["items"][0]["id"]
    admin_api.patch(f"{API}/{torch}", {"state": "broken"})

    back = take_back(first)

    assert (back["changed"], back["refused"]) == (2, 1)
    assert states() == {"lamp": "new", "torch": "broken", "beacon": "new"}
    amounts = {item["name"]: item["amount"] for item in admin_api.get(API).json["items"]}
    assert amounts == {"lamp": "5.0000", "torch": "7.0000", "beacon": "500.0000"}


def test_what_was_changed_elsewhere_in_a_record_does_not_stop_the_undo(admin_api, bulk_run, take_back, three):
    first = bulk_run(set={"state": "used"}, query="name=torch")
    torch = admin_api.get(API, name="torch").json["items"][0]["id"]
    admin_api.patch(f"{API}/{torch}", {"amount": "8"})

    assert take_back(first)["changed"] == 1
    assert admin_api.get(f"{API}/{torch}").json["amount"] == "8.0000"
    assert admin_api.get(f"{API}/{torch}").json["state"] == "new"


def test_references_and_extensions_are_taken_back_too(admin_api, bulk_run, take_back, make_things):
    maker = make_things(("lamp", 5))
    lamp = admin_api.get(API).json["items"][0]["id"]
    other = admin_api.post("/api/toyrecords/makers", {"name": "Other"}).json["id"]
    admin_api.patch(f"{API}/{lamp}", {"extensions": {"toyrecords": {"stars": 2}}})

    first = bulk_run(set={"maker": other, "extensions": {"toyrecords": {"stars": 5}}}, all=True)
    assert admin_api.get(f"{API}/{lamp}").json["extensions"]["toyrecords"]["stars"] == 5
    take_back(first)

    found = admin_api.get(f"{API}/{lamp}").json
    assert found["maker"]["id"] == str(maker)
    assert found["extensions"]["toyrecords"]["stars"] == 2


def test_a_run_is_taken_back_once_and_not_after_thirty_days(admin_api, bulk_run, take_back, three, unit):
    from crm_kernel.records.bulk_actions.models import BulkRun

    first, second = (
        bulk_run(set={"state": "used"}, query="name=lamp"),
        bulk_run(set={"state": "used"}, query="name=torch"),
    )
    take_back(first)
    with unit() as uow:
        long_ago = uow.now - dt.timedelta(days=31)
        uow.session.execute(
            sa.update(BulkRun)
            .where(BulkRun.uid == sa.literal(second["id"], BulkRun.uid.type))
            .values(finished_at=long_ago)
        )

    for found in (first, second):
        path = f"/api/bulk-runs/{found['id']}"
        assert admin_api.post(f"{path}/undo", If_Match=admin_api.etag(path)).status_code == 409


def test_deleted_records_do_not_come_back_and_the_run_says_so(admin_api, bulk_run, three, states):
    found = bulk_run(do="delete", query="amount__gte=100")
    path = f"/api/bulk-runs/{found['id']}"

    assert states() == {"lamp": "new"}
    assert admin_api.post(f"{path}/undo", If_Match=admin_api.etag(path)).status_code == 409


def test_a_cancelled_run_stops_and_can_be_taken_back(admin_api, make_things, crm_app, states, unit):
    from crm_kernel.records.bulk_actions.running import run_chunk
    from crm_kernel.unit_of_work import writing

    make_things(*((f"thing {number:03}", number) for number in range(70)))
    made = admin_api.post(f"{API}/bulk", {"set": {"state": "used"}, "all": True})
    uid = made.json["id"]
    with crm_app.app_context(), writing(SYSTEM) as uow:
        assert run_chunk(uow, {"run": uid}) == {"progress": {"done": 50, "total": 70}}
    path = f"/api/bulk-runs/{uid}"
    assert admin_api.post(f"{path}/cancel", If_Match=admin_api.etag(path)).status_code == 200

    with crm_app.app_context(), writing(SYSTEM) as uow:
        assert run_chunk(uow, {"run": uid}) is None

    assert list(states().values()).count("used") == 50
    assert admin_api.post(f"{path}/undo", If_Match=admin_api.etag(path)).status_code == 200


def test_every_change_of_a_run_is_in_the_log_under_the_run_and_its_asker(admin_api, bulk_run, three, unit):
    from crm_kernel.access.models import AuditLog

    found = bulk_run(set={"state": "used"}, all=True)

    with unit() as uow:
        rows = uow.session.execute(
            sa.select(AuditLog.actor_uid, AuditLog.action).where(
                AuditLog.request_id == f"bulk-{found['id'].replace('-', '')}", AuditLog.record_type == THING
            )
        ).all()
        assert [tuple(row) for row in rows] == [(admin_api.user.uid, "updated")] * 3


def test_runs_are_their_askers_and_hidden_records_have_no_title(api, bulk_run, three, admin_api):
    found = bulk_run(set={"state": "used"}, all=True)
    other = api("representative")

    assert other.get(f"/api/bulk-runs/{found['id']}").status_code == 404
    assert other.get("/api/bulk-runs").json["items"] == []


def test_the_page_asks_tries_starts_and_shows_the_run(login, three, admin_api, deliver_events, states):
    admin = login("administrator")
    page = admin.get(f"{THINGS}?amount__gte=100").text
    assert 'name="query" value="amount__gte=100"' in page
    chosen = {"all": "1", "query": "amount__gte=100"}

    asked = admin.post(f"{THINGS}/bulk", data=chosen).text
    value = admin.post(f"{THINGS}/bulk", data={**chosen, "what": "set:state"}).text
    tried = admin.post(f"{THINGS}/bulk", data={**chosen, "what": "set:state", "step": "preview", "state": "used"}).text
    assert "2 records" in asked
    assert 'name="state"' in value
    assert "Possible" in tried
    assert set(states().values()) == {"new"}

    started = admin.post(f"{THINGS}/bulk", data={**chosen, "what": "set:state", "step": "start", "state": "used"})
    deliver_events()
    run_page = admin.get(started.location).text
    assert "2 of 2 records" in run_page
    assert "Take back" in run_page
    assert states() == {"lamp": "new", "torch": "used", "beacon": "used"}


def test_a_wrong_value_comes_back_with_its_error(login, three, states):
    admin = login("administrator")
    sent = {"all": "1", "query": "", "what": "set:amount", "step": "start", "amount": "a lot", "currency": "EUR"}

    answer = admin.post(f"{THINGS}/bulk", data=sent)

    assert answer.status_code == 422
    assert "“a lot” is not a number as it is written here; expected for example 1,234.56." in answer.text
    assert "a lot" in answer.text


def test_selected_rows_alone_are_changed(login, admin_api, three, deliver_events, states):
    lamp = admin_api.get(API, name="lamp").json["items"][0]["id"]
    sent = {"id": lamp, "query": "", "what": "set:state", "step": "start", "state": "used"}

    assert login("administrator").post(f"{THINGS}/bulk", data=sent).status_code == 303
    deliver_events()

    assert states() == {"lamp": "used", "torch": "new", "beacon": "new"}


def test_a_page_tells_of_anothers_taking_back_but_not_how_far_it_is(
    api, login, three, take_back, admin_api, deliver_events
):
    grants = {"toyrecords.thing.read": "all", "toyrecords.thing.update": "all", "bulk_run.read": "own"}
    asker = login(grants=grants)
    sent = {"all": "1", "query": "amount__gte=100", "what": "set:state", "step": "start", "state": "used"}
    started = asker.post(f"{THINGS}/bulk", data=sent)
    deliver_events()
    back = take_back({"id": started.location.rpartition("/")[2]})

    own, all_ = asker.get(started.location).text, login("administrator").get(started.location).text

    assert asker.get(f"/bulk-runs/{back['id']}").status_code == 404
    assert ("Taken back" in own, own.count("2 of 2 records"), back["id"] in own) == (True, 1, False)
    assert ("Taken back" in all_, all_.count("2 of 2 records"), back["id"] in all_) == (True, 2, True)
