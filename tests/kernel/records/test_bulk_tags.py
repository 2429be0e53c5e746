"""Tags put on many records and taken off: through the same steps as any bulk action, and back."""

from __future__ import annotations

import pytest

THINGS = "/toyrecords/things"
API = "/api/toyrecords/things"


@pytest.fixture
def tag(bulk_run):
    """Put tags on records and take others off: ``tag(add=["VIP"], remove=["Old"], all=True)`` returns the finished run."""

    def ask(by=None, *, add=(), remove=(), **chosen):
        return bulk_run(by, do="tags", data={"add": list(add), "remove": list(remove)}, **chosen)

    return ask


@pytest.fixture
def tagged(unit):
    """The tags of the things: ``tagged()`` → {"lamp": ["VIP"]}, things without tags left out."""

    def read():
        import sqlalchemy as sa
        from crm_toyrecords.models import Thing

        from crm_kernel.collaboration.tags.models import Tag, Tagging

        with unit() as uow:
            rows = uow.session.execute(
                sa.select(Thing.name, Tag.name)
                .join(Tagging, Tagging.subject_uid == Thing.uid)
                .join(Tag, Tag.id == Tagging.tag_id)
                .order_by(Tag.name)
            ).all()
        found: dict[str, list[str]] = {}
        for thing, tag in rows:
            found.setdefault(thing, []).append(tag)
        return found

    return read


def test_tags_are_put_on_all_that_a_filter_matches_and_taken_off(tag, three, tagged):
    first = tag(add=["VIP", "Fair"], query="amount__gte=100")
    second = tag(add=["vip"], remove=["Fair"], all=True)

    assert (first["state"], first["changed"], first["what"]) == ("done", 2, "tags")
    assert (second["changed"], second["unchanged"], second["refused"]) == (3, 0, 0)
    assert tagged() == {"lamp": ["VIP"], "torch": ["VIP"], "beacon": ["VIP"]}


def test_a_record_that_has_the_tag_already_is_as_it_was(tag, admin_api, three):
    tag(add=["VIP"], query="name=lamp")

    again = tag(add=["VIP"], all=True)

    assert (again["changed"], again["unchanged"]) == (2, 1)


def test_tags_are_taken_back_both_ways(tag, take_back, three, tagged):
    tag(add=["Old"], all=True)
    found = tag(add=["New"], remove=["Old"], query="amount__gte=100")

    back = take_back(found)

    assert (back["changed"], back["refused"]) == (2, 0)
    assert tagged() == {"lamp": ["Old"], "torch": ["Old"], "beacon": ["Old"]}
    forward = take_back(back)
    assert forward["changed"] == 2
    assert tagged() == {"lamp": ["Old"], "torch": ["New"], "beacon": ["New"]}


def test_what_somebody_tagged_otherwise_since_is_left_and_named(tag, take_back, admin_api, three, tagged):
    found = tag(add=["VIP"], all=True)
    tag(remove=["VIP"], query="name=lamp")

    back = take_back(found)

    assert (back["changed"], back["refused"]) == (2, 1)
    assert tagged() == {}
    page = admin_api.get(f"/api/bulk-runs/{back['id']}").json
    assert page["refused"] == 1


def test_a_preview_keeps_nothing_and_says_who_is_refused(admin_api, api, three, tagged):
    asked = {"do": "tags", "data": {"add": ["Brand new"]}, "all": True, "preview": True}
    may = admin_api.post(f"{API}/bulk", asked).json
    only_uses = api(grants={"toyrecords.thing.*": "all", "tag.read": "all"})
    may_not = only_uses.post(f"{API}/bulk", asked).json

    assert (may["count"], [row["refused"] for row in may["sample"]]) == (3, [None] * 3)
    assert all("tag.create" in row["refused"] for row in may_not["sample"])
    assert tagged() == {}
    assert admin_api.get("/api/tags").json["items"] == []


@pytest.mark.parametrize(
    ("data", "place"),
    [({}, "add"), ({"add": []}, "add"), ({"add": "VIP"}, "add"), ({"add": [""]}, "add"), ({"put": ["VIP"]}, "put")],
)
def test_a_change_of_tags_that_makes_no_sense_is_refused(admin_api, three, data, place):
    refused = admin_api.post(f"{API}/bulk", {"do": "tags", "data": data, "all": True})

    assert refused.status_code == 422
    assert place in str(refused.json["errors"])


def test_who_may_not_change_records_or_read_tags_tags_none(api, three, tag, admin_api):
    body = {"do": "tags", "data": {"add": ["VIP"]}, "all": True}

    assert api("reader").post(f"{API}/bulk", body).status_code == 403
    assert api(grants={"toyrecords.thing.*": "all"}).post(f"{API}/bulk", body).status_code == 403


def test_what_takes_no_tags_is_named(admin_api):
    refused = admin_api.post("/api/users/bulk", {"do": "tags", "data": {"add": ["VIP"]}, "all": True})

    assert refused.status_code == 422
    assert "do" in refused.json["errors"]


def test_the_page_tries_and_starts_it(login, three, deliver_events, tagged):
    admin = login("administrator")
    chosen = {"all": "1", "query": "amount__gte=100", "what": "tags", "add": "VIP, Fair 2026", "remove": ""}

    form = admin.post(f"{THINGS}/bulk", data={**chosen, "add": "", "step": ""}).text
    tried = admin.post(f"{THINGS}/bulk", data={**chosen, "step": "preview"}).text
    empty = admin.post(f"{THINGS}/bulk", data={**chosen, "add": " , ", "step": "preview"})
    started = admin.post(f"{THINGS}/bulk", data={**chosen, "step": "start"})
    deliver_events()

    assert "Tags to put on" in form
    assert 'value="VIP, Fair 2026"' in tried
    assert "Possible" in tried
    assert "It can be taken back for 30 days." in tried
    assert empty.status_code == 422
    assert tagged() == {"torch": ["Fair 2026", "VIP"], "beacon": ["Fair 2026", "VIP"]}
    assert "Change tags" in admin.get(started.location).text


def test_one_change_of_tags_is_undone_from_the_history(login, admin_api, three, tagged, unit):
    import sqlalchemy as sa

    from crm_kernel.access.models import AuditLog

    uid = admin_api.get(API, name="lamp").json["items"][0]["id"]
    sent = {"subject_type": "toyrecords.thing", "subject_ids": [uid], "add": ["VIP"], "remove": []}
    assert admin_api.post("/api/tags/change", sent).status_code == 200
    with unit() as uow:
        change = uow.session.scalars(sa.select(AuditLog.request_id).order_by(AuditLog.id.desc())).first()

    answer = login("administrator").post(f"{THINGS}/{uid}/undo/{change}")

    assert answer.status_code in (200, 303), answer.text
    assert tagged() == {}
