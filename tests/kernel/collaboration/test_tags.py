"""Tags are put on whatever one may change, compared without case and accents, found by filters, renamed and merged."""

from __future__ import annotations

import orjson
import pytest


@pytest.fixture
def tag(acme):
    """Change tags by the API: ``tag(client, add=["vip"])`` → the answer."""

    def post(client, *records, subject_type="customer", **changes):
        ids = [str(record.uid) for record in records or (acme,)]
        return client.post("/api/tags/change", {"subject_type": subject_type, "subject_ids": ids, **changes})

    return post


def _names(answer):
    return [item["tags"] for item in answer.json["items"]]


def _found(client, tree):
    listed = client.get("/api/customers", filter=orjson.dumps(tree).decode(), fields="display_name")
    assert listed.status_code == 200, listed.text
    return {item["display_name"] for item in listed.json["items"]}


def _id(client, name):
    return next(t["id"] for t in client.get("/api/tags").json["items"] if t["name"] == name)


def test_tags_are_put_on_and_taken_off(api, tag):
    rep = api("administrator")

    assert _names(tag(rep, add=["VIP", " key  account "])) == [["VIP", "key account"]]
    assert _names(tag(rep, add=["vip"], remove=["Key Account"])) == [["VIP"]]
    assert _names(tag(rep, remove=["nobody has this"])) == [["VIP"]]


def test_names_that_differ_by_case_and_accents_are_one_tag(api, tag):
    rep = api("administrator")
    tag(rep, add=["Événement"])

    assert _names(tag(rep, add=["evenement"])) == [["Événement"]]
    assert rep.post("/api/tags", {"name": "EVENEMENT"}).status_code == 409
    assert "Key account" in _names(tag(rep, add=["Key account", "KEY ACCOUNT"]))[0]  # the first spelling counts


def test_many_records_are_tagged_at_once(api, tag, factories, count_queries):
    boss = api("administrator")
    few, many = [factories.organization() for _ in range(3)], [factories.organization() for _ in range(30)]
    tag(boss, few[0], add=["known"])

    with count_queries() as small:
        tag(boss, *few, add=["known"])
    with count_queries() as large:
        tag(boss, *many, add=["known"])

    assert len(large) == len(small)


def test_any_all_and_none_are_asked_by_the_filter(api, tag, factories):
    boss = api("administrator")
    for name, tags in {"A": ["x"], "B": ["y"], "C": ["x", "y"], "D": []}.items():
        tag(boss, factories.organization(display_name=name), add=tags)
    x, y = _id(boss, "x"), _id(boss, "y")

    def has(*ids):
        return {"has": "tags", "where": {"field": "tag", "op": "in", "value": list(ids)}}

    assert _found(boss, has(x, y)) == {"A", "B", "C"}
    assert _found(boss, {"and": [has(x), has(y)]}) == {"C"}
    assert {"D"} <= _found(boss, {"not": has(x, y)})
    assert _found(boss, {"has": "tags", "at_least": 2}) == {"C"}


def test_the_builder_offers_tags(login, api, tag):
    boss = login("administrator")
    tree = orjson.dumps({"has": "tags", "where": {"field": "tag", "op": "empty", "value": False}}).decode()

    assert '"name":"tags"' in api("administrator").get("/api/customers/catalogue").text.replace(" ", "")
    assert boss.get("/customers/filter", query_string={"filter": tree}).status_code == 200


def test_who_may_not_change_a_record_does_not_tag_it(api, tag, owned):
    boss, reader = api("administrator"), api("reader")
    blind = api(grants={"customer.*": "own", "tag.*": "all"})
    secret = owned(boss.user)

    assert tag(reader, add=["x"]).status_code == 403
    assert tag(blind, secret, add=["x"]).status_code == 404
    assert boss.get("/api/tags").json["items"] == []


def test_who_may_only_use_tags_makes_no_new_one(api, tag):
    boss, user = api("administrator"), api(grants={"customer.*": "all", "tag.read": "all"})
    tag(boss, add=["known"])

    assert tag(user, add=["known"]).status_code == 200
    assert tag(user, add=["new"]).status_code == 403


