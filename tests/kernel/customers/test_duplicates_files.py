"""The matcher on files with known answers, and what it makes of single mistakes."""

from __future__ import annotations

import csv
import gzip
from itertools import combinations

import pytest

from crm_kernel.customers.duplicates.comparing import COMPARISONS, compare
from crm_kernel.customers.duplicates.files import match_files
from crm_kernel.customers.duplicates.profiles import Profiler
from crm_kernel.errors import InvalidInput

FEBRL = {
    "given_name": "given_name",
    "surname": "family_name",
    "street_number": "street",
    "address_1": "street",
    "address_2": "street",
    "suburb": "city",
    "postcode": "postal_code",
    "state": "region",
    "date_of_birth": "birth_date",
    "soc_sec_id": "identifiers.external",
}
FEW = ("given_name", "surname", "date_of_birth", "postcode")


def rows_of(path):
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    return list(csv.DictReader(text.splitlines()))


def links(path):
    return {frozenset(row.values()) for row in rows_of(path)}


def f1(found, true):
    pairs = {frozenset((match.a, match.b)) for match in found}
    right = len(pairs & true)
    return 2 * right / (len(pairs) + len(true))


@pytest.fixture
def write(tmp_path):
    """Write a CSV file of rows: ``write("a.csv", [{"given_name": "Ada"}])``."""

    def make(name, rows, *, encoding="utf-8"):
        path = tmp_path / name
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return make


def levels(one, other, region=None):
    """Return comparison → level's name of what both sides have."""
    profiler = Profiler(region)
    a, b = ({name: [value] for name, value in side.items()} for side in (one, other))
    vector = compare(profiler.profile(a), profiler.profile(b))
    return {c.name: c.levels[level] for c, level in zip(COMPARISONS, vector, strict=True) if level >= 0}


def test_two_files_with_mistakes_in_every_field_are_linked(shared_data):
    paths = [shared_data("febrl/febrl4a.csv.gz"), shared_data("febrl/febrl4b.csv.gz")]

    found = match_files(paths, key="rec_id", columns=FEBRL)

    assert f1(found, links(shared_data("febrl/febrl4_links.csv.gz"))) >= 0.99


@pytest.mark.parametrize(
    ("columns", "least"),
    [
        (tuple(FEBRL), 0.99),
        (tuple(name for name in FEBRL if name != "soc_sec_id"), 0.99),
        (FEW, 0.95),
    ],
    ids=["all", "without number", "names, date and postcode"],
)
def test_one_configuration_finds_the_duplicates_of_a_file_by_whatever_fields_it_has(shared_data, columns, least):
    mapping = {name: FEBRL[name] for name in columns}

    found = match_files([shared_data("febrl/febrl2.csv.gz")], key="rec_id", columns=mapping)

    assert f1(found, links(shared_data("febrl/febrl2_links.csv.gz"))) >= least


def test_people_with_gaps_and_several_errors_each_are_found_with_few_false_pairs(shared_data):
    path = shared_data("splink_fake_1000/fake_1000.csv")
    clusters: dict[str, list[str]] = {}
    for row in rows_of(path):
        clusters.setdefault(row["cluster"], []).append(row["unique_id"])
    true = {frozenset(pair) for members in clusters.values() for pair in combinations(members, 2)}
    columns = {"first_name": "given_name", "surname": "family_name", "dob": "birth_date", "city": "city"}

    found = match_files([path], key="unique_id", columns={**columns, "email": "contact_points.email"})

    assert f1(found, true) >= 0.88
    assert len({frozenset((match.a, match.b)) for match in found} & true) / len(found) >= 0.97


def test_the_key_is_never_compared(write):
    people = [
        {"rec": "rec-1-org", "given_name": "Ada", "family_name": "Lovelace", "birth_date": "1815-12-10"},
        {"rec": "rec-1-dup-0", "given_name": "Alan", "family_name": "Turing", "birth_date": "1912-06-23"},
    ]

    assert match_files([write("people.csv", people)], key="rec") == []
    assert match_files([write("people.csv", people)], key="rec", columns={"rec": "family_name"}) == []


