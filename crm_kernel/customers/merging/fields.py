"""Which value of two customers' fields stays: the survivor's, completed by the other's, unless somebody chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _

from crm_kernel.customers import rules
from crm_kernel.customers.choices import KINDS
from crm_kernel.errors import InvalidInput

if TYPE_CHECKING:
    from crm_kernel.customers.models import Customer
    from crm_kernel.unit_of_work import UnitOfWork

SOURCE, TARGET = "source", "target"
#: Fields that make sense only together: an amount and its currency, an owner and his team.
_TOGETHER = (("annual_revenue", "revenue_currency"), ("owner_id", "team_id"))
#: What the one that goes keeps: by its own key elsewhere it still leads to the survivor.
_STAYS = frozenset({"source", "external_ref", "custom"})
#: What every customer has: only a choice changes it.
_NO_GAPS = frozenset({"display_name", "status", "stage"})
_ATTRIBUTES = {"owner": "owner_id", "team": "team_id"}


def choosable(kind: str) -> frozenset[str]:
    """Return the attributes whose value can be chosen."""
    return frozenset(rules.CUSTOMER_FIELDS) - _STAYS | frozenset(rules.SIDE_FIELDS[kind])


def values_of(uow: UnitOfWork, customer: Customer) -> dict[str, Any]:
    """Return attribute → value of a customer's own fields and those of its side row; one query at most."""
    side = rules.SIDE_MODELS.get(customer.kind)
    row = uow.session.get(side, customer.id) if side else None
    own = {name: getattr(customer, name) for name in rules.CUSTOMER_FIELDS if name not in _STAYS}
    return own | {name: getattr(row, name, None) for name in rules.SIDE_FIELDS[customer.kind]}


def chosen_attributes(kind: str, choices: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the choices by attribute: those of the customer's own fields, and those of custom and extension fields.

    Raises:
        InvalidInput: a field cannot be chosen, or a choice is neither ``source`` nor ``target``.
    """
    known, errors = choosable(kind), {}
    own, others = {}, {}
    for name, choice in choices.items():
        attribute = _ATTRIBUTES.get(name, name)
        if choice not in (SOURCE, TARGET):
            errors[f"choices.{name}"] = [_("Found %(found)s, expected source or target.", found=choice)]
        elif attribute in known:
            own[attribute] = choice
        elif name.startswith("cf_") or "." in name:
            others[name] = choice
        else:
            found = _("%(kind)s: this field cannot be chosen; expected one of: %(known)s.", kind=KINDS[kind],
                      known=", ".join(sorted(known)))  # fmt: skip
            errors[f"choices.{name}"] = [found]
    if errors:
        raise InvalidInput(errors)
    return own, others


def merged_values(
    kind: str, source: Mapping[str, Any], target: Mapping[str, Any], choices: Mapping[str, str]
) -> dict[str, Any]:
    """Return the attributes of the survivor that change: chosen ones, and gaps that the other fills."""
    changes: dict[str, Any] = {}
    for names in _groups(target):
        wanted = [choices[name] for name in names if name in choices]
        gap = all(target[name] in (None, "") for name in names) and not _NO_GAPS & set(names)
        if SOURCE in wanted or (gap and not wanted):
            changes |= {name: source[name] for name in names}
    changes = {name: value for name, value in changes.items() if value != target[name]}
    return changes | _renamed(kind, target, changes, choices)


def _groups(target: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    together = {name for names in _TOGETHER for name in names}
    yield from (names for names in _TOGETHER if names[0] in target)
    yield from ((name,) for name in target if name not in together)


def _renamed(
    kind: str, target: Mapping[str, Any], changes: Mapping[str, Any], choices: Mapping[str, str]
) -> dict[str, Any]:
    """Return the display name where it was made of the names that change."""
    made = rules.derived_name(kind, target)
    if "display_name" in choices or target["display_name"] != made:
        return {}
    again = rules.derived_name(kind, {**target, **changes})
    return {"display_name": again} if again and again != made else {}
