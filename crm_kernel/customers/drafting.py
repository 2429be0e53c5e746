"""Plans the creation or the change of one customer: everything is checked and normalised, nothing is written.

The single and the bulk services both write what these plans say, so that one customer typed in and a hundred thousand
imported obey the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask_babel import gettext as _

from crm_kernel.customers import rules
from crm_kernel.customers.choices import STAGES, STATUSES
from crm_kernel.customers.contact_points import plan_points
from crm_kernel.customers.matching import PartsPlan
from crm_kernel.customers.models import Address, ContactPoint, Customer, CustomerIdentifier, Organization, Person
from crm_kernel.customers.normalising import ContactValues, contact_values
from crm_kernel.customers.parts import plan_addresses, plan_identifiers
from crm_kernel.customers.problems import Problems

#: Part models by the name of their collection.
PART_MODELS: Mapping[str, type[Any]] = {
    "contact_points": ContactPoint,
    "addresses": Address,
    "identifiers": CustomerIdentifier,
}
_DEFAULTS = {"status": "active", "stage": "prospect", "custom": {}}


@dataclass(slots=True)
class Stored:
    """A customer as it is in the database, with the parts that a change may touch."""

    customer: Customer
    side: Person | Organization | None
    #: Name of the collection → its parts, by key.
    parts: dict[str, list[Any]]


@dataclass(slots=True)
class Draft:
    """What will be written: attribute → value of each table."""

    customer: dict[str, Any]
    side: dict[str, Any]
    #: Name of the collection → its plan; collections that were not given are missing.
    parts: dict[str, PartsPlan[Any]] = field(default_factory=dict)


def draft_new(data: Mapping[str, Any], values: ContactValues, problems: Problems) -> Draft:
    """Return the plan for a new customer; what is wrong is added to ``problems``."""
    settled = _DEFAULTS | {name: value for name, value in data.items() if value is not None and name not in rules.PARTS}
    rules.settle_fields(settled, problems)
    _check_choices(settled, problems)
    side_names = rules.SIDE_FIELDS.get(settled.get("kind", ""), ())
    # A new row gets its custom values from `custom_fields.born_with`: an empty draft of them would take them away.
    own = [name for name in rules.CUSTOMER_FIELDS if name != "custom"]
    return Draft(
        customer={name: settled.get(name) for name in ("kind", "sort_name", *own)},
        side={name: settled.get(name) for name in side_names},
        parts=_plan_parts({name: data.get(name) or () for name in rules.PARTS}, {}, values, problems),
    )


def check_customer(data: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what creating a customer would refuse, path → messages; whether values are taken aside. No query."""
    problems = Problems()
    draft_new(data, contact_values(), problems)
    return problems.errors


def draft_changes(stored: Stored, changes: Mapping[str, Any], values: ContactValues, problems: Problems) -> Draft:
    """Return the plan for a change of a stored customer, the derived fields included."""
    customer = stored.customer
    before = _fields_of(stored)
    if changes.get("kind", customer.kind) != customer.kind:
        problems.add("kind", _("A customer's kind never changes: create another customer instead."))
    given = {name: value for name, value in changes.items() if name not in (*rules.PARTS, "kind")}
    settled = before | {name: _DEFAULTS.get(name) if value is None else value for name, value in given.items()}
    _follow_names(customer, before, settled, changes)
    rules.settle_fields(settled, problems)
    _check_choices(settled, problems)
    side_names = rules.SIDE_FIELDS[customer.kind]
    submitted = {name: changes[name] or () for name in rules.PARTS if name in changes}
    return Draft(
        customer={name: settled.get(name) for name in ("sort_name", *rules.CUSTOMER_FIELDS)},
        side={name: settled.get(name) for name in side_names},
        parts=_plan_parts(submitted, stored.parts, values, problems),
    )


def _fields_of(stored: Stored) -> dict[str, Any]:
    customer, side = stored.customer, stored.side
    found = {name: getattr(customer, name) for name in ("kind", *rules.CUSTOMER_FIELDS)}
    for name in rules.SIDE_FIELDS[customer.kind]:
        found[name] = getattr(side, name, None)
    return found


def _follow_names(
    customer: Customer, before: Mapping[str, Any], after: dict[str, Any], changes: Mapping[str, Any]
) -> None:
    """Let a display name that was made of the other names follow them when they change."""
    derived = customer.display_name == rules.derived_name(customer.kind, before)
    if derived and ("display_name" not in changes or changes["display_name"] == customer.display_name):
        after["display_name"] = None


def _check_choices(settled: Mapping[str, Any], problems: Problems) -> None:
    for name, known in (("status", STATUSES), ("stage", STAGES)):
        if settled[name] not in known:
            message = _("Found %(found)s, expected one of: %(known)s.", found=settled[name], known=", ".join(known))
            problems.add(name, message)


def _plan_parts(
    submitted: Mapping[str, Sequence[Mapping[str, Any]]],
    stored: Mapping[str, Sequence[Any]],
    values: ContactValues,
    problems: Problems,
) -> dict[str, PartsPlan[Any]]:
    plans: dict[str, PartsPlan[Any]] = {}
    for name, parts in submitted.items():
        existing = stored.get(name, ())
        if name == "contact_points":
            plans[name] = plan_points(parts, existing, values, problems)
        elif name == "addresses":
            plans[name] = plan_addresses(parts, existing, problems)
        else:
            plans[name] = plan_identifiers(parts, existing, problems)
    return plans
