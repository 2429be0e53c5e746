"""Mapping files: which file becomes which records, and what each column means. Documented in docs/reference/import-mapping.md.

Reads and checks the file's own form; whether its record types and fields exist is checked by ``drafting`` when it is
used, because that depends on the modules that are loaded.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from dataclasses import field as made
from pathlib import Path, PurePath
from typing import Any

from flask import current_app
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput, NotFound
from crm_kernel.records.importing.sources import FORMATS
from crm_kernel.records.importing.transforms import check_transform

MODES = ("upsert", "create", "update")
MISSING = ("error", "null", "create")
EMPTY = ("null", "keep")
DUPLICATES = ("new", "review", "skip", "update")
DIFFERING = ("refuse", "first")
_DECIMALS = (".", ",")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """How a column's text finds the record a reference points to."""

    #: Field of the target, ``None`` for its title.
    by: str | None = None
    #: What happens when none is found: ``error``, ``null`` or ``create``.
    missing: str = "error"
    #: Further fields of the target that must have these values; references by the title of what they point to.
    where: MappingOf[str, Any] = made(default_factory=dict)
    #: Fields of a target that is created.
    create: MappingOf[str, Any] = made(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuesFrom:
    """Another file of the folder that says what a column's text stands for."""

    file: str
    #: The other file's column with the text, and the one with the value it stands for.
    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What one column of a file means."""

    name: str
    #: ``display_name`` · ``contact_points.email`` · ``bank.iban`` · ``id``.
    field: str
    transform: tuple[str, ...] = ()
    #: Text in the file → value; a text that is not listed is an error.
    values: MappingOf[str, Any] = made(default_factory=dict)
    #: The same from another file; a text that is not there empties the field.
    values_from: ValuesFrom | None = None
    lookup: Lookup | None = None
    #: The file may lack the column.
    optional: bool = False
    #: Of a file with several rows for a record: whether they must agree in this column (``refuse``) or the ``first`` counts.
    differing: str = "refuse"
    #: What an empty cell does to a stored record: ``null`` empties the field, ``keep`` leaves it.
    empty: str = "null"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """One file, or rows written in the mapping, and the records they become."""

    record_type: str
    #: Names to look for, the first that exists is read; empty for inline rows.
    files: tuple[str, ...] = ()
    rows: tuple[MappingOf[str, Any], ...] = ()
    format: str | None = None
    match: tuple[str, ...] = ()
    mode: str = "upsert"
    #: What is done with a row that may be about a record which is there, though no key says so.
    duplicates: str = "new"
    optional: bool = False
    #: Only the first row of every key counts; the others are skipped.
    distinct: bool = False
    #: Columns that the rows of one record have in common; empty: a row is a record.
    group: tuple[str, ...] = ()
    #: Columns without which a row is skipped.
    needs: tuple[str, ...] = ()
    encoding: str | None = None
    separator: str | None = None
    #: Of a workbook; the first if not given.
    sheet: str | None = None
    decimal: str | None = None
    dates: str | None = None
    timezone: str = "UTC"
    #: None: the columns are named as the fields, as ``crm export`` writes them.
    columns: tuple[Column, ...] | None = None
    #: Field → value that every row gets; of a reference the id, or the text its ``lookups`` entry finds it by.
    constants: MappingOf[str, Any] = made(default_factory=dict)
    lookups: MappingOf[str, Lookup] = made(default_factory=dict)
    #: Field → text with columns in braces: ``{First} {Last}``.
    texts: MappingOf[str, str] = made(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Sources in the order they are read: what a later one refers to comes from an earlier one or is there already."""

    name: str
    sources: tuple[SourceSpec, ...]
    label: str = ""


def load_mapping(name: str) -> Mapping:
    """Return a mapping by the path of its file or by the name a loaded module gives it.

    Raises:
        NotFound: there is neither; the names known are listed.
        InvalidInput: the file is no mapping; the text names the entry, what was found and what is expected.
    """
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return read_mapping(path)
    known = known_mappings()
    if name not in known:
        listed = ", ".join(sorted(known)) or _("none")
        raise NotFound(
            _("There is no mapping %(name)s: give a .toml file or one of: %(known)s.", name=name, known=listed)
        )
    return read_mapping(known[name])


def plain_mapping(file: Path, record_type: str) -> Mapping:
    """Return the mapping of a file whose columns are named as the fields of a record type, as exports and vCards are."""
    return Mapping(name=record_type, sources=(SourceSpec(record_type=record_type, files=(file.name,)),))


def known_mappings() -> dict[str, Path]:
    """Return the mappings that the loaded modules offer: name → file."""
    from crm_kernel._internal.runtime import runtime_of

    return {found.name: found.path for found in runtime_of(current_app).registry.all("import_mappings")}


def read_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises:
        InvalidInput: it is no TOML, or an entry is unknown, missing or of the wrong kind.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput({path.name: [_("cannot be read: %(reason)s.", reason=error)]}) from error
    return parse_mapping(found, path.stem, path.name)


def parse_mapping(found: MappingOf[str, Any], name: str, file: str) -> Mapping:
    """Return the mapping that a TOML document says.

    Raises:
        InvalidInput: as for ``read_mapping``; paths start with the file's name.
    """
    table = _Table(found, file)
    sources = table.take("source", list, [])
    mapping = Mapping(
        name=table.take("name", str, name),
        label=table.take("label", str, ""),
        sources=tuple(_source(_Table(source, f"{file}: source {n}")) for n, source in enumerate(sources, 1)),
    )
    table.finish()
    if not sources:
        raise table.wrong("source", "nothing", "at least one [[source]]")
    return mapping


class _Table:
    """A TOML table whose entries are taken one by one; what is left at the end is unknown."""

    def __init__(self, entries: Any, path: str) -> None:
        self.path = path
        self._known: list[str] = []
        if not isinstance(entries, dict):
            raise InvalidInput({path: [_("found %(found)s, expected a table.", found=type(entries).__name__)]})
        self._left = dict(entries)

    def take(self, key: str, kind: type[Any] | tuple[type[Any], ...], default: Any = None) -> Any:
        self._known.append(key)
        value = self._left.pop(key, default)
        if value is not default and not isinstance(value, kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise self.wrong(key, value, " or ".join(k.__name__ for k in kinds))
        return value

    def one_of(self, key: str, known: Iterable[str], default: str | None) -> Any:
        value = self.take(key, str, default)
        if value is not None and value not in known:
            raise self.wrong(key, value, " or ".join(known))
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.take(key, (str, list), [])
        found = [value] if isinstance(value, str) else value
        if not all(isinstance(item, str) for item in found):
            raise self.wrong(key, value, "text or a list of texts")
        return tuple(found)

    def finish(self) -> None:
        for key in self._left:
            raise self.wrong(key, key, ", ".join(self._known), "unknown entry")

    def wrong(self, key: str, found: object, expected: str, what: str = "") -> InvalidInput:
        text = _(
            "%(what)sfound %(found)r, expected %(expected)s.",
            what=f"{what}: " if what else "",
            found=found,
            expected=expected,
        )
        return InvalidInput({f"{self.path}: {key}": [text]})


def _source(table: _Table) -> SourceSpec:
    columns = table.take("columns", dict, None)
    lookups = table.take("lookups", dict, {})
    spec = SourceSpec(
        record_type=table.take("record_type", str, ""),
        files=table.texts("file"),
        rows=tuple(table.take("rows", list, [])),
        format=table.one_of("format", FORMATS, None),
        match=table.texts("match"),
        mode=table.one_of("mode", MODES, "upsert"),
        duplicates=table.one_of("duplicates", DUPLICATES, "new"),
        optional=table.take("optional", bool, False),
        distinct=table.take("distinct", bool, False),
        group=table.texts("group"),
        needs=table.texts("needs"),
        encoding=table.take("encoding", str, None),
        separator=table.take("separator", str, None),
        sheet=table.take("sheet", str, None),
        decimal=table.one_of("decimal", _DECIMALS, None),
        dates=table.take("dates", str, None),
        timezone=table.take("timezone", str, "UTC"),
        columns=None if columns is None else tuple(_columns(columns, table.path)),
        constants=table.take("constants", dict, {}),
        texts=table.take("texts", dict, {}),
        lookups={name: _lookup(_Table(entry, f"{table.path}: lookups.{name}")) for name, entry in lookups.items()},
    )
    table.finish()
    if not spec.record_type:
        raise table.wrong("record_type", "nothing", "the name of a record type such as customer")
    if bool(spec.files) == bool(spec.rows):
        raise table.wrong("file", "both" if spec.files else "nothing", "either file or rows")
    return spec


def _columns(entries: MappingOf[str, Any], path: str) -> Iterable[Column]:
    for name, entry in entries.items():
        for spec in entry if isinstance(entry, list) else [entry]:
            yield _column(name, spec, f"{path}: columns.{name}")


def _column(name: str, entry: Any, path: str) -> Column:
    if isinstance(entry, str):
        return Column(name=name, field=entry)
    table = _Table(entry, path)
    lookup, values_from = table.take("lookup", dict, None), table.take("values_from", dict, None)
    column = Column(
        name=name,
        field=table.take("field", str, ""),
        transform=table.texts("transform"),
        values=table.take("values", dict, {}),
        values_from=None if values_from is None else _values_from(_Table(values_from, f"{path}.values_from")),
        lookup=None if lookup is None else _lookup(_Table(lookup, f"{path}.lookup")),
        optional=table.take("optional", bool, False),
        differing=table.one_of("differing", DIFFERING, "refuse"),
        empty=table.one_of("empty", EMPTY, "null"),
    )
    table.finish()
    if not column.field:
        raise table.wrong("field", "nothing", "the name of a field")
    for transform in column.transform:
        check_transform(transform, path)
    return column


def _values_from(table: _Table) -> ValuesFrom:
    found = {key: table.take(key, str, "") for key in ("file", "key", "value")}
    table.finish()
    for key, value in found.items():
        if not value:
            raise table.wrong(key, "nothing", "text")
    path = PurePath(found["file"])
    if path.is_absolute() or ".." in path.parts:  # whoever sends a mapping would read the server's files by it
        raise table.wrong("file", found["file"], "the name of a file in the same folder")
    return ValuesFrom(**found)


def _lookup(table: _Table) -> Lookup:
    found = Lookup(
        by=table.take("by", str, None),
        missing=table.one_of("missing", MISSING, "error"),
        where=table.take("where", dict, {}),
        create=table.take("create", dict, {}),
    )
    table.finish()
    return found
