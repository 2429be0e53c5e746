"""Extensions are tested with two verticals on one customer: the toy bank and the toy shop."""

from __future__ import annotations

from pathlib import Path

import pytest

VERTICALS = ("toybank", "toyshop")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent) and item.get_closest_marker("crm_plugins") is None:
            item.add_marker(pytest.mark.crm_plugins(*VERTICALS))


@pytest.fixture(autouse=True)
def verticals(toybank, toyshop):
    """Install both."""
    return VERTICALS


@pytest.fixture
def admin(crm_app, api):
    """An API client that may do everything."""
    return api("administrator")


@pytest.fixture
def product(admin):
    """The id of a product that cards can point at."""
    return admin.post("/api/products", {"sku": "T-1", "name": "Tea pot"}).json["id"]


@pytest.fixture
def add(admin):
    """Create an organization: ``add("Acme", toybank={"risk": 3}, toyshop={"points": 5})`` → its address."""

    def create(name, **extensions):
        payload = {"kind": "organization", "display_name": name, "extensions": extensions}
        answer = admin.post("/api/customers", payload)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    return create


@pytest.fixture
def names(admin):
    """List customers' names: ``names(sort="toyshop.points")``."""

    def listed(**arguments):
        answer = admin.get("/api/customers", **arguments)
        assert answer.status_code == 200, answer.text
        return [item["display_name"] for item in answer.json["items"]]

    return listed
