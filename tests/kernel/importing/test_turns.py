"""An import in the background goes on turn by turn, each with what its user may do by then."""

from __future__ import annotations

import io
import itertools
import tomllib
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM, Scope
from crm_kernel.access.models import AppUser, RolePermission, UserRole
from crm_kernel.access.services.users import deactivate_user
from crm_kernel.customers.models import Customer, Organization
from crm_kernel.errors import Conflict
from crm_kernel.jobs.models import JobRow
from crm_kernel.records.importing import continuing, engine, preparing, runs, session
from crm_kernel.records.importing.chunks import SourceRun
from crm_kernel.records.importing.forms import mapping_of
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.sales.models import Sale

PEOPLE = "kind,display_name\norganization,Acme\norganization,Bolt\n"
SALES = "No,When,Who,Amount\n1,2026-01-02 10:00:00,R1,5\n2,2026-01-02 11:00:00,R1,6\n"
MEANING = """
match = ["source_plugin", "external_ref"]
[columns]
No = "external_ref"
When = "occurred_at"
Who = { field = "customer", lookup = { by = "external_ref" } }
Amount = "amount"
[constants]
source_plugin = "shop"
channel = "store"
currency = "USD"
title = "Receipt"
"""


def raised(error):
    """Raise an error where only an expression can stand."""
    raise error


@pytest.fixture
def begun():
    """Give a file to the API and return the id of its import."""

    def begin(client, content, **parts):
        data = {"file": (io.BytesIO(content.encode()), "file.csv"), **parts}
        answer = client.open("POST", "/api/imports", data=data, content_type="multipart/form-data")
        assert answer.status_code == 202, answer.get_data(as_text=True)
        return UUID(answer.json["id"])

    return begin


