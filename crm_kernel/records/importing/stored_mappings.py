"""Writes mappings as JSON, as runs keep them, and reads them back."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import asdict
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
