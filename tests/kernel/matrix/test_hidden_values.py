"""A value that a role hides occurs nowhere in any answer to that role: pages, API, exports, search, history, undo.

Every free text of every record type that can be hidden gets a secret, and is hidden; then every address that can be read is
read, with those records in it. Somebody whom nothing is hidden from finds the secrets: the test would see them.
"""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AppUser
from crm_kernel.access.services import create_role, grant
from crm_kernel.access.services.field_rules import restrict_field
from crm_kernel.errors import InvalidInput
from crm_kernel.records.plan import Kind, plan_of
from crm_kernel.testing.conformance.hiding import failed_cards
from crm_kernel.testing.factories import detached
from crm_kernel.testing.people import browser
from crm_kernel.testing.planting import plant
from tests.kernel.matrix.asking import requests_of, types_of
from tests.kernel.matrix.foreign import CANARY, WORD, make_all, ordered_types

#: What every secret begins with; searches ask for its second word alone, which pages repeat.
SECRET = f"{WORD} {CANARY}"

pytestmark = pytest.mark.crm_databases("sqlite")


@pytest.fixture
def blind(crm_app: Any, login: Any, unit: Any) -> Any:
    """Who may do everything and sees no secret; ``blind.hidden`` names the fields, ``blind.uids`` records with secrets."""
    owner = login("manager", team="Far").user
    with unit() as uow:
        role = create_role(uow, name="blind")
        grant(uow, role, "*")
        hidden = {(t.name, name) for t in ordered_types() for name in texts_of(t) if is_hidden(uow, role, t.name, name)}
    with unit() as uow:
        uids = make_all(uow, uow.session.get(AppUser, owner.id), hidden).uids
    client = login("blind", name="Blind")
    return SimpleNamespace(client=client, hidden=hidden, uids=uids, admin=login("administrator"))


def texts_of(found: Any) -> list[str]:
    """Return the names of the plain text fields of a type that are not its title."""
    return [n for n, p in plan_of(found).fields.items() if p.kind is Kind.TEXT and n != found.title and p.readable]


def is_hidden(uow: Any, role: Any, record_type: str, field: str) -> bool:
    """Hide a field from the role; no where the type cannot be listed without it."""
    try:
        restrict_field(uow, role, record_type, field, "hidden")
    except InvalidInput:
        return False
    return True


def do_things(blind: Any) -> None:
    """Leave secrets beside the records as well: a change, a bulk change, a refused import."""
    customers, one = "/api/customers", blind.uids["customer"]
    admin = blind.admin
    etag = {"If-Match": admin.get(f"{customers}/{one}").headers["ETag"]}
    changed = admin.patch(f"{customers}/{one}", json={"notes": f"{SECRET} again"}, headers=etag)
    bulk = {"do": "update", "set": {"notes": f"{SECRET} of a bulk run"}, "ids": [str(one)]}
    run = admin.post(f"{customers}/bulk", json=bulk)
    assert (changed.status_code, run.status_code) == (200, 202), (changed.text, run.text)
    file = BytesIO(f"kind,display_name,notes,status\nperson,,{SECRET} in a file,{SECRET}\n".encode())
    sent = admin.post("/imports", data={"file": (file, "people.csv"), "record_type": "customer"})
    assert sent.status_code in (302, 303), sent.text
    blind.uids["import_run"] = sent.headers["Location"].split("/")[2]
    columns = {f"column-{n}": name for n, name in enumerate(("kind", "display_name", "notes", "status"))}
    admin.post(f"/imports/{blind.uids['import_run']}/mapping", data=columns)


def found_by(client: Any, addresses: list[str]) -> tuple[dict[str, int], int]:
    """Return the addresses whose answer tells a secret, and how many were read."""
    told, read = {}, 0
    for address in addresses:
        answer = client.get(address)
        read += answer.status_code == 200
        if answer.status_code >= 500 or SECRET.encode() in unpacked(answer):
            told[address] = answer.status_code
    return told, read


