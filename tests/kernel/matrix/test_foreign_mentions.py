"""Notes, tags and files take no record of somebody else, and a mention on one tells nobody who does not see it.

Every record type that takes notes is asked.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from tests.kernel.matrix.asking import NOTHING, digest, types_of
from tests.kernel.matrix.foreign import CANARY, SHARED, give_away

pytestmark = pytest.mark.crm_databases("sqlite")


def annotated(app: Any) -> list[Any]:
    """Return the types that take notes and whose far records are nobody's business."""
    return [found for found in types_of(app) if found.annotated and found.name not in SHARED]


@pytest.fixture
def reader(login: Any) -> Any:
    """Who writes notes, tags and files, and sees his own records."""
    grants = {"*": "own", "note.*": "all", "tag.*": "all", "attachment.*": "all", "user.read": "all"}
    return login(grants=grants, team="Near", name="Near Reader")


def test_a_far_record_takes_no_note_tag_or_file_and_is_as_unknown_as_nothing(
    crm_app: Any, world: Any, reader: Any
) -> None:
    before, wrong, count = digest(crm_app), {}, 0

    for found in annotated(crm_app):
        answers = []
        for uid in (world.foreign.uids[found.name], NOTHING):
            about = {"subject_type": found.name, "subject_id": str(uid)}
            file = {**about, "file": (BytesIO(b"hello"), "hello.txt")}
            sent = (
                reader.post("/api/notes", json={**about, "body": "Hello @Near Reader"}),
                reader.post("/notes/add", data={**about, "body": "Hello"}),
                reader.post(
                    "/api/tags/change", json={"subject_type": found.name, "subject_ids": [str(uid)], "add": ["vip"]}
                ),
                reader.post("/tags/change", data={**about, "add": "vip"}),
                reader.post("/attachments/add", data=file),
            )
            answers.append([answer.status_code for answer in sent])
            count += 1
        if answers[0] != answers[1] or any(status < 400 for status in answers[0]):
            wrong[found.name] = answers

    assert wrong == {}
    assert count >= 6
    assert digest(crm_app) == before


def test_a_mention_on_a_far_record_tells_nobody_who_does_not_see_it(
    crm_app: Any, world: Any, reader: Any, login: Any, deliver_events: Any
) -> None:
    admin, told, written = login("administrator"), {}, 0

    for found in annotated(crm_app):
        about = {"subject_type": found.name, "subject_id": str(world.foreign.uids[found.name])}
        made = admin.post("/api/notes", json={**about, "body": f"@Near Reader {CANARY} of {found.name}"})
        assert made.status_code == 201, made.text
        written += "Near Reader was not told" in str(made.json["warnings"])
        note = made.json["note"]["id"]
        for page in ("/notifications", "/api/notifications", "/", f"/search?q={CANARY}", "/api/notes"):
            text = reader.get(page).text
            if f"{CANARY} of" in text or note in text:
                told[f"{found.name} {page}"] = text
        for page in (
            f"/notes/{note}",
            f"/api/notes/{note}",
        ):  # a page that is not there repeats the id that was asked for
            answer = reader.get(page)
            if f"{CANARY} of" in answer.text or answer.status_code != 404:
                told[f"{found.name} {page}"] = answer.text

    assert told == {}
    assert written == len(annotated(crm_app)) >= 3
    assert reader.get("/api/notifications").json["items"] == []


def test_a_mention_is_shown_once_its_record_is_ones_own_and_not_after(
    crm_app: Any, world: Any, reader: Any, login: Any, unit: Any, factories: Any
) -> None:
    admin, own = login("administrator"), factories.organization(display_name="Handed over", owner=str(reader.user.uid))
    about = {"subject_type": "customer", "subject_id": str(own.uid)}
    admin.post("/api/notes", json={**about, "body": "@Near Reader please"})
    before = reader.get("/notifications").text

    with unit() as uow:
        give_away(uow, own, world.foreign)

    after = (reader.get("/notifications").text, reader.get("/api/notifications").json["items"])
    assert "Handed over" in before
    assert ("Handed over" in after[0], after[1]) == (False, [])
