"""The export of a module's tables: one folder, one JSON-lines file per table, a manifest; and how its values are written.

Written by ``purge`` before anything is dropped, read by ``restore``. It needs no code of the module: columns and types
are those of the database. Values that JSON does not know are objects with one key: ``{"$bytes": "…"}``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from crm_kernel.data_map.values import decoded, encoder_of
from crm_kernel.errors import InvalidInput

FORMAT = "crm-module-export-1"
MANIFEST = "manifest.json"
_BATCH_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Archive:
    """What a manifest says."""

    module: str
    version: str
    #: Revision the tables were at; None when the module had none.
    revision: str | None
    #: Table → (number of rows, SHA-256 of its file), parents first.
    tables: Mapping[str, tuple[int, str]]


def write_archive(
    connection: sa.Connection, folder: Path, tables: list[sa.Table], *, module: str, version: str, revision: str | None
) -> Archive:
    """Write the tables (parents first) into a new folder, streaming; the manifest comes last and makes it valid.

    Raises:
        FileExistsError: the folder holds something already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(17, "the folder is not empty; choose another with --export-to", str(folder))
    written = {table.name: _write_table(connection, folder / f"{table.name}.jsonl", table) for table in tables}
    manifest = {
        "format": FORMAT,
        "module": module,
        "version": version,
        "revision": revision,
        "tables": [{"name": name, "rows": rows, "sha256": digest} for name, (rows, digest) in written.items()],
    }
    _write(folder / MANIFEST, iter([json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"]))
    return Archive(module, version, revision, written)


def read_archive(folder: Path) -> Archive:
    """Read and verify an export: every file is there and is the one that was written.

    Raises:
        InvalidInput: no manifest, an unknown format, or a file that is missing or was changed.
    """
    try:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        tables = {entry["name"]: (int(entry["rows"]), str(entry["sha256"])) for entry in raw["tables"]}
        found = Archive(str(raw["module"]), str(raw["version"]), raw["revision"], tables)
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"no readable manifest of an export, as crm modules purge writes it: {error}"
        raise InvalidInput({str(folder / MANIFEST): [problem]}) from error
    if raw.get("format") != FORMAT:
        raise InvalidInput({str(folder / MANIFEST): [f"format is {raw.get('format')!r}, expected {FORMAT!r}"]})
    for name, (_rows, digest) in found.tables.items():
        path = folder / f"{name}.jsonl"
        if not path.is_file() or _digest(path) != digest:
            problem = (
                f"missing or changed since it was written. Take it from a backup, then: crm modules restore {folder}"
            )
            raise InvalidInput({str(path): [problem]})
    return found


def rows_of(path: Path, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of one exported table in batches, as values its columns take.

    Raises:
        InvalidInput: a row has a column the table does not have.
    """
    batch: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            row = json.loads(line)
            unknown = sorted(row.keys() - table.columns.keys())
            if unknown:
                raise InvalidInput({f"{path} line {number}": [f"table {table.name} has no column {unknown[0]}"]})
            batch.append({name: decoded(value, table.columns[name].type) for name, value in row.items()})
            if len(batch) == _BATCH_ROWS:
                yield batch
                batch = []
    if batch:
        yield batch


def _write_table(connection: sa.Connection, path: Path, table: sa.Table) -> tuple[int, str]:
    query = sa.select(table).order_by(*table.primary_key.columns)
    count = _write(path, _lines(connection.execute(query, execution_options={"yield_per": _BATCH_ROWS}), table))
    return count, _digest(path)


def _lines(rows: Any, table: sa.Table) -> Iterator[str]:
    encoders = [(column.name, encoder_of(column.type)) for column in table.columns]
    for row in rows:
        values = {name: encode(value) for (name, encode), value in zip(encoders, row, strict=True)}
        yield json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"


def _write(path: Path, lines: Iterator[str]) -> int:
    count = 0
    with path.open("x", encoding="utf-8") as file:
        for line in lines:
            file.write(line)
            count += 1
        file.flush()
        os.fsync(file.fileno())  # the tables are dropped next: this must survive a power cut
    return count


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
