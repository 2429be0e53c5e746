"""Asks whether a rule's condition holds for a record, as the rule's principal sees it, and which part of it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.access.policy import visible
from crm_kernel.records.filter_tree import Aim, And, Node, compile_tree, parse_tree
from crm_kernel.records.plan import plan_of

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the condition holds; if not, the parts of it that do not, as JSON, none for a record that is not seen."""

    matched: bool
    seen: bool
    failed: tuple[Any, ...] = ()


def condition_of(uow: UnitOfWork, record_type: RecordType, tree: Any) -> Node | None:
    """Return a stored condition, checked for the unit's actor; None for one that always holds.

    Raises:
        InvalidInput: it names what does not exist any more, or what the actor may not read.
    """
    return None if not tree else parse_tree(plan_of(record_type), tree, uow.actor)


def verdict_on(uow: UnitOfWork, record_type: RecordType, node: Node | None, uid: UUID) -> Verdict:
    """Return whether the condition holds for one record; one query, each part of the condition a column of it."""
    parts = _parts(node)
    plan = plan_of(record_type)
    columns = [compile_tree(uow, plan, part, Aim.FIRST) for part in parts]
    query = sa.select(sa.literal(1), *(sa.case((column, 1), else_=0) for column in columns))
    query = query.select_from(record_type.model).where(record_type.model.uid == uid, visible(uow.actor, record_type))
    row = uow.session.execute(query).first()
    if row is None:
        return Verdict(matched=False, seen=False)
    failed = tuple(part.to_json() for part, held in zip(parts, row[1:], strict=True) if not held)
    return Verdict(matched=not failed, seen=True, failed=failed)


def matching(
    uow: UnitOfWork, record_type: RecordType, node: Node | None, uids: Sequence[UUID] | None = None
) -> sa.Select[Any]:
    """Return a select of (key, public id) of the records that fit, of some or of all, in the order of their keys."""
    model = record_type.model
    query = sa.select(model.id, model.uid).where(visible(uow.actor, record_type)).order_by(model.id)
    if node is not None:
        query = query.where(compile_tree(uow, plan_of(record_type), node))
    return query if uids is None else query.where(model.uid.in_(uids))


def _parts(node: Node | None) -> tuple[Node, ...]:
    if node is None:
        return ()
    return tuple(node.parts) if isinstance(node, And) else (node,)
