"""Suggests a mapping for a file from the names of its columns: a start to be corrected by hand, printed as TOML."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from flask_babel import force_locale
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.fields import Choice
from crm_kernel.records.importing.mapping import Column, SourceSpec
from crm_kernel.records.importing.matching import match_of
from crm_kernel.records.importing.sources import Source, open_source
from crm_kernel.records.importing.targets import discriminator, known_paths, part_fields, whole_paths
from crm_kernel.records.plan import Kind, TypePlan, plan_of, record_type, record_types
from crm_kernel.text import tokens

#: How alike two names must be, from 0 to 1.
ALIKE = 0.84
#: Words other programs use for our fields, folded.
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "display_name": (
        "name",
        "nom complet",
        "full name",
        "account",
        "account name",
        "company",
        "societe",
        "raison sociale",
    ),
    "given_name": ("first name", "firstname", "prenom", "vorname"),
    "family_name": ("last name", "lastname", "surname", "nom", "nom de famille", "nachname"),
    "contact_points.email": ("email", "e mail", "mail", "email address", "courriel", "adresse e mail"),
    "contact_points.phone": ("phone", "telephone", "tel", "phone number", "numero de telephone", "business phone"),
    "contact_points.mobile": ("mobile", "cell", "cell phone", "portable", "mobile phone", "gsm"),
    "contact_points.web": ("url", "web", "homepage", "site web"),
    "addresses.street": ("street", "address", "adresse", "rue"),
    "addresses.postal_code": ("zip", "zip code", "postcode", "code postal", "cp", "plz"),
    "addresses.city": ("city", "town", "ville"),
    "addresses.country_code": ("country", "country code", "pays"),
    "external_ref": ("external id", "reference", "ref", "key", "code"),
    "amount": ("value", "close value", "montant", "valeur"),
    "unit_price": ("price", "sales price", "prix"),
    "sku": ("product code", "article", "reference produit"),
    "employees": ("headcount", "effectif", "salaries"),
    "annual_revenue": ("revenue", "turnover", "chiffre d affaires", "ca"),
    "birth_date": ("birthday", "born", "dob", "date of birth", "date de naissance", "ne le", "nee le", "geburtsdatum"),
    "owner": ("sales agent", "rep", "commercial", "vendeur"),
}


def suggested_mapping(file: Path, name: str | None = None) -> str:
    """Return a mapping for a file as TOML.

    Args:
        name: the record type; the one most of the columns fit if not given.

    Raises:
        InvalidInput: the file is broken, or its columns fit no record type.
    """
    source = open_source(file)
    plan = plan_of(record_type(name)) if name else _likeliest(source)
    return "\n".join(_lines(source, plan, suggested_source(source, plan)))


def suggested_source(source: Source, plan: TypePlan) -> dict[str, Any]:
    """Return what is proposed for a file, as a source of a mapping file says it: columns, constants, match, mode."""
    columns = _fields_of(source, plan)
    paths = tuple(columns.values())
    mapped = SourceSpec(record_type=plan.record_type.name, columns=tuple(Column(name=p, field=p) for p in paths))
    return {
        "columns": {name: entry_of(plan, path) for name, path in columns.items()},
        "constants": suggested_constants(plan, paths),
        "match": list(match_of(mapped, source, plan)),
        "mode": "upsert",
    }


def entry_of(plan: TypePlan, path: str) -> Any:
    """Return what a mapping says of a column that goes into a field: references are looked up by their title."""
    field = plan.fields.get(path)
    return {"field": path, "lookup": {}} if field is not None and field.kind is Kind.REFERENCE else path


def whole_columns(source: Source) -> set[str]:
    """Return the columns that hold lists or objects, as JSON lines and vCards do: a part of one fits nowhere."""
    return {name for values in source.sample for name, value in values.items() if isinstance(value, list | dict)}


def suggested_fields(columns: tuple[str, ...], plan: TypePlan) -> dict[str, str]:
    """Return column → field path for the columns that are understood; no field twice."""
    names = _names_of(plan)
    found: dict[str, str] = {}
    for exact in (True, False):
        for column in columns:
            word = " ".join(tokens(column))
            path = names.get(word) if exact else _nearest(word, names)
            if column not in found and path is not None and path not in found.values():
                found[column] = path
    _tell_names_apart(found)
    return {column: found[column] for column in columns if column in found}


def suggested_constants(plan: TypePlan, paths: Collection[str]) -> dict[str, str]:
    """Return values of required fields that no column holds, where the fields that columns do hold imply one alone.

    Args:
        paths: the field paths that columns go into. What implies what stands in the metadata ``implied_by`` of a field:
            value → fields.
    """
    found = {}
    for name, field in plan.fields.items():
        implied: Mapping[str, Collection[str]] = field.field.metadata.get("implied_by", {})
        values = [value for value, by in implied.items() if not set(by).isdisjoint(paths)]
        if field.writable and field.field.required and name not in paths and len(values) == 1:
            found[name] = values[0]
    return found


def _fields_of(source: Source, plan: TypePlan) -> dict[str, str]:
    """Return column → field path for a source; a column that holds lists or objects is taken whole, by its own name."""
    whole = whole_columns(source)
    found = suggested_fields(tuple(column for column in source.columns if column not in whole), plan)
    found |= {name: name for name in whole & set(whole_paths(plan))}
    return {column: found[column] for column in source.columns if column in found}


def _tell_names_apart(found: dict[str, str]) -> None:
    """Read a column called name or nom as the family name where another one holds the given name."""
    paths = set(found.values())
    if "given_name" in paths and "family_name" not in paths:
        for column, path in found.items():
            if path == "display_name" and tokens(column) in (["nom"], ["name"]):
                found[column] = "family_name"


def _likeliest(source: Source) -> TypePlan:
    plans = [plan_of(found) for found in record_types().values() if found.importing]
    scores = [(len(_fields_of(source, plan)), plan) for plan in plans]
    best = max((score for score, _plan in scores), default=0)
    if not best:
        message = _("no column is understood: say which records these are with --record.")
        raise InvalidInput({source.name: [message]})
    return next(plan for score, plan in scores if score == best)


def _names_of(plan: TypePlan) -> dict[str, str]:
    """Return folded name → field path: the path itself, its labels in English and French, and known synonyms."""
    found: dict[str, str] = {}
    for path in known_paths(plan):
        for word in (path, *_labels(plan, path), *_SYNONYMS.get(path, ())):
            found.setdefault(" ".join(tokens(word)), path)
    return found


def _labels(plan: TypePlan, path: str) -> Iterator[str]:
    head, _dot, rest = path.partition(".")
    field = plan.fields.get(head) if not rest else plan.extension_fields.get(head, {}).get(rest)
    if rest and field is None and head in plan.fields:
        told = discriminator(part_fields(plan.fields[head]))
        choices = told.field.choices if told is not None and isinstance(told.field, Choice) else {}
        label = choices.get(rest)
    else:
        label = field.label if field is not None else None
    if label is not None:
        for language in ("en", "fr"):
            with force_locale(language):
                yield str(label)


def _nearest(word: str, names: Mapping[str, str]) -> str | None:
    near = difflib.get_close_matches(word, names, 1, ALIKE)
    return names[near[0]] if near else None


def _lines(source: Source, plan: TypePlan, said: Mapping[str, Any]) -> Iterator[str]:
    yield "# Suggested from the names of the columns: correct it, then try it with --dry-run."
    yield "[[source]]"
    yield f"file = {_text(source.name)}"
    yield f"record_type = {_text(plan.record_type.name)}"
    match = said["match"]
    key = json.dumps(list(plan.record_type.external_key) or ["…"], ensure_ascii=False)
    yield f"match = {json.dumps(match)}" if match else f"# match = {key}  # without it every run creates the rows anew"
    for what, how in source.detected.items():
        yield f"# {what}: {' '.join(how.split())}"
    yield ""
    yield "[source.columns]"
    for column in source.columns:
        entry = said["columns"].get(column)
        yield f"{_text(column)} = {_value(entry)}" if entry else f'# {_text(column)} = ""'
    if said["constants"]:
        yield ""
        yield "[source.constants]"
        yield from (f"{name} = {_text(value)}" for name, value in said["constants"].items())
    yield ""


def _value(entry: Any) -> str:
    if isinstance(entry, dict):
        return f'{{ field = {_text(entry["field"])}, lookup = {{ missing = "error" }} }}'
    return _text(entry)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
