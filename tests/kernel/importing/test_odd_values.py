"""JSON lines and mappings hold values of every kind where another is expected: a row's problem, never the end of a run."""

from __future__ import annotations

import io
import json

import pytest

from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing import Mode, chunks
from crm_kernel.records.importing.models import ImportRun
from crm_kernel.records.plan import plan_of, record_type

ODD = [5, 1.5, True, "x", [1], ["a@b.fr"], {"a": 1}, [[1]], [{"a": [1]}], {"id": []}, {"toybank": 5}, {"toybank": None}]
ORGANIZATION = {"kind": "organization", "display_name": "Acme"}
CONSTANTS = {"constants": {"kind": "organization"}}


@pytest.fixture
def take(run, write, verdicts):
    """Import JSON lines and return what became of them, and the problems; the run has not failed."""

    def import_lines(*lines, **entries):
        write("x.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))
        errors = []
        result = run({"file": "x.jsonl", "record_type": "customer", **entries}, report=errors.append)
        assert result.failure is None
        return verdicts(result), errors

    return import_lines


def _fields(crm_app):
    with crm_app.app_context():
        return [name for name, field in plan_of(record_type("customer")).fields.items() if field.writable]


@pytest.mark.parametrize("duplicates", ["new", "update"])
def test_values_of_every_kind_in_every_field_are_problems_of_their_rows(crm_app, take, duplicates):
    lines = [
        {**ORGANIZATION, "display_name": f"Acme {name} {number}", name: odd}
        for name in [*_fields(crm_app), "extensions", "id"]
        for number, odd in enumerate(ODD)
    ]

    counts, errors = take(*lines, duplicates=duplicates, match=["source", "external_ref"], mode="upsert", **CONSTANTS)

    assert counts["refused"] > len(lines) // 2
    assert {error.row for error in errors} <= {*range(1, len(lines) + 1)}


@pytest.mark.parametrize(
    "name", ["id", "display_name", "employees", "owner", "birth_date", "contact_points.email", "identifiers.vat"]
)
def test_values_of_every_kind_in_what_rows_are_matched_by_are_problems_of_their_rows(take, name):
    head, _dot, kind = name.partition(".")
    told = {"contact_points": "channel", "identifiers": "type"}.get(head)
    values = [*ODD, *([{told: kind, "value": odd}] for odd in ODD if told)]

    counts, _errors = take(*({**ORGANIZATION, head: value} for value in values), match=[name])

    assert sum(counts.values()) == len(values)


@pytest.mark.crm_plugins("toybank")
@pytest.mark.parametrize("path", ["contact_points.email", "addresses.city", "toybank.iban"])
@pytest.mark.parametrize("odd", [*ODD, None, [], [{"channel": "email", "value": "b@b.fr"}], {"toybank": {"risk": 3}}])
def test_a_column_beside_one_that_holds_the_whole_of_its_collection_may_not_fit_it(toybank, take, path, odd):
    whole = "extensions" if path == "toybank.iban" else path.partition(".")[0]
    columns = {"kind": "kind", "display_name": "display_name", "whole": whole, "one": path}

    counts, _errors = take({**ORGANIZATION, "whole": odd, "one": "a@b.fr"}, columns=columns)

    assert sum(counts.values()) == 1


@pytest.mark.crm_plugins("toybank")
def test_values_of_every_kind_in_extensions_are_problems_of_their_rows(toybank, take):
    values = [*ODD, *({"toybank": odd} for odd in ODD), *({"toybank": {"risk": odd}} for odd in ODD)]

    counts, _errors = take(*({**ORGANIZATION, "extensions": value} for value in values))

    assert counts["refused"] > len(values) // 2


def test_a_list_in_a_column_that_rows_share_is_one_record_of_its_own(take):
    lines = [{"g": [1], "n": "A"}, {"g": [1], "n": "A"}, {"g": {"a": 2}, "n": "B"}]

    counts, _errors = take(*lines, columns={"n": "display_name"}, group=["g"], **CONSTANTS)

    assert counts == {"created": 2}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"constants": {"kind": "organization", "owner": ["x"]}}, r"constants.owner: found \['x'\], expected a text"),
        ({"constants": {"extensions": [1]}}, r"constants.extensions: found \[1\], expected an object of objects"),
        (
            {"columns": {"b": {"field": "owner", "lookup": {"where": {"active": "nonsense"}}}}},
            r"lookup.where active: Not a valid boolean",
        ),
        (
            {"columns": {"b": {"field": "owner", "lookup": {"where": {"team": ["x"]}}}}},
            r"lookup.where team: found \['x'\], expected a text",
        ),
    ],
)
def test_a_mapping_with_values_of_another_kind_is_refused_before_any_row(run, write, entries, message):
    write("x.csv", "a,b\nx,y\n")

    with pytest.raises(InvalidInput, match=message):
        run(
            {"file": "x.csv", "record_type": "customer", "columns": {"a": "display_name"}, **entries}, mode=Mode.DRY_RUN
        )


def test_an_error_that_nobody_foresaw_stops_the_import_and_is_logged(api, deliver_events, unit, monkeypatch, caplog):
    def broken(*_arguments):
        raise TypeError("secret of somebody")

    client = api("administrator")
    data = {"file": (io.BytesIO(b"kind,display_name\norganization,Acme\n"), "x.csv"), "record_type": "customer"}
    answer = client.open("POST", "/api/imports", data=data, content_type="multipart/form-data")
    monkeypatch.setattr(chunks.SourceRun, "process", broken)

    deliver_events()

    with unit() as uow:
        run = uow.session.query(ImportRun).one()
        assert (answer.status_code, run.state) == (202, "stopped")
        assert run.failure == "x.csv, rows 2 to 2: An unexpected error; the administrator finds it in the log."
    assert "secret of somebody" in caplog.text
