"""Check boxes and defaults: a new form shows what leaving it alone stores, and an empty box means no."""

from __future__ import annotations

import re

import pytest
from marshmallow import Schema, fields

from crm_kernel.records.pages.forms import schema_form, schema_payload

#: What a browser sends of a box: always the empty value, and its own after it when it is checked.
UNCHECKED, CHECKED = [""], ["", "1"]


class _Asked(Schema):
    loud = fields.Boolean(load_default=True)


@pytest.fixture
def admin(login):
    """A browser of somebody who may do everything."""
    return login("administrator")


@pytest.fixture
def active_of(api):
    """The stored state of a product, by its SKU."""
    rest = api("administrator")
    return lambda sku: [item["active"] for item in rest.get("/api/products", sku=sku).json["items"]]


def _box(page: str, name: str) -> str:
    return re.search(rf'<input type="hidden" name="{name}" value=""><label[^>]*><input type="checkbox"[^>]*>', page)[0]


def test_a_new_form_has_the_boxes_checked_that_are_true_by_default(admin):
    page = admin.get("/products/new").get_data(as_text=True)

    assert " checked" in _box(page, "active")


@pytest.mark.parametrize(("sent", "stored"), [(UNCHECKED, False), (CHECKED, True)])
def test_a_new_record_is_what_its_boxes_say(admin, active_of, sent, stored):
    answer = admin.post("/products/new", data={"name": "Lamp", "sku": "L", "active": sent})

    assert answer.status_code == 303
    assert active_of("L") == [stored]


def test_an_unchecked_box_stays_unchecked_when_the_form_is_shown_again(admin):
    page = admin.post("/products/new", data={"name": "", "sku": "L", "active": UNCHECKED})

    assert page.status_code == 422
    assert " checked" not in _box(page.get_data(as_text=True), "active")


@pytest.mark.parametrize(("sent", "stored"), [(UNCHECKED, False), (CHECKED, True)])
def test_a_changed_record_is_what_its_boxes_say(admin, api, active_of, sent, stored):
    rest = api("administrator")
    uid = rest.post("/api/products", {"name": "Lamp", "sku": "L", "active": not stored}).json["id"]

    answer = admin.post(f"/products/{uid}/edit", data={"name": "Lamp", "sku": "L", "active": sent, "version": "1"})

    assert answer.status_code == 303
    assert active_of("L") == [stored]


def test_an_edit_form_shows_what_is_stored_not_the_default(admin, api):
    uid = api("administrator").post("/api/products", {"name": "Lamp", "sku": "L", "active": False}).json["id"]

    assert " checked" not in _box(admin.get(f"/products/{uid}/edit").get_data(as_text=True), "active")


def test_an_actions_dialog_obeys_its_boxes_too(crm_app):
    from werkzeug.datastructures import MultiDict

    with crm_app.test_request_context():
        [section] = schema_form(_Asked, {})["sections"]

        assert section["fields"][0]["value"] is True
        assert schema_payload(_Asked, MultiDict([("loud", "")])) == {"loud": False}


def test_an_extension_left_at_its_defaults_is_left_out(crm_app, types):
    from crm_kernel.records.pages.defaults import without_blank_extensions
    from crm_kernel.records.plan import plan_of

    with crm_app.app_context():
        plan = plan_of(types.thing)
        blank = {"name": "lamp", "extensions": {"toyrecords": {"stars": None}}}

        assert without_blank_extensions(plan, blank) == {"name": "lamp"}
