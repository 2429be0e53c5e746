"""Fixtures of the import and export tests: a folder of files, and imports into the application under test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crm_kernel.access.actor import SYSTEM
from crm_kernel.records.importing import ImportResult, Mode, Verdict, import_folder
from crm_kernel.records.importing.mapping import parse_mapping

ACCOUNTS = {
    "file": "accounts.csv",
    "record_type": "customer",
    "match": ["source", "external_ref"],
    "columns": {
        "Ref": "external_ref",
        "Name": "display_name",
        "Employees": {"field": "employees", "optional": True},
        "Mail": {"field": "contact_points.email", "optional": True},
        "Phone": {"field": "contact_points.phone", "optional": True},
    },
    "constants": {"kind": "organization", "source": "test"},
}


@pytest.fixture
def accounts() -> dict[str, Any]:
    """A source of organizations: Ref, Name and, if present, Employees, Mail and Phone."""
    return {**ACCOUNTS, "columns": dict(ACCOUNTS["columns"])}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file into the folder of the test: text (UTF-8) or bytes."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.fixture
def run(crm_app, tmp_path: Path) -> Callable[..., ImportResult]:
    """Import the folder of the test: ``run(source, …, mode=Mode.DRY_RUN)``."""

    def run_import(
        *sources: dict[str, Any], mode: Mode = Mode.CHUNKS, actor: Any = SYSTEM, **options: Any
    ) -> ImportResult:
        mapping = parse_mapping({"source": list(sources)}, "test", "test.toml")
        with crm_app.app_context():
            return import_folder(mapping, tmp_path, actor=actor, mode=mode, **options)

    return run_import


@pytest.fixture
def rows_of(crm_app) -> Callable[..., list[dict[str, Any]]]:
    """List the records of a type with some fields, by id: ``rows_of("customer", "display_name")``."""
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import page_of, parse_query
    from crm_kernel.unit_of_work import reading

    def read(name: str, *fields: str, actor: Any = SYSTEM) -> list[dict[str, Any]]:
        with crm_app.app_context(), reading(actor) as uow:
            found = record_type(name)
            query = parse_query(found, [("sort", "created_at"), ("limit", "200"), ("fields", ",".join(fields))])
            return [{n: item[n] for n in fields} for item in page_of(uow, found, query).items]

    return read


@pytest.fixture
def verdicts() -> Callable[[ImportResult], dict[str, int]]:
    """Count an import's rows by verdict: ``verdicts(result)`` → ``{"created": 2}``."""

    def count(result: ImportResult) -> dict[str, int]:
        return {verdict.value: number for verdict in Verdict if (number := result.total(verdict))}

    return count
