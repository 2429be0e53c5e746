"""Every subset of the installed plugins boots, and a module that is off leaves no page."""

from __future__ import annotations

from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest

from crm_kernel.access.actor import SYSTEM
from crm_kernel.testing.apps import Apps
from crm_kernel.testing.factories import detached
from crm_kernel.testing.people import add_user, browser
from crm_kernel.unit_of_work import writing

pytestmark = pytest.mark.crm_databases("sqlite")

ROOT = Path(__file__).parent.parent.parent
#: The project's own modules; the toy bank stands for a vertical.
MODULES = ("sfa", "toybank")
SUBSETS = list(chain.from_iterable(combinations(MODULES, size) for size in range(len(MODULES) + 1)))
#: A page of each module.
PAGES = {"sfa": "/sfa/opportunities", "toybank": "/toybank/accounts"}


@pytest.fixture(params=SUBSETS, ids=lambda names: "+".join(names) or "kernel")
def subset(request: pytest.FixtureRequest, toybank: str) -> tuple[str, ...]:
    """The modules that are enabled."""
    return tuple(request.param)


@pytest.fixture
def admin(subset: tuple[str, ...], available_database: str, crm_test_apps: Apps) -> Any:
    """An administrator's browser on an application with these modules."""
    app = crm_test_apps.on_fresh_database(available_database, subset)
    with app.app_context(), writing(SYSTEM) as uow:
        user = detached(uow, add_user(uow, "administrator"))
    return browser(app, user)


def test_every_module_of_the_workspace_is_in_the_subsets() -> None:
    workspace = {project.parent.name for project in (ROOT / "plugins").glob("**/pyproject.toml")}

    assert set(MODULES) == workspace | {"toybank"}


@pytest.mark.parametrize("path", ["/", "/customers", "/customers/new", "/products", "/sales", "/api/openapi.json"])
def test_every_subset_serves_the_kernels_pages(admin: Any, path: str) -> None:
    assert admin.get(path).status_code == 200


def test_a_module_has_pages_exactly_while_it_is_enabled(admin: Any, subset: tuple[str, ...]) -> None:
    assert {name: admin.get(page).status_code for name, page in PAGES.items()} == {
        name: 200 if name in subset else 404 for name in PAGES
    }


def test_the_navigation_names_only_what_is_enabled(admin: Any, subset: tuple[str, ...]) -> None:
    page = admin.get("/customers").text

    assert {name for name, address in PAGES.items() if f'href="{address}"' in page} == set(subset)


def test_the_api_describes_only_what_is_enabled(admin: Any, subset: tuple[str, ...]) -> None:
    paths = admin.get("/api/openapi.json").json["paths"]

    assert {name for name in PAGES if any(path.startswith(f"/api/{name}/") for path in paths)} == set(subset)
