"""The one policy: every channel asks it before it reads or writes, and nobody else decides.

Two questions: ``authorize`` (may this actor do this, on this record?) and ``visible`` (which rows does this actor see?),
the second as a SQL predicate ANDed into every query. Plugins take part through ``crm_authorize`` and ``crm_visibility``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.errors import CrmError, Forbidden
from crm_kernel.records.record_type import RecordType

log = logging.getLogger("crm.policy")


def allowed(actor: Actor, permission: str, subject: Any = None) -> bool:
    """Say whether the actor may use the permission on the subject: any False denies, else any True grants.

    An exception in a plugin's policy denies and is logged. No query of the kernel's own.
    """
    granted = False
    try:
        for _plugin, answer in verdicts(actor, permission, subject):
            verdict = answer()
            if verdict is False:
                return False
            granted = granted or bool(verdict)
    except Exception:
        log.exception("the policy for %s failed: denied", permission)
        return False
    return granted


def verdicts(actor: Actor, permission: str, subject: Any) -> Iterator[tuple[str, Callable[[], bool | None]]]:
    """Yield each plugin that takes part in ``allowed``, and how to ask it: True grants, False denies, None leaves it."""
    yield from _asked("crm_authorize", actor=actor, permission=permission, subject=subject)


def authorize(actor: Actor, permission: str, subject: Any = None) -> None:
    """Refuse with ``Forbidden`` unless ``allowed``; called before any write.

    Raises:
        Forbidden: naming the permission and the actor.
    """
    if not allowed(actor, permission, subject):
        raise Forbidden(_("%(who)s lacks the permission %(permission)s.", who=actor.name, permission=permission))


def visible(actor: Actor, record_type: RecordType, verb: str = "read") -> sa.ColumnElement[bool]:
    """Return the predicate over the record type's model that its own and all plugins' visibility rules AND to.

    Raises:
        CrmError: a plugin's rule raised: the query is aborted rather than run without it.
    """
    try:
        predicates = [rule() for _source, rule in visibility_rules(actor, record_type, verb)]
        predicates.append(_still_there(record_type))
    except Exception as error:
        raise CrmError(f"a visibility rule for {record_type.name} failed; no rows are shown without it") from error
    return sa.and_(*(predicate for predicate in predicates if predicate is not None))


def visibility_rules(
    actor: Actor, record_type: RecordType, verb: str
) -> Iterator[tuple[str, Callable[[], sa.ColumnElement[bool] | None]]]:
    """Yield each rule of ``visible``: ``roles``, the record type's name or ``customer``, then plugins by name; None for no limit."""
    yield "roles", partial(scope_predicate, actor, record_type, verb)
    if _follows_customer(record_type):
        yield "customer", partial(_of_visible_customers, actor, record_type)
    if record_type.visibility:
        yield record_type.name, partial(record_type.visibility, actor)
    yield from _asked("crm_visibility", actor=actor, record_type=record_type)


def _follows_customer(record_type: RecordType) -> bool:
    """Say whether rows are seen with their customer: they have one, and neither an owner nor a rule of their own."""
    return record_type.customer is not None and not record_type.owned and record_type.visibility is None


def _of_visible_customers(actor: Actor, record_type: RecordType) -> sa.ColumnElement[bool] | None:
    """Return the predicate: the row's customer is visible, or it has none; no limit for who sees all customers."""
    from crm_kernel.records.plan import record_type as named

    customers = named("customer")
    if sees_all(actor, customers):
        return None
    key = getattr(record_type.model, str(record_type.customer))
    seen = key.in_(sa.select(customers.model.id).where(visible(actor, customers)))
    return seen if not key.property.columns[0].nullable else sa.or_(key.is_(None), seen)


def _still_there(record_type: RecordType) -> sa.ColumnElement[bool] | None:
    """Leave out records that were merged into others: nobody sees them, whatever his roles."""
    if record_type.replaced_by is None:
        return None
    gone: sa.ColumnElement[bool] = getattr(record_type.model, record_type.replaced_by).is_not(None)
    return ~gone


def sees_all(actor: Actor, record_type: RecordType, verb: str = "read") -> bool:
    """Say whether ``visible`` would be true for every row: the roles reach all of them and nobody has a rule."""
    from crm_kernel._internal.runtime import runtime_of

    if record_type.visibility or runtime_of(current_app).manager.implementations("crm_visibility"):
        return False
    if _follows_customer(record_type) and _of_visible_customers(actor, record_type) is not None:
        return False
    scope = actor.scope_of(record_type.permission(verb))
    return scope is not None and (scope is Scope.ALL or _user_column(record_type) is None)


def scope_predicate(actor: Actor, record_type: RecordType, verb: str) -> sa.ColumnElement[bool]:
    """Return own/team/all for a type with an owner or an author, true or false for others, from the roles alone."""
    scope = actor.scope_of(record_type.permission(verb))
    if scope is None:
        return sa.false()
    column = _user_column(record_type)
    if scope is Scope.ALL or column is None:
        return sa.true()
    if actor.user_id is None:
        # "owner_id = NULL" would show what nobody owns.
        return sa.false()
    own: sa.ColumnElement[bool] = column == actor.user_id
    if scope is Scope.TEAM and actor.team_ids and record_type.owned:
        return sa.or_(own, record_type.model.team_id.in_(actor.team_ids))
    return own


def holds(actor: Actor, permission: str, subject: Any) -> bool | None:
    """The kernel's own answer to ``crm_authorize``: the role's grant, and its scope if the subject is somebody's."""
    scope = Scope.ALL if actor.may(permission) and permission in ("public", "authenticated") else None
    scope = scope or actor.scope_of(permission)
    if scope is None:
        return None
    if subject is None or scope is Scope.ALL:
        return True
    if not hasattr(subject, "owner_id"):
        return wrote(actor, permission, subject)
    if subject.owner_id is not None and subject.owner_id == actor.user_id:
        return True
    return True if scope is Scope.TEAM and subject.team_id in actor.team_ids else None


def wrote(actor: Actor, permission: str, subject: Any) -> bool | None:
    """Answer for a subject without an owner and a scope below ``ALL``: yes, unless somebody else is its author."""
    from crm_kernel._internal.runtime import runtime_of

    record_type = runtime_of(current_app).registry.get("record_types", permission.rpartition(".")[0])
    if record_type is None or record_type.author is None or not isinstance(subject, record_type.model):
        return True
    author = getattr(subject, record_type.author)
    return True if author is not None and author == actor.user_id else None


def _asked(hook: str, **arguments: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    from crm_kernel._internal.manager import invoke
    from crm_kernel._internal.runtime import runtime_of

    for plugin, implementation in runtime_of(current_app).manager.implementations(hook):
        yield plugin, partial(invoke, implementation, arguments)


def _user_column(record_type: RecordType) -> Any:
    """Return the column with the user whose row it is: the owner's, else the author's; None without either."""
    if record_type.owned:
        return record_type.model.owner_id
    return getattr(record_type.model, record_type.author) if record_type.author else None


def permitted(actor: Actor, records: Sequence[Any]) -> list[Any]:
    """Return the contributed records (panels, entries, tiles, commands) that are offered to the actor, in order."""
    return [record for record in records if _is_offered(actor, record)]


def _is_offered(actor: Actor, record: Any) -> bool:
    offered = getattr(record, "offered", None)
    return all(map(actor.may, (record.permission, *getattr(record, "also", ())))) and (
        offered is None or offered(actor)
    )
