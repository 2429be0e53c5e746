"""The manual builds without a warning, its samples run, and the links and pictures of the readmes lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from blocks import blocks_of, work_through

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(path for folder in ("howto", "explanation") for path in (DOCS / folder).rglob("*.md"))
READMES = [*ROOT.glob("*.md"), ROOT / "cli" / "README.md", *ROOT.glob("plugins/**/README.md")]
#: What follows ``crm`` in code: at the start of a line of a block, after a prompt, or in a span.
_COMMAND = re.compile(r"(?:^|`|^\$ )crm ((?:[a-z|-]+ ?|--[a-z-]+ ?|[A-Z|]+ ?|….*)+)", re.MULTILINE)
#: Modules of examples have commands that nobody has installed.
_MADE_UP = {"x", "toybank"}
#: A link or a picture (``![…](…)``) of this repository.
_LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#]+)(?:#[^)]*)?\)")


def runnable(page: Path) -> bool:
    """Say whether a page has a block that is more than prose."""
    return any(block.kind != "prose" for block in blocks_of(page.read_text(encoding="utf-8")))


def leading_nowhere(page: Path) -> Iterator[str]:
    """Yield the links and the pictures of a page that do not exist beside it."""
    links: list[str] = _LINK.findall(page.read_text(encoding="utf-8"))
    yield from (link for link in links if not (page.parent / link).exists())


def unknown_commands(text: str) -> Iterator[str]:
    """Yield what a page says of ``crm`` that the command line does not know: a command or an option of it."""
    for line in _COMMAND.findall(text):
        if not _is_known(line.split()):
            yield f"crm {line.strip()}"


def _is_known(words: list[str]) -> bool:
    from crm_cli.main import cli

    command: click.Command = cli
    for word in words:
        if word.startswith("--"):
            spelt = (option for each in command.params for option in (*each.opts, *each.secondary_opts))
            known = {*spelt, "--help", "--json"}
            if word.partition("=")[0] not in known:
                return False
        elif isinstance(command, click.Group):
            found = [command.get_command(click.Context(command), name) for name in word.split("|")]
            if None in found:
                return not word.isascii() or word.isupper() or word in _MADE_UP
            command = found[0]
    return True


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.stem)
def test_the_samples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    sources = os.pathsep.join([str(ROOT), str(ROOT / "cli")])

    assert work_through(page, tmp_path, environment={**os.environ, "PATH": path, "PYTHONPATH": sources}) > 0


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_and_pictures_of_a_readme_lead_somewhere(readme: Path) -> None:
    assert list(leading_nowhere(readme)) == []


def test_a_link_and_a_picture_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "here.md").touch()
    readme = tmp_path / "README.md"
    readme.write_text("[a](here.md#part) [b](lost.md) ![c](lost.png) ![d](https://example.org/d.png)", encoding="utf-8")

    assert list(leading_nowhere(readme)) == ["lost.md", "lost.png"]


def test_the_commands_that_the_manual_names_exist() -> None:
    pages = [*READMES, *DOCS.rglob("*.md")]

    assert [
        f"{page.relative_to(ROOT)}: {wrong}" for page in pages for wrong in unknown_commands(page.read_text("utf-8"))
    ] == []


def test_a_command_that_does_not_exist_is_found() -> None:
    text = "`crm modules list --json` `crm modules lost` and\n```text\ncrm db upgrade --dry\n```\n`crm import FILE --atomic`"

    assert list(unknown_commands(text)) == ["crm modules lost", "crm db upgrade --dry"]


@pytest.mark.slow
def test_the_manual_builds_without_a_warning(tmp_path: Path) -> None:
    # Its own folder for doctrees: the reader's build is not to be disturbed.
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", tmp_path / "trees"]

    done = subprocess.run([*command, DOCS, tmp_path / "html"], capture_output=True, text=True, cwd=ROOT, timeout=300)

    assert done.returncode == 0, done.stderr
    hooks = (tmp_path / "html" / "reference" / "hooks.html").read_text(encoding="utf-8")
    assert "crm_register_record_types" in hooks
    assert "generated: hooks" not in hooks
