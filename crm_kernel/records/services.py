"""Writes records for every channel in one fixed order: policy, schema, references, plugins' rules, service, extensions.

Nothing is written before the last check has passed. The type's own service functions do the writing; types that have
none get the generic ones below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from crm_kernel.access.field_access import payload_names, refuse_locked
from crm_kernel.access.policy import authorize
from crm_kernel.errors import Conflict, InvalidInput, NotFound, PreconditionRequired, StaleVersion
from crm_kernel.records.custom_fields.values import apart, born_with, forget_references, set_values
from crm_kernel.records.ownership import with_owners
from crm_kernel.records.payloads import load, load_with, resolve_all
from crm_kernel.records.plan import plan_of
from crm_kernel.records.reading import record_of
from crm_kernel.records.record_type import Action, RecordType
from crm_kernel.records.storing import generic_create, generic_update, unique_conflicts, write_extensions

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def create_record(uow: UnitOfWork, record_type: RecordType, payload: Mapping[str, Any]) -> Any:
    """Create a record from raw input and return its mapped object, flushed.

    Raises:
        Forbidden: the actor may not create records of this type.
        InvalidInput: fields are unknown, missing or wrong, or a plugin refuses them.
        Conflict: a unique value is taken.
    """
    authorize(uow.actor, record_type.permission("create"))
    refuse_locked(uow.actor, record_type.name, payload_names(payload))
    plan = plan_of(record_type)
    data, extensions = load(plan, payload)
    resolve_all(uow, plan, data, extensions)
    _default_owner(uow, record_type, data)
    ask_plugins(uow, record_type, None, data)
    own, custom = apart(data)
    with unique_conflicts():
        create = record_type.services.create
        with born_with(uow, plan, custom):
            record = create(uow, own) if create else generic_create(uow, record_type, own)
        uow.session.flush()
        write_extensions(uow, plan, record.id, extensions)
    return record


def update_record(
    uow: UnitOfWork, record_type: RecordType, uid: UUID, payload: Mapping[str, Any], *, version: int | None
) -> Any:
    """Change the given fields of a record and return its mapped object, flushed.

    Raises:
        NotFound: there is none, or none the actor may see.
        Forbidden: the actor may see but not change it.
        PreconditionRequired: no version was given.
        StaleVersion: the record is not at that version any more.
        InvalidInput, Conflict: as for ``create_record``.
    """
    record = record_of(uow, record_type, uid)
    authorize(uow.actor, record_type.permission("update"), record)
    refuse_locked(uow.actor, record_type.name, payload_names(payload))
    check_version(record, version)
    plan = plan_of(record_type)
    changes, extensions = load(plan, payload, partial=True)
    resolve_all(uow, plan, changes, extensions)
    ask_plugins(uow, record_type, record, changes)
    already = set(uow.touched)
    own, custom = apart(changes)
    with unique_conflicts():
        update = record_type.services.update
        beside = set_values(plan, record, custom)
        if update:
            update(uow, record, own)
        else:
            generic_update(uow, record_type, record, own)
        uow.session.flush()
        beside += write_extensions(uow, plan, record.id, extensions)
        if uow.touched - already - {record} and record not in uow.touched - already:
            # Only parts or extensions changed: they belong to the representation, so its version must move too.
            record.updated_at = uow.now
            uow.session.flush()
    if beside and record_type.updated:
        uow.record(record_type.updated(record, beside))
    return record


def delete_record(uow: UnitOfWork, record_type: RecordType, uid: UUID, *, version: int | None) -> None:
    """Delete a record.

    Raises:
        NotFound, Forbidden, PreconditionRequired, StaleVersion: as for ``update_record``.
        Conflict: other records need it.
    """
    record = record_of(uow, record_type, uid)
    authorize(uow.actor, record_type.permission("delete"), record)
    check_version(record, version)
    forget_references(uow, record_type, [record.id])
    try:
        if record_type.services.delete:
            record_type.services.delete(uow, record)
        else:
            uow.session.delete(record)
        uow.session.flush()
    except sa.exc.IntegrityError as error:
        raise Conflict(_("This record is still used by others and cannot be deleted.")) from error


def run_action(
    uow: UnitOfWork,
    record_type: RecordType,
    uid: UUID,
    action: Action,
    payload: Mapping[str, Any],
    *,
    version: int | None,
) -> Any:
    """Perform a named action on a record and return its mapped object, flushed.

    What an action's schema calls as a field of the record is one: who may not write that field may not give it here.

    Raises:
        NotFound, Forbidden, PreconditionRequired, StaleVersion, InvalidInput: as for ``update_record``.
        Conflict: the record's state does not allow the action.
    """
    record = record_of(uow, record_type, uid)
    authorize(uow.actor, record_type.permission(action.name), record)
    refuse_locked(uow.actor, record_type.name, payload_names(payload))
    check_version(record, version)
    data = load_with(action.schema, payload) if action.schema else {}
    action.service(uow, record, **data)
    uow.session.flush()
    return record


def check_version(record: Any, version: int | None) -> None:
    """Refuse a change that does not say which version it is based on, or bases on an older one."""
    if version is None:
        raise PreconditionRequired(_("Send the version you read in If-Match, as the ETag gave it."))
    if version != record.version:
        raise StaleVersion(_("Somebody else changed this record meanwhile: load it again and repeat your change."))


def _default_owner(uow: UnitOfWork, record_type: RecordType, data: dict[str, Any]) -> None:
    data.update(with_owners(uow, record_type, [data])[0])


def ask_plugins(uow: UnitOfWork, record_type: RecordType, record: Any, changes: Mapping[str, Any]) -> None:
    """Ask ``crm_validate`` of every module about changes to a record, or about a new one (None).

    Raises:
        InvalidInput: one of them refuses.
    """
    from crm_kernel._internal.runtime import runtime_of

    errors: dict[str, list[str]] = {}
    manager = runtime_of(current_app).manager
    answers = manager.call("crm_validate", uow=uow, record_type=record_type, record=record, changes=changes)
    for _plugin, refused in answers:
        for name, messages in (refused or {}).items():
            errors.setdefault(name, []).extend(messages)
    if errors:
        raise InvalidInput(errors)


def find_action(record_type: RecordType, name: str) -> Action:
    """Return an action by name.

    Raises:
        NotFound: the type has no such action.
    """
    found = record_type.action(name)
    if found is None:
        known = ", ".join(action.name for action in record_type.actions) or _("none")
        raise NotFound(
            _("%(type)s has no action %(name)s; known: %(known)s.", type=record_type.label, name=name, known=known)
        )
    return found
