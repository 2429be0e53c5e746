"""Checks the inner consistency of records at registration, naming the item and the field."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from flask import Blueprint

from crm_kernel.errors import RegistrationError
from crm_kernel.records.record_type import VERBS, Extension, RecordType


def check_record_type(plugin: str, record_type: RecordType) -> None:
    """Refuse a record type that names unknown fields, or whose model lacks the columns every record has.

    Raises:
        RegistrationError: naming the record type, the attribute, what was found and what is expected.
    """
    item = f"RecordType {record_type.name}"
    mapper = sa.inspect(record_type.model, raiseerr=False)
    if mapper is None:
        raise RegistrationError(plugin, f"{item}.model", found=record_type.model, expected="a mapped class")
    for column in ("id", "uid", "version"):
        if column not in mapper.columns:
            raise RegistrationError(plugin, f"{item}.model", found=record_type.model.__name__, expected="RecordMixin")
    known = set(record_type.schema._declared_fields) | {"id", "created_at", "updated_at"}
    used = {
        "title": (record_type.title,),
        "columns": record_type.columns,
        "filters": record_type.filters,
        "sorts": record_type.sorts,
        "default_sort": (record_type.default_sort.lstrip("-"),),
        "search": record_type.search,
        "external_key": record_type.external_key,
        "form": tuple(name for section in record_type.form for name in section.fields),
        "calendar": tuple(name for dates in record_type.calendar for name in (dates.start, dates.end) if name),
        "board": (record_type.board.field, *record_type.board.card) if record_type.board else (),
    }
    for attribute, names in used.items():
        _refuse_unknown(plugin, f"{item}.{attribute}", names, known)
    if record_type.board and record_type.board.field not in record_type.filters:
        # The rest of a column is the list filtered by it.
        found, expected = record_type.board.field, f"one of its filters: {', '.join(record_type.filters) or 'none'}"
        raise RegistrationError(plugin, f"{item}.board.field", found=found, expected=expected)
    if record_type.in_use is not None and record_type.customer is None:
        expected = "customer: the attribute with the key of the customer that a row in use keeps"
        raise RegistrationError(plugin, f"{item}.in_use", found="no customer", expected=expected)
    _refuse_unknown(plugin, f"{item}.verbs", record_type.verbs, set(VERBS))
    _refuse_unknown(plugin, f"{item}.seen_with", (record_type.seen_with or "read",), set(record_type.verbs))


def check_extension(plugin: str, extension: Extension, hosts: Mapping[str, RecordType]) -> None:
    """Refuse an extension of an unknown host, with unknown fields, or whose table would block deleting the host.

    Raises:
        RegistrationError: naming the extension, the attribute, what was found and what is expected.
    """
    item = f"Extension {extension.name} of {extension.host}"
    if extension.host not in hosts:
        raise RegistrationError(
            plugin, f"{item}.host", found=extension.host, expected=f"one of {', '.join(sorted(hosts))}"
        )
    known = set(extension.schema._declared_fields)
    for attribute in ("form", "filters", "columns", "sorts"):
        _refuse_unknown(plugin, f"{item}.{attribute}", getattr(extension, attribute), known)
    table = sa.inspect(extension.model).local_table
    keys = list(table.primary_key.columns)
    host_table = sa.inspect(hosts[extension.host].model).local_table.name
    references = [key for column in keys for key in column.foreign_keys]
    if len(keys) != 1 or not any(key.target_fullname == f"{host_table}.id" for key in references):
        raise RegistrationError(
            plugin, f"{item}.model", found=table.name, expected=f"a primary key that references {host_table}.id"
        )
    if not all((key.ondelete or "").upper() == "CASCADE" for key in references):
        raise RegistrationError(
            plugin, f"{item}.model", found=table.name, expected="ON DELETE CASCADE on its primary key"
        )


def check_address(plugin: str, blueprint: Blueprint) -> None:
    """Refuse a blueprint that would be mounted among the pages of others.

    Raises:
        RegistrationError: naming the blueprint, its prefix, and where it may be.
    """
    prefix, homes = blueprint.url_prefix, (f"/{plugin}", f"/api/{plugin}")
    if prefix and not any(prefix == home or prefix.startswith(f"{home}/") for home in homes):
        raise RegistrationError(
            plugin,
            f"blueprint {blueprint.name}.url_prefix",
            found=prefix,
            expected=f"none (then it is {homes[0]}), or {homes[0]} for pages, {homes[1]} for JSON, or below these",
        )


def _refuse_unknown(plugin: str, item: str, names: tuple[str, ...], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise RegistrationError(plugin, item, found=name, expected=f"one of {', '.join(sorted(known))}")
