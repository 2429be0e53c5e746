"""``crm customers``: the same customer twice, in files and in the instance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from crm_cli.common import (
    Instance,
    dry_run_option,
    echo_json,
    echo_records,
    echo_table,
    instance_options,
    json_option,
    message,
    progress,
)
from crm_cli.consent import may_contact
from crm_cli.duplicate_training import train
from crm_cli.privacy import erase, export_subject, hold


@click.group("customers")
def customers() -> None:
    """Find customers that are there twice."""


for command in (may_contact, export_subject, erase, hold):
    customers.add_command(command)


@customers.command("match")
@click.argument("first", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.argument(
    "second", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[FILE2]", required=False
)
@click.option("--key", metavar="COLUMN", help="Column that names a row in the result (default: the row's number).")
@click.option(
    "--map",
    "columns",
    multiple=True,
    metavar="COLUMN=FIELD",
    help="What a column holds: surname=family_name. Repeat it; several columns may hold one field "
    "(default: columns are named as fields).",
)
@click.option(
    "--threshold", type=click.FloatRange(0, 1), metavar="P", help="Least probability of a pair told (default: 0.8)."
)
@click.option("--region", metavar="COUNTRY", help="Country of phone numbers written without one, such as FR.")
@json_option
def match(
    first: Path,
    second: Path | None,
    key: str | None,
    columns: tuple[str, ...],
    threshold: float | None,
    region: str | None,
    as_json: bool,
) -> None:
    """Find the rows of FILE that are one customer, or the rows of FILE that are also in FILE2.

    Needs no instance and touches no database. Fields are named as in mappings of crm import: given_name, family_name,
    birth_date, display_name, street, postal_code, city, region, country_code, contact_points.email,
    contact_points.phone, identifiers.siren. With --json each pair is one line: {"a": …, "b": …, "probability": …}.
    """
    from crm_kernel.customers.duplicates.files import match_files
    from crm_kernel.customers.duplicates.matcher import THRESHOLD

    paths = [first] if second is None else [first, second]
    found = match_files(
        paths,
        key=key,
        columns=dict(pair_of(text) for text in columns),
        threshold=THRESHOLD if threshold is None else threshold,
        region=region,
    )
    if as_json:
        for pair in found:
            record = {"a": pair.a, "b": pair.b, "probability": pair.probability, "reasons": list(pair.reasons)}
            click.echo(json.dumps(record, ensure_ascii=False))
        return
    echo_table(
        ("a", "b", "probability", "reasons"),
        ((pair.a, pair.b, f"{pair.probability:.4f}", ", ".join(pair.reasons)) for pair in found),
    )
    message(f"{len(found)} pairs.")


@customers.group("duplicates")
def duplicates() -> None:
    """Look for customers that are there twice, and decide about pairs."""


duplicates.add_command(train)


@duplicates.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Pairs at most.")
@json_option
@instance_options
def list_duplicates(instance: Instance, limit: int, as_json: bool) -> None:
    """List the pairs that wait for a decision, the likeliest first."""
    from crm_kernel.customers.duplicates.queries import open_candidates

    with instance.reading() as uow:
        pairs, _following = open_candidates(uow, limit=limit)
        rows = [
            {
                "id": pair.id,
                "a": pair.first.uid,
                "b": pair.second.uid,
                "a_name": pair.first.display_name,
                "b_name": pair.second.display_name,
                "probability": round(pair.score, 6),
                "reasons": list(pair.reasons),
            }
            for pair in pairs
        ]
    echo_records(as_json, ("id", "a_name", "b_name", "probability", "a", "b"), rows)


@duplicates.command("scan")
@dry_run_option
@json_option
@instance_options
def scan(instance: Instance, dry_run: bool, as_json: bool) -> None:
    """Look at the customers that changed since the last scan, as the job kernel.scan_duplicates does every night."""
    from crm_kernel.customers.duplicates.loading import stored_state
    from crm_kernel.customers.duplicates.scanning import scan as next_chunk

    point: dict[str, Any] | None = {}
    passed_over: dict[str, dict[str, int]] = {}
    looked = 0
    with progress("Customers") as advance:
        while point is not None:
            with instance.writing(dry_run=dry_run) as uow:
                while (point := next_chunk(uow, {"checkpoint": point})) is not None:
                    advance(point["progress"]["done"] - looked)
                    looked = point["progress"]["done"]
                    if not dry_run:  # every chunk is committed; a rehearsal is taken back as a whole
                        break
                passed_over = stored_state(uow).get("passed_over") or {}
    if as_json:
        echo_json({"customers": looked // 2})
    elif not dry_run:
        for kind, told in sorted(passed_over.items()):
            message(
                f"Keys of the kind {kind} passed over: {told['blocks']}; the largest is of {told['largest']} customers."
            )
        message(f"{looked // 2} customers looked at. See: crm customers duplicates list")


@duplicates.command("clusters")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Clusters at most.")
@json_option
@instance_options
def list_clusters(instance: Instance, limit: int, as_json: bool) -> None:
    """List the customers that may be one, grouped: pairs that tie several customers together are reviewed once."""
    from crm_kernel.customers.duplicates.api import cluster_as_json
    from crm_kernel.customers.duplicates.queue import open_clusters

    with instance.reading() as uow:
        found, _following = open_clusters(uow, limit=limit)
        rows = [
            {**cluster_as_json(cluster), "names": " – ".join(member.display_name for member in cluster.members)}
            for cluster in found
        ]
    echo_records(as_json, ("id", "names", "probability", "weakest"), rows)


@duplicates.command("merge")
@click.argument("cluster", type=click.UUID, metavar="CLUSTER")
@click.option("--into", type=click.UUID, required=True, metavar="CUSTOMER", help="The one that stays.")
@click.option(
    "--only", type=click.UUID, multiple=True, metavar="CUSTOMER", help="One that goes (default: all others). Repeat it."
)
@dry_run_option
@json_option
@instance_options
def merge_duplicates(
    instance: Instance, cluster: UUID, into: UUID, only: tuple[UUID, ...], dry_run: bool, as_json: bool
) -> None:
    """Let the customers of CLUSTER become the one that stays: all of them, or none. CLUSTER is the id clusters prints."""
    from crm_kernel.customers.duplicates.services import merge_cluster
    from crm_kernel.customers.merging.api import run_as_json

    with instance.writing(dry_run=dry_run) as uow:
        records = [run_as_json(run) for run in merge_cluster(uow, cluster, into, only or None)]
    if as_json:
        echo_json({"runs": records})
        return
    echo_table(("run", "source", "target"), ((run["id"], run["source"], run["target"]) for run in records))
    if not dry_run:
        message(f"Merged. Take the last one back with: crm customers unmerge {records[-1]['id']}")


@duplicates.command("dismiss")
@click.argument("pair", type=click.UUID, metavar="PAIR")
@click.option("--cluster", "whole", is_flag=True, help="All pairs of the cluster that PAIR belongs to.")
@dry_run_option
@json_option
@instance_options
def dismiss(instance: Instance, pair: UUID, whole: bool, dry_run: bool, as_json: bool) -> None:
    """Say that the two customers of a pair are two: it is never proposed again. PAIR is the id that list prints."""
    from crm_kernel.customers.duplicates.services import dismiss_cluster, dismiss_duplicate

    with instance.writing(dry_run=dry_run) as uow:
        if whole:
            dismiss_cluster(uow, pair)
            record = {"id": pair, "state": "dismissed"}
        else:
            decided = dismiss_duplicate(uow, pair)
            record = {"id": decided.uid, "state": decided.state}
    if as_json:
        echo_json(record)
    elif not dry_run:
        message(f"The pair {pair} is {record['state']}.")


@customers.command("merge")
@click.argument("source", type=click.UUID, metavar="SOURCE")
@click.argument("target", type=click.UUID, metavar="TARGET")
@click.option(
    "--keep",
    "kept",
    multiple=True,
    metavar="FIELD",
    help="Take this field from SOURCE although TARGET has a value: notes, cf_tier, bank.risk. Repeat it.",
)
@dry_run_option
@json_option
@instance_options
def merge_customers(
    instance: Instance, source: UUID, target: UUID, kept: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Let the customer SOURCE become TARGET, which stays: what belongs to SOURCE then belongs to TARGET.

    Rows of disabled and uninstalled modules move too. SOURCE leads to TARGET from then on. Take it back with
    crm customers unmerge and the id that is printed.
    """
    from crm_kernel.customers.merging.api import run_as_json
    from crm_kernel.customers.merging.services import merge
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import record_of

    with instance.writing(dry_run=dry_run) as uow:
        kind = record_type("customer")
        run = merge(uow, record_of(uow, kind, source), record_of(uow, kind, target), dict.fromkeys(kept, "source"))
        record = run_as_json(run)
    _echo_run(record, as_json=as_json)
    if not dry_run:
        message(f"Merged. Take it back with: crm customers unmerge {record['id']}")


