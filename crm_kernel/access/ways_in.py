"""How a user can log in: by his password, a passkey, or an account at a provider that is switched on.

Whatever takes one of them from somebody asks here whether another is left. A link whose mail brings a new password is none:
not every instance can send mail, and not every address still reaches its user.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.models import AppUser, WebAuthnCredential
from crm_kernel.access.oidc.models import IdentityProvider, UserIdentity
from crm_kernel.access.services.roles import administrators, lock_administrators
from crm_kernel.errors import Conflict

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Of those who would be shut out, so many are named.
_NAMED = 5


def way_in(
    *, besides_keys: Collection[int] = (), besides_link: int = 0, besides_provider: int = 0
) -> sa.ColumnElement[bool]:
    """Return the predicate over ``AppUser``: he can log in, also without what is named by its key.

    A link counts as long as its provider is switched on and has the issuer that it had when they were linked.
    """
    keys = sa.exists().where(WebAuthnCredential.user_id == AppUser.id, WebAuthnCredential.id.not_in(besides_keys))
    links = sa.exists().where(
        UserIdentity.user_id == AppUser.id,
        UserIdentity.id != besides_link,
        IdentityProvider.id == UserIdentity.provider_id,
        IdentityProvider.id != besides_provider,
        IdentityProvider.enabled,
        IdentityProvider.issuer == UserIdentity.issuer,
    )
    return sa.or_(AppUser.password.is_not(None), keys, links)


def keep_a_way_in(
    uow: UnitOfWork, user: AppUser, *, besides_keys: Collection[int] = (), besides_link: int = 0, refusal: str = ""
) -> None:
    """Refuse to take from a user the last way to log in; two queries.

    Args:
        besides_keys, besides_link: the keys of what is taken from him.
        refusal: what is said instead of “you”, to somebody else about him.

    Raises:
        Conflict: he has no other.
    """
    # Two ways that go at once each saw the other still there; whoever comes second waits here and counts again.
    lock_administrators(uow)
    left = way_in(besides_keys=besides_keys, besides_link=besides_link)
    if uow.session.scalar(sa.select(AppUser.id).where(AppUser.id == user.id, left)) is None:
        raise Conflict(refusal or _("You could not log in any more: set a password or add a passkey first."))


def keep_ways_in(uow: UnitOfWork, provider: IdentityProvider) -> None:
    """Refuse to take a provider from active users who log in no other way; three queries at most, however many they are.

    The system may, so that a provider that is not to be trusted any more is switched off at once from the command line;
    but not even the system shuts out all administrators. One that is switched off lets nobody in: nothing is asked about it.

    Raises:
        Conflict: naming some of them.
    """
    if not provider.enabled:
        return
    lock_administrators(uow)
    linked = sa.select(UserIdentity.user_id).where(
        UserIdentity.provider_id == provider.id, UserIdentity.issuer == provider.issuer
    )
    left = way_in(besides_provider=provider.id)
    shut_out = sa.and_(AppUser.active, AppUser.id.in_(linked), ~left)
    if uow.actor.kind == "system":
        if uow.session.scalar(sa.select(AppUser.id).where(AppUser.id.in_(administrators()), left).limit(1)) is not None:
            return
        shut_out = sa.and_(shut_out, AppUser.id.in_(administrators()))
    query = sa.select(AppUser.name, sa.func.count().over()).where(shut_out).order_by(AppUser.name).limit(_NAMED)
    found = uow.session.execute(query).all()
    if found:
        names = ", ".join([name for name, _count in found] + ["…"] * (found[0][1] > _NAMED))
        message = _("Users who could not log in any more: %(number)s (%(names)s). Each needs a password, a passkey or another log-in provider first.")  # fmt: skip
        raise Conflict(message % {"number": found[0][1], "names": names})
