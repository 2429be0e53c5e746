"""Filters use the indexes there are: asserted on the plans of both databases."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.database import db
from crm_kernel.records.filter_tree import parse_tree
from crm_kernel.records.paging import order_of
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.records.reading import ListQuery, restrictions
from crm_kernel.unit_of_work import reading


@pytest.fixture
def plan(crm_app):
    """Explain the list of customers that a tree finds: ``plan({...})`` → the plan's text."""
    with crm_app.app_context():
        engine = db.engine
    prefix = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "

    def explained(_connection, _cursor, statement, parameters, _context, _many):
        return (prefix + statement if statement.startswith("SELECT customer.id") else statement), parameters

    def explain(tree):
        with crm_app.app_context(), reading(SYSTEM) as uow:
            if engine.dialect.name == "postgresql":
                for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
                    uow.session.execute(sa.select(sa.func.set_config(setting, "off", True)))
            wanted = record_type("customer")
            found = plan_of(wanted)
            query = ListQuery((), order_of(found, None), tree=parse_tree(found, tree, SYSTEM))
            rows = sa.select(wanted.model.id).where(*restrictions(uow, found, query))
            return "\n".join(str(row[-1]) for row in uow.session.connection().execute(rows).cursor.fetchall())

    sa.event.listen(engine, "before_cursor_execute", explained, retval=True)
    yield explain
    sa.event.remove(engine, "before_cursor_execute", explained)


@pytest.mark.parametrize(
    ("tree", "index"),
    [
        ({"field": "status", "value": "archived"}, "ix_customer_status_sort_name_id"),
        ({"has": "sale.customer", "within": {"days": 30}}, "ix_sale_"),
        ({"has": "sale.customer", "at_least": 3, "within": {"days": 30}}, "ix_sale_"),
        ({"not": {"has": "sale.customer"}}, "ix_sale_"),
        ({"has": "interaction.customer", "within": "this_month"}, "ix_interaction_"),
        ({"has": "contact_points", "where": {"field": "channel", "value": "email"}}, "ix_contact_point_"),
        ({"has": "event:kernel.customer_created"}, "ix_event_"),
        ({"field": "industry", "value": "Steel"}, "organization"),
        ({"field": "id", "op": "in", "value": ["01a2013b-c98f-7107-a8e6-0eeb7fb5013f"]}, "uid"),
    ],
)  # fmt: skip
def test_a_condition_walks_an_index_and_no_related_table_as_a_whole(plan, tree, index):
    found = plan(tree)

    assert index in found
    for table in ("sale", "interaction", "contact_point", "event", "organization"):
        assert f"SCAN {table}\n" not in f"{found}\n"
        assert f"Seq Scan on {table} " not in found
