"""Customers side by side: which fields can be chosen, and whose value is chosen unless somebody says otherwise."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crm_kernel.access.field_access import writable_plan
from crm_kernel.customers.merging.fields import SOURCE, TARGET, choosable
from crm_kernel.records.confidential import shown_to
from crm_kernel.records.pages.presenting import text_of
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, plan_of, record_type
from crm_kernel.records.reading import read_some

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict

    from crm_kernel.customers.models import Customer
    from crm_kernel.unit_of_work import UnitOfWork

_ATTRIBUTES = {"owner": "owner_id", "team": "team_id"}
#: Prefixes of form fields: the customer whose value was chosen, and the one whose value the page proposed.
_FORM, _PROPOSED = "choice.", "usual."


@dataclass(frozen=True, slots=True)
class Line:
    """One field of several customers."""

    name: str
    label: Any
    #: As people read them, in the order of the customers.
    texts: Sequence[str]
    #: Index of the customer whose value is chosen.
    chosen: int
    #: Index of the one whose value is proposed: that of the one that stays, else the first there is.
    usual: int

    @property
    def differs(self) -> bool:
        """Whether there is something to choose."""
        return len(set(self.texts)) > 1


def lines_of(
    uow: UnitOfWork,
    customers: Sequence[Customer],
    form: MultiDict[str, str],
    keep: str,
    going: Collection[str] | None = None,
    items: Sequence[Mapping[str, Any]] | None = None,
) -> list[Line]:
    """Return the fields that any of some customers of one kind has and the actor may see and write.

    Unless chosen otherwise the value of the one that stays wins, else the first there is among those that go: a value
    wins over none.

    Args:
        form: ``choice.<field>`` → id of the customer whose value was chosen; ``usual.<field>`` → id of the one whose
            value the page proposed. What was proposed and left as it was is nobody's choice: where its customer is
            left out, the usual value of the others comes in its place.
        keep: id of the one that stays.
        going: ids of those that go; all the others if not given.
        items: the customers as ``read_some`` returns them; they are read if not given.
    """
    kind = record_type("customer")
    plan = writable_plan(uow.actor, plan_of(kind))
    if items is None:
        items = read_some(uow, kind, [customer.uid for customer in customers])
    ids = [str(customer.uid) for customer in customers]
    merged = [uid for uid in ids if going is None or uid in going or uid == keep]
    names = [name for name in plan.fields if _can_be_chosen(name, customers[0].kind)]
    names += [f"{extension.name}.{name}" for extension in plan.extensions for name in extension.form]
    found = []
    for name in shown_to(uow.actor, plan, names):
        field = plan.named(name)
        if field is None or field.kind in (Kind.COLLECTION, Kind.JSON) or not field.writable or not field.readable:
            continue
        texts = [_text(field, name, item) for item in items]
        if any(texts):
            usual = _usual(dict(zip(ids, texts, strict=True)), keep, merged)
            chosen = _chosen(form, name, ids, merged) or usual
            found.append(Line(name, _label(plan, name, field.label), texts, ids.index(chosen), ids.index(usual)))
    return found


def _usual(texts: Mapping[str, str], keep: str, merged: Sequence[str]) -> str:
    return keep if texts[keep] else next((uid for uid in merged if texts[uid]), keep)


def _chosen(form: MultiDict[str, str], name: str, ids: Sequence[str], merged: Sequence[str]) -> str | None:
    chosen = form.get(f"{_FORM}{name}")
    untouched = chosen == form.get(f"{_PROPOSED}{name}") and chosen not in merged
    return chosen if chosen in ids and not untouched else None


def _text(field: FieldPlan, name: str, item: Mapping[str, Any]) -> str:
    extension, dot, own = name.partition(".")
    values = (item.get("extensions") or {}).get(extension) or {} if dot else item
    return text_of(field, values.get(own if dot else name), values)


def _label(plan: TypePlan, name: str, label: Any) -> Any:
    """Return the label of a field, an extension's with its own before it: two modules may name a field alike."""
    extension = name.partition(".")[0] if "." in name else ""
    titles = [found.label for found in plan.extensions if found.name == extension]
    return f"{titles[0]}: {label}" if titles else label


def choices_of(lines: list[Line], source_index: int) -> dict[str, str]:
    """Return the choices for ``merge``, of the fields that differ."""
    return {line.name: SOURCE if line.chosen == source_index else TARGET for line in lines if line.differs}


def _can_be_chosen(name: str, kind: str) -> bool:
    return name.startswith("cf_") or _ATTRIBUTES.get(name, name) in choosable(kind)
