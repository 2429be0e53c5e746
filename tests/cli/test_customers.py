"""``crm customers match`` and ``crm identifiers check``: files in, lines out, no instance needed."""

from __future__ import annotations

import gzip
import json

PEOPLE = """ref,first,last,born,town
a,Robert,Okonkwo,1961-03-04,Leeds
b,Bob,Okonkwo,1961-04-03,Leeds
c,Maria,Fernandes,1984-07-21,York
d,Ingrid,Sørensen,1990-01-30,Hull
"""
MAP = ("--map", "first=given_name", "--map", "last=family_name", "--map", "born=birth_date", "--map", "town=city")


def test_duplicates_of_a_file_come_as_lines_of_json_without_an_instance(crm, tmp_path):
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")

    result = crm("customers", "match", "people.csv", "--key", "ref", *MAP, "--json")

    assert result.exit_code == 0, result.stderr
    (pair,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (pair["a"], pair["b"]) == ("a", "b")
    assert 0.8 <= pair["probability"] <= 1
    assert "given_name:short_form" in pair["reasons"]
    assert [path.name for path in tmp_path.iterdir()] == ["people.csv"]


def test_two_files_are_linked_one_of_them_packed(crm, tmp_path):
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    with gzip.open(tmp_path / "others.csv.gz", "wt", encoding="utf-8") as file:
        file.write("ref,first,last,born,town\nx,Maria,Fernandez,1984-07-21,York\n")

    result = crm("customers", "match", "people.csv", "others.csv.gz", "--key", "ref", *MAP)

    assert result.exit_code == 0, result.stderr
    assert [line.split("\t")[:2] for line in result.stdout.splitlines()] == [["a", "b"], ["c", "x"]]
    assert result.stderr == "1 pairs.\n"


def test_a_wrong_mapping_is_refused_with_the_fields_there_are(crm, tmp_path):
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")

    wrong_field = crm("customers", "match", "people.csv", "--map", "last=surname")
    no_pair = crm("customers", "match", "people.csv", "--map", "last")

    assert (wrong_field.exit_code, no_pair.exit_code) == (2, 2)
    assert "family_name" in wrong_field.stderr
    assert "expected COLUMN=FIELD" in no_pair.stderr


def test_identifiers_are_checked_row_by_row(crm, tmp_path):
    (tmp_path / "numbers.csv").write_text("kind,number\nsiren,732829320\nsiren,732829321\n", encoding="utf-8")

    result = crm("identifiers", "check", "numbers.csv", "--json")

    assert result.exit_code == 0, result.stderr
    good, bad = json.loads(result.stdout)
    assert good == {
        "row": 2,
        "type": "siren",
        "value": "732829320",
        "valid": True,
        "normalized": "732829320",
        "reason": "",
    }
    assert (bad["valid"], bad["normalized"]) == (False, "")
    assert "check digits" in bad["reason"]


def test_a_column_and_a_type_can_be_told(crm, tmp_path):
    (tmp_path / "calls.csv").write_text("who,caller\nAda,01 23 45 67 89\n", encoding="utf-8")

    unclear = crm("identifiers", "check", "calls.csv")
    told = crm("identifiers", "check", "calls.csv", "--column", "caller", "--type", "phone", "--region", "FR")
    unknown = crm("identifiers", "check", "calls.csv", "--column", "caller", "--type", "shoe")

    assert (unclear.exit_code, unknown.exit_code) == (2, 2)
    assert "--column" in unclear.stderr
    assert told.stdout.splitlines()[1].split("\t")[1:5] == ["phone", "01 23 45 67 89", "True", "+33123456789"]


def test_an_instance_is_scanned_and_its_pairs_are_listed_and_dismissed(crm, instance, monkeypatch):
    monkeypatch.chdir(instance.folder)
    header = "kind,given_name,family_name,birth_date\n"
    rows = "person,Ada,Lovelace,1985-12-10\nperson,Adda,Lovelace,1985-12-10\nperson,Grace,Hopper,1996-12-09\n"
    (instance.folder / "people.csv").write_text(header + rows, encoding="utf-8")
    assert crm("import", "people.csv", "--record", "customer", "--yes").exit_code == 0

    scanned = crm("customers", "duplicates", "scan", "--json")
    (pair,) = json.loads(crm("customers", "duplicates", "list", "--json").stdout)
    dismissed = crm("customers", "duplicates", "dismiss", pair["id"])

    assert json.loads(scanned.stdout) == {"customers": 3}
    assert {pair["a_name"], pair["b_name"]} == {"Ada Lovelace", "Adda Lovelace"}
    assert "birth_date:same" in pair["reasons"]
    assert dismissed.exit_code == 0
    assert json.loads(crm("customers", "duplicates", "list", "--json").stdout) == []
    assert crm("customers", "duplicates", "dismiss", "01990000-0000-7000-8000-000000000009").exit_code == 3
