"""The commands that pages name exist, with the options they are named with."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

import click
import pytest

from crm_kernel.testing.people import browser

#: Pages that name commands which need no record of their own.
PAGES = (
    "/admin/modules", "/admin/modules/sfa", "/admin/events", "/admin/events?name=customer.*", "/admin/events/dead",
    "/admin/events/dead?subscriber=sfa.x", "/admin/health", "/jobs", "/admin/fields", "/admin/fields/customer",
    "/jobs?state=dead", "/jobs/schedules", "/imports", "/admin/rights", "/admin/invitations", "/admin/fields/customer/cf_shape", "/admin/fields/customer/cf_shape/archive",
)  # fmt: skip
TEMPLATES = re.compile(r"same_by_command\('(crm [^']+)'")


def unknown(command: str) -> str:
    """Return what a command line names that does not exist; empty when all of it does."""
    from crm_cli.main import cli

    words, found = shlex.split(command)[1:], cli
    context = click.Context(cli)
    while isinstance(found, click.Group):
        name = words.pop(0)
        found = found.get_command(context, name)
        if found is None:
            return f"{command}: no command {name}"
        context = click.Context(found, parent=context, info_name=name)
    known = {option for parameter in found.params for option in parameter.opts}
    missing = [word for word in words if word.startswith("--") and word not in known]
    return f"{command}: no option {', '.join(missing)}" if missing else ""


@pytest.fixture
def shown(login, unit) -> list[str]:
    """Every command that the pages name to an administrator."""
    from crm_kernel.records.custom_fields.services import add_field

    with unit() as uow:
        add_field(uow, "customer", "shape", "text")
    admin = login("administrator")
    texts = [admin.get(path).text for path in PAGES]
    return [html.unescape(found) for text in texts for found in re.findall(r"<code data-command>(.+?)</code>", text)]


@pytest.mark.crm_databases("sqlite")
def test_every_command_on_a_page_exists(shown):
    assert len(shown) >= 8
    assert [problem for command in shown if (problem := unknown(command))] == []


def test_every_command_in_a_template_exists():
    import crm_kernel

    folder = Path(crm_kernel.__file__).parent / "web" / "templates"
    named = [found for file in folder.rglob("*.html") for found in TEMPLATES.findall(file.read_text("utf-8"))]

    assert named
    assert [problem for command in named if (problem := unknown(command.strip()))] == []


def test_a_command_that_does_not_exist_is_found():
    assert unknown("crm modules melt sfa") == "crm modules melt sfa: no command melt"
    assert unknown("crm modules disable sfa --now") == "crm modules disable sfa --now: no option --now"


def test_a_stranger_sees_no_command(crm_app):
    assert browser(crm_app).get("/admin/modules").status_code == 302


#: Pages of the administration → a form on it, and the command that does the same.
FORMS = {
    "/jobs": ("/jobs/queues/mail/pause", "crm jobs queue mail --pause"),
    "/jobs?state=dead": ("/jobs/retry", "crm jobs retry --all"),
    "/imports": ("/imports", "crm import run FILE --record customer"),
    "/audit": ("/audit/verify", "crm audit verify"),
    "/admin/invitations": ("/admin/invitations", "crm users invite EMAIL --role ROLE"),
}


@pytest.mark.crm_databases("sqlite")
def test_forms_of_the_administration_name_the_command_that_does_the_same(login, unit):
    from crm_kernel.jobs.models import JobRow, JobState

    with unit() as uow:
        uow.session.add(JobRow(module="kernel", name="kernel.send_mail", queue="mail", state=JobState.DEAD))
    admin = login("administrator")

    for path, (action, command) in FORMS.items():
        page = html.unescape(admin.get(path).text)
        assert re.search(f'<form [^>]*action="{re.escape(action)}"', page), path
        assert command in re.findall(r"<code data-command>(.+?)</code>", page), path
        assert unknown(command) == ""


@pytest.mark.crm_databases("sqlite")
def test_every_list_and_record_of_the_administration_names_its_commands(login, crm_app):
    from crm_kernel.records.plan import record_types

    admin = login("administrator")
    with crm_app.app_context():
        kinds = [kind for kind in record_types().values() if kind.nav_section == "administration"]
        lists = {kind.name: f"/{kind.slug}" for kind in kinds}
    own = admin.get("/api/users").json["items"][0]["id"]
    pages = [*lists.items(), ("user", f"/users/{own}")]

    assert {"user", "role", "team", "tag", "purpose", "webhook", "webhook_source", "retention_rule"} <= lists.keys()
    named = {path: _named(admin.get(path).text) for _name, path in pages}
    assert [path for name, path in pages if not any(name in command.split() for command in named[path])] == []
    assert [problem for commands in named.values() for command in commands if (problem := unknown(command))] == []
    for verb in ("update", "act"):
        assert any(command.startswith(f"crm records {verb} user {own}") for command in named[f"/users/{own}"]), verb


def _named(page: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(r"<code data-command>(.+?)</code>", page)]
