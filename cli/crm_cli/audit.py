"""``crm audit``: read the audit log, and prove that nobody has changed it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

import click

from crm_cli.common import (
    ExitCode,
    Instance,
    dry_run_option,
    echo_json,
    echo_records,
    echo_table,
    instance_options,
    json_option,
    message,
)

if TYPE_CHECKING:
    from crm_kernel.access.audit_chain import Verification


_TIMES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S")
_COLUMNS = ("id", "at", "actor", "channel", "action", "record_type", "record", "before", "after")


@click.group("audit")
def audit() -> None:
    """Read, seal and verify the audit log."""


@audit.command("list")
@click.option("--actor", metavar="NAME", help="Only what this one did: a user's name, system, a job's name.")
@click.option("--action", help="Only this: created, updated, deleted, exported, refused, or another action's name.")
@click.option("--record-type", metavar="TYPE", help="Only records of this type: customer.")
@click.option("--record", "record_uid", type=click.UUID, metavar="ID", help="Only this record.")
@click.option("--channel", help="Only through this: web, api, cli, job, import, system.")
@click.option("--request", "request_id", metavar="ID", help="Only of this request or import run.")
@click.option("--since", type=click.DateTime(_TIMES), help="From this time on, UTC.")
@click.option("--until", type=click.DateTime(_TIMES), help="Before this time, UTC.")
@click.option("--before", type=click.UUID, metavar="ROW", help="Only older ones: the last id of the page before.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@json_option
@instance_options
def list_rows(instance: Instance, limit: int, before: UUID | None, as_json: bool, **wanted: Any) -> None:
    """List who did what to which record, newest first, with the values before and after."""
    import datetime as dt

    from crm_kernel.access.audit_queries import AuditFilter, audit_rows

    times = {name: wanted[name] and wanted[name].replace(tzinfo=dt.UTC) for name in ("since", "until")}
    with instance.reading() as uow:
        rows = audit_rows(uow, AuditFilter(**{**wanted, **times}), limit=limit, before=before)
    echo_records(as_json, _COLUMNS, [_described(row) for row in rows])


@audit.command("verify")
@click.option(
    "--head",
    "kept",
    type=click.File("rb"),
    metavar="FILE",
    help="A head kept elsewhere (crm audit head --json): the log must still contain it.",
)
@dry_run_option
@json_option
@instance_options
def verify(instance: Instance, kept: BinaryIO | None, dry_run: bool, as_json: bool) -> None:
    """Seal what was not sealed yet, and check every row of the audit log.

    Found are altered, deleted, inserted and reordered rows, changed values, and an end that was cut off; exit code 6 then,
    and the first finding is the first bad row. A dry run seals nothing.
    """
    from crm_kernel.access import audit_chain
    from crm_kernel.errors import Conflict

    kept_head = _read(kept)
    # A chain that is broken at its end is not continued: the verification says what is wrong with it.
    with suppress(Conflict):
        _seal(instance, dry_run)
    with instance.reading() as uow:
        found = audit_chain.verify(uow, kept_head=kept_head)
    if not dry_run:
        _keep(instance, found)
    _show(found, as_json)
    if found.found:
        raise click.exceptions.Exit(ExitCode.FINDINGS)


@audit.command("head")
@click.option("--accept", is_flag=True, help="Sign the end anew, after secret_key was changed; leaves an audit row.")
@dry_run_option
@json_option
@instance_options
def head(instance: Instance, accept: bool, dry_run: bool, as_json: bool) -> None:
    """Seal what was not sealed yet and print the end of the log, signed, to be kept elsewhere."""
    from crm_kernel.access import audit_chain
    from crm_kernel.access.audit_chain.heads import head_of

    if accept:
        with instance.writing(dry_run=dry_run) as uow:
            audit_chain.accept_head(uow)
    _seal(instance, dry_run)
    with instance.reading() as uow:
        exported = audit_chain.exported_head(head_of(uow))
    if as_json:
        echo_json(exported)
    else:
        echo_table(tuple(exported), [tuple(exported.values())])


def _described(row: Any) -> dict[str, Any]:
    """Return an audit row as the command line shows it; a row whose values were erased has none."""
    names = ("actor", "actor_uid", "channel", "request_id", "action", "record_type")
    facts = {name: getattr(row, name) for name in names}
    return {"id": row.uid, "at": row.at, **facts, "record": row.record_uid, "before": row.before, "after": row.after}


def _seal(instance: Instance, dry_run: bool) -> None:
    from crm_kernel.access import audit_chain

    if dry_run:
        message("Dry run: nothing is sealed.")
    else:
        audit_chain.seal_all(instance.writing)


def _keep(instance: Instance, found: Verification) -> None:
    from crm_kernel.access.audit_reading.checks import keep_result

    with instance.writing() as uow:
        keep_result(uow, found)


def _read(kept: BinaryIO | None) -> Any:
    import json

    if kept is None:
        return None
    try:
        return json.load(kept)
    except ValueError as error:
        raise click.BadParameter(f"{kept.name}: {error}; expected what crm audit head --json prints") from error


def _show(found: Verification, as_json: bool) -> None:
    if as_json:
        echo_json({"intact": not found.found, **_as_values(found)})
        return
    for finding in found.findings:
        message(f"{finding.kind}, row {finding.number or 'without seal'} ({finding.row or 'gone'}): {finding.text}")
    if found.found > len(found.findings):
        message(f"… and {found.found - len(found.findings)} more.")
    outcome = f"{found.found} findings" if found.found else "intact"
    message(f"{outcome}: {found.sealed} rows sealed, {found.unsealed} not sealed, values of {found.erased} erased.")


def _as_values(found: Verification) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(found)
