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
    "/admin/events/dead?subscriber=sfa.x", "/admin/health", "/jobs",
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
def shown(login) -> list[str]:
    """Every command that the pages name to an administrator."""
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
