"""What every command shares: options, output, exit codes, and the way errors become one clear line.

Data goes to stdout, messages to stderr. Nothing heavy is imported here (no flask, sqlalchemy or rich at import):
``crm --help`` and completion stay fast, and the administrative commands start while plugins are broken.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crm_kernel.config import Config, load_config
from crm_kernel.errors import CrmError, PluginError

if TYPE_CHECKING:
    from flask import Flask

    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

#: What modules may use in their commands; the rest of ``crm_cli`` may change any day.
__all__ = [
    "ExitCode",
    "Instance",
    "confirm",
    "dry_run_option",
    "echo_json",
    "echo_records",
    "echo_table",
    "instance_options",
    "json_option",
    "message",
    "progress",
    "warn",
    "yes_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])


class ExitCode(IntEnum):
    """The exit codes of every command; documented, tested, stable."""

    #: Done.
    OK = 0
    #: It was tried and failed; what was written before is whole.
    FAILURE = 1
    #: The command was called wrongly, or its input or a setting is invalid.
    USAGE = 2
    #: What was named does not exist.
    NOT_FOUND = 3
    #: Refused before any change: incompatible, a plugin's fault, no permission.
    REFUSED = 4
    #: Somebody else holds it, or its state does not allow it.
    CONFLICT = 5
    #: The command worked and found something to mend (``doctor``, ``db check``).
    FINDINGS = 6
    #: Some of the rows were refused, the others are done (``import``).
    PARTIAL = 7
    #: Ctrl-C.
    INTERRUPTED = 130


@dataclass(slots=True)
class Instance:
    """The CRM instance a command works on: its configuration, its application and its units of work, made on demand."""

    config_path: str | None = None
    #: The module whose command this is; it must be enabled before its application is used.
    module: str | None = None
    _app: Flask | None = None

    def config(self) -> Config:
        """Return the settings of the instance.

        Raises:
            ConfigError: the file is missing or wrong.
        """
        return load_config(self.config_path)

    def app(self) -> Flask:
        """Return the application, built once per command.

        Raises:
            PluginError: an enabled module cannot be loaded, or the module of this command is not enabled.
            DatabaseUnavailable: the database cannot be reached.
        """
        if self._app is None:
            from crm_kernel._internal.modules import refuse_missing
            from crm_kernel.app import create_app

            config = self.config()
            refuse_missing(config)
            self._app = create_app(config)
            self._refuse_without_module(self._app)
        return self._app

    @contextmanager
    def reading(self) -> Iterator[UnitOfWork]:
        """Open a reading unit of work inside an app context, as the system."""
        from crm_kernel.access.actor import SYSTEM
        from crm_kernel.unit_of_work import reading

        with self.app().app_context(), reading(SYSTEM, channel="cli") as uow:
            yield uow

    @contextmanager
    def writing(self, *, dry_run: bool = False, actor: Actor | None = None) -> Iterator[UnitOfWork]:
        """Open a writing unit of work inside an app context, as the system if not as another; a dry run is rolled back."""
        from crm_kernel.access.actor import SYSTEM
        from crm_kernel.unit_of_work import writing

        try:
            with self.app().app_context(), writing(actor or SYSTEM, channel="cli") as uow:
                yield uow
                if dry_run:
                    uow.session.flush()
                    raise _Rehearsed
        except _Rehearsed:
            message("Dry run: nothing was changed.")

    def _refuse_without_module(self, app: Flask) -> None:
        from crm_kernel._internal.runtime import runtime_of

        if self.module is not None and self.module not in runtime_of(app).manager.names:
            raise PluginError(
                self.module, f"the module is not enabled. Enable it with: crm modules enable {self.module}"
            )


class _Rehearsed(Exception):
    """Ends the unit of work of a dry run."""


#: Passes the ``Instance`` of this call as first argument.
pass_instance = click.make_pass_decorator(Instance, ensure=True)


def _remember_config(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Instance).config_path = value


#: ``--config FILE``, also accepted after the command's name.
config_option = click.option(
    "--config",
    metavar="FILE",
    expose_value=False,
    is_eager=True,
    callback=_remember_config,
    help="Configuration file (default: CRM_CONFIG, else crm.toml here).",
)
#: ``--json`` → ``as_json``.
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
#: ``--dry-run`` → ``dry_run``.
dry_run_option = click.option("--dry-run", is_flag=True, help="Do everything except committing it, and print the plan.")
#: ``--yes`` → ``assume_yes``.
yes_option = click.option("--yes", "-y", "assume_yes", is_flag=True, help="Do not ask; for scripts.")


def instance_options(command: Command) -> Command:
    """Add ``--config`` to a command and pass it the ``Instance`` as first argument."""
    return config_option(pass_instance(command))  # type: ignore[return-value]


def message(text: str) -> None:
    """Write a message for people on stderr."""
    click.echo(text, err=True)


def warn(text: str) -> None:
    """Write a warning on stderr."""
    click.secho(f"Warning: {text}", fg="yellow", err=True)


def echo_json(data: Any) -> None:
    """Print data as JSON on stdout; ids, decimals and times as text, dataclasses as objects."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=_jsonable))


