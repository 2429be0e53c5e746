"""Two or more edit one customer at once, each through another channel: no edit that was accepted is lost.

API, form and edit in place say which version they are based on: what is based on an older one is refused, and nothing of
it is written. Bulk actions and imports are told values and no version: what they do not name stays as others left it.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.customers import services
from crm_kernel.customers.models import ContactPoint
from crm_kernel.customers.services import change_contact_point, remove_contact_point
from crm_kernel.errors import DatabaseUnavailable, StaleVersion
from crm_kernel.records.bulk_actions import applying
from crm_kernel.records.bulk_actions.asking import Change, Chosen
from crm_kernel.records.bulk_actions.models import REFUSED, BulkRow
from crm_kernel.records.bulk_actions.running import run_chunk
from crm_kernel.records.bulk_actions.services import start
from crm_kernel.records.importing import comparing, import_file, undoing
from crm_kernel.records.importing.mapping import plain_mapping
from crm_kernel.records.importing.models import ImportRun
from crm_kernel.records.plan import record_type
from crm_kernel.unit_of_work import writing

FIELDS = ("notes", "job_title", "prefix", "suffix")
#: Of the channels that know what they are based on: the answers that say "done" and those that say "somebody was faster".
DONE, STALE = {200, 204, 303}, {409, 412}
#: Longest wait of a thread for the others, in seconds: nobody waits so long who is not lost.
PATIENCE = 300

often = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Office:
    """Edits one customer through every channel, as an administrator."""

    def __init__(self, app: Any, client: Any, browser: Any, folder: Path) -> None:
        self.app, self.client, self.browser, self.folder = app, client, browser, folder
        self._files = itertools.count()
        self.channels: dict[str, Callable[[dict[str, Any], str, str], bool]] = {
            "api": self.api, "form": self.form, "cell": self.cell, "bulk": self.bulk, "import": self.imported,
        }  # fmt: skip

    def receive(self) -> None:
        """Begin with a new customer."""
        made = self.client.post("/api/customers", {"kind": "person", "family_name": "Lovelace"})
        self.path = made.headers["Location"]
        self.uid = UUID(made.json["id"])

    def read(self) -> dict[str, Any]:
        """Return what somebody sees who opens the customer now: the fields, and the version."""
        found = self.client.get(self.path).json
        return {name: found[name] for name in (*FIELDS, "version")}

    def api(self, seen: dict[str, Any], field: str, value: str) -> bool:
        return self._taken(self.client.patch(self.path, {field: value}, etag=f'"{seen["version"]}"'))

    def form(self, seen: dict[str, Any], field: str, value: str) -> bool:
        """Send the whole form as it was opened, one field changed: what makes others' updates get lost."""
        sent = {name: text or "" for name, text in {**seen, field: value}.items()}
        return self._taken(self.browser.post(f"{self._page}/edit", data=sent))

    def cell(self, seen: dict[str, Any], field: str, value: str) -> bool:
        data = {field: value, "version": seen["version"]}
        answer = self.browser.post(f"{self._page}/field/{field}", data=data, headers={"HX-Request": "true"})
        if answer.status_code == 422:  # shown beside what somebody else wrote; saving that again names the new version
            shown = int(re.search(r'name="version" value="(\d+)"', answer.text)[1])
            assert shown > seen["version"], answer.text
            return False
        return self._taken(answer)

    def bulk(self, seen: dict[str, Any], field: str, value: str) -> bool:
        with self.app.app_context(), writing(SYSTEM) as uow:
            run = start(uow, record_type("customer"), Change("update", {field: value}), Chosen((self.uid,))).uid
        going = True
        while going:
            try:
                with self.app.app_context(), writing(SYSTEM) as uow:
                    going = run_chunk(uow, {"run": str(run)}) is not None
            except (StaleVersion, DatabaseUnavailable):
                continue  # as the job would, which waits longer
        with self.app.app_context(), writing(SYSTEM) as uow:
            reasons = uow.session.scalars(sa.select(BulkRow.reason).where(BulkRow.outcome == REFUSED)).all()
        assert reasons == []
        return True

    def imported(self, seen: dict[str, Any], field: str, value: str) -> bool:
        path = self.folder / f"import{next(self._files)}.csv"
        path.write_text(f"id,{field}\n{self.uid},{value}\n", encoding="utf-8")
        with self.app.app_context():
            result = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)
        assert (result.refused, result.failure) == (0, None), result.to_json()
        return True

    def logged(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Return (before, after) of every change in the audit log, oldest first."""
        statement = (
            sa.select(AuditPayload.before, AuditPayload.after)
            .join(AuditLog, AuditLog.uid == AuditPayload.audit_uid)
            .where(AuditLog.record_uid == self.uid, AuditLog.action == "updated")
            .order_by(AuditLog.id)
        )
        with self.app.app_context(), writing(SYSTEM) as uow:
            return [(row.before or {}, row.after or {}) for row in uow.session.execute(statement)]

    @property
    def _page(self) -> str:
        return self.path.removeprefix("/api")

    def _taken(self, answer: Any) -> bool:
        assert answer.status_code in DONE | STALE, answer.text
        return answer.status_code in DONE


@pytest.fixture
def office(crm_app, api, login, tmp_path):
    """One customer and all the ways to edit it."""
    office = Office(crm_app, api("administrator"), login("administrator"), tmp_path)
    office.receive()
    return office


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["Ada", "Bob"]),
        st.sampled_from(["open", "api", "form", "cell", "bulk", "import"]),
        st.sampled_from(FIELDS),
        st.sampled_from(["x", "y", "z"]),
    ),
    min_size=2,
    max_size=10,
)


@often
@given(STEPS)
def test_of_interleaved_edits_each_is_there_or_refused_as_a_whole(office, steps):
    office.receive()
    held, changes = office.read(), []
    seen = {"Ada": held, "Bob": held}

    for who, channel, field, value in steps:
        if channel == "open":
            seen[who] = held
            continue
        done = office.channels[channel](seen[who], field, value)

        assert done == (channel in ("bulk", "import") or seen[who]["version"] == held["version"])
        if done and held[field] != value:
            changes.append((field, held[field], value))
            held = {**held, field: value, "version": held["version"] + 1}
        assert office.read() == held, f"{who} by {channel}"

    logged = office.logged()
    assert [{n: after[n] for n in FIELDS if n in after} for _before, after in logged] == [
        {f: v} for f, _old, v in changes
    ]
    assert [before.get(f) for (before, _after), (f, _old, _v) in zip(logged, changes, strict=True)] == [
        old for _field, old, _value in changes
    ]


TIMES = 4
WRITERS = (("api", "notes"), ("form", "job_title"), ("cell", "prefix"), ("bulk", "suffix"), ("import", "notes"))


def test_five_who_write_at_the_same_time_through_five_channels_lose_nothing(office):
    start_together = threading.Barrier(len(WRITERS))

    def write(channel: str, field: str) -> list[tuple[str, str]]:
        start_together.wait(PATIENCE)
        values = [f"{channel} {number}" for number in range(TIMES)]
        for value in values:  # whoever was slower reads again and repeats the change
            assert any(office.channels[channel](office.read(), field, value) for _attempt in range(200)), value
        return [(field, value) for value in values]

    with ThreadPoolExecutor(len(WRITERS)) as pool:
        written = [entry for entries in pool.map(lambda writer: write(*writer), WRITERS) for entry in entries]

    found, logged = office.read(), office.logged()
    steps = [(name, before.get(name), after[name]) for before, after in logged for name in FIELDS if name in after]
    assert Counter((name, after) for name, _before, after in steps) == Counter(written)
    assert found["version"] == 1 + len(written)
    for name in FIELDS:
        # Each change says what it replaced: a lost one would leave a gap in the chain of values.
        chain = [(before, after) for field, before, after in steps if field == name]
        assert [before for before, _after in chain] == [None, *(after for _before, after in chain[:-1])]
        assert found[name] == chain[-1][1]


@pytest.fixture
def between(monkeypatch):
    """Let somebody else act once, right after a function has looked: ``between(module, "function", act)``."""

    def arrange(module: Any, name: str, act: Callable[[], Any]) -> None:
        look = getattr(module, name)

        def looked(*arguments: Any) -> Any:
            found = look(*arguments)
            monkeypatch.setattr(module, name, look)
            other = threading.Thread(target=act)
            other.start()
            other.join(PATIENCE)
            return found

        monkeypatch.setattr(module, name, looked)

    return arrange


# SQLite has one writer at a time: there, nobody can come between what somebody reads and what he writes.
alone_on_sqlite = pytest.mark.crm_databases("postgresql")
MAIL, PHONE = {"channel": "email", "value": "ada@example.org"}, {"channel": "phone", "value": "+33 1 23 45 67 89"}


def _undo(office: Office) -> None:
    with office.app.app_context():
        with writing(SYSTEM) as uow:
            run = uow.session.scalars(sa.select(ImportRun.uid)).one()
            undoing.begin_undo(uow, run)
        undoing.undo(SYSTEM, run)


@alone_on_sqlite
def test_an_import_keeps_what_came_after_its_look_and_its_undoing_brings_it_back(office, between):
    changes = {"contact_points": [MAIL], "notes": "by phone"}
    between(comparing, "current_values", lambda: office.client.patch(office.path, changes))
    path = office.folder / "calls.csv"
    path.write_text(f"id,notes,contact_points.phone\n{office.uid},by file,{PHONE['value']}\n", encoding="utf-8")

    with office.app.app_context():
        result = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)
    imported = office.client.get(office.path).json
    _undo(office)

    undone = office.client.get(office.path).json
    assert (result.refused, result.failure) == (0, None), result.to_json()
    assert imported["notes"] == "by file"
    assert {point["channel"] for point in imported["contact_points"]} == {"email", "phone"}
    assert undone["notes"] == "by phone"
    assert [point["channel"] for point in undone["contact_points"]] == ["email"]


@alone_on_sqlite
def test_a_bulk_change_is_tried_again_when_somebody_was_faster(office, between):
    between(applying, "record_of", lambda: office.client.patch(office.path, {"notes": "by phone"}))

    office.bulk({}, "suffix", "Jr")

    assert office.read() == {"notes": "by phone", "suffix": "Jr", "job_title": None, "prefix": None, "version": 3}


@alone_on_sqlite
def test_who_changes_a_record_while_its_import_is_undone_waits_and_is_not_overwritten(office, between):
    office.imported({}, "notes", "by file")
    etag, answers = office.client.etag(office.path), []
    late = threading.Thread(
        target=lambda: answers.append(office.client.patch(office.path, {"notes": "by phone"}, etag=etag))
    )

    def begin() -> None:
        late.start()
        late.join(1)

    between(undoing, "current_values", begin)
    _undo(office)
    late.join(PATIENCE)

    assert [answer.status_code for answer in answers] == [412]
    assert office.read()["notes"] is None


@alone_on_sqlite
@pytest.mark.parametrize("change", [lambda *a: change_contact_point(*a, {"label": "old"}), remove_contact_point])
def test_a_contact_point_added_meanwhile_is_not_taken_away_with_another(office, between, unit, change):
    office.client.patch(office.path, {"contact_points": [MAIL]})
    both = [{"id": point["id"]} for point in office.client.get(office.path).json["contact_points"]] + [PHONE]
    between(services, "_points_of", lambda: office.client.patch(office.path, {"contact_points": both}))

    with pytest.raises(StaleVersion), unit() as uow:
        change(uow, uow.session.scalars(sa.select(ContactPoint)).one())

    assert {point["channel"] for point in office.client.get(office.path).json["contact_points"]} == {"email", "phone"}
