"""The export of a person: everything that is stored, nothing of other persons, told in the log first."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.models import AuditLog
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.exporting import subject_archive, subject_data, subject_page
from crm_kernel.unit_of_work import reading

from .conftest import CANARIES


@pytest.fixture
def exported(crm_app, zanzi):
    """Her data and her page."""
    with crm_app.app_context(), reading(SYSTEM) as uow:
        customer = uow.session.get(Customer, zanzi[0].id)
        data = subject_data(uow, customer)
        return data, subject_page(data, customer)


def rows_of(data, table):
    return next(found["rows"] for found in data["tables"] if found["table"] == table)


def test_everything_that_would_be_erased_is_shown(exported):
    data, page = exported
    text = json.dumps(data, ensure_ascii=False)

    for canary in (*CANARIES, "canary-4711"):
        assert canary in text
        assert canary in page


def test_modules_whose_code_is_gone_and_rows_below_rows_are_shown(exported):
    data, _page = exported

    assert [row["locker"] for row in rows_of(data, "gym_member")] == [CANARIES[4]]
    assert [row["said"] for row in rows_of(data, "gym_visit")] == [CANARIES[4]]
    assert [row["paid"] for row in rows_of(data, "gym_sum")] == [12]
    assert [row["description"] for row in rows_of(data, "sale_line")] == ["Chair"]
    assert rows_of(data, "sale")[0]["amount"] == "100.0000"


def test_other_persons_and_staff_are_left_out_and_organizations_named(exported, unit, zanzi, customer_factory, crm_app):
    from crm_kernel.customers.models import Relationship

    firm = customer_factory(kind="organization", display_name="Aviary Ltd")
    with unit() as uow:
        uow.session.add(Relationship(from_customer_id=zanzi[0].id, to_customer_id=firm.id, type="employment"))
    with crm_app.app_context(), reading(SYSTEM) as uow:
        data = subject_data(uow, uow.session.get(Customer, zanzi[0].id))

    text = json.dumps(data)
    assert [row["to_customer"] for row in rows_of(data, "relationship")] == ["another person", "Aviary Ltd"]
    assert "Byron" not in text
    assert '"Rep"' not in text
    assert '"customer_id"' not in text


def test_keys_never_leave_and_personal_columns_are_marked(exported):
    data, _page = exported
    point = next(table for table in data["tables"] if table["table"] == "contact_point")

    assert {"value", "value_normalized"} <= set(point["personal"])
    assert not {name for table in data["tables"] for row in table["rows"] for name in row} & {"id", "customer_id"}


def test_custom_fields_have_their_labels(unit, zanzi, crm_app):
    from crm_kernel.records.custom_fields.models import CustomField

    with unit() as uow:
        uow.session.add(
            CustomField(record_type="sale", name="cf_delivered_to", kind="text", labels={"en": "Delivered to"})
        )
    with crm_app.app_context(), reading(SYSTEM) as uow:
        data = subject_data(uow, uow.session.get(Customer, zanzi[0].id))

    assert rows_of(data, "sale")[0]["Delivered to"] == CANARIES[0]


def test_what_she_typed_is_inert_on_the_page(unit, zanzi, crm_app):
    with unit() as uow:
        uow.session.get(Customer, zanzi[0].id).notes = "<script>alert(1)</script>"
    with crm_app.app_context(), reading(SYSTEM) as uow:
        customer = uow.session.get(Customer, zanzi[0].id)
        page = subject_page(subject_data(uow, customer), customer)

    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_archive_holds_page_and_data(exported):
    data, page = exported

    with zipfile.ZipFile(io.BytesIO(subject_archive(data, page))) as archive:
        assert archive.namelist() == ["index.html", "data.json"]
        assert json.loads(archive.read("data.json")) == data


def test_the_log_tells_of_the_export(api, zanzi, unit):
    answer = api("administrator").get(f"/api/customers/{zanzi[0].uid}/subject-export")

    assert answer.status_code == 200
    assert answer.json["format"] == "crm-subject-export-1"
    with unit() as uow:
        rows = uow.session.scalars(sa.select(AuditLog).where(AuditLog.action == "exported")).all()
        assert [(row.record_uid, row.channel) for row in rows] == [(zanzi[0].uid, "api")]


def test_only_who_may_exports_and_only_whom_he_sees(api, zanzi):
    path = f"/api/customers/{zanzi[0].uid}/subject-export"

    assert api("representative").get(path).status_code == 403
    assert api(grants={"customer.read": "own", "customer.export_subject": "all"}).get(path).status_code == 404
    assert api(grants={"customer.read": "all", "customer.export_subject": "all"}).get(path).status_code == 200


def test_who_does_not_see_every_field_does_not_export(api, zanzi, unit):
    from crm_kernel.access.models import FieldRule, Role

    clerk = api(grants={"customer.read": "all", "customer.export_subject": "all"})
    with unit() as uow:
        role = uow.session.scalars(sa.select(Role).where(Role.name.like("test-%"))).one()
        uow.session.add(FieldRule(role_id=role.id, record_type="customer", field="notes", access="hidden"))

    answer = clerk.get(f"/api/customers/{zanzi[0].uid}/subject-export")

    assert answer.status_code == 403
    assert "customer.notes" in answer.json["detail"]
