"""The rules of contact points: values that exist, each once per customer, one primary per channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import gettext as _

from crm_kernel.customers.choices import CHANNELS
from crm_kernel.customers.matching import PartsPlan, Row, Wanted, claim, overlay, settle_primary
from crm_kernel.customers.models import ContactPoint
from crm_kernel.customers.normalising import ContactValues
from crm_kernel.customers.problems import Problems
from crm_kernel.customers.values.errors import ValueProblem

POINT_DEFAULTS: Row = {
    "channel": None, "value": None, "value_normalized": None, "label": None, "purpose": None, "is_primary": False,
}  # fmt: skip


def plan_points(
    submitted: Sequence[Mapping[str, Any]],
    existing: Sequence[ContactPoint],
    values: ContactValues,
    problems: Problems,
    path: str = "contact_points",
) -> PartsPlan[ContactPoint]:
    """Return what a submitted list of contact points means for the stored ones."""
    wanted = [
        item
        for item in overlay(submitted, existing, POINT_DEFAULTS, problems, path)
        if _settle_value(item, values, problems, f"{path}.{item.index}")
    ]
    plan = claim(wanted, existing, lambda point: (point.channel, point.value_normalized))
    first: dict[tuple[str, str], int] = {}
    for item in plan.wanted:
        key = (item.row["channel"], item.row["value_normalized"])
        if key in first:
            problems.add(
                f"{path}.{item.index}.value", _("Is number %(number)s of the list already.", number=first[key] + 1)
            )
        first.setdefault(key, item.index)
    settle_primary(plan, problems, path, lambda row: row["channel"])
    return plan


def _settle_value(item: Wanted[ContactPoint], values: ContactValues, problems: Problems, path: str) -> bool:
    row, part = item.row, item.part
    if part is not None and (part.channel, part.value) == (row["channel"], row["value"]):
        return True  # stored values are not judged again: rules of today may be stricter than those of then
    if row["channel"] not in CHANNELS:
        problems.add(
            f"{path}.channel",
            _("Found %(found)s, expected one of: %(known)s.", found=row["channel"], known=", ".join(CHANNELS)),
        )
        return False
    try:
        row["value"], row["value_normalized"] = values.normalise(row["channel"], row["value"] or "")
    except ValueProblem as problem:
        problems.add(f"{path}.value", problem)
        return False
    return True


def new_values(plan: PartsPlan[ContactPoint]) -> bool:
    """Say whether a plan brings values the stored contact points do not have: their evidence must be looked up."""
    return bool(plan.added) or any(moved(part, row) for part, row in plan.kept())


def moved(part: ContactPoint, row: Row) -> bool:
    """Say whether a row gives a stored contact point another value: what was known of the old one does not apply."""
    return (part.channel, part.value_normalized) != (row["channel"], row["value_normalized"])
