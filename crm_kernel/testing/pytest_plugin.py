"""The fixtures of every CRM test suite, found by pytest through the entry point ``pytest11``.

Nothing of the CRM is imported before a fixture is used: pytest loads this module in every project that has the kernel
installed, and before coverage starts. Settings (``[tool.pytest.ini_options]``): ``crm_plugins = ["sfa"]`` names the
plugins the application is built with, ``crm_databases = ["sqlite", "postgresql"]`` those to run on. The markers of the
same names change them for a test or a module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flask import Flask

    from crm_kernel.events import Event
    from crm_kernel.testing.apps import Apps
    from crm_kernel.testing.commands import Command
    from crm_kernel.testing.databases import Databases
    from crm_kernel.testing.factories import Factory
    from crm_kernel.testing.people import ApiClient, CrmClient
    from crm_kernel.testing.queries import Queries
    from crm_kernel.unit_of_work import UnitOfWork

_KINDS = ("sqlite", "postgresql")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the settings and the command line option."""
    parser.addini("crm_plugins", "Plugins the application under test is built with", type="args", default=[])
    parser.addini("crm_databases", "Databases the suite runs on", type="args", default=list(_KINDS))
    parser.getgroup("crm").addoption(
        "--crm-databases", metavar="KINDS", help="Run on these databases only: sqlite, postgresql or both, by comma"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and ignore what the first engine of a process ignores: pytest sets filters anew for each test."""
    config.addinivalue_line("markers", "crm_plugins(*names): build the application with these plugins")
    config.addinivalue_line("markers", "crm_databases(*kinds): run on these databases only")
    config.addinivalue_line("filterwarnings", "ignore:Skipped unsupported reflection of expression-based index")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that touches a database once per database."""
    if "database_kind" in metafunc.fixturenames:
        metafunc.parametrize("database_kind", _kinds(metafunc), indirect=True, scope="session")


def _kinds(metafunc: pytest.Metafunc) -> list[str]:
    config = metafunc.config
    option = config.getoption("--crm-databases")
    wanted = option.split(",") if option else config.getini("crm_databases")
    unknown = set(wanted) - set(_KINDS)
    if unknown:
        raise pytest.UsageError(f"crm_databases: unknown {', '.join(sorted(unknown))}; expected {' or '.join(_KINDS)}")
    marker = metafunc.definition.get_closest_marker("crm_databases")
    return [kind for kind in wanted if marker is None or kind in marker.args]


@pytest.fixture(scope="session")
def database_kind(request: pytest.FixtureRequest) -> str:
    """Name the database of this run of the test: ``sqlite`` or ``postgresql``."""
    return str(request.param)


@pytest.fixture
def crm_plugins(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Name the plugins the application is built with; override it, or use the marker or the setting of this name."""
    marker = request.node.get_closest_marker("crm_plugins")
    return tuple(marker.args if marker else request.config.getini("crm_plugins"))


@pytest.fixture(scope="session")
def crm_test_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Make and drop the databases of this process."""
    from crm_kernel.testing.databases import Databases, migrate

    own = tmp_path_factory.mktemp("databases")
    shared = own.parent.parent if os.environ.get("PYTEST_XDIST_WORKER") else own.parent
    databases = Databases(own, migrate, shared / "pgserver")
    with pytest.MonkeyPatch.context() as patch:
        # A test is not about how long a loaded machine takes to give back a lock.
        patch.setattr("crm_kernel.database._BUSY_SECONDS", 120)
        yield databases
    databases.close()


@pytest.fixture(scope="session")
def crm_test_apps(crm_test_databases: Databases) -> Iterator[Apps]:
    """Keep the applications of this process."""
    from crm_kernel.testing.apps import Apps

    apps = Apps(crm_test_databases)
    yield apps
    apps.close()


@pytest.fixture
def available_database(database_kind: str, crm_test_databases: Databases) -> str:
    """Name the database kind once it is known to be there: skips without PostgreSQL, fails instead when ``CI=true``."""
    from crm_kernel.testing.databases import NoPostgreSQL

    if database_kind == "postgresql":
        try:
            crm_test_databases.server()
        except NoPostgreSQL as error:
            missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            missing(f"PostgreSQL: {error}")
    return database_kind


@pytest.fixture
def database_url(available_database: str, crm_test_databases: Databases) -> str:
    """Give the URL of a new, empty database; the test runs once on SQLite and once on PostgreSQL."""
    return crm_test_databases.empty(available_database)


@pytest.fixture
def crm_app(available_database: str, crm_plugins: tuple[str, ...], crm_test_apps: Apps) -> Flask:
    """Give the application with the suite's plugins on a fresh, migrated database; forms need no CSRF token."""
    app = crm_test_apps.on_fresh_database(available_database, crm_plugins)
    app.config["WTF_CSRF_ENABLED"] = False
    return app


@pytest.fixture
def unit(crm_app: Flask) -> Callable[..., AbstractContextManager[UnitOfWork]]:
    """Give a writing unit of work that commits at its end: ``with unit() as uow``, ``unit(actor)``."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.unit_of_work import writing

    @contextmanager
    def opened(actor: Any = SYSTEM, **options: Any) -> Iterator[UnitOfWork]:
        with crm_app.app_context(), writing(actor, **options) as uow:
            yield uow

    return opened


@pytest.fixture
def uow(crm_app: Flask) -> Iterator[UnitOfWork]:
    """Give one writing unit of work of the system for the whole test, rolled back at its end.

    For tests of services. A test that also sends requests uses ``unit``, which commits.
    """
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.unit_of_work import writing

    class Over(Exception):
        """Ends the unit without a commit."""

    with crm_app.app_context():
        try:
            with writing(SYSTEM) as opened:
                yield opened
                raise Over
        except Over:
            pass


@pytest.fixture
def client(crm_app: Flask) -> CrmClient:
    """Give a browser that nobody has logged in with."""
    from crm_kernel.testing.people import browser

    return browser(crm_app)


@pytest.fixture
def login(crm_app: Flask, unit: Callable[..., AbstractContextManager[UnitOfWork]]) -> Callable[..., CrmClient]:
    """Log somebody in: ``login("representative", team="North")`` → a browser; ``.user`` is who.

    ``grants={"customer.read": "own"}`` gives permissions directly instead of a role.
    """
    from crm_kernel.testing.factories import detached
    from crm_kernel.testing.people import add_user, browser

    def log_in(role: str | None = None, **options: Any) -> CrmClient:
        with unit() as uow:
            user = detached(uow, add_user(uow, role, **options))
        return browser(crm_app, user)

    return log_in


@pytest.fixture
def api(crm_app: Flask, unit: Callable[..., AbstractContextManager[UnitOfWork]]) -> Callable[..., ApiClient]:
    """Give an API client with a token: ``api("representative", team="North", scopes=["customer.*"])``."""
    from crm_kernel.testing.factories import detached
    from crm_kernel.testing.people import ApiClient, add_token, add_user, browser

    def connect(role: str | None = None, *, scopes: list[str] | None = None, **options: Any) -> ApiClient:
        with unit() as uow:
            user = add_user(uow, role, **options)
            token = add_token(uow, user, scopes=scopes)
            detached(uow, user)
        return ApiClient(browser(crm_app), token, user)

    return connect


@pytest.fixture
def factories(crm_app: Flask) -> Factory:
    """Make records through the services: ``factories.person(name="Ada Lovelace")``; see ``crm_kernel.testing.factories``."""
    from crm_kernel.testing.factories import Factory

    return Factory(crm_app)


@pytest.fixture
def customer_factory(factories: Factory) -> Callable[..., Any]:
    """Make a customer: ``customer_factory()``, ``customer_factory(kind="organization", display_name="Acme")``."""
    make: Callable[..., Any] = factories.customer
    return make


@pytest.fixture
def recorded_events(crm_app: Flask) -> Callable[..., list[Event]]:
    """List the events recorded so far, oldest first: ``recorded_events()``, ``recorded_events("sfa.opportunity_won")``."""
    from crm_kernel.testing.deliveries import recorded

    return lambda *names: recorded(crm_app, names)


@pytest.fixture
def deliver_events(crm_app: Flask) -> Callable[[], int]:
    """Run everything that is due, as a worker would, until nothing is; returns how many jobs ran."""
    from crm_kernel.testing.deliveries import deliver

    return lambda: deliver(crm_app)


@pytest.fixture
def count_queries() -> Callable[[], AbstractContextManager[Queries]]:
    """Count statements: ``with count_queries() as queries: …`` then ``queries.at_most(5)``."""
    from crm_kernel.testing.queries import count_queries as counting

    return counting


@pytest.fixture
def cli(crm_app: Flask, crm_plugins: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run ``crm`` in this process on the database of ``crm_app``: ``cli("modules", "list", "--json").json()``."""
    from crm_kernel.testing.commands import Command

    return Command.on(crm_app, tmp_path, monkeypatch)