def test_a_file_in_another_encoding_is_matched_with_one_in_utf8(write):
    one = [{"n": "1", "Vorname": "Jürgen", "Name": "Müller", "Geburt": "03.04.1961", "Mail": "j.mueller@example.de"}]
    two = [{"n": "7", "Vorname": "JURGEN", "Name": "Muller", "Geburt": "03.04.1961", "Mail": "J.Mueller@example.de"}]
    columns = {"Vorname": "given_name", "Name": "family_name", "Geburt": "birth_date", "Mail": "contact_points.email"}

    found = match_files([write("one.csv", one, encoding="cp1252"), write("two.csv", two)], key="n", columns=columns)

    assert [(match.a, match.b) for match in found] == [("1", "7")]
    assert found[0].reasons == ["given_name:same", "family_name:same", "birth_date:same", "email:same"]


def test_two_people_of_one_household_are_two(write):
    home = {"family_name": "Papadopoulos", "street": "12 Harbour Lane", "postal_code": "2042", "city": "Newtown"}
    people = [
        {"given_name": "Eleni", **home, "birth_date": "1961-03-04"},
        {"given_name": "Stavros", **home, "birth_date": "1958-11-19"},
    ]

    assert match_files([write("people.csv", people)]) == []


def test_an_unknown_field_or_column_is_refused_with_those_there_are(write):
    path = write("people.csv", [{"name": "Ada", "colour": "red"}])

    with pytest.raises(InvalidInput, match="family_name"):
        match_files([path], columns={"colour": "hue"})
    with pytest.raises(InvalidInput, match="colour"):
        match_files([path], columns={"shade": "family_name"})
    with pytest.raises(InvalidInput, match="colour"):
        match_files([path], key="id")


def test_an_empty_file_has_no_duplicates(write, tmp_path):
    path = tmp_path / "empty.csv"
    path.write_text("given_name,family_name\n", encoding="utf-8")

    assert match_files([path]) == []
    assert match_files([path, path]) == []


@pytest.mark.parametrize(
    ("one", "other", "comparison", "level"),
    [
        ({"given_name": "Bob"}, {"given_name": "Robert"}, "given_name", "short_form"),
        ({"given_name": "J"}, {"given_name": "Jane"}, "given_name", "short_form"),
        ({"given_name": "Jnae"}, {"given_name": "Jane"}, "given_name", "close"),
        ({"given_name": "Zoë"}, {"given_name": "zoe"}, "given_name", "same"),
        ({"family_name": "Durand"}, {"family_name": "Durand-Petit"}, "family_name", "part"),
        (
            {"given_name": "Ada", "family_name": "Lovelace"},
            {"given_name": "Lovelace", "family_name": "Ada"},
            "family_name",
            "swapped",
        ),
        ({"birth_date": "1961-03-04"}, {"birth_date": "19610403"}, "birth_date", "one_slip"),
        ({"birth_date": "1961-03-14"}, {"birth_date": "1916-03-14"}, "birth_date", "one_slip"),
        ({"birth_date": "1961-03-04"}, {"birth_date": "04/03/1961"}, "birth_date", "same"),
        ({"street": "12 rue de la Paix"}, {"street": "12, Rue Paix"}, "street", "same"),
        ({"street": "12 rue de la Paix"}, {"street": "21 rue de la Paix"}, "street_number", "one_slip"),
        ({"postal_code": "75011"}, {"postal_code": "75101"}, "postal_code", "one_slip"),
        ({"phone": "01 23 45 67 89"}, {"phone": "+33 1 23 45 67 89"}, "phone", "same"),
        ({"email": "ada@example.com"}, {"email": "ada@exmaple.com"}, "email", "close"),
        ({"name": "Acme Ltd"}, {"name": "ACME"}, "name", "same"),
        ({"identifier": "siren:732 829 320"}, {"identifier": "siren:732829320"}, "identifier", "same"),
    ],
)
def test_one_mistake_leaves_a_field_alike(one, other, comparison, level):
    assert levels(one, other, "FR")[comparison] == level
    assert levels(other, one, "FR")[comparison] == level


def test_what_one_side_lacks_says_nothing():
    assert levels({"given_name": "Ada", "city": "Paris"}, {"family_name": "Lovelace", "city": "Paris"}) == {
        "city": "same"
    }


def test_numbers_of_different_types_are_not_compared():
    assert levels({"identifier": "siren:732829320"}, {"identifier": "external:732829320"}) == {}