def test_a_filter_by_tags_is_refused_to_who_may_not_read_them(api, tag):
    tag(api("administrator"), add=["x"])
    blind = api(grants={"customer.read": "all"})

    assert blind.get("/api/customers", filter='{"has": "tags"}').status_code == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"add": [""]},
        {"add": ["x" * 61]},
        {"add": ["a\u0000b"]},
        {"subject_type": "tag"},
        {"add": [f"t{n}" for n in range(51)]},
    ],
)
def test_what_cannot_be_tagged_is_named(api, tag, wrong):
    assert tag(api("administrator"), **{"add": ["ok"], **wrong}).status_code == 422


def test_at_most_fifty_tags_are_on_one_record(api, tag):
    boss = api("administrator")
    tag(boss, add=[f"t{n}" for n in range(50)])

    assert tag(boss, add=["one more"]).status_code == 422


def test_a_renamed_tag_is_renamed_everywhere(api, tag):
    boss = api("administrator")
    tag(boss, add=["vip", "other"])

    assert boss.patch(f"/api/tags/{_id(boss, 'vip')}", {"name": "VIP!", "color": "red"}).status_code == 200
    assert boss.patch(f"/api/tags/{_id(boss, 'VIP!')}", {"name": "Other"}).status_code == 409
    assert _names(tag(boss)) == [["VIP!", "other"]]


def test_two_tags_become_one(api, tag, factories):
    boss = api("administrator")
    both, first = factories.organization(), factories.organization()
    tag(boss, both, add=["vip", "important"])
    tag(boss, first, add=["important"])
    path = f"/api/tags/{_id(boss, 'important')}"
    etag = boss.etag(path)

    merged = boss.post(f"{path}/merge", {"into": "VIP"}, If_Match=etag)

    assert merged.status_code in (200, 204), merged.text
    assert _names(tag(boss, both, first)) == [["vip"], ["vip"]]
    assert boss.get(path).status_code == 404


def test_a_tag_is_not_merged_into_itself_or_nothing(api, tag):
    boss = api("administrator")
    tag(boss, add=["vip"])
    path = f"/api/tags/{_id(boss, 'vip')}"

    for name in ("vip", "nothing"):
        assert boss.post(f"{path}/merge", {"into": name}, If_Match=boss.etag(path)).status_code == 422


def test_a_change_of_tags_is_in_the_audit_log(api, tag, acme, unit):
    from crm_kernel.access.models import AuditLog, AuditPayload

    tag(api("administrator"), add=["vip"])

    with unit() as uow:
        query = uow.session.query(AuditPayload).join(AuditLog, AuditLog.uid == AuditPayload.audit_uid)
        rows = query.filter(AuditLog.record_uid == acme.uid, AuditLog.action == "updated").all()
        assert [(row.before, row.after) for row in rows] == [({"tags": []}, {"tags": ["vip"]})]


def test_the_card_tags_and_links_to_the_list(login, acme):
    boss = login("administrator")
    about = {"subject_type": "customer", "subject_id": str(acme.uid)}

    answer = boss.post("/tags/change", data={**about, "add": "vip, Paris"})
    page = boss.get(answer.headers["Location"]).text
    link = page.split('<a href="/customers?filter=')[1].split('"')[0]

    assert ">vip</a>" in page and ">Paris</a>" in page  # noqa: PT018
    assert "Acme" in boss.get(f"/customers?filter={link}").text
    boss.post("/tags/change", data={**about, "remove": "Paris"})
    assert "Take off the tag Paris" not in boss.get(f"/customers/{acme.uid}").text


def test_somebody_without_the_right_sees_tags_and_no_form(login, api, tag, acme):
    tag(api("administrator"), add=["vip"])

    page = login("reader").get(f"/customers/{acme.uid}").text

    assert ">vip</a>" in page
    assert "crm-new-tag" not in page
