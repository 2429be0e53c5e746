"""Users as actors when it is not they who ask now: work done in their name (webhooks, rules, bulk runs), mails to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crm_kernel.access.actor import Actor
from crm_kernel.access.grants import read_reach
from crm_kernel.access.models import AppUser

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def actor_of(uow: UnitOfWork, user_id: int | None, *, scopes: Sequence[str] | None = None) -> Actor | None:
    """Return a user as an actor with what he may do now, or None when he is gone or deactivated; two queries.

    Args:
        scopes: permission patterns that limit him further, as those of a token do.
    """
    user = None if user_id is None else uow.session.get(AppUser, user_id)
    return None if user is None or not user.active else actor_for(uow, user, scopes=scopes)


def actor_for(uow: UnitOfWork, user: AppUser, *, scopes: Sequence[str] | None = None) -> Actor:
    """Return a user as who acts, deactivated or not: to ask what he may see, to read for a mail to him. One query.

    Args:
        scopes: as in :func:`actor_of`.
    """
    reach = read_reach(uow.session, user.id)
    return Actor(
        kind="user",
        name=user.name,
        user_id=user.id,
        user_uid=user.uid,
        team_ids=reach.team_ids,
        grants=reach.grants,
        field_rules=reach.field_rules,
        token_scopes=None if scopes is None else tuple(map(str, scopes)),
        language=user.language,
        timezone=user.timezone,
        name_order=user.name_order,
    )
