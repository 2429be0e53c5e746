"""What a change of a custom field would do, in sentences, before anybody does it.

The change itself is tried on a savepoint by the service that would do it, so that a preview never says yes to what is
refused later. The sentences name what the rows, views, rules and roles there are would notice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _
from flask_babel import ngettext

from crm_kernel.access.field_access import hidden_fields
from crm_kernel.access.models import FieldRule
from crm_kernel.access.policy import visible
from crm_kernel.records.custom_fields.kinds import FieldKind
from crm_kernel.records.custom_fields.models import CustomField
from crm_kernel.records.custom_fields.services import rows_with_value, value_column
from crm_kernel.records.plan import record_type
from crm_kernel.records.saved_views.models import SavedView
from crm_kernel.rules.models import Rule

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Values shown of those that would be lost.
SAMPLE = 5


@dataclass(frozen=True, slots=True)
class Losses:
    """What goes with a custom field."""

    #: Rows with a value.
    rows: int
    #: Some of the values, of records that whoever asks may see.
    sample: tuple[str, ...]
    #: Saved views and automation rules that speak of the field, other people's own ones too: hence only how many.
    views: int
    rules: int
    #: Roles that hide it or let it be read only.
    roles: int


def consequences(
    uow: UnitOfWork, field: CustomField | None, host: str, kind: str, after: Mapping[str, Any]
) -> list[str]:
    """Return what adding a field (None) or changing one would mean for the records there are; a count of the table.

    Args:
        after: the options that are new or another than before.
    """
    number = _count(uow, host)
    said = []
    if field is None:
        said.append(_("It appears at once in forms, pages, filters, import, export and API of %(type)s.",
                      type=record_type(host).label_plural))  # fmt: skip
    if after.get("required"):
        said.append(
            ngettext(
                "New records need a value; the %(num)s record there is stays valid until somebody changes this field.",
                "New records need a value; the %(num)s records there are stay valid until somebody changes this field.",
                number,
            )
        )
    if after.get("default") is not None:
        said.append(_("New records start with the default; what is there keeps what it has."))
    if after.get("indexed") or (field is None and kind == FieldKind.REFERENCE):
        said.append(
            ngettext(
                "A job makes an index over %(num)s record; lists use it once it is ready.",
                "A job makes an index over %(num)s records; lists use it once it is ready.",
                number,
            )
        )
    if "indexed" in after and field is not None and not after["indexed"]:
        said.append(_("The index goes: filters and orders by this field read the whole table."))
    if after.get("listed"):
        said.append(_("Lists get one more column, except where a saved view says which columns it has."))
    if field is not None and "choices" in after:
        said.append(_("Choices that records hold stay; a choice that is used cannot go."))
    return said


def losses(uow: UnitOfWork, field: CustomField) -> Losses:
    """Return what archiving hides and removing deletes; reads the table once, and views and rules of the type."""
    rules = sa.select(sa.func.count(sa.distinct(FieldRule.role_id)))
    restricted = rules.where(FieldRule.record_type == field.record_type, FieldRule.field == field.name)
    return Losses(
        rows_with_value(uow, field),
        _sample(uow, field),
        _speaking(uow, SavedView, field, SavedView.query, SavedView.columns),
        _speaking(uow, Rule, field, Rule.condition, Rule.actions),
        uow.session.execute(restricted).scalar_one(),
    )


def _speaking(uow: UnitOfWork, model: Any, field: CustomField, *places: Any) -> int:
    speaks = [sa.cast(place, sa.Text).contains(field.name, autoescape=True) for place in places]
    query = sa.select(sa.func.count()).where(model.record_type == field.record_type, sa.or_(*speaks))
    return uow.session.execute(query).scalar_one()


def _sample(uow: UnitOfWork, field: CustomField) -> tuple[str, ...]:
    host = record_type(field.record_type)
    if field.kind == FieldKind.REFERENCE or field.name in hidden_fields(uow.actor, host.name):
        return ()  # of a reference the key is stored, which means nothing to people
    value = value_column(field)
    query = sa.select(value).select_from(host.model).where(value.is_not(None), visible(uow.actor, host))
    return tuple(_text(found) for found in uow.session.scalars(query.order_by(host.model.id.desc()).limit(SAMPLE)))


def _text(value: Any) -> str:
    parts: Sequence[Any] = value if isinstance(value, list) else [value]
    return ", ".join(str(part) for part in parts)[:80]


def _count(uow: UnitOfWork, host: str) -> int:
    return uow.session.execute(sa.select(sa.func.count()).select_from(record_type(host).model)).scalar_one()
