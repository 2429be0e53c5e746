"""``crm identifiers``: say of phone numbers, IBANs and company numbers whether they are valid."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crm_cli.common import echo_records, json_option, message

if TYPE_CHECKING:
    from crm_kernel.records.importing.sources import Source

_COLUMNS = ("row", "type", "value", "valid", "normalized", "reason")


@click.group("identifiers")
def identifiers() -> None:
    """Check phone numbers, IBANs, BICs, LEIs, VAT and French company numbers."""


@identifiers.command("check")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.option(
    "--type", "type_name", metavar="TYPE", help="Type of all numbers: phone, iban, siren, … (default: the file's)."
)
@click.option("--column", metavar="COLUMN", help="Column with the numbers (default: by its name).")
@click.option(
    "--region",
    default="FR",
    show_default=True,
    metavar="COUNTRY",
    help="Country of phone numbers, where the file names none.",
)
@json_option
def check(path: Path, type_name: str | None, column: str | None, region: str, as_json: bool) -> None:
    """Check the number of every row of FILE: valid or not, its normal form, and what is wrong with it.

    Needs no instance; asks no register whether a number is in use. The file's columns tell what is checked: one named
    as a type (iban, siren, siret, vat, bic, lei), kind or type beside number or value, or phone, national, e164; a
    column region or country names the country of a phone number.
    """
    from crm_kernel.customers.values.verdicts import Checker
    from crm_kernel.records.importing.sources import open_source

    source = open_source(path)
    _refuse_unclear(source, type_name, column)
    checker = Checker(region)
    found = [
        {"row": row.number, **asdict(checker.check_row(row.values, type_name=type_name or "", column=column or ""))}
        for row in source.rows()
    ]
    echo_records(as_json, _COLUMNS, found)
    message(f"{sum(bool(row['valid']) for row in found)} of {len(found)} are valid.")


def _refuse_unclear(source: Source, type_name: str | None, column: str | None) -> None:
    from crm_kernel.customers.values.identifiers import IDENTIFIER_TYPES
    from crm_kernel.customers.values.verdicts import PHONE, number_column

    types = [PHONE, *IDENTIFIER_TYPES]
    if type_name is not None and type_name not in types:
        raise click.UsageError(f"--type {type_name}: expected one of {', '.join(types)}")
    if column is not None and column not in source.columns:
        raise click.UsageError(f"--column {column}: {source.name} has {', '.join(source.columns)}")
    if column is None and not number_column(source.columns)[1]:
        raise click.UsageError(f"{source.name}: say which column holds the numbers with --column, and --type")
