"""Notes are seen with their record, changed by their author, and tell those whom they mention and who may see them."""

from __future__ import annotations

import json

import pytest

ONLY_OWN = {"customer.read": "own", "note.*": "all", "user.read": "all"}


def test_a_note_is_written_read_changed_and_deleted(api, write):
    rep = api("representative", name="Ada Lovelace")

    made = write(rep, "**Call** back\n\nthey want chairs")

    assert made.status_code == 201, made.text
    note = made.json["note"]
    assert (note["title"], note["author_name"], made.json["warnings"]) == ("Call back", "Ada Lovelace", [])
    path = f"/api/notes/{note['id']}"
    changed = rep.patch(path, {"body": "Done"})
    assert (changed.json["title"], changed.json["edited_at"] is not None) == ("Done", True)
    assert rep.delete(path).status_code == 204


def test_a_colleague_reads_a_note_and_does_not_change_it(api, write):
    path = f"/api/notes/{write(api('representative'), 'hello').json['note']['id']}"
    mate = api("representative")

    assert mate.get(path).json["body"] == "hello"
    assert mate.patch(path, {"body": "mine"}).status_code == 403
    assert mate.delete(path).status_code == 403


def test_a_note_is_unknown_to_whoever_does_not_see_its_record(api, write, owned):
    boss, other = api("administrator"), api(grants=ONLY_OWN)
    note = write(boss, "secret", owned(boss.user)).json["note"]

    assert other.get(f"/api/notes/{note['id']}").status_code == 404
    assert other.get("/api/notes", count="true").json["count"] == 0
    assert write(other, "found you", owned(boss.user)).status_code == 404
    assert boss.get("/api/notes", count="true").json["count"] == 1


@pytest.mark.parametrize("name", ["note", "role", "nothing.such", "consent"])
def test_not_every_record_takes_notes(api, write, name):
    refused = write(api("administrator"), "hello", subject_type=name)

    assert refused.status_code == 422
    assert "customer" in refused.json["errors"]["subject_type"][0]


@pytest.mark.parametrize(("operator", "value", "found"), [("empty", False, 1), ("empty", True, 0), ("ne", None, 1)])
def test_notes_are_filtered_by_the_id_of_what_they_are_about(api, write, factories, operator, value, found):
    boss, other = api("administrator"), factories.organization()
    write(boss, "hello")
    wanted = {"field": "subject_id", "op": operator, "value": str(other.uid) if value is None else value}

    listed = boss.get("/api/notes", filter=json.dumps(wanted))

    assert listed.status_code == 200, listed.text
    assert len(listed.json["items"]) == found


def test_an_empty_note_is_refused(api, write):
    assert "body" in write(api("representative"), "  \n ").json["errors"]


def test_a_note_stays_with_its_record(api, write, factories):
    boss = api("administrator")
    other = factories.organization()
    note = write(boss, "hello").json["note"]

    refused = boss.patch(f"/api/notes/{note['id']}", {"subject_id": str(other.uid)})

    assert "subject_id" in refused.json["errors"]


def test_a_mentioned_user_is_told_once(api, write, told):
    ada, grace = api("representative", name="Ada Lovelace"), api("representative", name="Grace Hopper")

    made = write(ada, "Ask @grace hopper, or @Grace Hopper again.")
    ada.patch(f"/api/notes/{made.json['note']['id']}", {"body": "Ask @Grace Hopper!"})

    assert made.json["warnings"] == []
    assert told(grace) == ["Ada Lovelace mentioned you: Acme"]
    assert told(ada) == []


def test_whom_a_changed_note_mentions_anew_is_told(api, write, told):
    ada, grace = api("representative", name="Ada"), api("representative", name="Grace")
    made = write(ada, "Nobody")

    ada.patch(f"/api/notes/{made.json['note']['id']}", {"body": "@Grace, look"})

    assert told(grace) == ["Ada mentioned you: Acme"]


def test_the_longest_name_is_meant(api, write, told):
    ada, short, long = api("representative"), api("reader", name="Grace"), api("reader", name="Grace Hopper")

    write(ada, "(@Grace Hopper) knows")

    assert (len(told(long)), told(short)) == (1, [])


