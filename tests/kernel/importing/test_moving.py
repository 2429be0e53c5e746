"""Records moved from one instance to another by export and import: they keep their ids, so references still match."""

from __future__ import annotations

from uuid import UUID

import orjson
import phonenumbers
import pytest
import sqlalchemy as sa
from uuid_utils.compat import uuid7

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.access.models import AuditLog
from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.records.exporting import begin_export
from crm_kernel.records.importing import Mode, Verdict, import_file
from crm_kernel.records.importing.mapping import plain_mapping
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record
from crm_kernel.unit_of_work import writing

#: In the order of the guide: what others refer to comes first.
MOVED = ("team", "user", "product", "customer", "relationship")
#: What an instance says of its own copy.
_OWN = {"version", "created_at", "updated_at", "state_since"}


@pytest.fixture
def origin(crm_test_databases):
    """An instance on SQLite with two customers, their owner, his team, a product and a tie."""
    from crm_kernel.testing.apps import build, let_go

    app = build(crm_test_databases.fresh("sqlite", (), "origin"), ())
    with app.app_context(), writing(SYSTEM) as uow:
        _fill(uow)
    yield app
    let_go(app)


def _fill(uow):
    def create(_type, /, **payload):
        return str(create_record(uow, record_type(_type), payload).uid)

    team = create("team", name="North")
    owner = create("user", name="Rep", email="rep@example.com", team=team)
    create("product", sku="B-1", name="Boat", unit_price="99.5", currency="EUR")
    ada = create(
        "customer",
        kind="person",
        given_name="Ada",
        family_name="Byron",
        owner=owner,
        source="old",
        external_ref="1",
        contact_points=[
            {"channel": "email", "value": "ada@example.org", "purpose": "work"},
            {"channel": "email", "value": "ada@example.com", "is_primary": True},
            {"channel": "phone", "value": "+33 1 42 68 53 00", "label": "desk"},
        ],
        addresses=[
            {"purpose": "home", "street": "1 rue de Rivoli", "city": "Paris", "country_code": "FR"},
            {"purpose": "billing", "city": "Lyon"},
        ],
    )
    acme = create("customer", kind="organization", display_name="Acme", employees=7)
    create("relationship", from_customer=ada, to_customer=acme, type="employment", role="Buyer")


def exported(app, name, form="jsonl"):
    with app.app_context():
        found = begin_export(SYSTEM, record_type(name), [("sort", "created_at")], channel="cli")
    return "".join(found.jsonl() if form == "jsonl" else found.csv())


def brought(app, path, name, actor=SYSTEM, mode=Mode.CHUNKS):
    with app.app_context():
        result = import_file(plain_mapping(path, name), path, actor=actor, mode=mode)
    assert result.failure is None, result.to_json()
    return {verdict.value: number for verdict in Verdict if (number := result.total(verdict))}, result


def _facts(app, name):
    """What an instance says of its records, without what it says of its own copy."""
    records = [orjson.loads(line) for line in exported(app, name).splitlines()]
    return {record["id"]: _without(record, _OWN) for record in records}


def _without(value, names):
    if isinstance(value, list):  # a part is a new row
        return [_without(part, {*names, "id"}) for part in value]
    if isinstance(value, dict):
        return {name: _without(item, names) for name, item in value.items() if name not in names}
    return value


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_instance_is_moved_type_by_type_and_a_second_import_changes_nothing(origin, crm_app, write, form):
    first, second = {}, {}
    for name in MOVED:
        path = write(f"{name}.{form}", exported(origin, name, form))
        first[name] = brought(crm_app, path, name)[0]
        second[name] = brought(crm_app, path, name)[0]

    assert first == {name: {"created": 2 if name == "customer" else 1} for name in MOVED}
    assert second == {name: {"unchanged": 2 if name == "customer" else 1} for name in MOVED}
    for name in MOVED if form == "jsonl" else ("team", "user", "product", "relationship"):
        assert _facts(crm_app, name) == _facts(origin, name)
    assert _facts(crm_app, "customer").keys() == _facts(origin, "customer").keys()


def test_a_moved_record_is_audited_and_told_under_the_id_it_keeps(origin, crm_app, write, unit):
    for name in ("team", "user", "product", "customer"):
        brought(crm_app, write(f"{name}.jsonl", exported(origin, name)), name)

    with unit() as uow:
        for name in ("product", "customer"):
            wanted = sa.select(AuditLog.record_uid).where(AuditLog.record_type == name, AuditLog.action == "created")
            assert {str(uid) for uid in uow.session.scalars(wanted)} == _facts(origin, name).keys()


