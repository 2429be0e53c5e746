"""Somebody else's object in a form of a page is as unknown as one that does not exist: in every field that takes an id.

The forms are read from the pages themselves, those of one's own records: a new form, a panel's with a hidden id, a file's
target or a step of a bulk action is covered by being on a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.models import AppUser
from crm_kernel.jobs.models import JobSchedule
from crm_kernel.records.pages.one_field import editable_fields
from crm_kernel.records.plan import Kind, plan_of, target_of
from crm_kernel.unit_of_work import reading
from tests.kernel.matrix.asking import LEFT_OUT, NOTHING, digest, requests_of, types_of, written
from tests.kernel.matrix.foreign import CANARY, SHARED, give_away, make, ordered_types
from tests.kernel.matrix.html_forms import Form, Page

pytestmark = pytest.mark.crm_databases("sqlite")

#: What pages say of the moment, of no record in particular, or of what was just made: ids and times of day.
_PASSING = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{1,2}:\d\d(?::\d\d)?(?:\s*[AP]M)?|\d{4}-\d\d-\d\dT[\d:.]+"
)


@pytest.fixture
def clerk(world: Any, unit: Any, crm_app: Any, login: Any) -> Any:
    """Who may do everything with his own, and has one of every type that hangs on his own customers."""
    client = login(
        grants={"*": "own", "tag.*": "all", "note.*": "all", "attachment.*": "all", "customer.merge": "all"},
        team="Near",
    )
    with unit() as uow:
        user = uow.session.get(AppUser, client.user.id)
        owner = SimpleNamespace(id=user.id, uid=user.uid)
        mine = replace(
            world.foreign, owner=owner, uids=dict(world.foreign.uids), keys=dict(world.foreign.keys), secret=set()
        )
        records = {}
        for wanted in ordered_types():
            if wanted.name == "customer":
                for name in ("second customer", "customer"):
                    made = make(uow, wanted, mine, kind="organization")
                    mine.uids[name], mine.keys["second" if "second" in name else "customer"] = made.uid, made.id
                    records[name] = made.uid
            elif wanted.nav_section != "administration" and is_somebodys(wanted):
                made = make(uow, wanted, mine)
                give_away(uow, made, mine)
                records[wanted.name] = mine.uids[wanted.name] = made.uid
    client.uids = records
    return client


def is_somebodys(found: Any) -> bool:
    """Say whether a type's records are somebody's: by their owner, their customer, their author or what they are about."""
    return found.name != "relationship" and bool(found.owned or found.customer or found.author or found.about_others)


def pages_of(app: Any, clerk: Any) -> Iterator[str]:
    """Yield the addresses of the pages that have forms, with one's own records in them."""
    for request in requests_of(app, clerk.uids):
        if request.method == "GET" and not request.path.startswith(("/api", "/static")):
            yield request.path
    yield f"/customers/{clerk.uids['customer']}/merge?with={clerk.uids['second customer']}"
    with app.app_context(), reading(SYSTEM):
        fields = [
            (found, list(editable_fields(plan_of(found), SimpleNamespace(field_rules={}))))
            for found in types_of(app)
            if "update" in found.verbs and found.name in clerk.uids
        ]
    for found, names in fields:
        for name in names:
            yield f"/{found.path}/{clerk.uids[found.name]}/field/{name}"


def forms_of(app: Any, clerk: Any) -> list[Form]:
    """Return every form that is sent and takes an id somewhere, each kind once; the steps of bulk actions among them."""
    found: dict[Any, Form] = {}
    for address in pages_of(app, clerk):
        answer = clerk.get(address)
        if answer.status_code == 200 and answer.mimetype == "text/html":
            for form in Page(answer.text, address).forms:
                if form.method == "post" and urlsplit(form.action).path not in ends_of(app):
                    found.setdefault(form.key, form)
    for form in bulk_forms(app, clerk):
        found.setdefault((*form.key, dict(form.fields)["what"]), form)
    return [form for form in found.values() if form.slots()]


def ends_of(app: Any) -> set[str]:
    """Return the addresses that end the session."""
    return {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint in LEFT_OUT}


def bulk_forms(app: Any, clerk: Any) -> Iterator[Form]:
    """Yield the forms of every bulk action over one's own record, as the page offers them, ready to be started."""
    for found in types_of(app):
        path = f"/{found.path}/bulk"
        if found.name not in clerk.uids:
            continue
        first = clerk.post(path, data={"id": str(clerk.uids[found.name])})
        offered = (
            re.findall(r'value="((?:set:|do:)[\w.]+|delete|tags)"', first.text) if first.status_code == 200 else []
        )
        for what in dict.fromkeys(offered):
            asked = clerk.post(path, data={"id": str(clerk.uids[found.name]), "what": what})
            forms = [form for form in Page(asked.text, path).forms if "step" in dict(form.fields) or form.slots()]
            for form in forms[:1]:
                kept = [pair for pair in form.fields if pair[0] not in ("step", "what")]
                yield replace(form, action=path, fields=[*kept, ("what", what), ("step", "start")])


