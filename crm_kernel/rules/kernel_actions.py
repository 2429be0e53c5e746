"""What the kernel offers to automation rules: set a field, hand over, note, and perform any action of the record's type.

Each goes through the services that pages and API call: policy, field rules, validation, events and audit hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from marshmallow import Schema, fields, validate

from crm_kernel.access.models import AppUser
from crm_kernel.collaboration.notifications.kinds import RULE
from crm_kernel.collaboration.notifications.services import notify
from crm_kernel.contributions import RuleAction
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.records.payloads import load, load_with
from crm_kernel.records.plan import Kind, TypePlan, plan_of, record_type, record_types
from crm_kernel.records.services import create_record, find_action, run_action, update_record
from crm_kernel.records.texts import Text

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


class SetFieldSchema(Schema):
    """A field and what it is set to, as the API would be sent it; nothing empties it."""

    field = fields.String(
        required=True,
        validate=validate.Length(1, 120),
        metadata={"label": _l("Field"), "help": _l("As the API names it, for example status.")},
    )
    value = fields.Raw(allow_none=True, load_default=None, metadata={"label": _l("Value")})


class HandOverSchema(Schema):
    """Who looks after the record from now on; what is left empty stays."""

    owner = fields.UUID(load_default=None, allow_none=True, metadata={"label": _l("Owner"), "reference": "user"})
    team = fields.UUID(load_default=None, allow_none=True, metadata={"label": _l("Team"), "reference": "team"})


class NoteSchema(Schema):
    """What the timeline of the record's customer shall say."""

    summary = Text(300, required=True, metadata={"label": _l("Summary")})
    body = Text(metadata={"label": _l("Details")})


class NotifySchema(Schema):
    """Who is told, and what: the text is the rule's, not the record's."""

    user = fields.UUID(
        load_default=None,
        allow_none=True,
        metadata={"label": _l("User"), "reference": "user", "help": _l("Empty: the owner of the record.")},
    )
    words = Text(200, required=True, metadata={"label": _l("What is said")})


class PerformSchema(Schema):
    """An action of the record's type with what it asks for."""

    action = fields.String(
        required=True, metadata={"label": _l("Action"), "help": _l("Its name in the API, for example win.")}
    )
    data = fields.Dict(keys=fields.String(), load_default=dict, metadata={"label": _l("Values")})


def rule_actions() -> list[RuleAction]:
    """Return the kernel's own actions of rules."""
    return [
        RuleAction(
            name="kernel.set_field",
            label=_l("Set a field"),
            run=set_field,
            schema=SetFieldSchema,
            check=_check_field,
            applies=lambda found: "update" in found.verbs,
            icon="pencil",
        ),
        RuleAction(
            name="kernel.hand_over",
            label=_l("Hand over"),
            run=hand_over,
            schema=HandOverSchema,
            check=_check_owner,
            applies=lambda found: found.owned and "update" in found.verbs,
            icon="user-check",
        ),
        RuleAction(
            name="kernel.add_note",
            label=_l("Add a note to the timeline"),
            run=add_note,
            schema=NoteSchema,
            applies=lambda found: found.name == "customer" or found.customer is not None,
            icon="note",
        ),
        RuleAction(
            name="kernel.notify",
            label=_l("Notify a user"),
            run=tell,
            schema=NotifySchema,
            check=_check_receiver,
            icon="bell",
        ),
        RuleAction(
            name="kernel.perform",
            label=_l("Perform an action of the record"),
            run=perform,
            schema=PerformSchema,
            check=_check_action,
            applies=lambda found: bool(found.actions),
            icon="bolt",
        ),
    ]


def set_field(uow: UnitOfWork, record: Any, *, field: str, value: Any) -> None:
    """Set one field of a record.

    Raises:
        Forbidden, InvalidInput, Conflict: as for any update.
    """
    update_record(uow, type_of(record), record.uid, _payload(field, value), version=record.version)


