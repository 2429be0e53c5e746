"""import(export(x)) = x, as a property of one record type: what an export carries is there again after a wipe and an import.

``texts`` generates what files trip over, ``write_notes`` installs a plugin that extends the record type by a field of every
sort, and ``RoundTrip`` exports, imports and compares.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from crm_kernel.access.actor import SYSTEM
from crm_kernel.records.exporting import begin_export
from crm_kernel.records.importing import ImportResult, Verdict, import_file
from crm_kernel.records.importing.mapping import plain_mapping
from crm_kernel.records.plan import record_type
from crm_kernel.testing.sites import class_name_of, write_distribution

if TYPE_CHECKING:
    from flask import Flask
    from hypothesis.strategies import SearchStrategy

#: The forms of an export.
FORMS = ("csv", "xlsx", "jsonl")
#: What files trip over: formulas, quotes, separators, leading zeros, texts that look like numbers, dates or nothing.
TRAPS = [
    "=1+1", "+33", "-5", "@cmd", "'=quoted", "''", "007", "1e5", "1,5", "1.000", "2026-01-02", "true", "null", "None",
    "NA", "#N/A", 'a "b" c', '"', ";", "a;b,c\td|e", "=HYPERLINK(\"x\")", "＝1", "é\u0301", "\u202eabc", "李小龍", "🙂", "a\\nb", "%s {x}",
]  # fmt: skip
#: What an instance says of its own copy.
_ANEW = frozenset({"version", "created_at", "updated_at"})

_NOTES = {
    "models.py": '''"""The table of the notes."""

import datetime as dt
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.plugin import plugin_base

Base = plugin_base("{name}")


class Note(Base):
    """A value of every sort."""

    __tablename__ = "{name}_note"

    host_id: Mapped[int] = mapped_column(sa.ForeignKey("{table}.id", ondelete="CASCADE"), primary_key=True)
    code: Mapped[str | None] = mapped_column(sa.String(60))
    size: Mapped[Decimal | None]
    day: Mapped[dt.date | None]
    shape: Mapped[str | None] = mapped_column(sa.String(10))
    flag: Mapped[bool | None]
    number: Mapped[int | None] = mapped_column(sa.Integer)
''',
    "plugin.py": '''"""Wiring of the notes."""

from marshmallow import Schema
from marshmallow import fields as ma

from crm_kernel.plugin import Plugin, hookimpl
from crm_kernel.records.fields import Choice, four_decimals
from crm_kernel.records.record_type import Extension
from crm_kernel.records.texts import Text
from crm_{name}.models import Note


class {schema}(Schema):
    """A field of every sort."""

    code = Text(60, allow_none=True)
    size = ma.Decimal(allow_none=True, as_string=True, validate=four_decimals)
    day = ma.Date(allow_none=True)
    shape = Choice({{"round": "Round", "flat": "Flat"}}, allow_none=True)
    flag = ma.Boolean(allow_none=True)
    number = ma.Integer(allow_none=True)


class {class_name}(Plugin):
    """Extends one record type."""

    name = "{name}"

    @hookimpl
    def crm_register_extensions(self):
        return [Extension(host="{host}", name="{name}", label="Note", model=Note, schema={schema})]
''',
    "migrations/__init__.py": "",
    "migrations/versions/20260301_0900_notes.py": '''"""Create the table of the notes."""

import sqlalchemy as sa
from alembic import op

from crm_kernel.database import Amount, Key

revision = "{name}_0001"
down_revision = None
branch_labels = ("{name}",)
depends_on = None


def upgrade():
    op.create_table(
        "{name}_note",
        sa.Column("host_id", Key, sa.ForeignKey("{table}.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("code", sa.String(60)),
        sa.Column("size", Amount()),
        sa.Column("day", sa.Date),
        sa.Column("shape", sa.String(10)),
        sa.Column("flag", sa.Boolean),
        sa.Column("number", sa.Integer),
    )


def downgrade():
    op.drop_table("{name}_note")
''',
}


def texts(longest: int = 20) -> SearchStrategy[str]:
    """Return a strategy of texts that a file may hold: traps, and any characters that are no controls."""
    from hypothesis import strategies as st

    plain = st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"])
    return st.sampled_from(TRAPS) | st.text(plain, min_size=1, max_size=longest).filter(str.strip)


def write_notes(folder: Path, name: str, *, host: str, table: str, requires: Sequence[str] = ()) -> Path:
    """Write a plugin that extends a record type by ``code``, ``size``, ``day``, ``shape``, ``flag`` and ``number``.

    Args:
        host: the record type; ``table`` is its table.
        requires: the distributions it needs: of a plugin's record type, that plugin's.
    """
    classes = {"class_name": class_name_of(name), "schema": f"{name.capitalize()}FieldsSchema"}
    words = {"name": name, "host": host, "table": table, **classes}
    files = {path: text.format(**words) for path, text in _NOTES.items()}
    return write_distribution(folder, name, files=files, requires=("crm-kernel>=0.1", *requires))


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Exports and imports the records of one type; ``folder`` is where the files go."""

    app: Flask
    record_type: str
    folder: Path

    def exported(self, form: str) -> bytes:
        """Return the export of all records in one of the ``FORMS``."""
        with self.app.app_context():
            found = begin_export(SYSTEM, record_type(self.record_type), (), channel="cli")
        if form == "xlsx":
            buffer = io.BytesIO()
            found.xlsx(buffer)
            return buffer.getvalue()
        return "".join(found.csv() if form == "csv" else found.jsonl()).encode()

    def facts(self) -> dict[str, Any]:
        """Return what all records say, by id: everything, but what is said of this copy of it."""
        records = [orjson.loads(line) for line in self.exported("jsonl").splitlines()]
        return {record["id"]: _without(record, _ANEW) for record in records}

    def brought(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Import new records given as the API shows them, ids included, and return what is stored then."""
        path = self.folder / "given.jsonl"
        path.write_bytes(b"".join(orjson.dumps(record, default=str) + b"\n" for record in records))
        self._all(self._imported(path), Verdict.CREATED, len(records))
        return self.facts()

    def check(self, form: str, wipe: Callable[[], None]) -> None:
        """Export, import where the records are, wipe and import again: first nothing changes, then all is back.

        Raises:
            AssertionError: it is not so; names the rows that were refused, or what differs.
        """
        before, path = self.facts(), self.folder / f"exported.{form}"
        path.write_bytes(self.exported(form))
        self._all(self._imported(path), Verdict.UNCHANGED, len(before))
        wipe()
        self._all(self._imported(path), Verdict.CREATED, len(before))
        after = self.facts()
        assert after == before, f"{form}: {_difference(before, after)}"

    def _imported(self, path: Path) -> ImportResult:
        with self.app.app_context():
            return import_file(plain_mapping(path, self.record_type), path, actor=SYSTEM)

    def _all(self, result: ImportResult, verdict: Verdict, number: int) -> None:
        errors = [error for source in result.sources for error in source.errors]
        found = (result.total(verdict), result.refused, result.failure)
        assert found == (number, 0, None), f"{found}, expected all {number} {verdict}: {errors}"


def _without(value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, list):  # a part is a new row
        return [_without(part, names | {"id"}) for part in value]
    if isinstance(value, dict):
        return {name: _without(item, names) for name, item in value.items() if name not in names}
    return value


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Any]:
    shared = [(key, before[key], after[key]) for key in before if key in after and before[key] != after[key]]
    return [*shared, *sorted(before.keys() ^ after.keys())]
