"""Users are told in the transaction that makes it true, each in his own way, of what they may see when they read."""

from __future__ import annotations

import datetime as dt

import pytest


def _assign(client, record, user):
    return client.patch(f"/api/customers/{record.uid}", {"owner": str(user.uid)})


def test_a_new_owner_is_told(api, acme, told):
    boss, rep = api("administrator", name="Boss"), api("representative")

    _assign(boss, acme, rep.user)

    assert told(rep) == ["Boss assigned to you: Acme"]


def test_who_takes_a_record_himself_is_not_told(api, acme, told):
    boss = api("administrator")

    _assign(boss, acme, boss.user)

    assert told(boss) == []


def test_nobody_is_told_of_what_is_rolled_back(api, acme, told):
    boss, rep = api("administrator"), api("representative")
    stale = boss.etag(f"/api/customers/{acme.uid}")
    boss.patch(f"/api/customers/{acme.uid}", {"display_name": "Acme Ltd"})

    refused = boss.patch(f"/api/customers/{acme.uid}", {"owner": str(rep.user.uid)}, etag=stale)

    assert (refused.status_code, told(rep)) == (412, [])


def test_the_system_and_imports_tell_nobody_of_their_records(unit, owned, api, told):
    rep = api("representative")

    owned(rep.user)

    assert told(rep) == []


def test_what_a_reader_may_not_see_any_more_is_not_shown_and_not_counted(api, owned, told):
    boss, rep, other = api("administrator"), api(grants={"customer.read": "own"}), api("representative")
    secret = owned(boss.user)
    _assign(boss, secret, rep.user)
    before = (len(told(rep)), rep.get("/api/notifications").json["unread"])

    _assign(boss, secret, other.user)

    assert before == (1, 1)
    assert (told(rep), rep.get("/api/notifications").json["unread"]) == ([], 0)


def test_a_deleted_record_takes_its_notifications_out_of_sight(api, acme, told):
    boss, rep = api("administrator"), api("representative")
    _assign(boss, acme, rep.user)

    assert boss.delete(f"/api/customers/{acme.uid}").status_code == 204

    assert told(rep) == []


def test_reading_some_and_all(api, factories):
    boss, rep = api("administrator"), api("representative")
    for _ in range(3):
        _assign(boss, factories.organization(), rep.user)
    first = rep.get("/api/notifications").json["items"][0]["id"]

    assert rep.post("/api/notifications/read", {"ids": [first]}).json == {"marked": 1}
    assert rep.get("/api/notifications").json["unread"] == 2
    assert boss.post("/api/notifications/read", {}).json == {"marked": 0}
    assert rep.post("/api/notifications/read", {}).json == {"marked": 2}


def test_pages_go_back_without_a_gap(api, factories, unit, crm_app):
    from crm_kernel.access.actor import Actor
    from crm_kernel.collaboration.notifications.queries import notifications_of

    boss, rep = api("administrator"), api("representative")
    for _ in range(5):
        _assign(boss, factories.organization(), rep.user)
    everything = [item["id"] for item in rep.get("/api/notifications").json["items"]]

    actor = Actor(kind="user", name="x", user_id=rep.user.id, grants={"*": 3})
    with unit(actor) as uow, crm_app.test_request_context():
        first = notifications_of(uow, limit=3)
        rest = notifications_of(uow, before=first.earlier, limit=3)

    assert [str(item.id) for item in (*first.items, *rest.items)] == everything
    assert rest.earlier is None


def test_the_bell_counts_and_a_click_reads_and_leads_there(login, api, acme):
    boss, rep = api("administrator"), login("representative")
    _assign(boss, acme, rep.user)

    assert ">1</span>" in rep.get("/notifications/bell").text
    page = rep.get("/notifications").text
    address = page.split('action="/notifications/')[2].split('"')[0]
    answer = rep.post(f"/notifications/{address}")

    assert answer.headers["Location"] == f"/customers/{acme.uid}"
    assert rep.get("/notifications/bell").text.strip() == ""


def test_somebody_elses_notification_is_not_there(login, api, acme):
    boss, rep, other = api("administrator"), login("representative"), login("representative")
    _assign(boss, acme, rep.user)
    address = rep.get("/notifications").text.split('action="/notifications/')[2].split('"')[0]

    assert other.post(f"/notifications/{address}").status_code == 404


