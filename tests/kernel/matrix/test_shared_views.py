"""A shared view shows its reader what he may see, whoever saved it: no rows, count, order or value by what is hidden from him.

The views are generated from the filters, sorts and columns of every record type.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from crm_kernel.records.plan import plan_of
from crm_kernel.testing.factories import detached
from crm_kernel.testing.people import browser
from crm_kernel.testing.planting import plant
from tests.kernel.matrix.asking import types_of

pytestmark = pytest.mark.crm_databases("sqlite")


@pytest.fixture
def shared(crm_app: Any, unit: Any, login: Any) -> Any:
    """A planted record of every type; ``shared.blind`` sees none of the fields, ``shared.author`` all and shares views."""
    with unit() as uow:
        planted = plant(uow)
        user = detached(uow, planted.user)
    return SimpleNamespace(planted=planted, blind=browser(crm_app, user), author=login("administrator"))


def save(shared: Any, found: Any, **view: Any) -> str | None:
    """Share a view of a type with everybody and return its id; None where the list does not take it."""
    body = {"name": "Shared", "record_type": found.name, "sharing": "everyone", **view}
    answer = shared.author.post("/api/views", json=body)
    assert answer.status_code in (201, 422), answer.text
    return str(answer.json["id"]) if answer.status_code == 201 else None


def channels(client: Any, found: Any, view: str) -> Iterator[tuple[str, Any]]:
    """Yield what a list through a view answers: as a page, a board, a calendar, through the API, exported, in bulk."""
    for address in (
        f"/{found.path}?view={view}",
        f"/{found.path}?view={view}&as=board",
        f"/{found.path}?view={view}&as=calendar",
    ):
        yield address, client.get(address)
    yield "api", client.get(f"/api/{found.path}?view={view}&count=true")
    if "export" in found.verbs:
        yield "export", client.get(f"/{found.path}/export.csv?view={view}")
    if "update" in found.verbs:
        yield "bulk", client.post(f"/{found.path}/bulk", data={"all": "1", "query": f"view={view}", "what": "delete"})


def hidden_of(app: Any, shared: Any, found: Any) -> list[str]:
    """Return the fields of a type in which something was planted that the blind do not see."""
    with app.app_context():
        names = [
            *plan_of(found).fields,
            *(f"{e}.{n}" for e, own in plan_of(found).extension_fields.items() for n in own),
        ]
    return [name for name in names if f"{found.name}.{name}" in shared.planted.spellings]


def test_a_shared_view_by_a_hidden_field_gives_neither_rows_nor_their_number(crm_app: Any, shared: Any) -> None:
    told, saved = {}, 0

    for found in types_of(crm_app):
        for field in hidden_of(crm_app, shared, found):
            queries = [f"{field}__empty=false"] * (field in found.filters) + [f"sort={field}"] * (field in found.sorts)
            for query in queries:
                view = save(shared, found, query=query)
                uid = str(shared.planted.uids[found.name])
                seen = view and uid in shared.author.get(f"/api/{found.path}?view={view}").text
                saved += bool(seen)
                for channel, answer in channels(shared.blind, found, view) if view else ():
                    if (
                        uid in answer.text
                        or (answer.is_json and "count" in (answer.json or {}))
                        or answer.status_code >= 500
                    ):
                        told[f"{found.name} {query} {channel}"] = answer.status_code

    assert told == {}
    assert saved > 15


def test_a_shared_view_leaves_out_the_columns_that_its_reader_may_not_see(crm_app: Any, shared: Any) -> None:
    told, saved = {}, 0

    for found in types_of(crm_app):
        for field in hidden_of(crm_app, shared, found):
            view = save(shared, found, query="", columns=[found.title, field])
            saved += view is not None
            for channel, answer in channels(shared.blind, found, view) if view else ():
                if shared.planted.shown_in(answer.text) or answer.status_code >= 500:
                    told[f"{found.name} {field} {channel}"] = shared.planted.shown_in(answer.text)

    assert told == {}
    assert saved > 30


def test_a_shared_view_counts_only_what_its_reader_sees(crm_app: Any, login: Any, factories: Any) -> None:
    author, reader = login("administrator"), login(grants={"*": "own"}, team="Near")
    factories.organization(display_name="Far Matrix")
    factories.organization(display_name="Near Matrix", owner=str(reader.user.uid))
    body = {"name": "All", "record_type": "customer", "sharing": "everyone", "query": "kind=organization"}
    view = author.post("/api/views", json=body).json["id"]

    page, listed = (
        reader.get(f"/customers?view={view}").text,
        reader.get(f"/api/customers?view={view}&count=true").json,
    )
    everything = author.get(f"/api/customers?view={view}&count=true").json

    assert ("Near Matrix" in page, "Far Matrix" in page) == (True, False)
    assert [item["display_name"] for item in listed["items"]] == ["Near Matrix"]
    assert len(everything["items"]) == 2
    assert (listed["count"], everything["count"]) == (1, 2)
