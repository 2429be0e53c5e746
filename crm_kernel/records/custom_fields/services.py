"""Declares, changes, archives and removes custom fields; what is already in rows decides what is allowed.

Labels, help, order, section, and whether a field is required, listed, searched or indexed change at any time. Choices
may be added, renamed and put in another order; one that rows use is not taken away. Name, record type and kind never
change. An archived field is out of every page and answer and keeps its values; only ``remove_field`` deletes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.policy import authorize
from crm_kernel.database import db
from crm_kernel.errors import Conflict, NotFound
from crm_kernel.records.custom_fields import checks, indexes
from crm_kernel.records.custom_fields.current import raise_version
from crm_kernel.records.custom_fields.indexing import start_index, table_of
from crm_kernel.records.custom_fields.json_value import json_value, without
from crm_kernel.records.custom_fields.kinds import STORED, WITH_CHOICES, FieldKind
from crm_kernel.records.custom_fields.models import CustomField
from crm_kernel.records.plan import record_type, record_types
from crm_kernel.records.storing import set_changed
from crm_kernel.unit_of_work import UnitOfWork

#: Where ``move_field`` moves a field within its section.
Way = Literal["up", "down"]
#: What ``change_field`` takes, and ``add_field`` beside name, record type and kind.
CHANGEABLE = (
    "labels", "help", "choices", "required", "default", "section", "position", "listed", "searchable", "indexed",
)  # fmt: skip
#: What only ``add_field`` takes.
FIXED = ("target", "multiline")


def fields_of(uow: UnitOfWork, host: str | None = None) -> list[CustomField]:
    """Return the custom fields of one record type or of all, archived ones included, in order; one query."""
    query = sa.select(CustomField).order_by(CustomField.record_type, CustomField.position, CustomField.id)
    return list(uow.session.scalars(query if host is None else query.where(CustomField.record_type == host)))


def field_named(uow: UnitOfWork, host: str, name: str) -> CustomField:
    """Return one custom field; the prefix ``cf_`` may be left out.

    Raises:
        NotFound: there is none; the text lists those there are.
    """
    wanted = checks.full_name(name)
    found = fields_of(uow, host)
    for field in found:
        if field.name == wanted:
            return field
    known = ", ".join(field.name for field in found) or _("none")
    message = _("%(type)s has no custom field %(name)s; known: %(known)s.", type=host, name=wanted, known=known)
    raise NotFound(message)


def add_field(uow: UnitOfWork, host: str, name: str, kind: str, **options: Any) -> CustomField:
    """Declare a custom field and return it, flushed; it is there from this commit on, in every process.

    Args:
        options: ``labels`` and ``help`` (language → text), ``choices`` (``[{"value", "labels"}]``), ``target``,
            ``multiline``, ``required``, ``default``, ``section``, ``position``, ``listed``, ``searchable``, ``indexed``
            (of a reference always).

    Raises:
        Forbidden: the actor may not create custom fields.
        NotFound: there is no such record type.
        InvalidInput: an option is unknown, missing or wrong; names each.
        Conflict: the name is taken, by an archived field or one of the record type too.
    """
    authorize(uow.actor, "custom_field.create")
    checks.refuse_unknown(options, (*CHANGEABLE, *FIXED))
    found = record_type(host)
    wanted = checks.full_name(name)
    checks.check_name(wanted)
    checks.check_kind(kind)
    if any(wanted == field.name for field in fields_of(uow, host)) or wanted in found.schema._declared_fields:
        raise Conflict(_("%(type)s has a field %(name)s already; archived ones count.", type=host, name=wanted))
    row = CustomField(record_type=host, name=wanted, kind=kind, **_settled(uow, host, wanted, kind, options))
    checks.check_field(row)
    uow.session.add(row)
    uow.session.flush()
    _told(uow, row)
    return row


def change_field(uow: UnitOfWork, field: CustomField, changes: Mapping[str, Any]) -> None:
    """Change a custom field's options; see ``CHANGEABLE``.

    Raises:
        Forbidden: the actor may not change custom fields.
        InvalidInput: an option is unknown or wrong, or never changes.
        Conflict: rows use a choice that would go.
    """
    authorize(uow.actor, "custom_field.update")
    checks.refuse_unknown(changes, CHANGEABLE)
    gone = _gone_choices(field, changes)
    set_changed(field, changes)
    checks.check_field(field)
    with uow.session.no_autoflush:
        _refuse_used(uow, field, gone)
    uow.session.flush()
    _told(uow, field)


def archive_field(uow: UnitOfWork, field: CustomField) -> None:
    """Take a custom field out of use; its values stay in the rows and come back with ``restore_field``.

    Raises:
        Forbidden: the actor may not change custom fields.
    """
    authorize(uow.actor, "custom_field.update")
    field.archived_at = field.archived_at or uow.now
    _told(uow, field)


def restore_field(uow: UnitOfWork, field: CustomField) -> None:
    """Take an archived custom field into use again, with the values it had.

    Raises:
        Forbidden: the actor may not change custom fields.
    """
    authorize(uow.actor, "custom_field.update")
    field.archived_at = None
    _told(uow, field)


def remove_field(uow: UnitOfWork, field: CustomField) -> int:
    """Delete an archived custom field with all its values and return how many rows had one.

    Values are deleted without audit rows of their own; the row that tells of the field's deletion names it.

    Raises:
        Forbidden: the actor may not delete custom fields.
        Conflict: it is still in use.
    """
    authorize(uow.actor, "custom_field.delete")
    if field.archived_at is None:
        command = f"crm fields archive {field.record_type} {field.name}"
        raise Conflict(_("%(name)s is in use. Archive it first: %(command)s", name=field.name, command=command))
    number = _delete_values(uow, field)
    uow.session.delete(field)
    field.indexed = False
    _told(uow, field)
    return number


def rows_with_value(uow: UnitOfWork, field: CustomField) -> int:
    """Return how many rows hold a value; reads the table."""
    table, value = _table(field), value_column(field)
    return uow.session.execute(sa.select(sa.func.count()).select_from(table).where(value.is_not(None))).scalar_one()


def value_column(field: CustomField) -> Any:
    """Return the expression over its record type's table that holds the field's value, typed."""
    return json_value(_table(field).c.custom, field.name, STORED[FieldKind(field.kind)][1])


def move_field(uow: UnitOfWork, field: CustomField, way: Way) -> bool:
    """Move a field before or behind its neighbour in the same section; say whether there was one.

    Raises:
        Forbidden: the actor may not change custom fields.
    """
    authorize(uow.actor, "custom_field.update")
    ordered = fields_of(uow, field.record_type)
    section = [f for f in ordered if f.section == field.section and f.archived_at is None]
    if field not in section:
        return False
    place = section.index(field) + (-1 if way == "up" else 1)
    if not 0 <= place < len(section):
        return False
    here, there = ordered.index(field), ordered.index(section[place])
    ordered[here], ordered[there] = ordered[there], ordered[here]
    positions = sorted({f.position for f in ordered})
    if len(positions) < len(ordered):  # some stand at the same place, in the order they were made
        positions = [10 * number for number in range(1, len(ordered) + 1)]
    for found, position in zip(ordered, positions, strict=True):
        set_changed(found, {"position": position})
    uow.session.flush()
    raise_version(uow)
    return True


def _settled(uow: UnitOfWork, host: str, name: str, kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with a label, the next position, and the index of a reference."""
    settled = {key: value for key, value in options.items() if value is not None}
    if "position" not in settled:
        last = sa.select(sa.func.max(CustomField.position)).where(CustomField.record_type == host)
        settled["position"] = (uow.session.execute(last).scalar() or 0) + 10
    words = name.removeprefix("cf_").replace("_", " ").capitalize()
    return {"labels": {"en": words}, "indexed": kind == FieldKind.REFERENCE, **settled}


