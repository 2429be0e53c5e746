"""Two customers side by side: which fields can be chosen, and whose value is chosen unless somebody says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crm_kernel.access.field_access import writable_plan
from crm_kernel.customers.merging.fields import SOURCE, TARGET, choosable
from crm_kernel.records.confidential import shown_to
from crm_kernel.records.pages.presenting import text_of
from crm_kernel.records.plan import Kind, plan_of, record_type
from crm_kernel.records.reading import read_one

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict

    from crm_kernel.customers.models import Customer
    from crm_kernel.unit_of_work import UnitOfWork

_ATTRIBUTES = {"owner": "owner_id", "team": "team_id"}
_FORM = "choice."


@dataclass(frozen=True, slots=True)
class Line:
    """One field of two customers."""

    name: str
    label: Any
    #: As people read them, in the order of the customers.
    texts: tuple[str, str]
    #: Index of the customer whose value is chosen.
    chosen: int

    @property
    def differs(self) -> bool:
        """Whether there is something to choose."""
        return self.texts[0] != self.texts[1]


def lines_of(uow: UnitOfWork, one: Customer, other: Customer, form: MultiDict[str, str], keep: str) -> list[Line]:
    """Return the fields that either has and the actor may see and write; a value there is wins over none.

    Args:
        form: ``choice.<field>`` → id of the customer whose value was chosen.
        keep: id of the one that stays.
    """
    kind = record_type("customer")
    plan = writable_plan(uow.actor, plan_of(kind))
    items = read_one(uow, kind, one.uid), read_one(uow, kind, other.uid)
    found = []
    for name in shown_to(uow.actor, plan, plan.fields):
        field = plan.fields[name]
        if field.kind is Kind.COLLECTION or not field.writable or not _can_be_chosen(name, one.kind):
            continue
        texts = (text_of(field, items[0].get(name), items[0]), text_of(field, items[1].get(name), items[1]))
        if any(texts):
            usual = str(keep) == str(other.uid)
            if "" in texts:
                usual = bool(texts[1])
            chosen = form.get(f"{_FORM}{name}")
            found.append(Line(name, field.label, texts, int(chosen == str(other.uid) if chosen else usual)))
    return found


def choices_of(lines: list[Line], source_index: int) -> dict[str, str]:
    """Return the choices for ``merge``, of the fields that differ."""
    return {line.name: SOURCE if line.chosen == source_index else TARGET for line in lines if line.differs}


def _can_be_chosen(name: str, kind: str) -> bool:
    return name.startswith("cf_") or _ATTRIBUTES.get(name, name) in choosable(kind)
