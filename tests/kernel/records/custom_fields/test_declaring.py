"""Fields are declared, changed, archived and removed while the application runs."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from crm_kernel.records.custom_fields import services
from crm_kernel.unit_of_work import reading

HOST = "toyrecords.thing"
CHOICES = [{"value": "gold", "labels": {"en": "Gold"}}, {"value": "tin", "labels": {"en": "Tin"}}]


@pytest.fixture
def change(unit):
    """Call a service with a field by its name, and commit: ``change(services.archive_field, "cf_tier")``."""

    def run(service, name, *arguments):
        with unit() as uow:
            return service(uow, services.field_named(uow, HOST, name), *arguments)

    return run


@pytest.mark.parametrize(
    ("name", "kind", "options", "wrong"),
    [
        ("Tier",        "text",        {},                                                     "name"),
        ("cf_a__b",     "text",        {},                                                     "name"),
        ("cf_",         "text",        {},                                                     "name"),
        ("x'; drop",    "text",        {},                                                     "name"),
        ("a" * 60,      "text",        {},                                                     "name"),
        ("x_currency",  "text",        {},                                                     "name"),
        ("x",           "blob",        {},                                                     "kind"),
        ("x",           "choice",      {},                                                     "choices"),
        ("x",           "choice",      {"choices": [{"value": 'a"b', "labels": {"en": "A"}}]}, "choices"),
        ("x",           "choice",      {"choices": [CHOICES[0], CHOICES[0]]},                  "choices"),
        ("x",           "text",        {"choices": CHOICES},                                   "choices"),
        ("x",           "reference",   {},                                                     "target"),
        ("x",           "reference",   {"target": "nowhere"},                                  "target"),
        ("x",           "text",        {"target": "user"},                                     "target"),
        ("x",           "number",      {"searchable": True},                                   "searchable"),
        ("x",           "number",      {"default": "many"},                                    "default"),
        ("x",           "choice",      {"choices": CHOICES, "default": "silver"},              "default"),
        ("x",           "money",       {"default": "10"},                                      "default"),
        ("x",           "text",        {"labels": {}},                                         "labels"),
        ("x",           "text",        {"labels": {"english": "X"}},                           "labels"),
        ("x",           "text",        {"colour": "red"},                                      "colour"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused_by_the_options_name(uow, name, kind, options, wrong):
    with pytest.raises(InvalidInput) as refused:
        services.add_field(uow, HOST, name, kind, **options)

    assert list(refused.value.errors) == [wrong]
    assert services.fields_of(uow) == []


def test_a_name_is_given_once_for_ever(add, change, unit):
    add("cf_tier", "text")
    change(services.archive_field, "cf_tier")

    with pytest.raises(Conflict, match="cf_tier already"), unit() as uow:
        services.add_field(uow, HOST, "tier", "number")


def test_a_field_of_an_unknown_type_is_refused(uow):
    with pytest.raises(NotFound, match="no record type 'nothing'"):
        services.add_field(uow, "nothing", "tier", "text")


def test_who_may_not_is_refused_before_anything_else(unit):
    from crm_kernel.access.actor import Actor, Scope

    reader = Actor(kind="user", name="rae", user_id=1, grants={"*.read": Scope.ALL})

    with pytest.raises(Forbidden, match=r"custom_field\.create"), unit(reader) as uow:
        services.add_field(uow, "nothing", "no name", "no kind")


def test_defaults_are_what_a_new_record_holds_when_nobody_says_anything(add, make, read):
    add("cf_tier", "choice", choices=CHOICES, default="tin")
    add("cf_budget", "money", default={"amount": "10", "currency": "EUR"})
    add("cf_tags", "multichoice", choices=CHOICES, default=["gold"])

    make("a")
    make("b", cf_tier=None)

    a, b = read(sort="name")
    assert (a["cf_tier"], str(a["cf_budget"]), a["cf_budget_currency"], a["cf_tags"]) == (
        "tin",
        "10.0000",
        "EUR",
        ["gold"],
    )
    assert b["cf_tier"] is None


def test_a_required_field_is_asked_of_new_records_and_leaves_old_ones_alone(add, make, read, unit, types):
    from crm_kernel.records.services import update_record

    uid = make("old")
    add("cf_tier", "text", required=True)

    with pytest.raises(InvalidInput) as missing:
        make("new")
    with unit() as uow:
        update_record(uow, types.thing, uid, {"name": "older"}, version=1)

    assert list(missing.value.errors) == ["cf_tier"]
    assert read()[0]["name"] == "older"


def test_an_archived_field_is_nowhere_and_comes_back_with_its_values(add, change, make, read):
    add("cf_tier", "text")
    make(cf_tier="gold")

    change(services.archive_field, "cf_tier")
    gone = read()[0]
    with pytest.raises(InvalidInput):
        make(cf_tier="x")
    change(services.restore_field, "cf_tier")

    assert "cf_tier" not in gone
    assert read()[0]["cf_tier"] == "gold"


def test_only_an_archived_field_is_removed_and_then_with_its_values(add, change, make, read, unit):
    add("cf_budget", "money")
    add("cf_other", "text")
    make(cf_budget="5", cf_budget_currency="EUR", cf_other="stays")
    make("empty")

    with pytest.raises(Conflict, match=r"crm fields archive toyrecords\.thing cf_budget"):
        change(services.remove_field, "cf_budget")
    change(services.archive_field, "cf_budget")
    rows = change(services.remove_field, "cf_budget")
    add("cf_budget", "text")

    assert rows == 1
    assert [(i["cf_budget"], i["cf_other"]) for i in read(sort="name")] == [(None, None), (None, "stays")]


@pytest.mark.parametrize("kind", ["choice", "multichoice"])
def test_a_choice_in_use_is_not_taken_away_and_others_may_be(add, change, make, kind):
    add("cf_tier", kind, choices=CHOICES)
    make(cf_tier="gold" if kind == "choice" else ["gold"])

    with pytest.raises(Conflict, match="1 records use what would go: gold"):
        change(services.change_field, "cf_tier", {"choices": CHOICES[1:]})
    change(services.change_field, "cf_tier", {"choices": CHOICES[:1]})

    with pytest.raises(InvalidInput):
        make(cf_tier="tin" if kind == "choice" else ["tin"])


def test_what_never_changes_is_refused(add, change):
    add("cf_tier", "text")

    for option in ("kind", "name", "target", "record_type"):
        with pytest.raises(InvalidInput) as refused:
            change(services.change_field, "cf_tier", {option: "number"})
        assert list(refused.value.errors) == [option]


def test_a_declaration_that_is_rolled_back_leaves_no_trace(crm_app, unit, read, make):
    class Over(Exception):
        pass

    def declare_and_fail():
        with unit() as uow:
            services.add_field(uow, HOST, "tier", "text")
            raise Over

    with pytest.raises(Over):
        declare_and_fail()

    make()
    assert "cf_tier" not in read()[0]


def test_another_process_sees_a_change_with_its_next_unit_of_work(add, change, make, read, crm_app):
    make()
    before = read()[0]

    add("cf_tier", "text")
    # What another process holds is what this one held before: its memory is put back.
    from crm_kernel.records.custom_fields.current import Held

    crm_app.extensions["crm_custom_fields"] = Held()

    assert "cf_tier" not in before
    assert "cf_tier" in read()[0]


def test_the_fields_are_read_once_per_version(add, read, make, count_queries):
    add("cf_tier", "text")
    make()
    read()

    with count_queries() as queries:
        read()

    assert [text for text in queries.statements if "custom_field" in text.replace("custom_fields.version", "")] == []


@pytest.mark.parametrize("kind", ["text", "number", "date", "choice", "boolean"])
def test_an_indexed_field_is_found_through_its_index(add, make, crm_app, types, kind):
    from crm_kernel.database import db
    from crm_kernel.records.plan import plan_of
    from crm_kernel.records.reading import parse_query, restrictions

    add("cf_x", kind, indexed=True, **({"choices": CHOICES} if kind == "choice" else {}))
    value = {"text": "a", "number": "5", "date": "2026-01-01", "choice": "gold", "boolean": "true"}[kind]
    make(cf_x=value)

    with crm_app.app_context(), reading(SYSTEM) as uow:
        if db.engine.dialect.name == "postgresql":  # a table of one row is read whole otherwise
            uow.session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        plan = plan_of(types.thing)
        query = parse_query(types.thing, [("cf_x", value)])
        statement = sa.select(types.thing.model.id).where(*restrictions(uow, plan, query))
        text = str(statement.compile(db.engine, compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN QUERY PLAN " if db.engine.dialect.name == "sqlite" else "EXPLAIN "
        found = uow.session.connection().exec_driver_sql((explain + text).replace("%", "%%"))
        words = " ".join(str(row) for row in found)

    assert "ix_toyrecords_thing_cf_x" in words


def test_the_index_goes_with_the_field(add, change, crm_app):
    from crm_kernel.database import db
    from crm_kernel.records.custom_fields.indexes import exists

    def there():
        with crm_app.app_context(), db.engine.connect() as connection:
            return exists(connection, "toyrecords_thing", "cf_x")

    add("cf_x", "text", indexed=True)
    made = there()
    change(services.change_field, "cf_x", {"indexed": False})
    dropped = there()
    change(services.change_field, "cf_x", {"indexed": True})
    again = there()
    change(services.archive_field, "cf_x")

    assert (made, dropped, again, there()) == (True, False, True, False)


def test_a_reference_always_has_its_index(add, change, unit):
    from crm_kernel.records.custom_fields.indexes import is_usable

    add("cf_x", "reference", target="toyrecords.maker")

    with pytest.raises(InvalidInput) as caught:
        change(services.change_field, "cf_x", {"indexed": False})
    assert list(caught.value.errors) == ["indexed"]
    with pytest.raises(InvalidInput) as caught:
        add("cf_y", "reference", target="toyrecords.maker", indexed=False)
    assert list(caught.value.errors) == ["indexed"]
    with unit() as uow:
        assert services.field_named(uow, HOST, "cf_x").indexed
        assert is_usable(uow.session.connection(), "toyrecords_thing", "cf_x")


def test_every_table_of_a_record_type_is_known_without_its_module(crm_app):
    from crm_kernel.records.custom_fields.models import table_named
    from crm_kernel.records.plan import record_types

    with crm_app.app_context():
        found = {name: sa.inspect(kind.model).local_table.name for name, kind in record_types().items()}

    assert {name: table_named(name) for name in found} == found


def test_the_page_of_a_field_names_the_commands_that_change_it(login, unit):
    with unit() as uow:
        uid = services.add_field(uow, HOST, "cf_tier", "text").uid

    page = login("administrator").get(f"/custom-fields/{uid}")

    assert page.status_code == 200
    assert f"crm fields change {HOST} cf_tier --label en=…" in page.text
    assert f"crm fields archive {HOST} cf_tier" in page.text
    assert f'href="/admin/fields/{HOST}/cf_tier' in page.text
