"""The testing kit itself: what a plugin author is promised of every fixture."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.database import db, utcnow
from crm_kernel.errors import NotFound
from crm_kernel.testing.databases import Databases, NoPostgreSQL, postgresql_server


def customers_of(crm_app: Any) -> int:
    """Count the customers in the database."""
    with crm_app.app_context(), db.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(Customer)).scalar_one()


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_starts_with_an_empty_database(turn: int, crm_app: Any, customer_factory: Any) -> None:
    before = customers_of(crm_app)

    customer = customer_factory()

    assert (before, customers_of(crm_app), customer.id) == (0, 1, 1)


@pytest.mark.parametrize("turn", [1, 2])
def test_what_a_test_changes_on_the_application_is_put_back(turn: int, crm_app: Any) -> None:
    assert "CHANGED_BY_A_TEST" not in crm_app.config

    crm_app.config["CHANGED_BY_A_TEST"] = True


def test_the_databases_of_one_plugin_set_are_each_put_back(
    crm_test_databases: Databases, available_database: str
) -> None:
    def rows(kind: str, statement: str) -> int:
        engine = sa.create_engine(crm_test_databases.fresh(kind, (), "both"))
        with engine.begin() as connection:
            before = connection.execute(sa.text("SELECT count(*) FROM team WHERE name = 'Left behind'")).scalar_one()
            connection.execute(
                sa.text(statement), {"uid": uuid4().bytes if kind == "sqlite" else uuid4(), "at": utcnow()}
            )
        engine.dispose()
        return int(before)

    insert = "INSERT INTO team (uid, name, created_at, updated_at) VALUES (:uid, 'Left behind', :at, :at)"
    kinds = ["sqlite", available_database] * 2

    assert [rows(kind, insert) for kind in kinds] == [0, 0, 0, 0]


@pytest.mark.parametrize("turn", [1, 2])
def test_a_changed_schema_is_put_back(turn: int, crm_app: Any) -> None:
    with crm_app.app_context(), db.engine.begin() as connection:
        assert not sa.inspect(connection).has_table("left_behind")

        connection.execute(sa.text("CREATE TABLE left_behind (id INTEGER PRIMARY KEY)"))


def test_the_unit_of_a_test_is_rolled_back(uow: Any, crm_app: Any, customer_factory: Any) -> None:
    customer_factory()

    assert uow.session.scalars(sa.select(sa.func.count(Customer.id))).one() == 1
    uow.session.rollback()
    assert customers_of(crm_app) == 0


def test_a_unit_commits_at_its_end(unit: Any, crm_app: Any, customer_factory: Any) -> None:
    with unit():
        customer_factory()

    assert customers_of(crm_app) == 1


def test_what_a_factory_returns_can_be_read_after_the_commit(customer_factory: Any) -> None:
    customer = customer_factory(kind="organization", display_name="Acme")

    assert (customer.kind, customer.display_name, customer.version) == ("organization", "Acme", 1)


def test_factories_make_no_two_equal_names(customer_factory: Any) -> None:
    kinds = ("person", "person", "organization", "household")

    assert len({customer_factory(kind=kind).display_name for kind in kinds}) == len(kinds)


def test_a_browser_is_nobody_until_somebody_logs_in(client: Any, login: Any) -> None:
    assert client.get("/customers").status_code in (302, 303, 401)
    assert login("reader").get("/customers").status_code == 200


def test_a_log_in_knows_who_it_is(login: Any) -> None:
    browser = login("representative", team="North", name="Rosa", language="fr")

    assert (browser.user.name, browser.user.language, browser.user.team_id) == ("Rosa", "fr", 1)
    assert 'lang="fr"' in browser.get("/customers").text


def test_an_unknown_role_is_answered_with_the_known_ones(login: Any) -> None:
    with pytest.raises(NotFound, match="administrator"):
        login("emperor")


def test_permissions_may_be_given_without_a_role(login: Any) -> None:
    assert login(grants={"customer.read": "all"}).get("/customers").status_code == 200
    assert login(grants={"product.read": "all"}).get("/customers").status_code == 403


def test_an_api_client_sends_token_and_etag(api: Any, customer_factory: Any) -> None:
    path = f"/api/customers/{customer_factory().uid}"
    client = api("administrator")

    assert client.patch(path, {"notes": "Likes tea."}).status_code == 200
    assert client.patch(path, {"notes": "Likes coffee."}, etag='"1"').status_code == 412
    assert client.delete(path).status_code == 204


def test_an_api_token_may_be_limited(api: Any) -> None:
    client = api("administrator", scopes=["product.*"])

    assert client.get("/api/customers").status_code == 403
    assert client.get("/api/products").status_code == 200


def test_recorded_events_are_listed_before_and_after_the_commit(
    unit: Any, customer_factory: Any, recorded_events: Any
) -> None:
    with unit():
        uid = customer_factory().uid
        pending = recorded_events("kernel.customer_created")

    assert [event.customer_id for event in pending] == [uid]
    assert recorded_events("kernel.customer_created") == pending
    assert recorded_events("kernel.customer_deleted") == []


def test_delivering_nothing_runs_nothing(deliver_events: Any) -> None:
    assert deliver_events() == 0


def test_queries_are_counted_apart_from_authentication(login: Any, count_queries: Any) -> None:
    browser = login("reader")

    with count_queries() as queries:
        browser.get("/customers")

    assert 1 <= len(queries.authentication) <= 2
    assert 1 <= len(queries) <= 5, str(queries)
    with pytest.raises(AssertionError, match=r"1\. SELECT"):
        queries.at_most(0)


def test_the_command_line_runs_on_the_database_of_the_test(cli: Any, customer_factory: Any) -> None:
    outcome = cli("modules", "list", "--json")

    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.json() is not None


def test_a_failing_command_shows_what_it_said(cli: Any) -> None:
    outcome = cli("no-such-command")

    assert outcome.exit_code == 2
    with pytest.raises(AssertionError, match="No such command"):
        outcome.json()


def test_an_empty_database_is_empty(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
    engine.dispose()


@pytest.mark.crm_databases("sqlite")
def test_a_test_may_ask_for_one_database(database_kind: str) -> None:
    assert database_kind == "sqlite"


def test_a_server_that_was_named_and_does_not_answer_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CRM_TEST_PG_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")

    with pytest.raises(NoPostgreSQL, match="CRM_TEST_PG_URL=postgresql"):
        postgresql_server(tmp_path)


def test_everything_that_was_made_is_dropped(
    available_database: str, crm_test_databases: Databases, tmp_path: Path
) -> None:
    def fill(url: str, _plugins: tuple[str, ...]) -> None:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE thing (id INTEGER PRIMARY KEY)"))
        engine.dispose()

    own = Databases(tmp_path, fill, tmp_path)
    url = sa.make_url(own.fresh(available_database, (), "mine"))
    own.close()

    if available_database == "postgresql":
        with sa.create_engine(crm_test_databases.server()).connect() as connection:
            left = connection.execute(
                sa.text("SELECT count(*) FROM pg_database WHERE datname = :n"), {"n": url.database}
            )
            assert left.scalar_one() == 0
    else:
        assert Path(str(url.database)).parent == tmp_path
