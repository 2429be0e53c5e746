"""Notes what a chunk did to which record: ids of new ones, values before and after of changed ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crm_kernel.records.bulk import uids_of
from crm_kernel.records.bulk_rows import attribute_of, current_values
from crm_kernel.records.importing.results import Verdict, Written
from crm_kernel.records.plan import Kind, TypePlan

if TYPE_CHECKING:
    from crm_kernel.records.importing.drafts import Draft
    from crm_kernel.unit_of_work import UnitOfWork


def created_rows(uow: UnitOfWork, plan: TypePlan, drafts: Sequence[Draft]) -> Iterator[Written]:
    """Yield what tells of new records; one query per 5,000."""
    new = [draft for draft in drafts if draft.key is not None and not draft.problems]
    uids = uids_of(uow, plan.record_type, [draft.key for draft in new if draft.key is not None])
    for draft in new:
        yield Written(Verdict.CREATED, draft.row.number, plan.record_type.name, uids[draft.key or 0])


class Images:
    """The stored values of some records before a chunk changes them; everything else that a service may derive is among."""

    def __init__(self, uow: UnitOfWork, plan: TypePlan, drafts: Sequence[Draft]) -> None:
        self._uow, self._plan = uow, plan
        self._rows = {draft.key: draft.row.number for draft in drafts if draft.key is not None}
        self._names = _plain_attributes(plan) | {name for draft in drafts for name in draft.data}
        self._sides = {
            extension: sorted({name for draft in drafts for name in draft.extensions.get(extension, ())})
            for extension in {extension for draft in drafts for extension in draft.extensions}
        }
        self._before = self._values(self._rows)

    def of(self, keys: Collection[int]) -> Iterator[Written]:
        """Yield the differences of changed records; two queries and more per collection."""
        after = self._values(keys)
        uids = uids_of(self._uow, self._plan.record_type, sorted(keys))
        for key, row in self._rows.items():
            if key in after:
                before, now = differing(self._before[key], after[key])
                yield Written(Verdict.UPDATED, row, self._plan.record_type.name, uids[key], before, now)

    def _values(self, keys: Collection[int]) -> dict[int, dict[str, Any]]:
        return current_values(self._uow, self._plan, sorted(keys), sorted(self._names), self._sides) if keys else {}


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values that differ, before and after."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}


def _plain_attributes(plan: TypePlan) -> set[str]:
    return {
        attribute_of(field)
        for field in plan.fields.values()
        if field.writable and field.kind is not Kind.COLLECTION and field.column is not None
    }