def test_two_users_of_one_name_are_told_apart_by_address(api, write, told):
    ada, first, second = api("representative"), api("reader", name="Sam Low"), api("reader", name="Sam Low")

    unclear = write(ada, "Ask @Sam Low")
    write(ada, f"Ask @{second.user.email}, please")

    assert "Sam Low" in unclear.json["warnings"][0]
    assert (told(first), len(told(second))) == ([], 1)


def test_who_may_not_see_the_record_is_not_told_and_the_writer_learns_it(api, write, told, owned):
    boss, blind = api("administrator"), api(grants=ONLY_OWN, name="Bob Blind")

    made = write(boss, "@Bob Blind should not know", owned(boss.user))

    assert made.json["warnings"] == ["Bob Blind was not told: he or she may not see this record."]
    assert told(blind) == []


@pytest.mark.parametrize("text", ["mail grace@crm.test", "@nobody here", "@", "a@Grace b", "@@Grace", "50 @ Grace"])
def test_what_only_looks_like_a_mention_is_none(api, write, told, text):
    ada, grace = api("representative"), api("reader", name="Grace")

    assert write(ada, text).status_code == 201

    assert told(grace) == []


def test_an_inactive_user_is_not_mentioned(api, write, unit):
    from crm_kernel.access.models import AppUser

    ada, grace = api("representative"), api("reader", name="Grace")
    with unit() as uow:
        uow.session.get(AppUser, grace.user.id).active = False

    assert write(ada, "@Grace").json["warnings"] == []


def test_the_card_of_a_record_shows_its_notes_safely(login, acme):
    ada = login("representative", name="Ada")
    about = {"subject_type": "customer", "subject_id": str(acme.uid)}
    nasty = "<script>alert(1)</script> **bold** [x](javascript:alert(1)) ![i](http://e.test/i.png)\n# Title"

    answer = ada.post("/notes/add", data={**about, "body": nasty})
    page = ada.get(answer.headers["Location"]).text

    assert answer.status_code == 303
    assert "<strong>bold</strong>" in page
    assert "<script>alert" not in page
    assert 'href="javascript' not in page
    assert "<img" not in page.split("crm-notes")[1]
    assert "# Title" in page


def test_a_refused_note_comes_back_with_what_was_typed(login, acme):
    ada = login("representative")
    about = {"subject_type": "customer", "subject_id": str(acme.uid)}

    answer = ada.post("/notes/add", data={**about, "body": "x" * 20_001}, headers={"HX-Request": "true"})

    assert 'role="alert"' in answer.text
    assert "xxxx" in answer.text


def test_a_note_is_removed_on_its_record(login, acme):
    ada = login("representative")
    about = {"subject_type": "customer", "subject_id": str(acme.uid)}
    page = ada.get(ada.post("/notes/add", data={**about, "body": "gone soon"}).headers["Location"]).text
    address = page.split('action="/notes/')[2 if 'action="/notes/add"' in page else 1].split('"')[0]

    answer = ada.post(f"/notes/{address}", data={"version": "1"})

    assert "gone soon" not in ada.get(answer.headers["Location"]).text


def test_colleagues_are_suggested_by_any_of_their_names(login):
    ada = login("administrator", name="Ada Lovelace")
    login("reader", name="Grace Hopper")
    login("reader", name="Grace Hopper")

    found = ada.get("/mentions?q=hop").json

    assert [user["title"] for user in found] == ["Grace Hopper", "Grace Hopper"]
    assert [user["insert"] for user in found] == [user["subtitle"] for user in found]
    assert ada.get("/mentions?q=ada").json[0]["insert"] == "Ada Lovelace"


def test_suggestions_tell_no_addresses_to_who_does_not_see_them_of_users(login):
    ada, grace = login("representative", name="Ada Lovelace"), login("reader", name="Grace Hopper")
    login("reader", name="Grace Hopper")

    found, by_address = ada.get("/mentions?q=grace"), ada.get(f"/mentions?q={grace.user.email[:8]}")

    assert [(user["title"], user["insert"], user["subtitle"]) for user in found.json] == [
        ("Grace Hopper", "Grace Hopper", "")
    ] * 2
    assert "@crm.test" not in found.text
    assert by_address.json == []


def test_the_search_finds_a_note_only_for_who_sees_its_record(api, write, owned):
    boss, other = api("administrator"), api(grants=ONLY_OWN)
    write(boss, "zeppelin", owned(boss.user))

    assert len(boss.get("/api/notes", q="zepp").json["items"]) == 1
    assert other.get("/api/notes", q="zepp").json["items"] == []
