"""What the audit log may keep of a value: the one place that obeys ``info["audit"]`` of columns, for every way to write.

``"secret"`` is noted as changed, never with its value; ``"omit"`` leaves no trace. Values are named by the audit's paths:
``pin``, ``extensions.bank.iban``, ``lines.<id>.words``, or a whole collection under its name as a list of mappings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app

from crm_kernel._internal.runtime import EXTENSION

if TYPE_CHECKING:
    from crm_kernel.records.fields import Collection
    from crm_kernel.records.record_type import RecordType

SECRET, OMIT = "secret", "omit"
#: What stands for a secret value that changed.
HIDDEN = "(secret)"

_TREATMENTS = "crm_audit_treatments"


def masked(record_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return path → value as the audit may keep it: secrets hidden, what leaves no trace left out.

    Values of a type that is not registered are returned as they are. No query.
    """
    treatments = _treatments_of(record_type)
    if not treatments:
        return dict(values)
    return {
        path: _shown(path, value, treatments) for path, value in values.items() if treatments.get(_rule(path)) != OMIT
    }


def treatment_of(model: type[Any]) -> dict[str, str]:
    """Return attribute → treatment of the columns of a mapped class that have one."""
    columns = ((a.key, a.columns[0]) for a in sa.inspect(model).column_attrs)
    # Computed attributes (column_property) are nobody's value to hide.
    found = {name: column.info.get("audit") for name, column in columns if isinstance(column, sa.Column)}
    return {name: how for name, how in found.items() if how is not None}


def _shown(path: str, value: Any, treatments: Mapping[str, str]) -> Any:
    if isinstance(value, list | tuple):  # the parts of a collection
        return [_part(path, part, treatments) if isinstance(part, Mapping) else part for part in value]
    return HIDDEN if value is not None and treatments.get(_rule(path)) == SECRET else value


def _part(path: str, part: Mapping[str, Any], treatments: Mapping[str, str]) -> dict[str, Any]:
    paths = {name: f"{path}.{name}" for name in part}
    return {
        name: _shown(paths[name], value, treatments)
        for name, value in part.items()
        if treatments.get(paths[name]) != OMIT
    }


def _rule(path: str) -> str:
    """Return a path without the id of the part it names: ``lines.<id>.words`` is treated as ``lines.words``."""
    head, _dot, rest = path.partition(".")
    return path if head == "extensions" or "." not in rest else f"{head}.{rest.rpartition('.')[2]}"


def _treatments_of(record_type: str) -> Mapping[str, str]:
    kept: dict[str, Mapping[str, str]] = current_app.extensions.setdefault(_TREATMENTS, {})
    if record_type not in kept:
        registry = current_app.extensions[EXTENSION].registry
        found = registry.get("record_types", record_type)
        kept[record_type] = {} if found is None else _collected(found, registry.extensions_of(record_type))
    return kept[record_type]


def _collected(record_type: RecordType, extensions: Any) -> dict[str, str]:
    from crm_kernel.records.fields import Collection

    found: dict[str, str] = {}
    for name, declared in record_type.schema._declared_fields.items():
        side = declared.metadata.get("side")
        found |= {} if side is None else treatment_of(side)
        if isinstance(declared, Collection):
            found |= _of_parts(name, declared)
    for extension in extensions:
        found |= {f"extensions.{extension.name}.{name}": how for name, how in treatment_of(extension.model).items()}
    return found | treatment_of(record_type.model)


def _of_parts(name: str, collection: Collection) -> dict[str, str]:
    """Return the treatments of a collection's parts, under the names of the schema and under those of the models."""
    stored = treatment_of(collection.model)
    fields = {field: declared.attribute for field, declared in collection.part_schema._declared_fields.items()}
    stored |= {field: stored[attribute] for field, attribute in fields.items() if attribute in stored}
    roots = (name, collection.attribute or name)
    return {f"{root}.{attribute}": how for root in roots for attribute, how in stored.items()}
