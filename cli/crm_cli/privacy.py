"""``crm customers export-subject|erase|hold`` and ``crm privacy``: what persons may ask for, and what is kept how long."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from crm_cli.common import (
    Instance,
    dry_run_option,
    echo_json,
    echo_records,
    instance_options,
    json_option,
    message,
    yes_option,
)
from crm_cli.retention import retention

if TYPE_CHECKING:
    from crm_kernel.customers.models import Customer
    from crm_kernel.customers.privacy.models import Erasure
    from crm_kernel.unit_of_work import UnitOfWork

_CUSTOMER = click.argument("customer", type=click.UUID, metavar="CUSTOMER")
_COLUMNS = ("table", "module", "fate", "rows", "why")


@click.command("export-subject")
@_CUSTOMER
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="PLACE",
    help="A new folder, or a file that ends in .zip.",
)  # fmt: skip
@dry_run_option
@json_option
@instance_options
def export_subject(instance: Instance, customer: UUID, out: Path, dry_run: bool, as_json: bool) -> None:
    """Write everything that is stored about a customer: a page to read (index.html) and the same as data.json.

    Tables of disabled and uninstalled modules are included, names of staff and of other persons are not. The audit log
    tells of it before anything is written.
    """
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.customers.privacy.exporting import (
        files_of,
        note_export,
        subject_archive,
        subject_data,
        subject_page,
    )

    if out.exists():
        raise click.UsageError(f"--out {out}: there is something of that name already; choose another")
    with instance.reading() as uow:
        found = _customer(uow, customer)
        uid = found.uid
        data = subject_data(uow, found)
        page = subject_page(data, found)
    if not dry_run:
        with instance.app().app_context():
            note_export(SYSTEM, uid, channel="cli")
        if out.suffix == ".zip":
            _write(out, subject_archive(data, page))
        else:
            out.mkdir(mode=0o700, parents=True)
            for name, content in files_of(data, page).items():
                _write(out / name, content)
    rows = {table["table"]: len(table["rows"]) for table in data["tables"]}
    if as_json:
        echo_json({"customer": uid, "out": str(out), "rows": rows})
    message(f"{'Dry run: ' if dry_run else ''}{sum(rows.values())} rows of {len(rows)} tables in {out}")


@click.command("erase")
@_CUSTOMER
@click.option(
    "--reason", type=click.Choice(["request", "mistake"]), default="request", show_default=True, help="Why it goes."
)
@yes_option
@dry_run_option
@json_option
@instance_options
def erase(instance: Instance, customer: UUID, reason: str, assume_yes: bool, dry_run: bool, as_json: bool) -> None:
    """Erase a customer and everything about it, in all modules, also disabled ones; prints the receipt.

    Without --yes nothing is changed: the receipt to be is printed. Export first what must be handed over. Addresses stay
    suppressed by digests, sales stay without naming anybody. A legal hold refuses it, with --yes and without.
    """
    from crm_kernel.customers.privacy.erasing import erase as erase_now
    from crm_kernel.customers.privacy.erasing import erasure_plan
    from crm_kernel.customers.privacy.holds import refuse_held
    from crm_kernel.customers.privacy.subject import with_predecessors

    if dry_run or not assume_yes:
        with instance.reading() as uow:
            found = _customer(uow, customer)
            entries: list[Any] = [_plain(entry) for entry in erasure_plan(uow, found)]
            echo_records(as_json, _COLUMNS, entries)
            refuse_held(uow, with_predecessors(uow, [found.id]))
        message("Dry run: nothing was changed. To erase: add --yes")
        return
    with instance.writing() as uow:
        receipt = erase_now(uow, _customer(uow, customer), reason=reason)
        uid, entries = receipt.uid, list(receipt.entries)
    if as_json:
        echo_json({"id": uid, "entries": entries})
    else:
        echo_records(False, _COLUMNS, entries)
        message(f"Erased. The receipt is {uid}: crm privacy receipts")


@click.command("hold")
@_CUSTOMER
@click.option("--reason", metavar="TEXT", help="Why the customer must not be erased.")
@click.option("--release", is_flag=True, help="End the holds on the customer.")
@dry_run_option
@json_option
@instance_options
def hold(instance: Instance, customer: UUID, reason: str | None, release: bool, dry_run: bool, as_json: bool) -> None:
    """Keep a customer from being erased (legal hold), or let it be erased again with --release."""
    from crm_kernel.customers.privacy.holds import hold_customer, holds_of, release_hold

    if (reason is None) == (not release):
        raise click.UsageError("give either --reason TEXT or --release")
    with instance.writing(dry_run=dry_run) as uow:
        key = _customer(uow, customer).id
        if release:
            holds = holds_of(uow, [key])
            for found in holds:
                release_hold(uow, found)
        else:
            holds = [hold_customer(uow, {"customer_id": key, "reason": reason})]
        shown = [
            {"id": found.uid, "reason": found.reason, "since": found.since, "until": found.until} for found in holds
        ]
    echo_records(as_json, ("id", "reason", "since", "until"), shown)


@click.group("privacy")
def privacy() -> None:
    """Receipts of erasures, what a restored backup must erase again, and rules for how long customers are kept."""


@privacy.command("receipts")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Receipts at most.")
@json_option
@instance_options
def receipts(instance: Instance, limit: int, as_json: bool) -> None:
    """List the receipts of erasures and of anonymising, newest first."""
    import sqlalchemy as sa

    from crm_kernel.customers.privacy.models import Erasure

    with instance.reading() as uow:
        found = uow.session.scalars(sa.select(Erasure).order_by(Erasure.id.desc()).limit(limit))
        rows = [
            {
                "id": row.uid, "at": row.created_at, "action": row.action, "reason": row.reason, "rule": row.rule, "customers": row.customers,
                "rows": sum(entry["rows"] for entry in row.entries if entry["fate"] != "kept"),
                "recorded_by": row.recorded_by, "entries": row.entries,
            }
            for row in found
        ]  # fmt: skip
    echo_records(as_json, ("id", "at", "action", "reason", "rule", "customers", "rows", "recorded_by"), rows)


@privacy.command("erased")
@json_option
@instance_options
def erased(instance: Instance, as_json: bool) -> None:
    """Print the digests of all erased and anonymised customers.

    Keep them beside your backups: reapply reads them after a restore.
    """
    import sqlalchemy as sa

    from crm_kernel.customers.privacy.models import ErasedSubject, Erasure

    with instance.reading() as uow:
        query = sa.select(ErasedSubject.digest, ErasedSubject.erased_at, Erasure.action).join(
            Erasure, Erasure.id == ErasedSubject.erasure_id
        )
        found = uow.session.execute(query.order_by(ErasedSubject.erased_at))
        rows = [{"digest": row.digest, "erased_at": row.erased_at, "action": row.action} for row in found]
    echo_records(as_json, ("digest", "erased_at", "action"), rows)


@privacy.command("reapply")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@yes_option
@dry_run_option
@json_option
@instance_options
def reapply(instance: Instance, file: Path, assume_yes: bool, dry_run: bool, as_json: bool) -> None:
    """Erase or anonymise again who was after the backup that was just restored.

    FILE is what crm privacy erased --json printed before. Without --yes nothing is changed: it is said how many of each
    would go, and whom a legal hold keeps.
    """
    from crm_kernel.customers.privacy.reapplying import reapply as reapply_now

    digests, carried_out = _digests(file), assume_yes and not dry_run
    with instance.writing(dry_run=not carried_out) as uow:
        made = reapply_now(uow, digests["erase"], anonymised=digests["anonymise"])
        rows, kept = [_told(receipt) for receipt in made.receipts], [asdict(one) for one in made.kept]
    done = {action: sum(row["customers"] for row in rows if row["action"] == action) for action in digests}
    told = {"known": sum(map(len, digests.values())), "erased": done["erase"], "anonymised": done["anonymise"]}
    if as_json:
        echo_json({**told, "receipts": rows, "kept": kept, "carried_out": carried_out})
    else:
        _say_reapplied(told, rows, kept, carried_out=carried_out)
    if not carried_out:
        message("To do it: add --yes")


def _say_reapplied(
    told: dict[str, int], rows: list[dict[str, Any]], kept: list[dict[str, Any]], *, carried_out: bool
) -> None:
    for row in rows:
        message(f"Receipt {row['id']}: {row['action']}, {row['customers']} customers, {row['rows']} rows.")
    for one in kept:
        message(f"Kept: {one['customer']}, by the legal hold of {one['since']:%Y-%m-%d}: {one['reason']}")
    again = "erased again, {} anonymised again" if carried_out else "to erase, {} to anonymise"
    message(f"{told['erased']} customers {again.format(told['anonymised'])}, {told['known']} known.")


def _told(receipt: Erasure) -> dict[str, Any]:
    rows = sum(entry["rows"] for entry in receipt.entries if entry["fate"] != "kept")
    return {"id": receipt.uid, "action": receipt.action, "customers": receipt.customers, "rows": rows}


def _digests(file: Path) -> dict[str, set[UUID]]:
    """Return action → digests; a list that an earlier version printed names erased ones only."""
    found: dict[str, set[UUID]] = {"erase": set(), "anonymise": set()}
    try:
        for row in json.loads(file.read_text(encoding="utf-8")):
            found[row.get("action", "erase")].add(UUID(row["digest"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise click.UsageError(f"{file}: expected what crm privacy erased --json prints: {error}") from error
    return found


def _write(path: Path, content: bytes) -> None:
    import os

    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _plain(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _COLUMNS}


def _customer(uow: UnitOfWork, uid: UUID) -> Customer:
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import record_of

    found: Customer = record_of(uow, record_type("customer"), uid)
    return found


privacy.add_command(retention)
