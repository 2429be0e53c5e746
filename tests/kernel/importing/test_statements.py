"""An import costs so many statements per chunk, however many rows a chunk has: of new, unchanged, changed and likely rows."""

from __future__ import annotations

import pytest

from crm_kernel.records.importing import Verdict, session

COLUMNS = {
    "Ref": "external_ref",
    "Given": "given_name",
    "Family": "family_name",
    "Mail": "contact_points.email",
    "Phone": "contact_points.phone",
    "City": "addresses.home.city",
}
PEOPLE = {
    "file": "people.csv",
    "record_type": "customer",
    "match": ["source", "external_ref"],
    "columns": COLUMNS,
    "constants": {"kind": "person", "source": "test"},
}


@pytest.fixture
def people(write):
    """Write a file of persons, all different; their city is what changes between two files."""

    def write_people(rows, city="Paris", start=0):
        lines = [
            f"R{n},Ada{n},Lovelace{n},ada{n}@example.com,+33 1 42 68 {n // 100:02} {n % 100:02},{city}\n"
            for n in range(start, start + rows)
        ]
        return write("people.csv", ",".join(COLUMNS) + "\n" + "".join(lines))

    return write_people


@pytest.fixture
def cost(people, run, count_queries):
    """Import some people and return the statements it took; all of the rows must have one verdict."""

    def statements(rows, verdict, *, city="Paris", start=0, **options):
        people(rows, city, start)
        with count_queries() as seen:
            result = run({**PEOPLE, **options})
        assert result.total(verdict) == rows, result.to_json()
        return seen

    return statements


def _stages(cost, rows, start):
    """Return how many statements a chunk costs whose rows are new, unchanged, changed, or likely to be somebody known."""
    likely = {"duplicates": "review", "constants": {"kind": "person", "source": "elsewhere"}}
    return {
        "new": len(cost(rows, Verdict.CREATED, start=start)),
        "unchanged": len(cost(rows, Verdict.UNCHANGED, start=start)),
        "changed": len(cost(rows, Verdict.UPDATED, start=start, city="Lyon")),
        "likely": len(cost(rows, Verdict.REVIEW, start=start, **likely)),
    }


def test_a_chunk_of_many_rows_takes_no_more_statements_than_one_of_few(cost):
    cost(2, Verdict.CREATED)  # what a process asks once

    few, many = _stages(cost, 8, start=100), _stages(cost, 120, start=200)

    assert many == few


def test_each_further_chunk_of_new_rows_takes_the_same_few_statements(cost, monkeypatch):
    monkeypatch.setattr(session, "CHUNK", 20)
    cost(2, Verdict.CREATED)

    two, three = cost(40, Verdict.CREATED, start=100), cost(60, Verdict.CREATED, start=200)

    assert 0 < len(three) - len(two) <= 30, str(three)