def _gone_choices(field: CustomField, changes: Mapping[str, Any]) -> list[str]:
    if "choices" not in changes or field.kind not in WITH_CHOICES:
        return []
    kept = {choice.get("value") for choice in changes["choices"] or () if isinstance(choice, Mapping)}
    return [choice["value"] for choice in field.choices or () if choice["value"] not in kept]


def _refuse_used(uow: UnitOfWork, field: CustomField, values: list[str]) -> None:
    if not values:
        return
    value = value_column(field)
    used = (
        sa.select(sa.func.count())
        .select_from(_table(field))
        .where(value.in_([v if field.kind == "choice" else [v] for v in values]))
    )
    number = uow.session.execute(used).scalar_one()
    if number:
        message = _("%(number)s records use what would go: %(values)s. Change these records first.")
        raise Conflict(message % {"number": number, "values": ", ".join(values)})


def _told(uow: UnitOfWork, field: CustomField) -> None:
    """Make every process read the fields again, and the database's index follow once this is committed."""
    raise_version(uow)
    if field.record_type not in record_types():
        return
    table, name, kind = table_of(field), field.name, field.kind
    engine, wanted = db.engine, field.keeps_index
    if wanted and uow.channel == "web":
        # A page answers at once; whoever waits at a command line learns of a failure there.
        start_index(uow, field)
    elif wanted:
        uow.after_commit(lambda: indexes.create_index(engine, table, name, kind))
    else:
        uow.after_commit(lambda: indexes.drop_index(engine, table, name))


def _table(field: CustomField) -> Any:
    return sa.inspect(record_type(field.record_type).model).local_table


def _delete_values(uow: UnitOfWork, field: CustomField) -> int:
    """Take the field's keys out of all rows in one statement."""
    names = [field.name, f"{field.name}_currency"] if field.kind == FieldKind.MONEY else [field.name]
    table = _table(field)
    column: Any = table.c.custom
    rest = without(column, names, sqlite=uow.session.get_bind().dialect.name == "sqlite")
    found = sa.or_(*(json_value(column, name, sa.String()).is_not(None) for name in names))
    result: Any = uow.session.connection().execute(sa.update(table).where(found).values(custom=rest))
    uow.session.expire_all()
    return int(result.rowcount)
