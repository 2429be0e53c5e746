"""Tells which fields of a type a user's roles keep from him, and why one of them is hidden or only read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.field_access import hidden_fields, locked_fields
from crm_kernel.access.models import FieldRule, Role, UserRole
from crm_kernel.errors import InvalidInput
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.plan import plan_of

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.access.models import AppUser
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Verbs that only show fields; every other one writes them.
SHOWING = ("read", "export")


@dataclass(frozen=True, slots=True)
class Step:
    """One rule and its answer."""

    #: ``user``, ``token``, ``permission``, ``grant``, ``reach``, ``visibility``, ``verdict``, ``limit``, ``fields``
    #: or ``field``.
    rule: str
    #: Whose it is: a role, a plugin, a record type, a token's prefix.
    source: str
    #: True lets through, False refuses, None has no say.
    answer: bool | None
    text: str


def check_field(record_type: RecordType | None, permission: str, field: str) -> None:
    """Refuse a field that the permission's type does not have.

    Raises:
        InvalidInput: naming what is known.
    """
    if record_type is None:
        message = _("%(permission)s is not a permission of a record type: leave the field out.", permission=permission)
        raise InvalidInput({"field": [message]})
    plan = plan_of(record_type)
    inner = [f"{extension}.{name}" for extension, fields in plan.extension_fields.items() for name in fields]
    known = [*plan.fields, *inner]
    if field not in known:
        message = _("Unknown field %(found)s; known: %(known)s.", found=field[:80], known=", ".join(sorted(known)))
        raise InvalidInput({"field": [message]})


def field_steps(
    uow: UnitOfWork, user: AppUser, actor: Actor, record_type: RecordType, permission: str, field: str | None
) -> Iterator[Step]:
    """Yield what the roles say of fields: a summary, or each role's rule on one field and what is left of it. One query."""
    hidden = hidden_from(actor, plan_of(record_type)) | hidden_fields(actor, record_type.name)
    locked = locked_fields(actor, record_type.name) - hidden
    if field is None:
        if hidden:
            yield Step("fields", record_type.name, None, _("Not shown: %(names)s.", names=", ".join(sorted(hidden))))
        if locked:
            yield Step("fields", record_type.name, None, _("Only read: %(names)s.", names=", ".join(sorted(locked))))
        return
    yield from _role_steps(uow, user, record_type, field)
    shows = permission.rpartition(".")[2] in SHOWING
    if field in hidden:
        yield Step("field", field, False, _("The field is not shown, and not written."))
    elif field in locked:
        yield Step("field", field, shows, _("The field is shown, and not written."))
    else:
        yield Step("field", field, True, _("No rule of all the roles together narrows the field."))


def _role_steps(uow: UnitOfWork, user: AppUser, record_type: RecordType, field: str) -> Iterator[Step]:
    about = sa.and_(FieldRule.role_id == Role.id, FieldRule.record_type == record_type.name, FieldRule.field == field)
    query = (
        sa.select(Role.name, FieldRule.access).join(UserRole, UserRole.role_id == Role.id).outerjoin(FieldRule, about)
    )
    texts = {
        "hidden": _("Hides the field."),
        "read": _("Shows the field, without writing."),
        None: _("Leaves the field."),
    }
    for name, access in uow.session.execute(query.where(UserRole.user_id == user.id).order_by(Role.name)):
        yield Step("fields", name, None, texts[access])
