"""Times that somebody types into a form are those of the clock he sees."""

from __future__ import annotations

import re

import pytest


@pytest.mark.parametrize(
    ("zone", "typed", "stored"),
    [
        ("Europe/Paris", "2026-03-01T10:30", "2026-03-01T09:30:00+00:00"),
        ("Europe/Paris", "2026-07-01T10:30", "2026-07-01T08:30:00+00:00"),
        ("Asia/Kolkata", "2026-03-01T10:30", "2026-03-01T05:00:00+00:00"),
        ("UTC", "2026-03-01T10:30", "2026-03-01T10:30:00+00:00"),
    ],
)
def test_a_form_stores_the_moment_that_its_reader_means(login, api, unit, factories, zone, typed, stored):
    from crm_kernel.access.models import AppUser

    ada, person = factories.person().uid, login("administrator")
    with unit() as uow:
        uow.session.get(AppUser, person.user.id).timezone = zone

    made = person.post(
        "/interactions/new", data={"customer": str(ada), "kind": "call", "summary": "x", "occurred_at": typed}
    )

    assert made.status_code == 303, made.text
    [found] = api("administrator").get("/api/interactions").json["items"]
    assert found["occurred_at"] == stored
    assert re.search(rf'name="occurred_at"[^>]*value="{typed}"', person.get(f"/interactions/{found['id']}/edit").text)