@pytest.fixture
def turn(crm_app, unit, monkeypatch):
    """Give a run one turn of so many chunks of one row, and return its state, what it created and refused, and why it stopped."""
    monkeypatch.setattr(session, "CHUNK", 1)

    def take(uid, chunks):
        clock = itertools.count()
        monkeypatch.setattr(engine, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        with crm_app.app_context():
            continuing.take_turn(uid, chunks)
        with unit() as uow:
            run = runs.run_of(uow, uid)
            [counts] = run.counts
            return run.state, counts["created"], counts["refused"], run.failure

    return take


def test_who_was_deactivated_between_two_turns_imports_no_further_row(api, begun, turn, unit):
    client = api("administrator")
    api("administrator")  # the last one of them could not be deactivated
    uid = begun(client, PEOPLE, record_type="customer")
    assert turn(uid, 1) == ("running", 1, 0, None)

    with unit(SYSTEM) as uow:
        deactivate_user(uow, uow.session.get_one(AppUser, client.user.id))

    assert turn(uid, 9) == ("stopped", 1, 0, "The account of who asked for this was deactivated.")


def test_what_a_user_may_not_see_any_more_is_not_found_by_a_row_of_the_next_turn(
    api, begun, turn, unit, customer_factory
):
    customer_factory(kind="organization", display_name="Ada", external_ref="R1", source="x")
    grants = {"customer.read": "all", "sale.read": "all", "sale.import": "all"}
    client = api(grants=grants)
    uid = begun(client, SALES, record_type="sale", mapping=MEANING)
    assert turn(uid, 1) == ("running", 1, 0, None)

    with unit() as uow:
        held = sa.select(UserRole.role_id).where(UserRole.user_id == client.user.id)
        seen = sa.and_(RolePermission.permission == "customer.read", RolePermission.role_id.in_(held))
        uow.session.execute(sa.update(RolePermission).where(seen).values(scope=int(Scope.OWN)))

    assert turn(uid, 9) == ("done", 1, 1, None)
    with unit() as uow:
        assert uow.session.scalars(sa.select(Sale.external_ref)).all() == ["1"]


KEYED = '[columns]\nRef = "external_ref"\nName = "display_name"\nMail = "contact_points.email"\n' + (
    'Staff = { field = "employees", empty = "keep" }\n[constants]\nkind = "organization"\nsource = "test"\n'
)
REPEATED = (
    "Ref,Name,Mail,Staff\nA1,Acme,sales@acme.com,12\nA1,Acme,sales@acme.com,13\nA1,Acme,,12\nA1,acme corp,,\n"
    "A1,Acme,,\nA2,Bolt,,\nA1,Acme,info@acme.com,12\nA0,Old,,5\nA0,New,,5\n"
)


@pytest.fixture
def counted(begun, turn, unit, crm_app):
    """Rehearse a file for a client in chunks of one row, or import it, and return the verdicts."""

    def count(client, turns=((99,),), **parts):
        uid = begun(client, REPEATED, record_type="customer", mapping=KEYED, **parts)
        for chunks, *afresh in turns:
            turn(uid, chunks)
            if afresh:  # another process goes on
                crm_app.extensions.pop("crm_imports", None)
        with unit() as uow:
            [counts] = runs.run_of(uow, uid).counts
            return {name: counts[name] for name in ("created", "updated", "skipped", "refused") if counts[name]}

    return count


@pytest.mark.parametrize("turns", [((99,),), ((1, "afresh"), (2, "afresh"), (99,))], ids=["at once", "by others"])
def test_a_rehearsal_tells_of_rows_that_repeat_a_record_what_the_import_does(api, counted, customer_factory, turns):
    customer_factory(kind="organization", display_name="Old", source="test", external_ref="A0", employees=4)
    client = api("administrator")

    rehearsed = counted(client, turns, dry_run="true")

    assert rehearsed == counted(client) == {"created": 2, "updated": 1, "skipped": 2, "refused": 4}


WRONG = '[columns]\nRef = "external_ref"\nName = "display_name"\nText = "legal_name"\n' + (
    '[constants]\nkind = "organization"\nsource = "test"\n'
)
TEXTS = {"record_type": "customer", "mapping": WRONG, "dry_run": "true"}


@pytest.fixture
def correct(unit):
    """Stop a client's rehearsal, give the third column its right meaning, and begin the import."""

    def mend(client, uid):
        assert client.post(f"/api/imports/{uid}/stop").status_code == 200
        with unit(SYSTEM) as uow:
            run, plan = runs.run_of(uow, uid), plan_of(record_type("customer"))
            meaning = mapping_of(tomllib.loads(WRONG.replace("legal_name", "notes")), "file.csv", plan)
            preparing.set_mapping(uow, run, meaning, session.ImportSession(meaning, Path(run.folder)))
        assert client.post(f"/api/imports/{uid}/start").status_code == 202

    return mend


@pytest.fixture
def written(unit):
    """Return notes and legal names of all customers."""

    def read():
        with unit() as uow:
            notes = uow.session.scalars(sa.select(Customer.notes).order_by(Customer.id))
            return notes.all(), uow.session.scalars(sa.select(Organization.legal_name)).all()

    return read


def test_a_process_that_waits_with_a_former_meaning_goes_on_with_the_corrected_one(
    api, begun, turn, correct, written, crm_app
):
    client = api("administrator")
    uid = begun(client, "Ref,Name,Text\n1,N1,T1\n2,N2,T2\n3,N3,T3\n", **TEXTS)
    assert turn(uid, 2)[0] == "rehearsing"
    correct(client, uid)
    waiting = crm_app.extensions.pop("crm_imports")
    turn(uid, 2)  # by another process, to where the first one waits
    crm_app.extensions["crm_imports"] = waiting

    assert turn(uid, 9) == ("done", 3, 0, None)
    assert written() == (["T1", "T2", "T3"], [None, None, None])


def test_a_process_that_has_opened_a_file_before_its_columns_were_corrected_writes_nothing(
    api, begun, turn, correct, written, monkeypatch
):
    client = api("administrator")
    uid = begun(client, "Ref,Name,Text\n1,N1,T1\n", **TEXTS)

    @contextmanager
    def corrected_meanwhile():
        correct(client, uid)
        yield

    with monkeypatch.context() as patch:
        patch.setattr(continuing, "patient_collector", corrected_meanwhile)
        assert turn(uid, 9) == ("running", 0, 0, None)

    assert turn(uid, 9) == ("done", 1, 0, None)
    assert written() == (["T1"], [None])


def test_nothing_waits_for_a_run_that_was_stopped(api, begun, turn, crm_app):
    client = api("administrator")
    stopped = begun(client, PEOPLE, record_type="customer")
    turn(stopped, 1)
    client.post(f"/api/imports/{stopped}/stop")

    other = begun(client, PEOPLE, record_type="customer")
    turn(other, 1)

    assert list(crm_app.extensions["crm_imports"]) == [other]


def test_undoing_that_ended_half_way_says_why_and_is_gone_on_with(api, login, begun, deliver_events, unit):
    client, other = api("administrator"), login("administrator")
    uid = begun(client, PEOPLE, record_type="customer")
    deliver_events()
    client.post(f"/api/imports/{uid}/undo")
    assert "Undo this import" not in other.get(f"/imports/{uid}").get_data(as_text=True)
    with unit(SYSTEM) as uow:
        deactivate_user(uow, uow.session.get_one(AppUser, client.user.id))

    deliver_events()

    page = other.get(f"/imports/{uid}").get_data(as_text=True)
    assert "The account of who asked for this was deactivated." in page
    assert "Undo this import" in page
    other.post(f"/imports/{uid}/undo")
    deliver_events()
    with unit() as uow:
        run = runs.run_of(uow, uid)
        assert (run.state, run.undo["deleted"], run.failure) == ("undone", 2, None)


def test_an_import_that_is_being_undone_gets_no_second_job(api, begun, deliver_events, unit):
    client = api("administrator")
    uid = begun(client, PEOPLE, record_type="customer")
    deliver_events()

    answers = [client.post(f"/api/imports/{uid}/undo").status_code for _time in range(2)]

    assert answers == [202, 202]
    with unit() as uow:
        jobs = sa.select(sa.func.count(JobRow.id)).where(JobRow.name == "kernel.undo_import")
        assert uow.session.scalar(jobs) == 1


@pytest.mark.parametrize("ended", ["stopped", "failed"])
def test_the_page_of_a_check_that_ended_half_way_says_how_many_rows_were_looked_at(
    api, login, begun, turn, monkeypatch, ended
):
    client, browser = api("administrator"), login("administrator")
    uid = begun(client, PEOPLE, record_type="customer", dry_run="true")
    turn(uid, 1)
    if ended == "stopped":
        client.post(f"/api/imports/{uid}/stop")
    else:
        monkeypatch.setattr(SourceRun, "process", lambda *_given: raised(Conflict("the disk is full")))
        turn(uid, 9)

    page = browser.get(f"/imports/{uid}").get_data(as_text=True)

    assert "1 of 2 rows were looked at. Nothing is changed yet." in page
    assert "This is what would become of the rows" not in page
    assert ("Import now" in page, "the disk is full" in page) == (
        (True, False) if ended == "stopped" else (False, True)
    )
    assert "What becomes of each row, as a file" in page
