"""Sales by file: one row per line gathered into sales, refunds, anonymous ones, and back by an export."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.access.models import AuditLog
from crm_kernel.customers.models import Customer
from crm_kernel.errors import Forbidden
from crm_kernel.records.exporting import begin_export
from crm_kernel.records.importing import Verdict, grouping, import_file, undoing
from crm_kernel.records.importing.error_files import error_file
from crm_kernel.records.importing.mapping import plain_mapping
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record
from crm_kernel.sales.models import Product, Sale, SaleLine
from crm_kernel.sales.services import record_sale

SALES = {
    "file": "sales.csv",
    "record_type": "sale",
    "match": ["source_plugin", "external_ref"],
    "group": ["No"],
    "columns": {
        "No": "external_ref",
        "When": {"field": "occurred_at", "differing": "first"},
        "Who": {"field": "customer", "lookup": {"by": "external_ref"}},
        "Sku": {"field": "lines.product", "lookup": {"by": "sku", "missing": "create"}},
        "What": "lines.description",
        "Qty": "lines.quantity",
        "Price": "lines.unit_price",
    },
    "constants": {"source_plugin": "shop", "channel": "store", "currency": "USD"},
    "texts": {"title": "Receipt {No}"},
}
BACK = {
    "file": "back.csv",
    "record_type": "sale",
    "match": ["source_plugin", "external_ref"],
    "columns": {"No": "external_ref", "Of": "refund_of.id", "Amount": "amount"},
    "constants": {"source_plugin": "shop", "channel": "store", "title": "Back"},
}
HEADER = "No,When,Who,Sku,What,Qty,Price\n"
FILE = HEADER + (
    "1,2026-01-02 10:00:00,R1,A,Apple,2,1.5\n"
    "1,2026-01-02 10:01:00,R1,B,Bread,1,2.25\n"
    "2,2026-01-02 11:00:00,,A,,3,1.5\n"
    "C1,2026-01-03 09:00:00,R1,A,Apple,-1,1.5\n"
    "1,2026-01-02 10:02:00,R1,C,,1,0.1\n"
)


@pytest.fixture
def ada(unit):
    with unit() as uow:
        data = {"kind": "organization", "display_name": "Ada", "source": "x", "external_ref": "R1"}
        return create_record(uow, record_type("customer"), data).id


@pytest.fixture
def stored(unit):
    """The sales by their reference: amount, customer or not, and their lines in order."""

    def read():
        with unit() as uow:
            lines = {}
            query = sa.select(SaleLine.sale_id, Product.sku, SaleLine.description, SaleLine.quantity, SaleLine.amount)
            query = query.outerjoin(Product, Product.id == SaleLine.product_id)
            for key, *line in uow.session.execute(query.order_by(SaleLine.sale_id, SaleLine.position)):
                lines.setdefault(key, []).append((line[0], line[1], str(line[2].normalize()), str(line[3].normalize())))
            return {
                sale.external_ref: (str(sale.amount.normalize()), sale.customer_id is not None, lines.get(sale.id, []))
                for sale in uow.session.scalars(sa.select(Sale))
            }

    return read


def test_the_rows_of_an_invoice_are_one_sale_wherever_they_stand(run, write, ada, stored):
    write("sales.csv", FILE)

    result = run(SALES)

    assert (result.failure, result.total(Verdict.CREATED), result.refused) == (None, 3, 0), result.to_json()
    assert result.sources[0].detected["records"] == "3 (No)"
    assert stored() == {
        "1": ("5.35", True, [("A", "Apple", "2", "3"), ("B", "Bread", "1", "2.25"), ("C", "C", "1", "0.1")]),
        "2": ("4.5", False, [("A", "A", "3", "4.5")]),
        "C1": ("-1.5", True, [("A", "Apple", "-1", "-1.5")]),
    }


def test_the_same_file_again_changes_nothing_and_another_amount_is_refused(run, write, ada, stored):
    write("sales.csv", FILE)
    run(SALES)
    before = stored()

    again = run(SALES)
    write("sales.csv", FILE.replace("Bread,1,2.25", "Bread,1,2.50"))
    changed = run(SALES)

    assert again.total(Verdict.UNCHANGED) == 3, again.to_json()
    assert (changed.total(Verdict.UNCHANGED), changed.refused) == (2, 1)
    assert "never changed" in changed.sources[0].errors[0].text
    assert stored() == before


def test_rows_that_disagree_about_their_sale_refuse_it_and_name_the_line(run, write, ada, stored):
    write("sales.csv", FILE.replace("10:01:00,R1", "10:01:00,R2"))

    result = run(SALES)

    assert (result.total(Verdict.CREATED), result.refused) == (2, 1)
    error = result.sources[0].errors[0]
    assert (error.row, error.column, error.found) == (3, "Who", "R2")
    assert "1" not in stored()


def test_a_wrong_line_refuses_its_sale_and_is_named(run, write, ada):
    write("sales.csv", FILE.replace("Bread,1,2.25", "Bread,one,2.25"))

    result = run(SALES)

    assert (result.total(Verdict.CREATED), result.refused) == (2, 1)
    assert [(e.row, e.column, e.found) for e in result.sources[0].errors] == [(3, "Qty", "one")]


def test_the_error_file_has_every_row_of_a_refused_sale(crm_app, run, write, ada, tmp_path):
    write("sales.csv", FILE.replace("Bread,1,2.25", "Bread,one,2.25"))
    result = run(SALES)

    with crm_app.app_context():
        from uuid import UUID

        lines = list(csv.reader("".join(error_file(SYSTEM, UUID(result.run_id)).lines).splitlines()))

    assert [row[4] for row in lines[1:]] == ["Apple", "Bread", ""]
    assert [bool(row[-1]) for row in lines[1:]] == [False, True, False]


def test_undoing_withdraws_the_sales_but_not_what_was_given_back_since(crm_app, run, write, ada, stored, unit):
    from uuid import UUID

    from crm_kernel.sales.services import refund_sale
    from crm_kernel.unit_of_work import writing

    write("sales.csv", FILE)
    result = run(SALES)
    with unit() as uow:
        refund_sale(uow, uow.session.scalars(sa.select(Sale).where(Sale.external_ref == "2")).one(), amount=Decimal(1))

    with crm_app.app_context():
        with writing(SYSTEM) as uow:
            undoing.begin_undo(uow, UUID(result.run_id))
        undoing.undo(SYSTEM, UUID(result.run_id))

    assert sorted(name.partition(":")[0] for name in stored()) == ["2", "refund"]
    with unit() as uow:
        assert uow.session.scalars(sa.select(Product.sku)).all() == ["A"]
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(SaleLine)) == 1


def test_who_may_not_import_sales_is_refused_and_who_may_needs_no_more(run, write, ada, stored):
    write("sales.csv", FILE.replace(",R1,", ",,"))
    everything = {"product.read": Scope.ALL, "product.create": Scope.ALL, "customer.read": Scope.ALL}
    reader = Actor(kind="user", name="Reader", grants={**everything, "sale.read": Scope.ALL})
    importer = Actor(
        kind="user", name="Importer", grants={**everything, "sale.import": Scope.ALL, "sale.read": Scope.ALL}
    )

    with pytest.raises(Forbidden, match=r"sale\.import"):
        run(SALES, actor=reader)
    result = run(SALES, actor=importer)

    assert (result.total(Verdict.CREATED), result.refused) == (3, 0), result.to_json()


def test_a_currency_without_a_rate_refuses_its_sale_alone(run, write, ada):
    write("sales.csv", "No,When,Amount,Currency\n1,2026-01-02,5,USD\n2,2026-01-02,7,GBP\n")
    columns = {"No": "external_ref", "When": "occurred_at", "Amount": "amount", "Currency": "currency"}
    constants = {"source_plugin": "shop", "channel": "store", "title": "Something"}

    result = run({**SALES, "group": [], "texts": {}, "columns": columns, "constants": constants})

    assert (result.total(Verdict.CREATED), result.refused) == (1, 1)
    assert (result.sources[0].errors[0].row, result.sources[0].errors[0].column) == (3, "Currency")


def test_imported_sales_are_audited_one_by_one(run, write, ada, unit):
    write("sales.csv", FILE)

    result = run(SALES)

    with unit() as uow:
        query = sa.select(AuditLog.request_id).where(AuditLog.record_type == "sale", AuditLog.action == "created")
        assert uow.session.scalars(query).all() == [result.run_id] * 3


def test_columns_a_row_needs_leave_it_out_without_an_error(run, write, unit):
    write("people.csv", "Ref,Name\nR1,Ada\n,Nobody\nR2,Bob\n")
    source = {
        "file": "people.csv",
        "record_type": "customer",
        "match": ["source", "external_ref"],
        "needs": ["Ref"],
        "columns": {"Ref": "external_ref", "Name": "display_name"},
        "constants": {"kind": "organization", "source": "x"},
    }

    result = run(source)

    assert (result.total(Verdict.CREATED), result.total(Verdict.SKIPPED), result.refused) == (2, 1, 0)


def test_too_many_rows_of_one_record_refuse_the_file_before_anything_is_written(run, write, ada, stored, monkeypatch):
    from crm_kernel.errors import InvalidInput

    monkeypatch.setattr(grouping, "MAX_GROUP", 2)
    write("sales.csv", FILE)

    with pytest.raises(InvalidInput, match="sort the file by No"):
        run(SALES)
    assert stored() == {}


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx"])
def test_exported_sales_are_imported_into_an_empty_ledger_to_the_same_data(crm_app, run, write, ada, unit, form):
    from crm_kernel.sales.services import refund_sale

    write("sales.csv", FILE)
    run(SALES)
    with unit() as uow:
        for amount in ("1.2345", None):
            sale = uow.session.scalars(sa.select(Sale).where(Sale.external_ref == "1")).one()
            refund_sale(uow, sale, amount=amount and Decimal(amount))
    before = _exported(crm_app, "csv")
    path = write(f"export.{form}", _exported(crm_app, form))
    with unit() as uow:
        for model in (SaleLine, Sale):
            if model is Sale:
                uow.session.execute(sa.delete(Sale).where(Sale.refund_of_id.is_not(None)))
            uow.session.execute(sa.delete(model))

    with crm_app.app_context():
        result = import_file(plain_mapping(path, "sale"), path, actor=SYSTEM)
        again = import_file(plain_mapping(path, "sale"), path, actor=SYSTEM)

    assert (result.total(Verdict.CREATED), result.refused, result.failure) == (5, 0, None), result.sources[0].errors
    assert again.total(Verdict.UNCHANGED) == 5, again.to_json()
    assert _rows(_exported(crm_app, "csv")) == _rows(before)


def _exported(app, form):
    with app.app_context():
        found = begin_export(SYSTEM, record_type("sale"), (), channel="cli")
    if form == "xlsx":
        buffer = io.BytesIO()
        found.xlsx(buffer)
        return buffer.getvalue()
    return "".join(found.csv() if form == "csv" else found.jsonl())


def _rows(text):
    """Return the rows of an export without what every record gets anew."""
    rows = csv.DictReader(io.StringIO(text))
    return sorted(sorted((k, v) for k, v in row.items() if k not in ("created_at", "updated_at")) for row in rows)


def test_a_refund_by_file_takes_the_rate_of_its_sale_and_no_more_than_is_left(run, write, ada, unit, stored):
    write("sales.csv", FILE)
    run(SALES)
    with unit() as uow:
        uid = uow.session.scalar(sa.select(Sale.uid).where(Sale.external_ref == "1"))
    write("back.csv", f"No,Of,Amount\nB1,{uid},-5\nB2,{uid},-1\nB3,{uid},-0.35\n")

    result = run(BACK)

    assert (result.total(Verdict.CREATED), result.refused) == (2, 1), result.to_json()
    assert [(e.row, e.found) for e in result.sources[0].errors] == [(3, "-1")]
    with unit() as uow:
        assert (
            uow.session.scalar(sa.select(sa.func.sum(Sale.base_amount)).where(Sale.external_ref.in_(["1", "B1", "B3"])))
            == 0
        )


def test_the_margin_of_a_refund_by_file_goes_back_in_proportion_unless_it_is_told(run, write, ada, stored, unit):
    worth = {"currency": "USD", "amount": Decimal(100), "margin": Decimal(30)}
    with unit() as uow:
        told = [{"source_plugin": "shop", "external_ref": ref, "channel": "rep", "title": "Boat"} for ref in ("1", "2")]
        sold = [record_sale(uow, **said, **worth).uid for said in told]
    write("back.csv", f"No,Of,Amount\nB1,{sold[0]},-40\nB2,{sold[0]},-60\n")
    write("told.csv", f"No,Of,Amount,Margin\nB3,{sold[1]},-100,-20\n")

    run(BACK)
    run({**BACK, "file": "told.csv", "columns": {**BACK["columns"], "Margin": "margin"}})

    with unit() as uow:
        rows = uow.session.execute(sa.select(Sale.external_ref, Sale.margin, Sale.base_margin)).all()
    margins = {row[0]: row[1] for row in rows}
    assert [margins[ref] for ref in ("B1", "B2", "B3")] == [Decimal(-12), Decimal(-18), Decimal(-20)]
    assert sum(row[2] for row in rows) == 10


@pytest.mark.parametrize(
    ("refunding", "verdicts"),
    [
        ({}, {"created": 1, "refused": 1}),
        ({"sale.refund": Scope.OWN}, {"created": 1, "refused": 1}),
        ({"sale.refund": Scope.ALL}, {"created": 2}),
    ],
)
def test_a_refund_by_file_needs_the_right_to_refund_that_sale(run, write, ada, unit, stored, refunding, verdicts):
    write("sales.csv", FILE)
    run(SALES)
    with unit() as uow:
        uid = uow.session.scalar(sa.select(Sale.uid).where(Sale.external_ref == "1"))
    write("back.csv", f"No,Of,Amount\nB1,{uid},-5\nB2,,3\n")
    grants = {"sale.import": Scope.ALL, "sale.read": Scope.ALL, **refunding}

    result = run(BACK, actor=Actor(kind="user", name="Importer", grants=grants))

    assert {v.value: n for v, n in result.sources[0].verdicts.items() if n} == verdicts, result.to_json()
    assert [(e.row, e.column) for e in result.sources[0].errors] == [(2, "Of")] * verdicts.get("refused", 0)
    assert ("B1" in stored()) is ("refused" not in verdicts)


def test_a_customer_keeps_no_trace_of_an_anonymous_sale(run, write, ada, unit):
    write("sales.csv", FILE)

    run(SALES)

    with unit() as uow:
        named = sa.select(sa.func.count()).select_from(Sale).join(Customer)
        assert uow.session.scalar(named) == 2
