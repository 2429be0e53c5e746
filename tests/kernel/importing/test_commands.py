"""``crm import`` and ``crm export``: output, exit codes, questions."""

from __future__ import annotations

import csv
import io
import json
import tomllib

import pytest

MAPPING = """
[[source]]
file = "accounts.csv"
record_type = "customer"
match = ["source", "external_ref"]

[source.columns]
Ref = "external_ref"
Name = "display_name"
Employees = "employees"

[source.constants]
kind = "organization"
source = "test"
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a file of two sound rows and a wrong one, and its mapping."""
    (tmp_path / "accounts.csv").write_text("Ref,Name,Employees\nA1,Acme,12\nA2,Bolt,\nA3,=Corp,many\n")
    (tmp_path / "mapping.toml").write_text(MAPPING)
    return tmp_path


def test_an_import_prints_what_became_of_the_rows_and_says_that_some_were_refused(cli, folder):
    done = cli(
        "import", folder, "--mapping", folder / "mapping.toml", "--yes", "--json", "--errors", folder / "errors.csv"
    )

    assert done.exit_code == 7
    assert '"created": 2' in done.stdout
    assert "1 rows were refused" in done.stderr
    with (folder / "errors.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [
            ["file", "row", "column", "found", "expected", "verdict"],
            ["accounts.csv", "4", "Employees", "many", "Not a valid integer.", "refused"],
        ]


def test_a_dry_run_changes_nothing_and_a_second_import_neither(cli, folder):
    (folder / "accounts.csv").write_text("Ref,Name,Employees\nA1,Acme,12\n")

    rehearsed = cli("import", folder, "--mapping", folder / "mapping.toml", "--dry-run")
    first = cli("import", folder, "--mapping", folder / "mapping.toml", "--yes", "--json").json()
    second = cli("import", folder / "accounts.csv", "--mapping", folder / "mapping.toml", "--yes", "--json").json()

    assert (rehearsed.exit_code, "nothing was changed" in rehearsed.stderr) == (0, True)
    assert "accounts.csv\tcustomer\t1\t0\t0\t0\t0" in rehearsed.stdout
    assert (first["created"], second["unchanged"], second["created"]) == (1, 1, 0)


def test_an_import_that_nobody_can_confirm_is_refused(cli, folder):
    done = cli("import", folder, "--mapping", folder / "mapping.toml")

    assert done.exit_code == 2
    assert "add --yes to go on, or --dry-run to look first" in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Ref,Name,Employees\nA1,Acme,12\nA2,Bolt\n", "accounts.csv: line 3: found 2 cells, expected 3"),
        (b"Ref,Ref\n", "accounts.csv: line 1: the column 'Ref' is there twice"),
        (b"Ref,Nom,Employees\n", "accounts.csv: has no column 'Name'; found: Ref, Nom, Employees"),
        (
            b"Ref,Name,Employees\n\x81,\xff,\n",
            "accounts.csv: line 2 has the byte 0x81, which is no UTF-8 nor Windows-1252",
        ),
        (b"Ref,Name\n" + b"x" * 1_100_000, "accounts.csv: line 2: longer than 1000000 characters"),
    ],
)
def test_a_broken_file_is_one_clear_message_and_exit_code_2(cli, folder, content, message):
    (folder / "accounts.csv").write_bytes(content)

    done = cli("import", folder, "--mapping", folder / "mapping.toml", "--yes")

    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--mapping", "nowhere"), 3, "There is no mapping nowhere"),
        ((), 2, "say what the file means: --mapping NAME|FILE, or --record TYPE"),
        (("--record", "customer"), 2, "a folder needs --mapping"),
    ],
)
def test_an_import_without_a_meaning_says_what_to_give(cli, folder, arguments, code, message):
    done = cli("import", folder, *arguments, "--yes")

    assert (done.exit_code, message in done.stderr) == (code, True)


def test_an_import_as_somebody_has_his_permissions(cli, folder, unit):
    from crm_kernel.access.services import create_user

    with unit() as uow:
        create_user(uow, email="nobody@example.com", name="Nobody")

    done = cli("import", folder, "--mapping", folder / "mapping.toml", "--yes", "--as", "nobody@example.com")

    assert done.exit_code == 4
    assert "Nobody lacks the permission customer.create" in done.stderr


