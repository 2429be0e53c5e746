"""Looks up what the drafts of a chunk are compared with: the stored values, of what differs under a lock.

Parts are merged into the stored ones. After an unlocked look alone, a part that somebody else added before the import
wrote would be taken away again without anybody being told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crm_kernel.records.bulk_rows import current_values, lock_rows
from crm_kernel.records.importing.matching import changes_of, side_changes_of

if TYPE_CHECKING:
    from crm_kernel.records.importing.drafts import Draft
    from crm_kernel.records.importing.referring import References
    from crm_kernel.records.plan import TypePlan
    from crm_kernel.unit_of_work import UnitOfWork

#: Key → attribute → stored value, references in parts as keys.
Stored = dict[int, dict[str, Any]]


def stored_values(uow: UnitOfWork, plan: TypePlan, references: References, drafts: Sequence[Draft]) -> Stored:
    """Return the stored values that drafts of known records name.

    Records that a draft differs from stay locked until the transaction ends, and are looked up again under the lock;
    the others are not locked: to import what is there already keeps nobody waiting.
    """
    found = _looked_up(uow, plan, references, drafts)
    if uow.session.get_bind().dialect.name == "sqlite":  # one writer at a time: who writes is alone since it began
        return found
    differing = {draft.key: draft for draft in drafts if draft.key is not None and _differs(plan, draft, found)}
    locked = lock_rows(uow, plan.record_type, list(differing))
    return found | _looked_up(uow, plan, references, [differing[key] for key in locked])


def _looked_up(uow: UnitOfWork, plan: TypePlan, references: References, drafts: Sequence[Draft]) -> Stored:
    keys = [draft.key for draft in drafts if draft.key is not None]
    names = sorted({name for draft in drafts for name in draft.data})
    sides = {e: sorted({n for d in drafts for n in d.extensions.get(e, ())}) for d in drafts for e in d.extensions}
    found = current_values(uow, plan, keys, names, sides) if keys else {}
    references.as_keys(uow, found)
    return found


def _differs(plan: TypePlan, draft: Draft, found: Stored) -> bool:
    stored = found[draft.key or 0]
    return bool(changes_of(plan, draft, stored) or side_changes_of(draft, stored))
