"""Undoing imports: values and parts come back, created records go, and what people did since stays and is told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from decimal import Decimal
from uuid import UUID

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.collaboration.notes import add_note
from crm_kernel.collaboration.tags.services import change_tags
from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.errors import Conflict, Forbidden, NotFound, StaleVersion
from crm_kernel.records.custom_fields.services import add_field
from crm_kernel.records.importing import runs, undoing
from crm_kernel.records.importing.models import ImportRun
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record, update_record
from crm_kernel.unit_of_work import reading, writing

FIRST = "Ref,Name,Employees,Mail,Phone\nA1,Acme,12,sales@acme.com,+33 1 42 68 53 00\nA2,Bolt,,,\n"
SECOND = "Ref,Name,Employees,Mail,Phone\nA1,Acme SA,40,info@acme.com,\nA2,Bolt,,,\nA3,Cog,3,,\n"


@pytest.fixture
def undo(crm_app):
    """Undo a run and return it as it is then, with what was kept."""

    def undo_run(result, actor=SYSTEM):
        with crm_app.app_context():
            with writing(actor) as uow:
                undoing.begin_undo(uow, UUID(result.run_id))
            undoing.undo(actor, UUID(result.run_id))
            with reading(actor) as uow:
                run = runs.run_of(uow, UUID(result.run_id))
                kept = [row.problems[0]["expected"] for row in undoing.kept_rows(uow, run)]
                return dict(run.undo), run.state, kept

    return undo_run


def snapshot(unit):
    """Return everything stored about customers but for versions and times."""
    with unit() as uow:
        customers = uow.session.execute(
            sa.select(Customer.uid, Customer.display_name, Customer.external_ref, Customer.team_id).order_by(
                Customer.id
            )
        ).all()
        columns = (ContactPoint.uid, ContactPoint.value, ContactPoint.is_primary, ContactPoint.label)
        points = uow.session.execute(sa.select(*columns).order_by(ContactPoint.id)).all()
        return customers, points


def test_a_run_keeps_who_did_what_with_which_file(write, run, accounts, unit):
    write("accounts.csv", FIRST)

    result = run(accounts)

    with unit() as uow:
        [kept] = uow.session.scalars(sa.select(ImportRun)).all()
        assert (kept.uid, kept.state, kept.actor, kept.name) == (UUID(result.run_id), "done", "system", "test")
        assert kept.files[0]["name"] == "accounts.csv"
        assert len(kept.files[0]["sha256"]) == 64
        assert (kept.counts[0]["created"], kept.counts[0]["total"]) == (2, 2)
        assert kept.checkpoint == {"source": 0, "rows": 2}


def test_a_rehearsal_keeps_no_run(write, run, accounts, unit):
    from crm_kernel.records.importing import Mode

    write("accounts.csv", FIRST)
    run(accounts, mode=Mode.DRY_RUN)

    with unit() as uow:
        assert uow.session.scalars(sa.select(ImportRun)).all() == []


def test_undoing_gives_changed_records_back_as_they_were_and_deletes_new_ones(write, run, accounts, unit, undo):
    write("accounts.csv", FIRST)
    run(accounts)
    before = snapshot(unit)
    write("accounts.csv", SECOND)
    second = run(accounts)
    assert snapshot(unit) != before

    numbers, state, kept = undo(second)

    assert (numbers, state, kept) == ({"deleted": 1, "restored": 1, "kept": 0}, "undone", [])
    assert snapshot(unit) == before


def test_changed_records_of_several_types_come_back_even_where_the_log_begins_after_them(
    write, run, accounts, rows_of, unit, undo
):
    products = {
        "file": "products.csv",
        "record_type": "product",
        "match": ["sku"],
        "columns": {"Sku": "sku", "Name": "name"},
    }
    write("accounts.csv", FIRST)
    write("products.csv", "Sku,Name\nS1,One\nS2,Two\n")
    run(accounts, products)
    with unit() as uow:  # as in a database that was copied: records are older than its log
        uow.session.execute(sa.delete(AuditPayload))
        uow.session.execute(sa.delete(AuditLog))
    write("accounts.csv", SECOND)
    write("products.csv", "Sku,Name\nS1,Uno\nS2,Dos\n")

    numbers, _state, kept = undo(run(accounts, products))

    assert (numbers, kept) == ({"deleted": 1, "restored": 3, "kept": 0}, [])
    assert [row["display_name"] for row in rows_of("customer", "display_name")] == ["Acme", "Bolt"]
    assert [row["name"] for row in rows_of("product", "name")] == ["One", "Two"]


def test_undoing_a_first_import_leaves_nothing(write, run, accounts, unit, undo):
    write("accounts.csv", FIRST)

    numbers, state, _kept = undo(run(accounts))

    assert (numbers["deleted"], state) == (2, "undone")
    assert snapshot(unit) == ([], [])


def test_a_record_changed_by_two_rows_comes_back_whole(write, run, accounts, rows_of, undo):
    write("accounts.csv", FIRST)
    run(accounts)
    write("more.csv", "Ref,Name\nA1,Acme One\n")
    write("accounts.csv", "Ref,Name\nA1,Acme Two\n")

    done = run(accounts, {**accounts, "file": "more.csv"})
    undo(done)

    assert [row["display_name"] for row in rows_of("customer", "display_name")] == ["Acme", "Bolt"]


def test_what_somebody_changed_since_stays_and_is_told(write, run, accounts, rows_of, crm_app, undo):
    write("accounts.csv", FIRST)
    run(accounts)
    write("accounts.csv", SECOND)
    second = run(accounts)
    [first, _bolt, third] = rows_of("customer", "id", "version")
    with crm_app.app_context(), writing(SYSTEM) as uow:
        kind = record_type("customer")
        update_record(uow, kind, first["id"], {"employees": 41}, version=first["version"])
        update_record(uow, kind, third["id"], {"notes": "called"}, version=third["version"])

    numbers, state, kept = undo(second)

    assert (numbers, state) == ({"deleted": 0, "restored": 0, "kept": 2}, "undone")
    assert sorted(kept) == ["Changed since, left as it is: employees", "Somebody has changed it since."]
    found = rows_of("customer", "display_name", "employees")
    assert found[0] == {"display_name": "Acme", "employees": 41}
    assert found[2] == {"display_name": "Cog", "employees": 3}


def test_a_record_that_others_point_at_stays(write, run, accounts, rows_of, crm_app, factories, undo):
    write("accounts.csv", FIRST)
    done = run(accounts)
    [first, _bolt] = rows_of("customer", "id")
    with crm_app.app_context(), writing(SYSTEM) as uow:
        from crm_kernel.sales.services import record_sale

        customer = uow.session.scalars(sa.select(Customer).where(Customer.uid == first["id"])).one()
        record_sale(
            uow, title="Chairs", amount=Decimal(12), currency="USD", channel="web", source_plugin="kernel", external_ref="1",
            customer=customer,
        )  # fmt: skip

    numbers, _state, kept = undo(done)

    assert numbers == {"deleted": 1, "restored": 0, "kept": 1}
    assert kept == ["Others point at it: Sales"]


def test_a_record_on_which_people_have_written_or_to_which_a_custom_field_refers_stays(
    write, run, accounts, unit, undo
):
    with unit() as uow:
        add_field(uow, "customer", "partner", "reference", target="customer")
    write("accounts.csv", "Ref,Name\nA1,Referred to\nA2,With a note\nA3,With a tag\nA4,Untouched\n")
    done = run(accounts)
    with unit() as uow:
        kind, uids = (
            record_type("customer"),
            dict(uow.session.execute(sa.select(Customer.display_name, Customer.uid)).all()),
        )
        other = {"kind": "organization", "display_name": "Other", "cf_partner": str(uids["Referred to"])}
        create_record(uow, kind, other)
        add_note(uow, subject_type="customer", subject_uid=uids["With a note"], body="Wants 40 seats")
        change_tags(uow, kind, [uids["With a tag"]], add=["VIP"])

    numbers, _state, kept = undo(done)

    assert numbers == {"deleted": 1, "restored": 0, "kept": 3}
    assert sorted(kept) == [
        "Others point at it: Customers",
        "Others point at it: Notes",
        "Somebody has changed it since.",
    ]
    with unit() as uow:
        [custom] = uow.session.scalars(sa.select(Customer.custom).where(Customer.display_name == "Other"))
        assert custom["cf_partner"] is not None


def test_what_somebody_changes_while_it_is_being_deleted_is_not_lost(
    write, run, accounts, rows_of, crm_app, undo, monkeypatch
):
    write("accounts.csv", "Ref,Name\nA1,Acme\n")
    done = run(accounts)
    [acme] = rows_of("customer", "id", "version")
    look, changing = undoing._in_the_way, []

    def change():
        with crm_app.app_context(), writing(SYSTEM) as uow:
            update_record(uow, record_type("customer"), acme["id"], {"notes": "called"}, version=acme["version"])

    with ThreadPoolExecutor(1) as pool:

        def looked_at(*given):
            found = look(*given)
            changing.append(pool.submit(change))
            wait(changing, timeout=1)
            return found

        monkeypatch.setattr(undoing, "_in_the_way", looked_at)
        numbers, _state, _kept = undo(done)

    assert numbers == {"deleted": 1, "restored": 0, "kept": 0}
    assert isinstance(changing[0].exception(), NotFound | StaleVersion)


def test_undoing_needs_the_permission_to_delete(write, run, accounts, undo, unit):
    write("accounts.csv", FIRST)
    done = run(accounts)
    grants = {"customer.*": Scope.OWN, "import.*": Scope.ALL}
    del grants["customer.*"]

    with pytest.raises(Forbidden):
        undo(done, Actor(kind="user", name="Reader", user_id=1, grants={**grants, "customer.update": Scope.ALL}))

    assert len(snapshot(unit)[0]) == 2


def writer(*verbs, hidden=()):
    """Return who may do everything with customers, or these verbs alone, but for some fields."""
    grants = dict.fromkeys(("import.*", *(f"customer.{verb}" for verb in verbs or ("*",))), Scope.ALL)
    rules = {"customer": dict.fromkeys(hidden, "hidden")}
    return Actor(kind="user", name="Writer", user_id=1, grants=grants, field_rules=rules)


def test_a_field_that_who_undoes_an_import_may_not_write_stays_as_it_is(write, run, accounts, rows_of, undo):
    write("accounts.csv", FIRST)
    run(accounts)
    write("accounts.csv", SECOND)

    numbers, _state, kept = undo(run(accounts), writer(hidden=["employees", "contact_points"]))

    assert numbers == {"deleted": 1, "restored": 0, "kept": 1}
    assert kept == ["Not yours to write, left as it is: employees, contact_points"]
    [acme, _bolt] = rows_of("customer", "display_name", "employees", "contact_points")
    assert (acme["display_name"], acme["employees"]) == ("Acme", 40)
    assert {point["value"] for point in acme["contact_points"]} >= {"info@acme.com"}


def test_undoing_asks_before_each_chunk_what_its_actor_may_do(write, run, accounts, unit, crm_app):
    write("accounts.csv", FIRST)
    uid = UUID(run(accounts).run_id)
    with crm_app.app_context():
        with writing(writer()) as uow:
            undoing.begin_undo(uow, uid)

        with pytest.raises(Forbidden):
            undoing.undo(writer("read", "update"), uid)

    assert len(snapshot(unit)[0]) == 2


def test_an_import_is_undone_once(write, run, accounts, undo):
    write("accounts.csv", FIRST)
    done = run(accounts)
    undo(done)

    with pytest.raises(Conflict):
        undo(done)


def test_undoing_goes_on_in_the_next_chunk(write, run, accounts, unit, undo, monkeypatch):
    monkeypatch.setattr(undoing, "CHUNK", 2)
    write("accounts.csv", "Ref,Name\n" + "".join(f"R{n},Name {n}\n" for n in range(7)))

    numbers, _state, _kept = undo(run(accounts))

    assert numbers["deleted"] == 7
    assert snapshot(unit) == ([], [])
