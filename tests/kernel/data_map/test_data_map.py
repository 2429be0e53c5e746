"""The data map: every column that points at a customer is known, also when its module's code is gone."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel import database
from crm_kernel._internal.data_map_checks import check_tables
from crm_kernel.data_map.columns import covered_columns, customer_columns
from crm_kernel.data_map.references import CustomerReference
from crm_kernel.data_map.tables import ForeignKey, foreign_keys, reflected_tables, unique_keys
from crm_kernel.data_map.values import row_as_json, row_from_json
from crm_kernel.errors import RegistrationError


def table(*columns, name="shop_basket"):
    """Return a table of its own MetaData with a key and these columns."""
    known = sa.MetaData()
    sa.Table("customer", known, sa.Column("id", sa.Integer, primary_key=True))
    return sa.Table(name, known, sa.Column("id", sa.Integer, primary_key=True), *columns)


def customer(rule=None, **options):
    info = {} if rule is None else {"merge": rule}
    return sa.Column("customer_id", sa.ForeignKey("customer.id", ondelete="CASCADE"), info=info, **options)


class TestReading:
    def test_every_key_of_a_customer_in_the_database_is_covered(self, uow):
        covered = {(column.table, column.column) for column in customer_columns(uow)}

        inspector = sa.inspect(uow.session.connection())
        keys = {
            (name, key["constrained_columns"][0])
            for (_schema, name), found in inspector.get_multi_foreign_keys().items()
            for key in found
            if key["referred_table"] == "customer"
        }
        assert keys - covered == set()

    def test_references_beside_a_type_are_covered(self, uow):
        [subject] = [c for c in customer_columns(uow) if (c.table, c.column) == ("interaction", "subject_uid")]

        assert (subject.points_to, subject.type_column, subject.merge_rule) == ("customer.uid", "subject_type", "move")
        assert not subject.is_foreign_key

    def test_a_custom_field_that_refers_to_customers_is_covered(self, uow):
        from crm_kernel.records.custom_fields.models import CustomField

        uow.session.add(
            CustomField(
                record_type="sale", name="cf_referrer", kind="reference", labels={"en": "Referrer"}, target="customer"
            )
        )
        uow.session.flush()

        [found] = [c for c in customer_columns(uow) if c.table == "sale" and c.column == "custom"]

        assert (found.json_key, found.points_to, found.plugin) == ("cf_referrer", "customer.id", "kernel")

    def test_columns_of_tables_that_are_gone_are_left_out(self, uow):
        from crm_kernel._internal.modules import DataMapRow

        uow.session.add(
            DataMapRow(plugin="gone", table_name="gone_row", column_name="customer_id", points_to="customer.id")
        )
        uow.session.flush()

        assert [column for column in covered_columns(uow) if column.plugin == "gone"] == []


class TestTables:
    def test_rows_are_read_and_written_back_without_any_code(self, uow, customer_factory):
        customer_factory()
        [person] = reflected_tables(uow, ["person"]).values()
        connection = uow.session.connection()
        row = connection.execute(sa.select(person)).one()

        stored = row_as_json(person, row)
        connection.execute(sa.delete(person))
        connection.execute(sa.insert(person).values(row_from_json(person, stored)))

        assert connection.execute(sa.select(person)).one() == row

    def test_a_table_that_does_not_exist_is_left_out(self, uow):
        assert reflected_tables(uow, ["customer", "nowhere"]).keys() == {"customer"}

    def test_partial_unique_keys_are_no_unique_keys(self, uow):
        [points] = reflected_tables(uow, ["contact_point"]).values()

        assert set(unique_keys(points)) == {frozenset({"id"}), frozenset({"uid"})}

    def test_a_table_that_is_known_is_read_again_only_when_the_schema_has_changed(self, uow, count_queries):
        connection = uow.session.connection()
        reflected_tables(uow, ["customer", "person"])

        with count_queries() as queries:
            known = reflected_tables(uow, ["customer", "person"])
        with connection.begin_nested() as savepoint:
            connection.exec_driver_sql("ALTER TABLE person ADD COLUMN shoe_size INTEGER")
            [wider] = reflected_tables(uow, ["person"]).values()
            savepoint.rollback()
        connection.exec_driver_sql("ALTER TABLE person ADD COLUMN hat_size INTEGER")
        [person] = reflected_tables(uow, ["person"]).values()

        assert "shoe_size" not in known["person"].c
        assert "shoe_size" in wider.c
        assert ("shoe_size" in person.c, "hat_size" in person.c) == (False, True)
        queries.at_most(1 if connection.dialect.name == "sqlite" else 25)

    def test_foreign_keys_of_one_column_are_told_with_what_they_refer_to(self, uow):
        keys = list(foreign_keys(uow))

        assert ForeignKey("person", "customer_id", "customer", "id") in keys
        assert len(keys) == len(set(keys))


class TestRegistration:
    def test_a_unique_key_that_contains_the_customer_needs_a_rule(self):
        bad = table(customer(), sa.Column("kind", sa.String), sa.UniqueConstraint("customer_id", "kind"))

        with pytest.raises(
            RegistrationError, match=r"shop: shop_basket\.customer_id: found 'a unique key .*keep_target"
        ):
            check_tables("shop", [bad])

    def test_with_a_rule_it_is_taken(self):
        good = table(customer("keep_target"), sa.Column("kind", sa.String), sa.UniqueConstraint("customer_id", "kind"))

        check_tables("shop", [good])

    @pytest.mark.parametrize("rule", ["sum", "combine=", "combine=nowhere", 3, "combine=json:nothing", "combine=nix:f"])
    def test_an_unknown_rule_is_refused(self, rule):
        with pytest.raises(RegistrationError, match=r"shop_basket\.customer_id: found"):
            check_tables("shop", [table(customer(rule))])

    def test_a_function_that_can_be_imported_is_a_rule(self):
        check_tables("shop", [table(customer("combine=json:dumps"))])

    def test_a_reference_names_columns_that_exist(self):
        lost = sa.Column("about", database.Uid(), info={"reference": CustomerReference(type_column="kind")})

        with pytest.raises(RegistrationError, match=r"shop_basket\.about type_column: found 'kind'"):
            check_tables("shop", [table(lost)])

    def test_a_reference_in_json_says_where(self):
        vague = sa.Column("filter", database.Json, info={"reference": CustomerReference()})

        with pytest.raises(RegistrationError, match=r"shop_basket\.filter json_key: found None"):
            check_tables("shop", [table(vague)])

    def test_every_table_of_the_kernel_keeps_to_the_rules(self):
        from crm_kernel.migrations.autogenerate import import_kernel_models, owned_tables
        from crm_kernel.migrations.branches import Branch

        import_kernel_models()
        check_tables("kernel", [database.metadata.tables[name] for name in owned_tables(Branch("kernel", None))])