def unpacked(answer: Any) -> bytes:
    """Return an answer's content, that of an archive with it."""
    data: bytes = answer.get_data()
    if data.startswith(b"PK"):
        with ZipFile(BytesIO(data)) as archive:
            return b"".join(archive.read(name) for name in archive.namelist())
    return data


def addresses_of(app: Any, uids: dict[str, Any]) -> list[str]:
    """Return every address that can be read, the lists and the searches with the secret as their question as well."""
    found = []
    lists = {path for t in types_of(app) for path in (f"/{t.path}", f"/api/{t.path}", f"/{t.path}/suggest")}
    for request in requests_of(app, uids):
        if request.method == "GET":
            asked = request.path in lists | {"/search", "/palette"}
            found += [request.path, f"{request.path}?q={CANARY}"] if asked else [request.path]
    return found


def test_a_hidden_value_occurs_nowhere(crm_app: Any, blind: Any, deliver_events: Any) -> None:
    do_things(blind)
    deliver_events()

    told, read = found_by(blind.client, addresses_of(crm_app, blind.uids))

    assert sorted(told) == []
    assert read > 150


def test_the_secrets_are_there_for_who_may_see_them(crm_app: Any, blind: Any) -> None:
    own = {f"/api/{t.path}/{blind.uids[t.name]}" for t in types_of(crm_app) if t.name in {n for n, _f in blind.hidden}}

    told, read = found_by(blind.admin, sorted(own))

    assert read > 20
    assert len(told) > 15


def test_no_address_shows_a_planted_text_amount_number_or_day(crm_app: Any, unit: Any) -> None:
    with unit() as uow:
        planted = plant(uow)
        user = detached(uow, planted.user)
    client, told, read, raised = browser(crm_app, user), {}, 0, {}

    for address in addresses_of(crm_app, planted.uids):
        answer = client.get(address)
        text = unpacked(answer).decode("utf-8", "replace")
        read += answer.status_code == 200
        if answer.status_code >= 500 or failed_cards(text):
            raised[address] = (answer.status_code, failed_cards(text))
        if found := planted.shown_in(text):
            told[address] = found

    assert told == {}
    assert raised == {}
    assert [found.name for found in types_of(crm_app) if planted.bare(found.name)] == []
    assert {found.name for found in types_of(crm_app)} - planted.uids.keys() == {"user", "team", "role"}
    assert {
        "customer.notes",
        "sale.amount",
        "customer.toyshop.points",
        "customer.birth_date",
    } <= planted.spellings.keys()
    assert read > 150


def test_a_type_whose_table_takes_no_planted_value_is_named(crm_app: Any, unit: Any) -> None:
    refuse = (
        "CREATE TRIGGER refusing BEFORE INSERT ON tag WHEN NEW.created_at < '1950' BEGIN SELECT RAISE(ABORT, 'x'); END"
    )

    with unit() as uow:
        uow.session.execute(sa.text(refuse))
        planted = plant(uow)
        uow.session.execute(sa.text("DROP TRIGGER refusing"))

    assert "tag.created_at" in planted.refused
    assert "tag" in planted.uids
    assert [found.name for found in types_of(crm_app) if planted.bare(found.name)] == ["tag"]


def test_a_planted_value_is_shown_to_who_may_see_it(crm_app: Any, unit: Any, login: Any) -> None:
    with unit() as uow:
        planted = plant(uow)

    seen = [
        name
        for record_type in ("customer", "sale", "note", "consent")
        for name in planted.shown_in(
            login("administrator").get(f"/{paths_of(crm_app)[record_type]}/{planted.uids[record_type]}").text
        )
    ]

    assert {"customer.notes", "customer.birth_date", "sale.amount", "note.author_name", "consent.source"} <= set(seen)


def test_what_a_title_repeats_cannot_be_hidden(crm_app: Any, unit: Any) -> None:
    with unit() as uow:
        role = create_role(uow, name="blind")

        with pytest.raises(InvalidInput, match="field"):
            restrict_field(uow, role, "note", "body", "hidden")
        restrict_field(uow, role, "note", "body", "read")


def paths_of(app: Any) -> dict[str, str]:
    """Return record type → path of its pages."""
    return {found.name: found.path for found in types_of(app)}
