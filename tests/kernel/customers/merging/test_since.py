"""A merge that is taken back although what it changed was changed since: it stays, is counted, and stops nothing."""

from __future__ import annotations

import sqlalchemy as sa

from crm_kernel._internal.modules import DataMapRow
from crm_kernel.customers.merging.services import merge, unmerge
from crm_kernel.customers.models import ContactPoint, Customer
from crm_kernel.customers.services import update_customer


def _mail(value, *, primary=False):
    return {"channel": "email", "value": f"{value}@crm.test", "is_primary": primary}


def _points(uow, customer):
    query = sa.select(ContactPoint).where(ContactPoint.customer_id == customer.id).order_by(ContactPoint.value)
    found = uow.session.scalars(query.execution_options(populate_existing=True))
    return [(point.value.partition("@")[0], point.is_primary) for point in found]


def _make_primary(uow, customer, value):
    points = uow.session.scalars(sa.select(ContactPoint).where(ContactPoint.customer_id == customer.id))
    parts = [{"uid": point.uid, "is_primary": point.value == f"{value}@crm.test"} for point in points]
    update_customer(uow, customer, {"contact_points": parts})


def test_another_primary_address_since_stays_the_primary_one(uow, person):
    source = person(contact_points=[_mail("a", primary=True), _mail("b")])
    target = person(contact_points=[_mail("t", primary=True)])
    run = merge(uow, source, target)
    _make_primary(uow, target, "b")

    unmerge(uow, run)

    assert _points(uow, source) == [("a", False), ("b", True)]
    assert _points(uow, target) == [("t", False)]
    assert run.since == {"contact_point": {"kept": 1}}


def test_an_address_that_had_become_one_comes_back_beside_another_primary_one(uow, person):
    source = person(contact_points=[_mail("a", primary=True), _mail("b")])
    target = person(contact_points=[_mail("a", primary=True), _mail("t")])
    run = merge(uow, source, target)
    _make_primary(uow, target, "b")

    unmerge(uow, run)

    assert _points(uow, source) == [("a", False), ("b", True)]
    assert _points(uow, target) == [("a", False), ("t", False)]
    assert run.since == {"contact_point": {"kept": 1}}


def test_rows_whose_place_was_taken_since_stay_with_the_survivor(uow, person, shop):
    source, target = person(), person()
    shop("profile", customer_id=source.id, card="123", size="L")
    shop("point", id=1, customer_id=source.id, year=2025)
    shop("point", id=2, customer_id=source.id, year=2026)
    run = merge(uow, source, target)
    shop("profile", customer_id=source.id, card="456", size="S")
    shop("point", id=3, customer_id=source.id, year=2026)

    unmerge(uow, run)

    assert shop.rows("profile") == [(source.id, "456", "S"), (target.id, "123", "L")]
    assert shop.rows("point") == [(1, source.id, 2025), (2, target.id, 2026), (3, source.id, 2026)]
    assert run.since == {"shop_profile": {"kept": 1}, "shop_point": {"kept": 1}}


def test_a_row_that_rows_written_since_hang_on_stays_with_them(uow, person, shop):
    source, target = person(), person()
    shop("profile", customer_id=source.id, card="123")
    key = "customer_id BIGINT REFERENCES shop_profile(customer_id) ON DELETE CASCADE"
    uow.session.execute(sa.text(f"CREATE TABLE shop_visit (id INTEGER PRIMARY KEY, {key})"))
    visit = "INSERT INTO shop_visit (id, customer_id) VALUES (:id, :who)"
    uow.session.execute(sa.text(visit), {"id": 1, "who": source.id})
    uow.session.execute(sa.text("UPDATE shop_profile SET card = NULL"))
    run = merge(uow, source, target)
    uow.session.execute(sa.text(visit), {"id": 2, "who": target.id})

    unmerge(uow, run)

    visits = uow.session.execute(sa.text("SELECT id, customer_id FROM shop_visit ORDER BY id")).all()
    assert visits == [(1, source.id), (2, target.id)]
    assert [row[0] for row in shop.rows("profile")] == [source.id, target.id]
    assert run.since == {"shop_visit": {"written": 1}, "shop_profile": {"kept": 1}}


