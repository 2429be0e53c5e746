"""What belongs to whoever asks: his user and his tokens; the ground of the profile pages and ``/api/tokens``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.models import ApiToken, AppUser
from crm_kernel.errors import Forbidden, NotFound

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork


def own_user(uow: UnitOfWork) -> AppUser:
    """Return the user who acts; one query.

    Raises:
        NotFound: the system acts, not a user.
    """
    found = None if uow.actor.user_id is None else uow.session.get(AppUser, uow.actor.user_id)
    if found is None:
        raise NotFound(_("%(name)s is no user and has no profile.", name=uow.actor.name))
    return found


def own_tokens(uow: UnitOfWork) -> Sequence[ApiToken]:
    """Return the tokens of the user who acts, newest first; one query."""
    mine = sa.select(ApiToken).where(ApiToken.user_id == uow.actor.user_id).order_by(ApiToken.id.desc())
    return uow.session.execute(mine).scalars().all()


def own_token(uow: UnitOfWork, uid: UUID) -> ApiToken:
    """Return one token of the user who acts; one query.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    mine = sa.select(ApiToken).where(ApiToken.uid == uid, ApiToken.user_id == uow.actor.user_id)
    found = uow.session.execute(mine).scalar_one_or_none()
    if found is None:
        raise NotFound(_("You have no API token with the id %(id)s.", id=uid))
    return found


def refuse_tokens(actor: Actor) -> None:
    """Let only a logged-in person see his profile and his tokens, and change them: a token's scopes cover neither.

    A limited token could otherwise make itself an unlimited one, or find out which others there are.

    Raises:
        Forbidden: a token asks.
    """
    if actor.kind == "token":
        raise Forbidden(_("A profile and its API tokens are for people alone: log in and use your profile page."))
