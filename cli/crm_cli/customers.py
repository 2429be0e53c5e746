"""``crm customers``: find the same customer twice."""

from __future__ import annotations

import json
from pathlib import Path

import click

from crm_cli.common import echo_table, json_option, message


@click.group("customers")
def customers() -> None:
    """Find customers that are there twice."""


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
        columns=dict(_pair(text) for text in columns),
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


def _pair(text: str) -> tuple[str, str]:
    column, equals, field = text.rpartition("=")
    if not equals or not column or not field:
        raise click.UsageError(f"--map {text!r}: expected COLUMN=FIELD, such as surname=family_name")
    return column.strip(), field.strip()
