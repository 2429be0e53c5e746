"""The pages of modules do what the commands do: the plan before, the verbs with their lock and audit, purge left out."""

from __future__ import annotations

import re

import pytest

from crm_kernel._internal import lifecycle
from crm_kernel._internal.lifecycle import store
from crm_kernel._internal.lifecycle.locking import one_at_a_time
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.services import ensure_builtin_roles
from crm_kernel.app import create_app
from crm_kernel.testing.apps import let_go
from crm_kernel.testing.factories import detached
from crm_kernel.testing.people import add_user, browser
from crm_kernel.unit_of_work import writing


@pytest.fixture
def visit(instance):
    """A browser on the instance, logged in with a role: ``visit("administrator")``."""
    app = create_app(instance.replace(secure_cookies=False), modules=())
    app.config["TESTING"] = True

    def log_in(role):
        with app.app_context(), writing(SYSTEM) as uow:
            ensure_builtin_roles(uow)
            user = detached(uow, add_user(uow, role, name="Ann Admin"))
        return browser(app, user)

    yield log_in
    let_go(app)


@pytest.fixture
def click():
    """Press a module's button: ``click(client, "shop", "enable")`` → the page that follows."""

    def run(client, name, verb, **fields):
        page = client.get("/profile").text
        token = re.search(r'name="csrf-token" content="([^"]+)"', page)[1]
        answer = client.post(f"/admin/modules/{name}/{verb}", data={"csrf_token": token, **fields})
        assert answer.status_code == 303, answer.text
        return client.get(answer.location).text

    return run


def states(config):
    return {state.name: state.state for state in lifecycle.module_states(config) if state.name in ("shop", "till")}


def test_the_plan_is_shown_before_enabling_with_the_command(shop, visit):
    page = visit("administrator").get("/admin/modules/shop").text

    assert "CREATE TABLE shop_basket" in page
    assert "shop.till.open" in page
    assert "shop_basket.note" in page
    assert "crm modules enable shop" in page


def test_enabling_from_the_page_migrates_and_tells_the_servers(instance, shop, visit, click):
    page = click(visit("administrator"), "shop", "enable")

    assert "shop is enabled" in page
    assert states(instance)["shop"] == "loaded"
    with store.reading_rows(instance) as connection:
        assert store.generation(connection) == 1


def test_the_audit_log_names_who_clicked(instance, shop, visit, click, ask):
    click(visit("administrator"), "shop", "enable")

    statement = "SELECT actor, channel, action FROM audit_log WHERE record_type = 'module'"
    assert ask(instance, statement) == [("Ann Admin", "web", "enabled")]


@pytest.mark.crm_databases("sqlite")
class TestOnOneDatabase:
    """What does not depend on the kind of database."""

    def test_disabling_asks_for_the_dependants_and_keeps_the_rows(self, instance, shop, visit, click, fill, ask):
        lifecycle.enable(instance, ["shop", "till"])
        fill(instance)
        admin = visit("administrator")
        assert "crm modules disable shop --cascade" in admin.get("/admin/modules/shop").text

        refused = click(admin, "shop", "disable")
        assert "till depends on it" in refused
        assert states(instance) == {"shop": "loaded", "till": "loaded"}

        click(admin, "shop", "disable", cascade="1")

        assert states(instance) == {"shop": "disabled", "till": "disabled"}
        assert ask(instance, "SELECT count(*) FROM shop_basket") == [(1,)]

    def test_the_page_offers_no_purge_but_names_its_command(self, instance, shop, visit):
        lifecycle.enable(instance, ["shop"])
        lifecycle.disable(instance, ["shop"])
        admin = visit("administrator")

        assert "crm modules purge shop --export-to shop-export" in admin.get("/admin/modules/shop").text
        assert admin.post("/admin/modules/shop/purge").status_code in (400, 404)

    def test_while_another_command_changes_the_modules_the_page_says_which(self, instance, shop, visit, click):
        with one_at_a_time(instance, "crm modules enable till"):
            page = click(visit("administrator"), "shop", "enable")

        assert "crm modules enable till" in page
        assert states(instance)["shop"] == "installed"

    def test_who_may_only_read_modules_gets_no_button_and_changes_nothing(self, instance, shop, visit):
        reader = visit("reader")
        page = reader.get("/admin/modules/shop").text

        assert "CREATE TABLE shop_basket" in page
        assert "crm modules enable shop" not in page
        token = re.search(r'name="csrf-token" content="([^"]+)"', page)[1]
        assert reader.post("/admin/modules/shop/enable", data={"csrf_token": token}).status_code == 403
        assert states(instance)["shop"] == "installed"

    def test_a_module_nobody_knows_is_not_found(self, visit):
        assert visit("administrator").get("/admin/modules/lamp").status_code == 404