def test_a_mapping_is_suggested_from_the_columns_and_works(cli, tmp_path):
    file = tmp_path / "contacts.csv"
    file.write_text("Prénom;Nom;Courriel;Ville;Anniversaire du chat\nAda;Lovelace;ada@example.org;Paris;x\n")

    done = cli("import", file, "--suggest", "--record", "customer")

    [source] = tomllib.loads(done.stdout)["source"]
    assert source["columns"] == {
        "Prénom": "given_name",
        "Nom": "family_name",
        "Courriel": "contact_points.email",
        "Ville": "addresses.city",
    }
    assert source["constants"] == {"kind": "person"}  # who has a given name is one
    mapping = tmp_path / "suggested.toml"
    mapping.write_text(done.stdout)
    assert cli("import", file, "--mapping", mapping, "--yes", "--json").json()["created"] == 1


def test_a_mapping_suggested_for_cards_imports_what_no_mapping_imports(cli, tmp_path):
    file, mapping, kept = tmp_path / "a.vcf", tmp_path / "suggested.toml", tmp_path / "left.csv"
    file.write_text(
        "BEGIN:VCARD\nVERSION:3.0\nFN:Ada Lovelace\nTEL:+33612345678\nTEL:12\nADR:;;1 rue X;Paris;;75001;FR\nEND:VCARD\n"
    )

    done = cli("import", file, "--suggest")
    mapping.write_text(done.stdout)
    first = cli("import", file, "--mapping", mapping, "--yes", "--errors", kept)
    second = cli("import", file, "--record", "customer", "--yes", "--json").json()

    [source] = tomllib.loads(done.stdout)["source"]
    assert (source["record_type"], source["match"]) == ("customer", ["source", "external_ref"])
    assert (first.exit_code, second["unchanged"], second["left_out"]) == (0, 1, 1)
    assert "a.vcf, row 1, TEL: left out '12': '12' is too short for a phone number" in first.stderr
    assert [row["verdict"] for row in csv.DictReader(kept.open(encoding="utf-8-sig"))] == ["left out"]


def test_a_mapping_suggested_for_json_lines_takes_lists_as_collections(cli, tmp_path):
    file, mapping = tmp_path / "a.jsonl", tmp_path / "suggested.toml"
    file.write_text(
        '{"kind": "organization", "Name": "Acme", "contact_points": [{"channel": "email", "value": "a@acme.com"}]}\n'
    )

    mapping.write_text(cli("import", file, "--suggest", "--record", "customer").stdout)

    assert cli("import", file, "--mapping", mapping, "--yes", "--json").json()["created"] == 1


def test_an_export_is_data_on_stdout_or_in_a_file(cli, folder):
    cli("import", folder, "--mapping", folder / "mapping.toml", "--yes")

    shown = cli("export", "customer", "--fields", "display_name", "--filter", "status=active", "--sort", "sort_name")
    written = cli("export", "customer", "--fields", "display_name", "-o", folder / "out.jsonl")

    assert [row[1] for row in csv.reader(io.StringIO(shown.stdout))] == ["display_name", "Acme", "Bolt"]
    assert "2 records of customer exported" in shown.stderr
    assert written.exit_code == 0
    assert len((folder / "out.jsonl").read_text().splitlines()) == 2
    assert not (folder / "out.jsonl.part").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("export", "customers"), 3, "There is no record type 'customers'"),
        (("export", "customer", "--filter", "status"), 2, "expected FIELD=VALUE"),
        (("export", "customer", "--filter", "shoe_size=7"), 2, "shoe_size"),
        (("export", "customer", "--fields", "shoe_size"), 2, "shoe_size"),
    ],
)
def test_a_wrong_export_is_one_clear_message(cli, arguments, code, message):
    done = cli(*arguments)

    assert (done.exit_code, message in done.stderr, done.stdout) == (code, True, "")


def test_the_command_holds_likely_duplicates_back_if_asked(cli, tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("kind,given_name,family_name,contact_points.email\nperson,Ada,King,ada@example.org\n")
    arguments = ("import", path, "--record", "customer", "--yes", "--json")
    cli(*arguments)

    rehearsed = cli(*arguments, "--duplicates", "review", "--dry-run", "--errors", tmp_path / "held.csv")
    skipped = cli(*arguments, "--duplicates", "skip").json()

    told = json.loads(rehearsed.stdout)
    assert (rehearsed.exit_code, told["review"], told["created"]) == (7, 1, 0)
    assert "held back" in rehearsed.stderr
    assert (skipped["skipped"], skipped["created"]) == (1, 0)
    with (tmp_path / "held.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row[-1] for row in csv.reader(file)] == ["verdict", "review"]
