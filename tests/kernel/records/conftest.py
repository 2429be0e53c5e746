"""The records machinery is tested on the toy records: every kind of field, nothing of a real module."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SITE = Path(__file__).parents[2] / "fixtures" / "toyrecords"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.crm_plugins("toyrecords"))


@pytest.fixture(scope="session", autouse=True)
def toyrecords_installed():
    sys.path.insert(0, str(SITE))
    yield
    sys.path.remove(str(SITE))


@pytest.fixture
def types(crm_app):
    """The two record types: ``types.maker`` and ``types.thing``."""
    from crm_toyrecords.plugin import MAKER, THING

    return SimpleNamespace(maker=MAKER, thing=THING)


@pytest.fixture
def make_things(crm_app, types):
    """Create things by (name, amount) and return the maker's id: ``make_things(("a", 5), ("b", None))``."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.services import create_record
    from crm_kernel.unit_of_work import writing

    def make(*things, **common):
        with crm_app.app_context(), writing(SYSTEM) as uow:
            maker = create_record(uow, types.maker, {"name": "Élan & Co"})
            for name, amount in things:
                given = {"name": name, "amount": amount, "currency": "EUR", "maker": str(maker.uid), **common}
                create_record(uow, types.thing, given)
            return maker.uid

    return make


@pytest.fixture
def read(crm_app, types):
    """Read a page of things: ``read(amount__gte="5")`` → page; ``read(actor=…)`` as somebody else."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.reading import page_of, parse_query
    from crm_kernel.unit_of_work import reading

    def run(actor=SYSTEM, **arguments):
        with crm_app.app_context(), reading(actor) as uow:
            page = page_of(uow, types.thing, parse_query(types.thing, arguments.items()))
            # The cursor is sealed with the application's key, hence while its context is open.
            return SimpleNamespace(items=page.items, next_cursor=page.next_cursor)

    return run
