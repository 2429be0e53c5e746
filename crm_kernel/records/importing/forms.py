"""What the mapping page asks and what its answers mean: columns, fixed values, how rows find their records.

The page asks for one field of each column; whatever else a mapping says is kept as it is, and told.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Any

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.fields import Choice
from crm_kernel.records.importing.blaming import text_of
from crm_kernel.records.importing.mapping import Mapping, parse_mapping
from crm_kernel.records.importing.sources import Source
from crm_kernel.records.importing.stored_mappings import mapping_from_json, source_as_said
from crm_kernel.records.importing.suggesting import entry_of, suggested_source
from crm_kernel.records.importing.targets import discriminator, known_paths, part_fields, whole_paths
from crm_kernel.records.plan import TypePlan

#: Samples shown of a column.
_SAMPLES = 3
#: How rows find their records: choice of the page → match fields.
NONE, ID, KEY = "none", "id", "key"
#: The match fields that were said before and that the page does not offer.
KEPT = "kept"
#: What the page asks of a source, and what the file itself says.
_ASKED = (
    "columns", "constants", "match", "mode", "duplicates", "decimal", "dates", "encoding", "separator", "sheet",
)  # fmt: skip
_OURS = ("file", "record_type")


def suggested_again(before: dict[str, Any], source: Source, plan: TypePlan) -> dict[str, Any]:
    """Return what is proposed for a file whose columns are others than those that were answered; how it is read stays."""
    how = {name: before[name] for name in ("encoding", "separator", "sheet") if name in before}
    return suggested_source(source, plan) | how


def with_columns(said: MappingOf[str, Any], source: Source, plan: TypePlan) -> dict[str, Any]:
    """Return a source that says something of columns: itself, else with those that are proposed."""
    return dict(said) if "columns" in said else {**suggested_source(source, plan), **said}


def said_before(stored: MappingOf[str, Any]) -> dict[str, Any]:
    """Return what a draft means so far, as a source of a mapping file says it, from a run's mapping; nothing if nothing yet.

    Where its columns are named as the fields, nothing is said of columns.
    """
    return source_as_said(mapping_from_json(stored).sources[0]) if stored.get("sources") else {}


def field_choices(plan: TypePlan) -> list[tuple[str, str]]:
    """Return (path, label) of what a column may go into, in the order of the schema."""
    return [(path, _label(plan, path)) for path in known_paths(plan)]


def whole_choices(plan: TypePlan) -> list[tuple[str, str]]:
    """Return (path, label) of what a column of lists or objects may go into."""
    return [(path, _label(plan, path)) for path in whole_paths(plan)]


def constant_fields(plan: TypePlan) -> list[str]:
    """Return the fields that a page asks a fixed value of: those a record needs, and the source of its external key."""
    needed = [name for name, field in plan.fields.items() if field.writable and field.field.required]
    return list(dict.fromkeys([*needed, *plan.record_type.external_key[:-1]]))


def match_choices(plan: TypePlan, said: MappingOf[str, Any]) -> list[tuple[str, str]]:
    """Return (value, label) of how rows can find their records, as a source says among them."""
    if matched_by(said, plan) != KEPT:
        return _offered_matches(plan)
    fields = ", ".join(_listed(said["match"]))
    return [*_offered_matches(plan), (KEPT, _("As the mapping says (%(fields)s)", fields=fields))]


def _offered_matches(plan: TypePlan) -> list[tuple[str, str]]:
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
    texts = (text_of(row.get(column)) for row in source.sample)
    return list(dict.fromkeys(text for text in texts if text))[:_SAMPLES]


def source_of_form(
    form: MappingOf[str, str], source: Source, plan: TypePlan, before: MappingOf[str, Any]
) -> dict[str, Any]:
    """Return what an answered page says, as a source of a mapping file.

    Args:
        before: the source that the page was filled from. What the page does not ask stays as it says: transforms, value
            maps, how references are looked up, texts, groups, ….

    Raises:
        InvalidInput: no column goes anywhere.
    """
    columns: dict[str, Any] = {}
    stored = before.get("columns") or {}
    for place, column in enumerate(source.columns):
        path = form.get(f"column-{place}", "")
        if path:
            columns[column] = _entry(plan, path, stored.get(column))
    if not columns:
        raise InvalidInput({"columns": [_("Say for at least one column what it holds.")]})
    absent = {name: entry for name, entry in stored.items() if name not in source.columns and _is_optional(entry)}
    found = {name: value for name, value in before.items() if name not in _ASKED}
    found |= {"columns": columns | absent, "constants": _constants(form, plan, before.get("constants") or {})}
    found |= {"mode": form.get("mode", "upsert"), "match": _match(form, plan, before)}
    found |= {name: form[name].strip() for name in ("duplicates", "decimal", "dates") if form.get(name)}
    return found | how_read(form)


def matched_by(said: MappingOf[str, Any], plan: TypePlan) -> str:
    """Return the choice of the page for the match fields of a source; ``KEPT`` for those that it does not offer."""
    match = _listed(said.get("match"))
    chosen = NONE if not match else KEY if match == list(plan.record_type.external_key) else match[0]
    offered = len(match) < 2 or chosen == KEY
    return chosen if offered and chosen in dict(_offered_matches(plan)) else KEPT


def beyond(said: MappingOf[str, Any], plan: TypePlan) -> list[str]:
    """Return what a source says that the page does not ask, by the names of mapping files: ``Name: transform``, ``group``."""
    found = []
    for column, entry in sorted((said.get("columns") or {}).items()):  # kept ones are in the database's order
        entries = entry if isinstance(entry, list) else [entry]
        names = {name for one in entries if isinstance(one, dict) for name, value in one.items() if value}
        hidden = [*sorted(names - {"field"}), *([str(len(entries))] if len(entries) > 1 else [])]
        found += [f"{column}: {', '.join(hidden)}"] if hidden else []
    unasked = set(said.get("constants") or {}) - set(constant_fields(plan))
    found += [f"constants: {', '.join(sorted(unasked))}"] if unasked else []
    return [*found, *sorted(name for name in said if name not in (*_ASKED, *_OURS))]


def _entry(plan: TypePlan, path: str, before: Any) -> Any:
    """Return what a mapping says of a column: as before if it goes where it went, of several fields the first is asked."""
    entries = before if isinstance(before, list) else [before]
    if path_of_entry(before) == path:
        return before
    return [entry_of(plan, path), *entries[1:]] if len(entries) > 1 else entry_of(plan, path)


def path_of_entry(entry: Any) -> str:
    """Return the field that a column goes into, of several the first; empty for none."""
    first = entry[0] if isinstance(entry, list) and entry else entry
    return str(first.get("field", "")) if isinstance(first, dict) else str(first or "")


def _is_optional(entry: Any) -> bool:
    return all(isinstance(one, dict) and one.get("optional") for one in (entry if isinstance(entry, list) else [entry]))


def _constants(form: MappingOf[str, str], plan: TypePlan, before: MappingOf[str, Any]) -> dict[str, Any]:
    asked = constant_fields(plan)
    said = {name: form[f"constant-{name}"].strip() for name in asked if form.get(f"constant-{name}")}
    kept = {name: value for name, value in before.items() if name not in asked or str(value) == said.get(name)}
    return said | kept


def _match(form: MappingOf[str, str], plan: TypePlan, before: MappingOf[str, Any]) -> list[str]:
    chosen = form.get("match", NONE)
    known = {NONE: [], ID: ["id"], KEY: list(plan.record_type.external_key), KEPT: _listed(before.get("match"))}
    return known.get(chosen, [chosen])


def _listed(match: Any) -> list[str]:
    return [match] if isinstance(match, str) else list(match or ())


def how_read(said: MappingOf[str, str]) -> dict[str, Any]:
    """Return what was said about how a file is to be read."""
    # A tab is a separator, spaces around one are none.
    texts = {name: (said.get(name) or "").strip(" ") for name in ("encoding", "separator", "sheet")}
    return {name: text for name, text in texts.items() if text}


def mapping_of(said: MappingOf[str, Any], file: str, plan: TypePlan) -> Mapping:
    """Return the mapping of one file that a source says.

    Raises:
        InvalidInput: it is no mapping.
    """
    source = {**said, "file": file, "record_type": plan.record_type.name}
    return parse_mapping({"source": [source]}, file, file)


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
