"""Other users as actors: what the policy would answer somebody who does not act now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crm_kernel.access.actor import Actor
from crm_kernel.access.grants import read_reach

if TYPE_CHECKING:
    from crm_kernel.access.models import AppUser
    from crm_kernel.unit_of_work import UnitOfWork


def actor_for(uow: UnitOfWork, user: AppUser) -> Actor:
    """Return a user as who acts: to ask what he may see, to read for a mail to him. One query."""
    reach = read_reach(uow.session, user.id)
    return Actor(
        kind="user",
        name=user.name,
        user_id=user.id,
        user_uid=user.uid,
        team_ids=reach.team_ids,
        grants=reach.grants,
        field_rules=reach.field_rules,
        language=user.language,
        timezone=user.timezone,
    )
