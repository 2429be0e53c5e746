"""Files that other programs wrote, from the folder beside the project; left out where that folder is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crm_kernel.access.actor import SYSTEM
from crm_kernel.records.importing import Verdict, import_file
from crm_kernel.records.importing.mapping import plain_mapping
from crm_kernel.records.importing.sources import open_source

DATA = Path(os.environ.get("CRM_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
pytestmark = pytest.mark.skipif(not (DATA / "formats").is_dir(), reason="no shared data: set CRM_SHARED_DATA")


def test_a_card_of_evolution_becomes_a_person(crm_app, rows_of):
    path = DATA / "formats" / "evolution.vcf"

    with crm_app.app_context():
        first, second = (import_file(plain_mapping(path, "customer"), path, actor=SYSTEM) for _time in range(2))

    assert (first.total(Verdict.CREATED), first.refused) == (1, 0), first.to_json()
    assert second.total(Verdict.UNCHANGED) == 1
    assert rows_of("customer", "given_name", "family_name", "job_title", "primary_email", "city", "external_ref") == [
        {
            "given_name": "John",
            "family_name": "Doe",
            "job_title": "Money Counter",
            "primary_email": "john.doe@ibm.com",
            "city": "Albaney",
            "external_ref": "477343c8e6bf375a9bac1f96a5000837",
        }
    ]


def test_a_french_statement_is_read_with_its_separator_and_accents():
    source = open_source(DATA / "formats" / "statement_french_headers.csv")

    rows = [row.values for row in source.rows()]

    assert source.columns == ("Date opération", "Libellé", "Débit", "Crédit", "Devise", "Référence")
    assert [(row["Libellé"], row["Débit"], row["Crédit"]) for row in rows] == [
        ("Loyer Avril", "1234,56", ""),
        ("Salaire", "", "3500,00"),
        ("Café", "4,50", ""),
    ]
    assert source.detected == {
        "encoding": "utf-8 (every byte fits)",
        "separator": "semicolon (6 columns in every line looked at)",
    }


@pytest.mark.parametrize(
    ("column", "amounts"),
    [
        ("Débit",  ["1234.5600", None, "4.5000"]),
        ("Crédit", [None, "3500.0000", None]),
    ],
)  # fmt: skip
def test_the_amounts_of_a_french_statement_are_numbers(crm_app, run, tmp_path, rows_of, column, amounts):
    content = (DATA / "formats" / "statement_french_headers.csv").read_text(encoding="utf-8")
    (tmp_path / "statement.csv").write_bytes(content.encode("cp1252"))
    source = {
        "file": "statement.csv",
        "record_type": "product",
        "match": "sku",
        "columns": {"Référence": "sku", "Libellé": "name", column: "unit_price", "Devise": "currency"},
    }

    result = run(source)

    assert result.refused == 0
    assert result.sources[0].detected["encoding"].startswith("cp1252")
    found = [
        (row["name"], row["unit_price"] and str(row["unit_price"])) for row in rows_of("product", "name", "unit_price")
    ]
    assert found == list(zip(("Loyer Avril", "Salaire", "Café"), amounts, strict=True))