def echo_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print rows on stdout: a drawn table on a terminal, tab-separated lines with a header line elsewhere."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in [list(columns), *texts]:
            click.echo("\t".join(" ".join(cell.split()) for cell in line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in texts:
        table.add_row(*(Text(cell) for cell in line))
    Console().print(table)


def echo_records(as_json: bool, columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> None:
    """Print records as JSON or as a table of the named columns; no record is ``[]`` or a table without rows."""
    if as_json:
        echo_json(list(records))
    else:
        echo_table(columns, ([record.get(column) for column in columns] for record in records))


def echo_done(found: Any, text: str, *, as_json: bool, dry_run: bool) -> None:
    """Answer a command that changes something: what it changed as JSON, else a message; a dry run says nothing is done."""
    if as_json:
        echo_json(found)
    elif not dry_run:
        message(text)


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Yield ``advance(steps)``; draws a bar on stderr if that is a terminal, else stays silent."""
    if not sys.stderr.isatty():
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda steps: bar.advance(task, steps)


def confirm(question: str, *, assume_yes: bool) -> None:
    """Ask before something is changed; without a terminal and without ``--yes`` it is refused.

    Raises:
        click.UsageError: nobody can answer.
        click.exceptions.Exit: the answer is no.
    """
    if assume_yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can answer here: add --yes to go on, or --dry-run to look first")
    if not click.confirm(question, err=True):
        message("Nothing was changed.")
        raise click.exceptions.Exit(ExitCode.FAILURE)


def debugging() -> bool:
    """Say whether ``CRM_DEBUG=1`` asks for tracebacks."""
    return os.environ.get("CRM_DEBUG", "") not in ("", "0")


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn deliberate errors into one message on stderr and their exit code; ``CRM_DEBUG=1`` shows the traceback."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, SystemExit):
        raise
    except (KeyboardInterrupt, click.Abort) as error:
        message("Interrupted.")
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from error
    except Exception as error:
        if debugging() or isinstance(error, BrokenPipeError):
            raise
        text, code = _explained(error)
        click.secho("Error: ", fg="red", err=True, nl=False)
        click.echo(text, err=True)
        raise click.exceptions.Exit(code) from error


def _explained(error: Exception) -> tuple[str, int]:
    if isinstance(error, CrmError):
        return str(error), error.exit_code
    if type(error).__module__.startswith("sqlalchemy") and hasattr(error, "orig"):
        return f"the database refused: {' '.join(str(error.orig).split())}", ExitCode.FAILURE
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'file'}: {error.strerror}", ExitCode.FAILURE
    return f"{type(error).__name__}: {error} (CRM_DEBUG=1 shows where)", ExitCode.FAILURE


def _jsonable(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return list(value) if isinstance(value, Iterator) else str(value)
