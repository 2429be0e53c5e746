"""What every command of ``crm`` keeps to: it explains itself, can be tried without effect, can be read by a program."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

#: Commands that change nothing and answer with data: they need ``--json``, and no ``--dry-run``.
READING = {
    "modules explain", "modules info", "modules list", "modules plan",
    "db check", "db status",
    "users list", "users roles", "users sessions", "users invitations", "teams list", "fields list", "roles fields list",
    "events catalogue", "events dead", "events list", "events show",
    "jobs backlog", "jobs dead", "jobs list", "jobs queues", "jobs schedules", "jobs show",
    "rules list", "rules show", "rules runs", "rules dry-run", "rules replay",
    "access explain", "audit list", "records fields", "records show",
    "doctor", "demo show", "config show", "settings list",
    "identity-providers list", "identity-providers check", "sfa report",
    "consent link", "consent list", "consent purposes", "customers may-contact",
    "import runs", "import show", "import mappings",
    "privacy retention list", "privacy retention plan", "privacy erased", "privacy receipts",
    "webhooks list", "webhooks deliveries",
    "views list", "views show",
    "rates list", "rates show", "rates worth", "sales report",
    "customers match", "customers duplicates clusters", "customers duplicates list", "identifiers check",
}  # fmt: skip
#: Commands that are neither read by a program as rows nor tried beforehand, and why.
EXEMPT = {
    "serve": "runs until it is stopped; what it writes is what others ask of it",
    "live": "runs until it is stopped; its streams are tested in tests/kernel/collaboration/test_live.py",
    "worker": "runs until it is stopped; the jobs it does have their own commands",
    "import errors": "reads only; its output is the refused rows, in the form of their file",
    "export": "reads only; its output is the data itself, as CSV",
    "views export": "reads only; its output is a JSON document already",
    "mail test": "changes nothing here and prints what the mail server answered; it is tested in tests/kernel/mail/test_trial.py",
    "openapi": "reads only; its output is a JSON document already",
}

#: Commands that change something and have no ``--json``, and why.
WITHOUT_JSON = {
    "db reindex": "its output is a number of records per type",
    "db revision": "its output is the file that it writes",
    "rates set": "its answer is one sentence",
    "rates import": "its answer is one sentence",
    "rates fetch": "its answer is one sentence",
    "rates revalue": "its answer is a table",
}


def commands_of(
    group: click.Command, path: tuple[str, ...] = (), above: click.Context | None = None
) -> Iterator[tuple[str, click.Command]]:
    """Yield the full name and the command of every group and leaf below a group."""
    context = click.Context(group, parent=above, info_name=path[-1] if path else None)
    if path:
        yield " ".join(path), group
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            assert found is not None, f"{' '.join((*path, name))} is listed and does not exist"
            yield from commands_of(found, (*path, name), context)


def breaches(name: str, command: click.Command) -> list[str]:
    """Return what a command lacks: help, ``--dry-run`` or ``--json``."""
    lacking = [] if (command.help or "").strip() else [f"{name}: no help"]
    lacking += [
        f"{name}: no help for {parameter.opts[-1]}"
        for parameter in command.params
        if isinstance(parameter, click.Option) and not (parameter.help or "").strip()
    ]
    if isinstance(command, click.Group) or name in EXEMPT:
        return lacking
    options = {option for parameter in command.params for option in parameter.opts}
    needed = {"--json"} if name in READING else {"--dry-run"} if name in WITHOUT_JSON else {"--dry-run", "--json"}
    return lacking + [f"{name}: no {option}" for option in sorted(needed - options)]


@pytest.fixture(scope="module")
def commands() -> dict[str, click.Command]:
    """Every group and command of ``crm``, installed modules' included, but for those of toys that another test put there."""
    from crm_cli.main import cli

    return {name: command for name, command in commands_of(cli) if not name.startswith("toy")}


def test_every_command_says_what_it_does_can_be_tried_or_can_be_read_by_a_program(commands: dict) -> None:
    assert len(commands) > 40
    assert [problem for name, command in commands.items() for problem in breaches(name, command)] == []


def test_a_command_that_does_not_exist_is_exempt_from_nothing(commands: dict) -> None:
    assert (READING | EXEMPT.keys() | WITHOUT_JSON.keys()) - commands.keys() == set()


def test_a_reading_command_offers_no_trial(commands: dict) -> None:
    trial = {name for name, command in commands.items() if any("--dry-run" in p.opts for p in command.params)}

    # One that does would be a writing command in the wrong list.
    assert trial & (READING | EXEMPT.keys()) == set()


@pytest.fixture
def toy() -> click.Group:
    """A command line with one command that keeps to everything and four that do not."""
    dry, json = click.option("--dry-run", help="Change nothing."), click.option("--json", help="Print JSON.")

    @click.group()
    def cli() -> None:
        """A toy."""

    @cli.group()
    def jobs() -> None:
        """Its jobs."""

    jobs.add_command(json(dry(click.Command("retry", help="Retry a job."))))
    jobs.add_command(click.Command("cancel", help="Cancel a job."))
    jobs.add_command(click.Command("list", help="List jobs."))
    jobs.add_command(json(click.Command("dead")))
    cli.add_command(dry(click.option("--force")(click.Command("wipe", help="Wipe."))))
    return cli


def test_a_command_that_lacks_something_is_found(toy: click.Group) -> None:
    assert [problem for name, command in commands_of(toy) for problem in breaches(name, command)] == [
        "jobs cancel: no --dry-run",
        "jobs cancel: no --json",
        "jobs dead: no help",
        "jobs list: no --json",
        "wipe: no help for --force",
        "wipe: no --json",
    ]