def hand_over(uow: UnitOfWork, record: Any, *, owner: UUID | None, team: UUID | None) -> None:
    """Give a record to an owner, a team, or both.

    Raises:
        Forbidden, InvalidInput: as for any update.
    """
    given = {name: str(value) for name, value in (("owner", owner), ("team", team)) if value is not None}
    update_record(uow, type_of(record), record.uid, given, version=record.version)


def add_note(uow: UnitOfWork, record: Any, *, summary: str, body: str | None = None) -> None:
    """Write a note on the timeline of the record's customer.

    Raises:
        Conflict: the record has no customer.
        Forbidden, InvalidInput: as for any new interaction.
    """
    customer = customer_of(uow, record)
    if customer is None:
        raise Conflict(_("The record has no customer whose timeline could hold the note."))
    payload = {"customer": str(customer), "kind": "note", "summary": summary, "body": body}
    create_record(uow, record_type("interaction"), payload)


def tell(uow: UnitOfWork, record: Any, *, user: UUID | None, words: str) -> None:
    """Notify a user, or the record's owner; who may not see the record when he reads is not shown it.

    Raises:
        Conflict: the record has no owner, or the user is gone.
    """
    key = uow.session.scalar(sa.select(AppUser.id).where(AppUser.uid == user)) if user else record.owner_id
    if key is None:
        raise Conflict(_("There is nobody to notify: the record has no owner, or the user is gone."))
    notify(uow, [key], RULE, record, data={"words": words})


def perform(uow: UnitOfWork, record: Any, *, action: str, data: Mapping[str, Any]) -> None:
    """Perform a named action of the record's type.

    Raises:
        NotFound, Forbidden, InvalidInput, Conflict: as for the action itself.
    """
    found = type_of(record)
    run_action(uow, found, record.uid, find_action(found, action), data, version=record.version)


def type_of(record: Any) -> RecordType:
    """Return the record type of a mapped object."""
    return next(found for found in record_types().values() if found.model is type(record))


def _payload(field: str, value: Any) -> dict[str, Any]:
    extension, dot, name = field.partition(".")
    return {"extensions": {extension: {name: value}}} if dot else {field: value}


def _check_field(found: RecordType, params: Mapping[str, Any]) -> None:
    plan = plan_of(found)
    name = params["field"]
    if name not in writable_fields(plan):
        known = ", ".join(writable_fields(plan))
        raise InvalidInput({"field": [_("Found %(found)s, expected one of: %(known)s.", found=name, known=known)]})
    load(plan, _payload(name, params["value"]), partial=True)


def writable_fields(plan: TypePlan) -> list[str]:
    """Return the names of the fields that a rule may set, extensions' as ``bank.risk``."""
    own = [name for name, field in plan.fields.items() if field.writable and field.kind is not Kind.COLLECTION]
    inner = plan.extension_fields.items()
    return own + [
        f"{extension}.{name}" for extension, named in inner for name, field in named.items() if field.writable
    ]


def _check_owner(_found: RecordType, params: Mapping[str, Any]) -> None:
    if params["owner"] is None and params["team"] is None:
        raise InvalidInput({"owner": [_("Name an owner, a team, or both.")]})


def _check_receiver(found: RecordType, params: Mapping[str, Any]) -> None:
    if params["user"] is None and not found.owned:
        raise InvalidInput({"user": [_("Records of this type have no owner: name a user.")]})


def _check_action(found: RecordType, params: Mapping[str, Any]) -> None:
    action = found.action(params["action"])
    if action is None:
        known = ", ".join(listed.name for listed in found.actions)
        message = _("Found %(found)s, expected one of: %(known)s.", found=params["action"], known=known)
        raise InvalidInput({"action": [message]})
    if action.schema is not None:
        load_with(action.schema, params["data"])


def customer_of(uow: UnitOfWork, record: Any) -> UUID | None:
    """Return the public id of the customer that a record is or belongs to, if any; one query at most."""
    found = type_of(record)
    if found.name == "customer":
        uid: UUID = record.uid
        return uid
    customer = record_type("customer").model
    key = getattr(record, found.customer) if found.customer else None
    return None if key is None else uow.session.scalar(sa.select(customer.uid).where(customer.id == key))
