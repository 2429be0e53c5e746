"""Writes mappings as JSON, as runs keep them, and reads them back."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from typing import Any

from crm_kernel.records.importing import images
from crm_kernel.records.importing.mapping import Column, Lookup, Mapping, SourceSpec, ValuesFrom


def mapping_as_json(mapping: Mapping) -> dict[str, Any]:
    """Return a mapping as JSON-ready values."""
    found: dict[str, Any] = images.written(asdict(mapping))
    return found


def mapping_from_json(stored: MappingOf[str, Any]) -> Mapping:
    """Return the mapping that ``mapping_as_json`` was given."""
    found = images.read(dict(stored))
    sources = tuple(_source(source) for source in found["sources"])
    return Mapping(name=found["name"], label=found["label"], sources=sources)


def source_as_said(spec: SourceSpec) -> dict[str, Any]:
    """Return a source of one file as a mapping file says it, without the file and the record type.

    What says nothing is left out, but for ``match`` and ``mode``; of columns that are named as the fields, all of it.
    """
    found = {name: value for name, value in _said(spec).items() if name not in ("files", "rows", "record_type")}
    found["mode"] = spec.mode
    if spec.columns is None:
        return found
    columns: dict[str, list[Any]] = {}
    for entry in map(_said, spec.columns):
        name = entry.pop("name")
        columns.setdefault(name, []).append(entry if len(entry) > 1 else entry["field"])
    whole = {name: entries if len(entries) > 1 else entries[0] for name, entries in columns.items()}
    return {**found, "columns": whole, "match": list(spec.match)}


def _said(made: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that are not as they are if nothing is said, as a mapping file has them."""
    return {
        field.name: _as_written(value)
        for field in fields(made)
        if (value := getattr(made, field.name)) != _unsaid(field)
    }


def _unsaid(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _as_written(value: Any) -> Any:
    if is_dataclass(value):
        return _said(value)
    if isinstance(value, tuple):
        return [_as_written(one) for one in value]
    return {name: _as_written(one) for name, one in value.items()} if isinstance(value, MappingOf) else value


def _source(found: MappingOf[str, Any]) -> SourceSpec:
    columns = found["columns"]
    lists = {name: tuple(found.get(name) or ()) for name in ("files", "rows", "match", "group", "needs")}
    return SourceSpec(
        **{
            **found,
            **lists,
            "columns": None if columns is None else tuple(_column(column) for column in columns),
            "lookups": {name: Lookup(**lookup) for name, lookup in found["lookups"].items()},
        }
    )


def _column(found: MappingOf[str, Any]) -> Column:
    lookup, values_from = found["lookup"], found["values_from"]
    return Column(
        **{
            **found,
            "transform": tuple(found["transform"]),
            "lookup": None if lookup is None else Lookup(**lookup),
            "values_from": None if values_from is None else ValuesFrom(**values_from),
        }
    )
