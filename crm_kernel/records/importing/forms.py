"""What the mapping page asks and what its answers mean: columns, fixed values, how rows find their records.

The page knows columns that go into one field each; whatever else a mapping may say is for mapping files.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Any

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.fields import Choice
from crm_kernel.records.importing.mapping import Mapping, SourceSpec, parse_mapping
from crm_kernel.records.importing.matching import match_of
from crm_kernel.records.importing.sources import Source
from crm_kernel.records.importing.stored_mappings import mapping_from_json
from crm_kernel.records.importing.suggesting import suggested_constants, suggested_fields
from crm_kernel.records.importing.targets import discriminator, known_paths, part_fields
from crm_kernel.records.plan import Kind, TypePlan

#: Samples shown of a column.
_SAMPLES = 3
#: How rows find their records: choice of the page → match fields.
NONE, ID, KEY = "none", "id", "key"


def suggested_source(source: Source, plan: TypePlan) -> dict[str, Any]:
    """Return what is proposed for a file, as a source of a mapping file says it."""
    columns = suggested_fields(source.columns, plan)
    constants = suggested_constants(plan, tuple(columns.values()))
    found: dict[str, Any] = {"columns": columns, "constants": constants, "mode": "upsert"}
    spec = SourceSpec(record_type=plan.record_type.name)
    match = match_of(spec, _Named(tuple(columns.values())), plan)  # type: ignore[arg-type]
    return {**found, "match": list(match)}


def suggested_again(before: dict[str, Any], source: Source, plan: TypePlan) -> dict[str, Any]:
    """Return what is proposed for a file whose columns are others than those that were answered; how it is read stays."""
    how = {name: before[name] for name in ("encoding", "separator", "sheet") if name in before}
    return suggested_source(source, plan) | how


def said_before(stored: MappingOf[str, Any]) -> dict[str, Any]:
    """Return what the page was answered before, as a source of a mapping file says it, from a run's mapping; nothing if never."""
    if not stored.get("sources"):
        return {}
    source = mapping_from_json(stored).sources[0]
    if source.columns is None:
        return {}
    columns = {
        column.name: column.field if column.lookup is None else {"field": column.field, "lookup": {}}
        for column in source.columns
    }
    names = ("mode", "duplicates", "decimal", "dates", "encoding", "separator", "sheet")
    said = {name: getattr(source, name) for name in names if getattr(source, name)}
    return {"columns": columns, "constants": dict(source.constants), "match": list(source.match), **said}


class _Named:
    """Columns as if they were named as the fields they go into."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns


def field_choices(plan: TypePlan) -> list[tuple[str, str]]:
    """Return (path, label) of what a column may go into, in the order of the schema."""
    return [(path, _label(plan, path)) for path in known_paths(plan)]


def constant_fields(plan: TypePlan) -> list[str]:
    """Return the fields that a page asks a fixed value of: those a record needs, and the source of its external key."""
    needed = [name for name, field in plan.fields.items() if field.writable and field.field.required]
    return list(dict.fromkeys([*needed, *plan.record_type.external_key[:-1]]))


def match_choices(plan: TypePlan) -> list[tuple[str, str]]:
    """Return (value, label) of how rows can find their records."""
    found = [(NONE, _("Not at all: every row is a new record")), (ID, _("By their id, as exports write it"))]
    if plan.record_type.external_key:
        key = ", ".join(_label(plan, name) for name in plan.record_type.external_key)
        found.append((KEY, _("By the key in the other system (%(fields)s)", fields=key)))
    for collection in plan.collections():
        fields = part_fields(collection)
        told = discriminator(fields)
        if told is not None and "value" in fields and collection.writable and isinstance(told.field, Choice):
            found += [(f"{collection.name}.{kind}", str(label)) for kind, label in told.field.choices.items()]
    return found


def samples_of(source: Source, column: str) -> list[str]:
    """Return the first different values of a column."""
    texts = (str(row.get(column) or "") for row in source.sample)
    return list(dict.fromkeys(text for text in texts if text))[:_SAMPLES]


def source_of_form(form: MappingOf[str, str], source: Source, plan: TypePlan) -> dict[str, Any]:
    """Return what an answered page says, as a source of a mapping file.

    Raises:
        InvalidInput: no column goes anywhere.
    """
    columns: dict[str, Any] = {}
    for place, column in enumerate(source.columns):
        path = form.get(f"column-{place}", "")
        if path:
            columns[column] = _column(plan, path)
    if not columns:
        raise InvalidInput({"columns": [_("Say for at least one column what it holds.")]})
    constants = {
        name: form[f"constant-{name}"].strip() for name in constant_fields(plan) if form.get(f"constant-{name}")
    }
    found: dict[str, Any] = {"columns": columns, "constants": constants, "mode": form.get("mode", "upsert")}
    match = {NONE: [], ID: ["id"], KEY: list(plan.record_type.external_key)}
    chosen = form.get("match", NONE)
    found["match"] = match.get(chosen, [chosen])
    return found | {
        name: form[name].strip()
        for name in ("duplicates", "decimal", "dates", "encoding", "separator", "sheet")
        if form.get(name)
    }


def mapping_of(said: MappingOf[str, Any], file: str, plan: TypePlan) -> Mapping:
    """Return the mapping of one file that a source says.

    Raises:
        InvalidInput: it is no mapping.
    """
    source = {**said, "file": file, "record_type": plan.record_type.name}
    return parse_mapping({"source": [source]}, file, file)


def _column(plan: TypePlan, path: str) -> Any:
    field = plan.fields.get(path)
    return {"field": path, "lookup": {}} if field is not None and field.kind is Kind.REFERENCE else path


def _label(plan: TypePlan, path: str) -> str:
    head, _dot, rest = path.partition(".")
    field = plan.fields.get(head)
    if not rest:
        return str(field.label) if field is not None else path
    if field is None:
        return str(_("%(group)s: %(name)s", group=head, name=plan.extension_fields[head][rest].label))
    fields = part_fields(field)
    told = discriminator(fields)
    known: Any = told.field.choices if told is not None and isinstance(told.field, Choice) else {}
    inner = known.get(rest) or (fields[rest].label if rest in fields else rest)
    return str(_("%(group)s: %(name)s", group=field.label, name=inner))