@customers.command("unmerge")
@click.argument("run_uid", type=click.UUID, metavar="RUN")
@dry_run_option
@json_option
@instance_options
def unmerge_customers(instance: Instance, run_uid: UUID, dry_run: bool, as_json: bool) -> None:
    """Take a merge back: RUN is the id that merge printed. What was written since stays with the survivor."""
    from crm_kernel.customers.merging.api import run_as_json
    from crm_kernel.customers.merging.queries import run_by
    from crm_kernel.customers.merging.services import unmerge

    with instance.writing(dry_run=dry_run) as uow:
        record = run_as_json(unmerge(uow, run_by(uow, run_uid)))
    _echo_run(record, as_json=as_json)
    if not dry_run:
        message("Taken back: these are two customers again.")


def _echo_run(record: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        echo_json(record)
        return
    echo_table(("rows of", "changed"), record["rows"].items())
    since = [(label, what, rows) for label, counts in record["since"].items() for what, rows in counts.items() if rows]
    if since:
        echo_table(("rows of", "since", "stay"), since)


def pair_of(text: str) -> tuple[str, str]:
    """Return column and field of what ``--map`` was given.

    Raises:
        click.UsageError: it is not COLUMN=FIELD.
    """
    column, equals, field = text.rpartition("=")
    if not equals or not column or not field:
        raise click.UsageError(f"--map {text!r}: expected COLUMN=FIELD, such as surname=family_name")
    return column.strip(), field.strip()
