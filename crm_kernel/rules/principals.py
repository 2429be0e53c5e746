"""Whose rights a rule has: those of whoever last changed or enabled it, or the system's where an administrator chose so.

Never more: a rule whose principal is gone or deactivated does nothing, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from flask_babel import gettext as _

from crm_kernel.access.acting import actor_of
from crm_kernel.access.actor import SYSTEM, Actor
from crm_kernel.access.policy import authorize
from crm_kernel.errors import Forbidden

if TYPE_CHECKING:
    from crm_kernel.rules.models import Rule
    from crm_kernel.unit_of_work import UnitOfWork

#: Lets a rule act as the system; not below ``rule.``, so that ``rule.*`` does not make an administrator.
AS_SYSTEM = "automation.as_system"


def principal_of(uow: UnitOfWork, rule: Rule) -> Actor | None:
    """Return whom a rule runs as, with the rights he has now; None if nobody is left. Two queries."""
    if rule.as_system:
        return replace(SYSTEM, name=f"rule {rule.name}"[:120])
    return actor_of(uow, rule.principal_id)


def take_over(uow: UnitOfWork, rule: Rule) -> None:
    """Let a rule run as whoever changes it; the command line, which is nobody, leaves it to whom it belongs.

    Raises:
        Forbidden: a token with limits of its own writes the rule, which would have all rights of its user; or the rule
            shall act as the system and the actor may not let it.
    """
    if uow.actor.token_scopes is not None:
        raise Forbidden(_("A token with limits of its own writes no rules: they have all rights of its user."))
    if rule.as_system:
        authorize(uow.actor, AS_SYSTEM)
    if uow.actor.user_id is not None:
        rule.principal_id = uow.actor.user_id


@contextmanager
def acting_as(uow: UnitOfWork, actor: Actor) -> Iterator[None]:
    """Let a unit of work act as somebody else for a while; what the audit log keeps is decided at the commit."""
    before = uow.actor
    uow.actor = actor
    try:
        yield
    finally:
        uow.actor = before
