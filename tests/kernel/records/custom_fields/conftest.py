"""Custom fields are tested on the toy records: one field of every kind on things."""

from __future__ import annotations

import pytest

CHOICES = [
    {"value": "gold", "labels": {"en": "Gold", "fr": "Or"}},
    {"value": "silver", "labels": {"en": "Silver", "fr": "Argent"}},
    {"value": "tin-can", "labels": {"en": "Tin can"}},
]
#: Name → (kind, further options).
EVERY_KIND = {
    "cf_text": ("text", {}),
    "cf_notes": ("text", {"multiline": True}),
    "cf_number": ("number", {}),
    "cf_budget": ("money", {}),
    "cf_day": ("date", {}),
    "cf_tier": ("choice", {"choices": CHOICES, "labels": {"en": "Tier", "fr": "Niveau"}}),
    "cf_tags": ("multichoice", {"choices": CHOICES}),
    "cf_origin": ("reference", {"target": "toyrecords.maker"}),
    "cf_flag": ("boolean", {}),
    "cf_mail": ("email", {}),
    "cf_phone": ("phone", {}),
    "cf_url": ("url", {}),
}


@pytest.fixture
def add(unit, types):
    """Declare a custom field of things and commit it: ``add("cf_tier", "choice", choices=…)``."""
    from crm_kernel.records.custom_fields.services import add_field

    def run(name, kind, **options):
        with unit() as uow:
            return add_field(uow, options.pop("host", "toyrecords.thing"), name, kind, **options).name

    return run


@pytest.fixture
def every_kind(unit, types):
    """Declare one custom field of every kind on things."""
    from crm_kernel.records.custom_fields.services import add_field

    with unit() as uow:
        for name, (kind, options) in EVERY_KIND.items():
            add_field(uow, "toyrecords.thing", name, kind, **options)
    return list(EVERY_KIND)


@pytest.fixture
def make(unit, types):
    """Create a thing and return its id: ``make(cf_tier="gold")``."""
    from crm_kernel.records.services import create_record

    def run(name="lamp", **values):
        with unit() as uow:
            return create_record(uow, types.thing, {"name": name, **values}).uid

    return run


@pytest.fixture
def maker(unit, types):
    """Create a maker and return its id."""
    from crm_kernel.records.services import create_record

    def run(name="Élan & Co"):
        with unit() as uow:
            return create_record(uow, types.maker, {"name": name}).uid

    return run


@pytest.fixture
def read(crm_app, types):
    """Read a page of things as the system: ``read(cf_tier="gold")`` → items."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.reading import page_of, parse_query
    from crm_kernel.unit_of_work import reading

    def run(**arguments):
        with crm_app.app_context(), reading(SYSTEM) as uow:
            return page_of(uow, types.thing, parse_query(types.thing, arguments.items())).items

    return run