def test_a_column_that_is_gone_counts_as_missing(uow, person, shop):
    source, target = person(), person()
    shop("basket", id=1, customer_id=source.id, note="mine")
    shop("profile", customer_id=source.id, card="123", size="L")
    shop("profile", customer_id=target.id, card="456")
    run = merge(uow, source, target)
    for change in ("shop_basket RENAME COLUMN customer_id TO buyer_id", "shop_profile DROP COLUMN size"):
        uow.session.execute(sa.text(f"ALTER TABLE {change}"))

    unmerge(uow, run)

    assert uow.session.get_one(Customer, source.id).merged_into_id is None
    assert uow.session.execute(sa.text("SELECT customer_id, card FROM shop_profile ORDER BY card")).all() == [
        (source.id, "123"),
        (target.id, "456"),
    ]
    assert run.since == {"shop_basket": {"missing": 1}, "shop_profile": {"missing": 1}}


def test_what_was_empty_comes_back_as_nothing_and_not_as_an_empty_value(uow, person):
    source, target = person(contact_points=[_mail("a")]), person(contact_points=[_mail("a")])

    unmerge(uow, merge(uow, source, target))

    empty = sa.text("SELECT count(*) FROM contact_point WHERE custom IS NULL")
    assert uow.session.scalar(empty) == 2


def test_of_custom_fields_only_those_changed_since_stay(uow, person):
    source, target = person(), person()
    source.custom, target.custom = {"cf_tier": "gold", "cf_size": "L", "cf_old": 1}, {"cf_size": "M"}
    run = merge(uow, source, target)
    target.custom = {**target.custom, "cf_tier": "silver", "cf_new": True}

    unmerge(uow, run)

    assert target.custom == {"cf_size": "M", "cf_tier": "silver", "cf_new": True}
    assert source.custom == {"cf_tier": "gold", "cf_size": "L", "cf_old": 1}
    assert run.since == {"customer": {"kept": 1}}


def test_custom_fields_that_were_not_changed_since_go_as_a_whole(uow, person):
    source, target = person(), person()
    source.custom = {"cf_tier": "gold"}
    run = merge(uow, source, target)
    target.custom = {**target.custom, "cf_new": True}

    unmerge(uow, run)

    assert (target.custom, run.since) == ({"cf_new": True}, {})


def _covered(uow, table):
    """Let the data map of the module ``shop`` know a table whose rows are customers'."""
    uow.session.add(
        DataMapRow(
            plugin="shop",
            table_name=table,
            column_name="customer_id",
            points_to="customer.id",
            merge_rule="fill_gaps",
        )
    )
    uow.session.flush()


def test_a_row_that_rows_of_its_own_table_written_since_hang_on_stays(uow, person, shop):
    source, target = person(), person()
    parent = "parent_id BIGINT REFERENCES shop_tree(customer_id) ON DELETE CASCADE"
    owner = "customer_id BIGINT PRIMARY KEY REFERENCES customer(id)"
    uow.session.execute(sa.text(f"CREATE TABLE shop_tree ({owner}, {parent}, doc JSON)"))
    _covered(uow, "shop_tree")
    uow.session.execute(sa.text("INSERT INTO shop_tree (customer_id) VALUES (:who)"), {"who": source.id})
    run = merge(uow, source, target)
    plain = uow.session.execute(sa.text("SELECT customer_id FROM shop_tree WHERE doc IS NULL")).all()
    below = {"who": person().id, "above": target.id}
    uow.session.execute(sa.text("INSERT INTO shop_tree (customer_id, parent_id) VALUES (:who, :above)"), below)

    unmerge(uow, run)

    assert plain == [(target.id,)]  # and not the JSON null
    rows = uow.session.execute(sa.text("SELECT customer_id, parent_id FROM shop_tree")).all()
    assert sorted(rows) == sorted([(source.id, None), (target.id, None), (below["who"], target.id)])
    assert run.since == {"shop_tree": {"kept": 1}}


def test_a_module_may_call_a_text_custom(uow, person, shop):
    source, target = person(), person()
    owner = "customer_id BIGINT PRIMARY KEY REFERENCES customer(id)"
    uow.session.execute(sa.text(f"CREATE TABLE shop_wish ({owner}, custom TEXT)"))
    _covered(uow, "shop_wish")
    wish = sa.text("INSERT INTO shop_wish (customer_id, custom) VALUES (:who, :custom)")
    for one, custom in ((source, "made to measure"), (target, None)):
        uow.session.execute(wish, {"who": one.id, "custom": custom})
    run = merge(uow, source, target)
    uow.session.execute(sa.text("UPDATE shop_wish SET custom = 'told since'"))

    unmerge(uow, run)

    wishes = uow.session.execute(sa.text("SELECT customer_id, custom FROM shop_wish ORDER BY customer_id")).all()
    assert wishes == [(source.id, "made to measure"), (target.id, "told since")]
