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


@pytest.fixture(params=[None, 0], ids=["small types", "large types"])
def type_sizes(request, monkeypatch):
    """Search once with types read whole, as small ones are, and once as if all were large."""
    from crm_kernel.records import small_types

    if request.param is not None:
        monkeypatch.setattr(small_types, "SMALL", request.param)


@pytest.fixture
def admin_api(api):
    """The API as an administrator."""
    return api("administrator")


@pytest.fixture
def three(make_things):
    """Three things: a lamp of 5, a torch of 900 and a beacon of 500 euros."""
    make_things(("lamp", 5), ("torch", 900), ("beacon", 500))


@pytest.fixture
def bulk_run(admin_api, deliver_events):
    """Ask for a bulk action on things, let the worker do it, and return the finished run."""

    def ask(by=None, **body):
        by = by or admin_api
        answer = by.post("/api/toyrecords/things/bulk", body)
        assert answer.status_code == 202, answer.text
        deliver_events()
        return by.get(answer.headers["Location"]).json

    return ask


@pytest.fixture
def take_back(admin_api, deliver_events):
    """Take a bulk run back and return the run that did it."""

    def ask(found, by=None):
        by = by or admin_api
        path = f"/api/bulk-runs/{found['id']}"
        answer = by.post(f"{path}/undo", If_Match=by.etag(path))
        assert answer.status_code == 200, answer.text
        deliver_events()
        return by.get("/api/bulk-runs", undoes=found["id"]).json["items"][0]

    return ask
