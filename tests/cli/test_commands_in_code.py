"""The commands that messages, comments and templates name exist: who is told to type one must be able to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parent.parent.parent
#: ``crm`` and the words after it; a file's name is no word of a command, and bytes are what keys are derived for.
_NAMED = re.compile(
    r"(?<![\w./-])(?<!b[\"'])crm ([a-z][a-z-]*(?![\w.])(?: (?:[a-z][a-z-]*(?![\w.])|--[a-z-]+|[A-Z_|]+))*)"
)


def sources() -> list[Path]:
    """Return the code and the templates that are shipped."""
    folders = [ROOT / "crm_kernel", ROOT / "cli", *(ROOT / "plugins").rglob("crm_*")]
    files = [file for folder in folders if folder.is_dir() for file in folder.rglob("*")]
    kept = [file for file in files if file.suffix in (".py", ".html", ".txt")]
    return sorted({file for file in kept if not {"vendor", "node_modules", "tests"} & set(file.parts)})


def unknown(text: str) -> Iterator[str]:
    """Yield the commands of a text that do not exist, or not with that option."""
    for line in _NAMED.findall(text):
        if not _is_known(line.split()):
            yield f"crm {line}"


def _is_known(words: list[str]) -> bool:
    from crm_cli.main import cli

    command: click.Command = cli
    for word in words:
        if word.startswith("--"):
            if word not in {option for parameter in command.params for option in (*parameter.opts, "--help")}:
                return False
        elif isinstance(command, click.Group):
            if word.isupper():
                return True  # from here on it is arguments
            found = command.get_command(click.Context(command), word)
            if found is None:
                return False
            command = found
    return True


@pytest.mark.crm_databases("sqlite")
def test_every_command_that_the_code_names_exists() -> None:
    files = sources()

    assert len(files) > 500
    assert [f"{file.relative_to(ROOT)}: {wrong}" for file in files for wrong in unknown(file.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Print one: crm users reset-lnk E-MAIL", ["crm users reset-lnk E"]),
        ("`crm user list`", ["crm user list"]),
        ("crm users list --jsn", ["crm users list --jsn"]),
        ("crm import rates.csv --record exchange_rate; logging.getLogger('crm.jobs'); crm db upgrade first", []),
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str, wrong: list[str]) -> None:
    assert list(unknown(text)) == wrong
