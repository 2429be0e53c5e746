"""Who acts when nobody is logged in: the actor of a user for work that is done in his name (webhooks, rules)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from crm_kernel.access.actor import Actor
from crm_kernel.access.grants import read_reach
from crm_kernel.access.models import AppUser

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def actor_of(uow: UnitOfWork, user_id: int, *, scopes: Sequence[str] | None = None) -> Actor | None:
    """Return a user as an actor with what he may do now, or None when he is gone or deactivated; two queries.

    Args:
        scopes: permission patterns that limit him further, as those of a token do.
    """
    user = uow.session.execute(sa.select(*_COLUMNS).where(AppUser.id == user_id, AppUser.active)).first()
    if user is None:
        return None
    reach = read_reach(uow.session, user_id)
    return Actor(
        kind="user",
        name=user.name,
        user_id=user_id,
        user_uid=user.uid,
        team_ids=reach.team_ids,
        grants=reach.grants,
        field_rules=reach.field_rules,
        token_scopes=None if scopes is None else tuple(scopes),
        language=user.language,
        timezone=user.timezone,
    )


_COLUMNS = (AppUser.uid, AppUser.name, AppUser.language, AppUser.timezone)
