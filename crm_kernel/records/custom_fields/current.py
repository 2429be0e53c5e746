"""Which custom fields there are now: read again when their version, a random text in ``setting``, is another one.

Every change of a field writes a new version in its own transaction. A request reads it in the statement that finds the
user, any other unit of work once when it first needs a plan; the fields themselves are read only when it is new. So a
field added by a command shows in a running server with the next request, in every process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from flask import current_app, g
from sqlalchemy.dialects import postgresql, sqlite

from crm_kernel._internal.modules import SettingRow

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.custom_fields.models import CustomField
    from crm_kernel.unit_of_work import UnitOfWork

#: Row of ``setting`` that holds the version.
VERSION = "custom_fields.version"
#: Key of ``app.extensions``.
_HELD = "crm_custom_fields"

#: The version as a subquery for the statement that finds the user.
version_column = (
    sa.select(SettingRow.value).where(SettingRow.name == VERSION).scalar_subquery().label("custom_fields_version")
)
_READ_VERSION = sa.select(SettingRow.value).where(SettingRow.name == VERSION)


@dataclass(frozen=True, slots=True)
class Declared:
    """A custom field as plans use it: the columns of ``custom_field`` without a session."""

    record_type: str
    name: str
    kind: str
    labels: Mapping[str, str]
    help: Mapping[str, str]
    choices: tuple[Mapping[str, Any], ...]
    target: str | None
    multiline: bool
    required: bool
    default: Any
    section: str | None
    listed: bool
    searchable: bool
    indexed: bool = False


@dataclass(slots=True)
class Held:
    """What one process knows: the fields in use by record type, at one version, and what was made of them."""

    #: Empty for an instance that never had a custom field.
    version: str = ""
    fields: Mapping[str, tuple[Declared, ...]] = field(default_factory=dict)
    #: Target → (record type, name) of the references to it, archived ones and those of modules that are away too.
    references: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    #: Plans and documents made from these fields.
    made: dict[Any, Any] = field(default_factory=dict)


def held() -> Held:
    """Return the custom fields of the unit of work that is open, else those last seen by this process.

    At most one query per unit of work, none in a request; two when there was a change.
    """
    uow: UnitOfWork | None = g.get("crm_uow")
    known: Held = current_app.extensions.setdefault(_HELD, Held())
    if uow is None:
        return known
    if uow.custom_fields is None:
        uow.custom_fields = version_of(uow.session.execute(_READ_VERSION).scalar())
    if uow.custom_fields == known.version:
        return known
    found = _read(uow) if uow.custom_fields else Held()
    current_app.extensions[_HELD] = found
    return found


def version_of(value: Any) -> str:
    """Return the version in a row of ``setting``; empty without one."""
    return str(value.get("id", "")) if isinstance(value, Mapping) else ""


def learn_fields(actor: Actor) -> None:
    """Make plans that are made with no unit of work open know the custom fields there are now; one query.

    For what begins outside of any: an export, an import. Within a unit of work there is nothing to do.
    """
    from crm_kernel.unit_of_work import reading

    if g.get("crm_uow") is None:
        with reading(actor):
            held()


def raise_version(uow: UnitOfWork) -> None:
    """Make every process read the fields again, from this transaction's commit on, and this unit of work at once."""
    uow.session.flush()
    uow.custom_fields = raised_version(uow.session.connection())


def raised_version(connection: sa.Connection) -> str:
    """Do what ``raise_version`` does where there is no unit of work, and return the new version."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    value = {"id": uuid4().hex}
    statement = insert(SettingRow).values(name=VERSION, value=value)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))
    return value["id"]


def _read(uow: UnitOfWork) -> Held:
    from crm_kernel.records.custom_fields.models import CustomField

    table: Any = sa.inspect(CustomField).local_table
    rows = uow.session.connection().execute(
        sa.select(table).order_by(table.c.record_type, table.c.position, table.c.id)
    )
    found: dict[str, tuple[Declared, ...]] = {}
    references: dict[str, tuple[tuple[str, str], ...]] = {}
    for row in rows:
        if row.target is not None:
            references[row.target] = (*references.get(row.target, ()), (row.record_type, row.name))
        if row.archived_at is None:
            found[row.record_type] = (*found.get(row.record_type, ()), declared(row))
    return Held(str(uow.custom_fields), found, references)


def declared(row: CustomField | Any) -> Declared:
    """Return a row of ``custom_field`` as a plain value."""
    return Declared(
        record_type=row.record_type,
        name=row.name,
        kind=row.kind,
        labels=dict(row.labels),
        help=dict(row.help or {}),
        choices=tuple(row.choices or ()),
        target=row.target,
        multiline=row.multiline,
        required=row.required,
        default=row.default,
        section=row.section,
        listed=row.listed,
        searchable=row.searchable,
        indexed=row.indexed,
    )
