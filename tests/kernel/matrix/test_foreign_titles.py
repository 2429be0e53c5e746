"""A record of one's own that points to somebody else's shows that there is one: neither its id nor its title, in any channel.

The records are made from the declarations: one's own of every owned type, each of its references to what is far away;
and a customer whose custom field points to a far one, so that there is a reference that changes where no module is installed.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from crm_kernel.access.models import AppUser
from crm_kernel.records.custom_fields.services import add_field
from crm_kernel.records.plan import Kind, plan_of, target_of
from tests.kernel.matrix.asking import requests_of, types_of
from tests.kernel.matrix.foreign import CANARY, SHARED, make, ordered_types

pytestmark = pytest.mark.crm_databases("sqlite")

#: The custom field of customers that refers to another customer.
PARTNER = "cf_partner"


@pytest.fixture
def pointing(world: Any, unit: Any, crm_app: Any, login: Any, factories: Any) -> Any:
    """Somebody whose own records all point to far ones: ``pointing.uids`` by record type, ``pointing.targets`` those ids."""
    client = login(grants={"*": "own"}, team="Near")
    with unit() as uow:
        add_field(uow, "customer", PARTNER, "reference", target="customer", labels={"en": "Partner"})
    far = str(world.foreign.uids["customer"])
    partner = factories.organization(owner=str(client.user.uid), **{PARTNER: far})
    with unit() as uow:
        user = uow.session.get(AppUser, client.user.id)
        owner = SimpleNamespace(id=user.id, uid=user.uid)
        mine = replace(
            world.foreign, owner=owner, uids=dict(world.foreign.uids), keys=dict(world.foreign.keys), secret=set()
        )
        uids = {}
        for wanted in ordered_types():
            if wanted.owned and references_of(wanted):
                uids[wanted.name] = make(uow, wanted, mine)
        uids = {name: record.uid for name, record in uids.items()} | {"customer": partner.uid}
    with crm_app.app_context():
        targets = {t: world.foreign.uids[t] for found in types_of(crm_app) for t in references_of(found)}
    return SimpleNamespace(client=client, uids=uids, targets=targets, admin=login("administrator"))


def references_of(found: Any) -> list[str]:
    """Return the types that a type's records point to and whose far records are nobody's business."""
    fields = [field for field in plan_of(found).fields.values() if field.kind is Kind.REFERENCE]
    return [target_of(field).name for field in fields if target_of(field).name not in SHARED]


def addresses_of(app: Any, pointing: Any) -> list[str]:
    """Return every address that can be read with one's own records in it; lists as boards, calendars, and searched."""
    found = []
    lists = {f"/{t.path}" for t in types_of(app)}
    for request in requests_of(app, pointing.uids):
        if request.method == "GET":
            found.append(request.path)
            found += [f"{request.path}?{more}" for more in ("view=board", "view=calendar", f"q={CANARY}")] * (
                request.path in lists
            )
    return found


def test_no_address_names_what_ones_own_records_point_to(crm_app: Any, world: Any, pointing: Any) -> None:
    told, read = {}, 0

    for address in addresses_of(crm_app, pointing):
        answer = pointing.client.get(address)
        text = answer.get_data(as_text=True)
        read += answer.status_code == 200
        ids = [name for name, uid in pointing.targets.items() if str(uid) in text]
        if (
            answer.status_code >= 500
            or (CANARY in text.replace(f"q={CANARY}", "").replace(f'value="{CANARY}"', ""))
            or ids
        ):
            told[address] = (answer.status_code, CANARY in text, ids)

    assert told == {}
    assert pointing.uids, "no owned type points to another"
    assert read > 80


def test_ones_own_records_show_that_there_is_one(crm_app: Any, pointing: Any) -> None:
    types = {found.name: found for found in types_of(crm_app)}

    assert pointing.uids, "no owned type points to another"
    for name, uid in pointing.uids.items():
        page = pointing.client.get(f"/{types[name].path}/{uid}")
        assert (page.status_code, "(hidden)" in page.text) == (200, True), name


def test_a_change_of_what_a_record_points_to_is_told_without_the_far_ones(
    crm_app: Any, world: Any, pointing: Any, factories: Any
) -> None:
    near, types = factories.organization(owner=str(pointing.client.user.uid)), {t.name: t for t in types_of(crm_app)}
    told, changed = {}, 0

    for name, uid in pointing.uids.items():
        with crm_app.app_context():
            fields = plan_of(types[name]).fields.values()
            wanted = [
                f.name for f in fields if f.kind is Kind.REFERENCE and target_of(f).name == "customer" and f.writable
            ] + [PARTNER] * (name == "customer")
        for field in wanted if "update" in types[name].verbs else ():
            one = f"/api/{types[name].path}/{uid}"
            etag = {"If-Match": pointing.admin.get(one).headers["ETag"]}
            changed += pointing.admin.patch(one, json={field: str(near.uid)}, headers=etag).status_code == 200
            pages = [f"/audit?record_type={name}&record={uid}", f"/api/audit?record_type={name}&record={uid}"]
            for page in (*pages, f"/{types[name].path}/{uid}"):
                text = pointing.client.get(page).text
                if CANARY in text or str(world.foreign.uids["customer"]) in text:
                    told[page] = text

    assert changed >= 1
    assert told == {}
