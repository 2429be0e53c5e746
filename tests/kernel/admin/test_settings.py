"""Settings in the database: what comes before what, who may change them, what is kept of secrets, who takes them up."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel._internal.lifecycle import store
from crm_kernel._internal.modules import SettingRow
from crm_kernel._internal.runtime import runtime_of
from crm_kernel._internal.settings import IN_DATABASE
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.app import create_app
from crm_kernel.config import kernel_fields
from crm_kernel.database import db
from crm_kernel.errors import Conflict, InvalidInput, NotFound
from crm_kernel.stored_settings.declared import KEPT_IN_FILE, WORDS
from crm_kernel.stored_settings.services import change_setting, reset_setting, setting_state

pytestmark = [pytest.mark.crm_plugins("toybank"), pytest.mark.usefixtures("toybank")]

CANARY = "sk-canary-3f9c71"


@pytest.fixture
def change(unit):
    """Change a setting as the system does."""

    def run(name, raw):
        with unit() as uow:
            return change_setting(uow, name, raw)

    return run


@pytest.fixture
def started(crm_app):
    """Build the application anew, as a new worker process does, and return its runtime."""

    def run(**changes):
        app = create_app(runtime_of(crm_app).without_database.replace(**changes), modules=["toybank"])
        found = runtime_of(app)
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()
        return found

    return run


def rows_of(app):
    with app.app_context(), db.engine.connect() as connection:
        return {row.name: row.value for row in connection.execute(sa.select(SettingRow.name, SettingRow.value))}


def test_every_setting_of_the_kernel_says_whether_it_may_stand_in_the_database():
    assert set(WORDS) == set(IN_DATABASE)
    assert set(WORDS).isdisjoint(KEPT_IN_FILE)
    assert set(WORDS) | set(KEPT_IN_FILE) == set(kernel_fields())


def test_the_database_comes_before_the_file_and_after_the_environment(change, started):
    change("company_name", "Stored")

    assert started().config.company_name == "Stored"
    assert started(company_name="From the file").config.company_name == "Stored"
    by_variable = started(company_name="From a variable", overruled_by=("CRM_COMPANY_NAME",))
    assert by_variable.config.company_name == "From a variable"


def test_a_modules_setting_in_the_database_comes_before_its_section(change, started):
    change("toybank.default_risk", "7")
    section = {"toybank": {"default_risk": 5}}

    assert started(plugin_settings=section).settings["toybank.default_risk"] == 7
    found = started(plugin_settings=section, overruled_by=("CRM_TOYBANK__DEFAULT_RISK",))
    assert found.settings["toybank.default_risk"] == 5


def test_lists_numbers_and_texts_come_back_as_their_type(change, started):
    change("languages", "fr, en")
    change("job_days", "12")

    assert (started().config.languages, started().config.job_days) == (("fr", "en"), 12)


def test_a_change_lets_servers_replace_their_workers_and_what_changes_nothing_does_not(change, crm_app):
    config = runtime_of(crm_app).config

    def generation():
        with store.reading_rows(config) as connection:
            return store.generation(connection)

    before = generation()
    assert change("company_name", "Acme") is True
    changed = generation()
    assert change("company_name", "Acme") is False

    assert (changed, generation()) == (before + 1, before + 1)


def test_a_reset_gives_the_file_its_say_again(unit, change, started):
    change("company_name", "Stored")

    with unit() as uow:
        assert reset_setting(uow, "company_name") is True
        assert reset_setting(uow, "company_name") is False

    assert started(company_name="From the file").config.company_name == "From the file"


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("job_days", "many"), ("job_days", "0"), ("company_name", "  "), ("company_name", "x" * 81),
        ("timezone", "Mars/Olympus"), ("default_region", "XX"), ("languages", "en,tlh"), ("languages", ""),
        ("base_url", "ftp://crm.test"), ("base_url", "https://crm.test:many"), ("live_url", "//elsewhere.test"),
        ("live_url", "https://a.test; script-src *"), ("toybank.default_risk", "10"), ("toybank.default_risk", "x"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_its_declaration_is_refused(change, crm_app, name, raw):
    with pytest.raises(InvalidInput) as refused:
        change(name, raw)

    assert list(refused.value.errors) == ["value"]
    assert [row for row in rows_of(crm_app) if row.startswith("value:")] == []


@pytest.mark.parametrize("name", ["database_url", "secret_key", "outbound_trusted_networks", "secure_cookies"])
def test_what_only_the_file_may_say_is_refused(change, name):
    with pytest.raises(Conflict):
        change(name, "x")


def test_a_setting_that_nobody_declares_is_not_found(change):
    with pytest.raises(NotFound, match=r"toybank\.nothing"):
        change("toybank.nothing", "1")


def test_what_the_environment_decides_is_refused_here(crm_app, unit, monkeypatch):
    runtime = runtime_of(crm_app)
    decided = runtime.without_database.replace(overruled_by=("CRM_COMPANY_NAME",))
    monkeypatch.setattr(runtime, "without_database", decided)

    with unit() as uow, pytest.raises(Conflict, match="CRM_COMPANY_NAME"):
        change_setting(uow, "company_name", "Acme")


def test_a_secret_is_encrypted_unsealed_for_its_module_only_and_never_shown(change, crm_app, started, admin):
    change("toybank.feed_key", CANARY)
    stored = rows_of(crm_app)["value:toybank.feed_key"]

    assert stored["sealed"] is True
    assert CANARY not in str(stored)
    assert started().settings["toybank.feed_key"] == CANARY
    pages = [admin.get(path).text for path in ("/admin/settings", "/admin/settings/toybank.feed_key", "/audit")]
    assert [CANARY in page for page in pages] == [False, False, False]
    assert "Set</span>" in pages[0]


def test_a_secret_that_could_not_be_opened_again_is_refused_by_its_field(unit):
    with unit() as uow, pytest.raises(InvalidInput) as refused:
        change_setting(uow, "toybank.feed_key", "é" * 1_900)

    assert refused.value.errors == {"value": ["Too long to be kept encrypted: found 3800 bytes, at most 2984."]}


def test_the_audit_keeps_who_changed_what_and_no_secret(change, crm_app):
    change("company_name", "Before")
    change("company_name", "After")
    change("toybank.feed_key", CANARY)

    with crm_app.app_context(), db.engine.connect() as connection:
        joined = sa.select(AuditPayload.before, AuditPayload.after).join(
            AuditLog, AuditLog.uid == AuditPayload.audit_uid
        )
        wanted = joined.where(AuditLog.record_type == "setting").order_by(AuditLog.id)
        found = [(row.before, row.after) for row in connection.execute(wanted)]

    assert found[1] == ({"company_name": "Before"}, {"company_name": "After"})
    assert found[2][1] == {"toybank.feed_key": "(secret)"}
    assert CANARY not in str(found)


def test_a_secret_sealed_with_another_key_is_left_out_and_said(change, started, crm_app, caplog):
    change("toybank.feed_key", CANARY)

    found = started(secret_key="another" * 8)

    assert found.settings["toybank.feed_key"] == ""
    assert "encrypted with another secret_key. Set it again: crm settings set toybank.feed_key" in caplog.text


def test_a_stored_value_that_no_longer_fits_is_left_out_and_named(crm_app, unit, started, caplog):
    with unit() as uow:
        uow.session.add(SettingRow(name="value:job_days", value={"value": "soon", "at": "2026-01-01T00:00:00+00:00"}))

    assert started().config.job_days == 30
    assert "job_days in the database: found 'soon', expected int" in caplog.text
    with unit() as uow:
        state = setting_state(uow, "job_days")
    assert (state.value, state.source) == (30, "default")
    assert "found 'soon'" in state.problem


def test_settings_of_a_module_that_is_gone_stay_and_can_be_taken_out(crm_app, unit):
    with unit() as uow:
        uow.session.add(SettingRow(name="value:gone.limit", value={"value": 3}))

    create_app(runtime_of(crm_app).without_database, modules=["toybank"])
    assert "value:gone.limit" in rows_of(crm_app)
    with unit() as uow:
        assert reset_setting(uow, "gone.limit") is True


def test_the_page_saves_says_where_a_value_comes_from_and_names_the_command(admin, send, crm_app):
    saved = send(admin, "/admin/settings/company_name", value="Acme & Söhne")
    listed, one = admin.get("/admin/settings").text, admin.get("/admin/settings/company_name").text

    assert saved.status_code == 303
    assert rows_of(crm_app)["value:company_name"]["value"] == "Acme & Söhne"
    assert "Acme &amp; Söhne" in listed
    assert "Changed here" in listed
    assert "crm settings set company_name &#39;Acme &amp; Söhne&#39;" in one
    assert admin.user.name in listed


def test_the_page_shows_the_file_only_settings_without_their_secrets(admin, crm_app):
    page = admin.get("/admin/settings").text

    assert "database_url" in page
    assert "It is needed before the database is read." in page
    assert runtime_of(crm_app).config.secret_key not in page


def test_the_page_masks_a_password_with_an_at_sign_to_its_end(admin, crm_app, monkeypatch):
    runtime = runtime_of(crm_app)
    found = runtime.without_database or runtime.config
    monkeypatch.setattr(runtime, "without_database", found.replace(jobs_broker_url="amqp://crm:p@ss@broker//"))

    page = admin.get("/admin/settings").text

    assert "amqp://crm:********@broker//" in page
    assert "ss@broker" not in page


def test_the_page_says_what_is_wrong_beside_the_field(admin, send):
    answer = send(admin, "/admin/settings/job_days", value="0")

    assert answer.status_code == 422
    assert "expected 1 or more" in answer.text


def test_the_page_resets(admin, send, crm_app):
    send(admin, "/admin/settings/company_name", value="Acme")

    assert send(admin, "/admin/settings/company_name/reset").status_code == 303
    assert "value:company_name" not in rows_of(crm_app)


def test_who_may_read_settings_may_not_change_them(login, send, crm_app):
    reader = login(grants={"setting.read": "all"})

    assert reader.get("/admin/settings").status_code == 200
    assert '<form method="post" action="/admin/settings' not in reader.get("/admin/settings/company_name").text
    assert send(reader, "/admin/settings/company_name", value="x").status_code == 403
    assert login("representative").get("/admin/settings").status_code == 403
    assert [row for row in rows_of(crm_app) if row.startswith("value:")] == []


LEADING = ("base_url", *(name for name in WORDS if name.startswith("mail_")))


@pytest.mark.parametrize("name", LEADING)
def test_only_who_may_do_everything_decides_where_links_go(login, send, crm_app, admin, unit, name):
    helper = login(grants={"setting.read": "all", "setting.update": "all", "user.*": "all"})
    value = {"mail_port": "2525", "mail_timeout_seconds": "9", "mail_encryption": "tls", "mail_sender": "a@evil.test"}
    given = value.get(name, "https://evil.test" if name == "base_url" else "evil.test")

    refused = send(helper, f"/admin/settings/{name}", value=given)
    assert (refused.status_code, [row for row in rows_of(crm_app) if row.startswith("value:")]) == (403, [])
    assert send(admin, f"/admin/settings/{name}", value=given).status_code == 303
    kept = rows_of(crm_app)[f"value:{name}"]
    assert send(helper, f"/admin/settings/{name}/reset").status_code == 403
    assert rows_of(crm_app)[f"value:{name}"] == kept

    page = helper.get(f"/admin/settings/{name}").text
    assert '<form method="post" action="/admin/settings' not in page
    assert "Only who may do everything changes it" in page
    assert "Only who may do everything changes it" not in admin.get(f"/admin/settings/{name}").text


def test_who_may_change_settings_changes_those_that_lead_no_links(login, send, crm_app):
    helper = login(grants={"setting.read": "all", "setting.update": "all"})

    assert "Only who may do everything" not in helper.get("/admin/settings/company_name").text
    assert send(helper, "/admin/settings/company_name", value="Acme").status_code == 303
    assert rows_of(crm_app)["value:company_name"]["value"] == "Acme"
    assert send(helper, "/admin/settings/company_name/reset").status_code == 303


def test_who_may_read_settings_is_not_told_who_changes_them(login):
    assert "Only who may do" not in login(grants={"setting.read": "all"}).get("/admin/settings/mail_host").text


def test_the_command_line_does_the_same(cli, crm_app):
    assert cli("settings", "set", "company_name", "Acme").exit_code == 0
    listed = {row["setting"]: row for row in cli("settings", "list", "--json").json()}

    assert (listed["company_name"]["value"], listed["company_name"]["source"]) == ("Acme", "database")
    assert listed["secret_key"]["value"] == "********"
    assert cli("settings", "reset", "company_name", "--json").json() == {"setting": "company_name", "changed": True}


def test_a_secret_is_read_from_stdin_and_masked(cli, crm_app):
    assert cli("settings", "set", "toybank.feed_key", input=f"{CANARY}\n").exit_code == 0
    listed = cli("settings", "list", "--json")

    assert CANARY not in listed.stdout
    assert rows_of(crm_app)["value:toybank.feed_key"]["sealed"] is True


def test_the_command_line_refuses_what_does_not_fit(cli):
    assert cli("settings", "set", "job_days", "0").exit_code == 2
    assert cli("settings", "set", "port", "1").exit_code == 5
    assert cli("settings", "set", "nothing", "1").exit_code == 3
