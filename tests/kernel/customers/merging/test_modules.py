"""Merging moves the rows of every module, whether its code is there or not."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.customers.merging.queries import moving
from crm_kernel.customers.merging.services import merge, unmerge
from crm_kernel.errors import Conflict


def test_rows_move_and_come_back(uow, person, shop, snapshot):
    source, target = person(), person()
    shop("basket", id=1, customer_id=source.id, note="mine")
    shop("basket", id=2, customer_id=target.id, note="yours")
    before = snapshot()

    run = merge(uow, source, target)

    assert {row[1] for row in shop.rows("basket")} == {target.id}
    assert "shop" in " ".join(item.label for item in moving(uow, source))
    unmerge(uow, run)
    assert snapshot() == before


def test_the_gaps_of_a_side_table_are_filled_also_where_a_value_is_unique(uow, person, shop, snapshot):
    source, target = person(), person()
    shop("profile", customer_id=source.id, card="123", size="L")
    shop("profile", customer_id=target.id, size="M")
    before = snapshot()

    run = merge(uow, source, target)

    assert shop.rows("profile") == [(target.id, "123", "M")]
    unmerge(uow, run)
    assert snapshot() == before


def test_a_side_table_that_only_the_source_has_moves(uow, person, shop, snapshot):
    source, target = person(), person()
    shop("profile", customer_id=source.id, card="123", size="L")
    before = snapshot()

    run = merge(uow, source, target)

    assert shop.rows("profile") == [(target.id, "123", "L")]
    unmerge(uow, run)
    assert snapshot() == before


def test_rows_that_meet_in_a_unique_key_become_one_with_what_hangs_on_them(uow, person, shop, snapshot):
    source, target = person(), person()
    shop("point", id=1, customer_id=source.id, year=2025)
    shop("point", id=2, customer_id=source.id, year=2026)
    shop("point", id=3, customer_id=target.id, year=2026)
    shop("gain", id=1, point_id=2, day=1)
    shop("gain", id=2, point_id=2, day=2)
    shop("gain", id=3, point_id=3, day=2)
    before = snapshot()

    run = merge(uow, source, target)

    assert shop.rows("point") == [(1, target.id, 2025), (3, target.id, 2026)]
    assert shop.rows("gain") == [(1, 3, 1), (3, 3, 2)]
    unmerge(uow, run)
    assert snapshot() == before


def test_keys_of_several_columns_move(uow, person, shop, snapshot):
    source, target = person(), person()
    for one, word in ((source, "a"), (source, "b"), (target, "b")):
        shop("tag", customer_id=one.id, word=word)
    before = snapshot()

    run = merge(uow, source, target)

    assert shop.rows("tag") == [(target.id, "a"), (target.id, "b")]
    unmerge(uow, run)
    assert snapshot() == before


def test_a_table_that_does_not_let_them_be_one_is_named_without_its_values(uow, person, shop, caplog):
    source, target = person(), person()
    key = "CREATE UNIQUE INDEX uq_shop_basket_note ON shop_basket (customer_id, note) WHERE note IS NOT NULL"
    uow.session.execute(sa.text(key))
    for number, one in enumerate((source, target)):
        shop("basket", id=number, customer_id=one.id, note="whispered")

    with pytest.raises(Conflict) as refused:
        merge(uow, source, target)

    assert str(refused.value) == "The table shop_basket does not let these customers be one."
    [told] = [record.getMessage() for record in caplog.records if record.name == "crm.merging"]
    assert "constraint" in told
    assert "whispered" not in told


def test_what_was_written_since_stays_and_is_counted(uow, person, shop):
    source, target = person(), person()
    shop("basket", id=1, customer_id=source.id, note="before")
    run = merge(uow, source, target)
    shop("basket", id=2, customer_id=target.id, note="since")

    unmerge(uow, run)

    assert shop.rows("basket") == [(1, source.id, "before"), (2, target.id, "since")]
    assert run.since == {"shop_basket": {"written": 1}}


def test_what_was_changed_since_stays_changed(uow, person):
    from crm_kernel.customers.services import update_customer

    source, target = person(notes="old"), person()
    run = merge(uow, source, target)
    update_customer(uow, target, {"notes": "new"})

    unmerge(uow, run)

    assert (target.notes, run.since["customer"]["kept"]) == ("new", 1)


@pytest.mark.parametrize("rows", [10, 3_000])
def test_the_statements_do_not_grow_with_the_rows(uow, person, count_queries, rows):
    from crm_kernel.customers.models import new_uid
    from crm_kernel.database import utcnow
    from crm_kernel.touchpoints.models import Interaction

    source, target = person(), person()
    row = {"customer_id": source.id, "channel": "phone", "direction": "in", "kind": "call", "occurred_at": utcnow(),
           "actor_name": "x", "source_plugin": "kernel", "summary": "s", "version": 1, "created_at": utcnow(),
           "updated_at": utcnow()}  # fmt: skip
    uow.session.execute(sa.insert(Interaction.__table__), [{**row, "uid": new_uid()} for _ in range(rows)])

    with count_queries() as there:
        run = merge(uow, source, target)
    with count_queries() as back:
        unmerge(uow, run)

    _counts.setdefault(uow.session.get_bind().dialect.name, set()).add((len(there), len(back)))
    assert len(_counts[uow.session.get_bind().dialect.name]) == 1


_counts: dict[str, set[tuple[int, int]]] = {}


def test_the_catalogue_is_not_read_again_for_each_merge(uow, person, count_queries):
    unmerge(uow, merge(uow, person(), person()))
    source, target = person(), person()

    with count_queries() as there:
        run = merge(uow, source, target)
    with count_queries() as back:
        unmerge(uow, run)

    there.at_most(100)
    back.at_most(35)
    if uow.session.get_bind().dialect.name == "sqlite":
        assert [text for text in (*there.statements, *back.statements) if text.startswith("PRAGMA")] == []


def test_a_run_counts_the_rows_that_moved_and_only_those(uow, person):
    source, target = person(contact_points=[{"channel": "email", "value": "ada@example.com"}]), person()

    run = merge(uow, source, target)

    assert {table: counts["moved"] for table, counts in run.counts.items() if "moved" in counts} == {"contact_point": 1}
    assert {step["table"] for step in run.steps} <= {"contact_point", "customer", "person"}