@pytest.fixture
def rep(unit):
    """A representative who sees his own customers only, and one he does not see."""
    from crm_kernel.access.services import create_user

    with unit() as uow:
        hidden = create_record(uow, record_type("customer"), {"kind": "organization", "display_name": "Hidden"}).uid
        user = create_user(uow, email="rep@example.com", name="Rep")
        actor = Actor(kind="user", name="Rep", user_id=user.id, user_uid=user.uid, grants={"customer.*": Scope.OWN})
    return actor, hidden


def test_an_id_nobody_has_and_one_that_is_hidden_are_refused_alike(rep, crm_app, write):
    actor, hidden = rep
    stranger = uuid7()
    path = write("c.csv", f"id,kind,display_name\n{hidden},organization,Theirs\n{stranger},organization,None\n")

    verdicts, result = brought(crm_app, path, "customer", actor)

    assert verdicts == {"refused": 2}
    told = [(e.column, e.expected) for e in result.sources[0].errors]
    assert told == [("id", "the id of a record that is here, or nothing for a new record")] * 2
    assert [e.found for e in result.sources[0].errors] == [str(hidden), str(stranger)]


def test_who_sees_all_records_and_may_create_gives_them_their_ids(crm_app, write, unit):
    grants = {"customer.read": Scope.ALL, "customer.create": Scope.ALL, "customer.update": Scope.ALL}
    uid = uuid7()
    path = write("c.csv", f"id,kind,display_name\n{uid},organization,Moved\n")

    verdicts, _result = brought(crm_app, path, "customer", Actor(kind="user", name="Admin", grants=grants))

    assert verdicts == {"created": 1}
    with unit() as uow:
        assert uow.session.scalars(sa.select(Customer.uid)).all() == [uid]


@pytest.mark.parametrize(
    "row", ["id,display_name\n{uid},Part\n", f"id,kind,display_name\n{UUID(int=0)},organization,Nil\n"]
)
def test_a_part_of_a_record_or_an_id_that_is_none_creates_nothing(crm_app, write, row):
    path = write("c.csv", row.format(uid=uuid7()))

    verdicts, result = brought(crm_app, path, "customer")

    assert verdicts == {"refused": 1}
    assert "the id of a record that is here" in result.sources[0].errors[0].expected


def test_a_rehearsal_of_a_move_writes_nothing(crm_app, write, unit):
    path = write("c.csv", f"id,kind,display_name\n{uuid7()},organization,Moved\n")

    verdicts, _result = brought(crm_app, path, "customer", mode=Mode.DRY_RUN)

    assert verdicts == {"created": 1}
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count(Customer.id))) == 0


#: Numbering plans with and without a national prefix, one with its zero kept (IT), three that share a country code.
REGIONS = ("FR", "GB", "US", "CA", "DO", "DE", "IT", "JP", "BR", "IN", "RU", "CI", "AU", "MX", "AR")


def _spellings(region, kind, home):
    number = phonenumbers.example_number_for_type(region, kind)
    forms = phonenumbers.PhoneNumberFormat
    own = (forms.NATIONAL,) if region == home else ()
    return [phonenumbers.format_number(number, form) for form in (forms.E164, forms.INTERNATIONAL, forms.RFC3966, *own)]


@pytest.mark.parametrize(("home", "abroad"), [("FR", "US"), ("US", "IT"), ("AR", "FR")])
def test_exported_numbers_mean_the_same_under_another_default_region(home, abroad, crm_test_databases, write):
    from crm_kernel.testing.apps import build, let_go

    apps = [
        build(crm_test_databases.fresh("sqlite", (), f"region{n}"), (), default_region=region)
        for n, region in enumerate((home, abroad))
    ]
    kinds = (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
    written = [text for region in REGIONS for kind in kinds for text in _spellings(region, kind, home)]
    typed = [*written, *(f"{text} x12" for text in written if not text.startswith("tel:"))]
    with apps[0].app_context(), writing(SYSTEM) as uow:
        for text in typed:
            points = [{"channel": "phone", "value": text}]
            payload = {"kind": "organization", "display_name": text, "contact_points": points}
            create_record(uow, record_type("customer"), payload)

    moved = {}
    for form in ("csv", "jsonl"):
        path = write(f"customers.{form}", exported(apps[0], "customer", form))
        moved[form] = [brought(app, path, "customer")[0] for app in apps]

    assert moved == {
        "csv": [{"unchanged": len(typed)}, {"created": len(typed)}],
        "jsonl": [{"unchanged": len(typed)}] * 2,
    }
    assert _points(apps[0], "value_normalized") == _points(apps[1], "value_normalized")
    assert _points(apps[0], "value") == sorted((text, text) for text in typed)
    for app in apps:
        let_go(app)


def _points(app, column):
    query = sa.select(Customer.display_name, getattr(ContactPoint, column)).join(ContactPoint)
    with app.app_context(), writing(SYSTEM) as uow:
        return sorted(tuple(row) for row in uow.session.execute(query))
