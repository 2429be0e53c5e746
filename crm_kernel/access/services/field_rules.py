"""Rules for single fields: what the holders of a role neither see nor write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.field_access import HIDDEN, READ, hidden_fields, refuse_locked
from crm_kernel.access.models import FieldRule, Role
from crm_kernel.access.services.limits import refuse_taking_fields
from crm_kernel.access.services.roles import ADMINISTRATOR
from crm_kernel.errors import Conflict, InvalidInput, NotFound

if TYPE_CHECKING:
    from crm_kernel.records.plan import TypePlan
    from crm_kernel.unit_of_work import UnitOfWork

#: Beside an amount stands the name of its currency: it goes with it.
_CURRENCY = "_currency"


def restrict_field(uow: UnitOfWork, role: Role, record_type: str, field: str, access: str) -> None:
    """Let a role's holders not see (``hidden``) or not write (``read``) a field, in place of what was said before.

    Raises:
        NotFound: there is no such record type.
        InvalidInput: it has no such field, or records cannot be listed without it; names ``field`` or ``access``.
        Conflict: the role is the administrator's, who sees everything.
        Forbidden: it is to be read only, and the actor's own roles hide it; or the role grants more than he holds himself.
    """
    from crm_kernel.records import plan

    if role.name == ADMINISTRATOR:
        raise Conflict(_("The role %(role)s sees and writes every field.", role=role.name))
    if access not in (HIDDEN, READ):
        message = _("Found %(found)s, expected one of: %(known)s.", found=access, known=f"{HIDDEN}, {READ}")
        raise InvalidInput({"access": [message]})
    if access == READ and field in hidden_fields(uow.actor, record_type):
        refuse_locked(uow.actor, record_type, [field])
    refuse_taking_fields(uow, role)
    found = plan.plan_of(plan.record_type(record_type))
    _check_field(found, field, access)
    for name in _together(found, field):
        known = _rule_of(uow, role, record_type, name)
        if known is None:
            uow.session.add(FieldRule(role_id=role.id, record_type=record_type, field=name, access=access))
        else:
            known.access = access
    uow.session.flush()


def free_field(uow: UnitOfWork, role: Role, record_type: str, field: str) -> None:
    """Take a rule for a field from a role; holds from the next request on.

    Raises:
        NotFound: the role has no such rule.
        Forbidden: the actor's own roles restrict the field.
    """
    refuse_locked(uow.actor, record_type, [field])
    found = [_rule_of(uow, role, record_type, name) for name in (field, field + _CURRENCY)]
    if found[0] is None:
        place = f"{record_type}.{field}"
        raise NotFound(_("The role %(role)s has no rule for %(field)s.", role=role.name, field=place))
    for rule in found:
        if rule is not None:
            uow.session.delete(rule)
    uow.session.flush()


def field_rules_of(uow: UnitOfWork, role: Role) -> list[FieldRule]:
    """Return the rules of a role by record type and field; one query."""
    query = sa.select(FieldRule).where(FieldRule.role_id == role.id)
    return list(uow.session.scalars(query.order_by(FieldRule.record_type, FieldRule.field)))


def _check_field(plan: TypePlan, field: str, access: str) -> None:
    extension, dot, name = field.partition(".")
    known = plan.extension_fields.get(extension, {}) if dot else plan.fields
    if (name if dot else field) not in known:
        listed = [*plan.fields, *(f"{e}.{n}" for e, own in plan.extension_fields.items() for n in own)]
        text = _("Found %(found)s, expected one of: %(known)s.", found=field, known=", ".join(listed))
        raise InvalidInput({"field": [text]})
    kind = plan.record_type
    needed = {kind.title, kind.default_sort.removeprefix("-"), kind.board.field if kind.board else kind.title}
    needed |= set(plan.fields[kind.title].field.metadata.get("made_of", ())) if kind.title in plan.fields else set()
    if access == HIDDEN and field in needed:
        text = _("Lists of %(type)s are named, ordered or divided by it: it can be read only.", type=kind.label_plural)
        raise InvalidInput({"field": [text]})


def _together(plan: TypePlan, field: str) -> list[str]:
    return [field, field + _CURRENCY] if field.startswith("cf_") and field + _CURRENCY in plan.fields else [field]


def _rule_of(uow: UnitOfWork, role: Role, record_type: str, field: str) -> FieldRule | None:
    wanted = sa.select(FieldRule).where(
        FieldRule.role_id == role.id, FieldRule.record_type == record_type, FieldRule.field == field
    )
    return uow.session.execute(wanted).scalar_one_or_none()