def types_for(app: Any, form: Form, slot: str, clerk: Any) -> list[str]:
    """Return the types whose far record is tried in a field: the one that it completes or holds now, else a customer."""
    paths = {f"/{found.path}/suggest": found.name for found in types_of(app)}
    if slot in form.completed:
        wanted = [paths[urlsplit(form.completed[slot]).path]]
    else:
        now = dict(form.fields).get(slot, "")
        wanted = [name for name, uid in clerk.uids.items() if str(uid) == now] or ["customer", "saved_view"]
    return [name for name in wanted if name not in SHARED]


def sent(client: Any, form: Form, slot: str, value: Any) -> tuple[Any, Any]:
    """Return the answer to a form with an id in one field, and what people read there or on the page it leads to."""
    data: dict[str, Any] = {}
    for name, held in form.fields:
        data.setdefault(name, []).append(str(value) if name == slot else held)
    data.setdefault(slot, [str(value)])
    data |= {name: (BytesIO(b"hello"), "hello.txt") for name in form.files}
    kind = "multipart/form-data" if form.multipart else "application/x-www-form-urlencoded"
    answer = client.post(form.action, data=data, content_type=kind)
    page = client.get(answer.headers["Location"]) if answer.status_code in (302, 303) else answer
    read = " · ".join(Page(page.text, "").words) if page.mimetype == "text/html" else page.text
    read = read.replace(page.headers.get("X-Request-ID", "-"), "?")
    told = (lasting(part) for part in (answer.headers.get("Location", ""), read))
    return answer, (answer.status_code, *told)


def lasting(text: str) -> str:
    """Return what a text tells of records: every count and amount, without ids and times of day."""
    return _PASSING.sub("", text)


def test_a_foreign_object_in_a_form_is_as_unknown_as_one_that_does_not_exist(
    crm_app: Any, world: Any, clerk: Any, unit: Any, deliver_events: Any
) -> None:
    wrong, asked, now = {}, set(), digest(crm_app)

    for form in forms_of(crm_app, clerk):
        for slot in form.slots():
            for target in types_for(crm_app, form, slot, clerk):
                answers, changes = [], []
                for value in (world.foreign.uids[target], NOTHING):
                    answer, told, after = noted(crm_app, clerk, form, slot, value, now)
                    answers.append(told)
                    changes.append(after != now)
                    wrong |= (
                        {f"{form.action} {slot}={target}": told}
                        if answer.status_code >= 500 or CANARY in told[2]
                        else {}
                    )
                    now = after
                asked.add((form.key[0], slot, target))
                # A bulk run is begun either way, and its records are refused by the job.
                if answers[0] != answers[1] or changes[0] != changes[1]:
                    wrong[f"{form.action} {slot}={target}"] = (answers, changes)
    with unit() as uow:
        uow.session.execute(sa.delete(JobSchedule))  # its far row has no times
    deliver_events()

    assert wrong == {}, "\n".join(f"{name}: {told}" for name, told in wrong.items())
    assert len(asked) > 20, asked
    assert pointing_to_foreign(crm_app, world, clerk, unit) == []


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("3 records of 17", "4 records of 17", False),
        ("€1,200.00", "€1,300.00", False),
        ("/customers?page=2", "/customers?page=3", False),
        ("on 11/22/26, 1:05 PM", "on 11/22/26, 12:06:01\u202fAM", True),
        ("2026-11-22T13:05:01.120+00:00", "2026-11-22T13:05:01.121+00:00", True),
        (f"/notes/{NOTHING}", "/notes/01a20367-4c83-745f-bca9-70aa2fcbbd8c", True),
    ],
)
def test_answers_differ_by_counts_and_amounts_not_by_ids_and_times(first: str, second: str, same: bool) -> None:
    assert (lasting(first) == lasting(second)) is same


def noted(app: Any, client: Any, form: Form, slot: str, value: Any, before: str) -> tuple[Any, Any, str]:
    """Return the answer to a form, what was told, and a digest of all tables afterwards."""
    with written() as statements:
        answer, told = sent(client, form, slot, value)
    return answer, told, digest(app) if statements else before


def pointing_to_foreign(app: Any, world: Any, clerk: Any, unit: Any) -> list[tuple[str, str]]:
    """Return the references of one's own records that point to a far one by now."""
    found = []
    with unit() as uow:
        for record_type in (t for t in types_of(app) if t.name in clerk.uids):
            for name, field in plan_of(record_type).fields.items():
                if field.kind is Kind.REFERENCE and field.column is not None and target_of(field).name not in SHARED:
                    key = uow.session.scalar(
                        sa.select(field.column).where(record_type.model.uid == clerk.uids[record_type.name])
                    )
                    table = target_of(field).model.__tablename__
                    found += (
                        [(record_type.name, name)] if key is not None and key == world.foreign.keys.get(table) else []
                    )
    return found


def test_the_forms_of_all_kinds_are_there(crm_app: Any, clerk: Any) -> None:
    forms = forms_of(crm_app, clerk)
    actions = {form.key[0] for form in forms}

    assert {
        "/notes/add",
        "/attachments/add",
        "/customers/…/merge",
        "/customers/bulk",
        "/customers/…/field/owner",
    } <= actions
    assert [form.key for form in forms if form.multipart]
    assert [form.key for form in forms if form.completed]