def test_settings_decide_the_way(api, factories, told, unit):
    from crm_kernel.collaboration.notifications.models import Notification

    boss, rep = api("administrator"), api("representative")
    path = "/api/notifications/settings"

    saved = rep.open("PUT", path, json={"kinds": [{"kind": "kernel.assigned", "in_app": False, "email": "hourly"}]})
    _assign(boss, factories.organization(), rep.user)

    assert {k["kind"]: (k["in_app"], k["email"]) for k in saved.json["kinds"]}["kernel.assigned"] == (False, "hourly")
    assert told(rep) == []
    with unit() as uow:
        row = uow.session.query(Notification).one()
        assert row.mail_due_at - row.created_at <= dt.timedelta(hours=1)


def test_who_wants_neither_way_gets_no_row(api, factories, unit):
    from crm_kernel.collaboration.notifications.models import Notification

    boss, rep = api("administrator"), api("representative")
    never = {"kinds": [{"kind": "kernel.assigned", "in_app": False, "email": "never"}]}
    rep.open("PUT", "/api/notifications/settings", json=never)

    _assign(boss, factories.organization(), rep.user)

    with unit() as uow:
        assert uow.session.query(Notification).count() == 0


@pytest.mark.parametrize(
    "way",
    [
        {"kind": "no.such", "in_app": True, "email": "never"},
        {"kind": "kernel.mention", "in_app": True, "email": "weekly"},
    ],
)
def test_a_wrong_setting_is_named(api, way):
    assert api("reader").open("PUT", "/api/notifications/settings", json={"kinds": [way]}).status_code == 422


def test_the_settings_page_saves(login):
    rep = login("representative")

    rep.post("/notifications/settings", data={"kernel.mention.email": "never"})

    ways = {k["kind"]: k for k in _ways(rep)}
    assert (ways["kernel.mention"]["in_app"], ways["kernel.mention"]["email"]) == (False, "never")
    assert "checked" in rep.get("/notifications/settings").text


def _ways(client):
    return client.get("/api/notifications/settings").json["kinds"]


def test_settings_that_somebody_changed_meanwhile_are_not_overwritten(api):
    rep, path = api("representative"), "/api/notifications/settings"
    read = rep.get(path).headers["ETag"]
    mine = {"kinds": [{"kind": "kernel.mention", "in_app": False, "email": "never"}]}
    theirs = {"kinds": [{"kind": "kernel.mention", "in_app": True, "email": "daily"}]}

    assert rep.open("PUT", path, json=theirs, headers={"If-Match": read}).status_code == 200
    late = rep.open("PUT", path, json=mine, headers={"If-Match": read})

    assert late.status_code == 412
    assert {way["email"] for way in rep.get(path).json["kinds"] if way["kind"] == "kernel.mention"} == {"daily"}
    again = {"If-Match": rep.get(path).headers["ETag"]}
    assert rep.open("PUT", path, json=mine, headers=again).status_code == 200


def test_an_unknown_kind_is_refused_by_name(uow):
    from crm_kernel.collaboration.notifications.services import UnknownNotification, notify

    with pytest.raises(UnknownNotification, match=r"kernel\.mention"):
        notify(uow, [1], "no.such")


def test_told_twice_under_one_key_is_told_once(unit, crm_app):
    from crm_kernel.collaboration.notifications.models import Notification
    from crm_kernel.collaboration.notifications.services import notify
    from crm_kernel.testing.people import add_user

    with unit() as uow:
        user = add_user(uow, "reader").id
        for _ in range(2):
            notify(uow, [user], "kernel.mention", dedupe_key="x")
            notify(uow, [user], "kernel.mention")
        assert uow.session.query(Notification).count() == 3


@pytest.mark.parametrize(
    ("now", "zone", "expected"),
    [
        ("2026-03-29T05:59+00:00", "Europe/Paris", "2026-03-29T06:00+00:00"),
        ("2026-03-28T07:01+00:00", "Europe/Paris", "2026-03-29T06:00+00:00"),
        ("2026-03-28T06:59+00:00", "Europe/Paris", "2026-03-28T07:00+00:00"),
        ("2026-07-01T12:00+00:00", "Pacific/Auckland", "2026-07-01T20:00+00:00"),
    ],
)
def test_the_daily_mail_comes_at_eight_on_the_users_clock(now, zone, expected):
    from crm_kernel.collaboration.notifications.kinds import mail_time

    assert mail_time("daily", dt.datetime.fromisoformat(now), zone) == dt.datetime.fromisoformat(expected)


def test_the_bell_costs_one_query_beside_finding_the_user(login, count_queries):
    rep = login("representative")
    rep.get("/notifications/bell")

    with count_queries() as seen:
        rep.get("/notifications/bell")

    assert len(seen) <= 2, seen
