"""Whom a provider means: the user linked with the account, one with the same verified address, or a new one.

An address links nobody by itself: the provider must say that it has verified it, and an administrator must have allowed
that this is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.rows import add_once
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.datastore import Datastore
from crm_kernel.access.models import AppUser
from crm_kernel.access.oidc.errors import LogInFailed
from crm_kernel.access.oidc.models import IdentityProvider, UserIdentity
from crm_kernel.access.oidc.role_lines import role_lines
from crm_kernel.access.preferences import first_language, usual_timezone
from crm_kernel.access.services import create_user
from crm_kernel.access.services.limits import refuse_over, refuse_over_each
from crm_kernel.access.ways_in import keep_a_way_in, keep_ways_in
from crm_kernel.errors import Conflict, CrmError, NotFound

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def person_of(uow: UnitOfWork, provider: IdentityProvider, claims: Mapping[str, Any]) -> AppUser:
    """Return the active user whom a provider's claims mean, linked or made now if its settings allow it.

    Raises:
        LogInFailed: nobody is meant, or somebody who may not log in.
    """
    known = identity_of(uow, provider, str(claims["sub"]))
    if known is not None:
        known.last_used_at = uow.now
        user = uow.session.get_one(AppUser, known.user_id)
    else:
        user = _by_address(uow, provider, claims) or _made(uow, provider, claims)
        link(uow, user, provider, str(claims["sub"])).last_used_at = uow.now
    if not user.active:
        raise LogInFailed(_("Your account here is deactivated: ask an administrator."))
    return user


def identity_of(uow: UnitOfWork, provider: IdentityProvider, subject: str) -> UserIdentity | None:
    """Return the link of an account at a provider, or None; one query."""
    wanted = sa.select(UserIdentity).where(UserIdentity.issuer == provider.issuer, UserIdentity.subject == subject)
    return uow.session.scalars(wanted).one_or_none()


def link(uow: UnitOfWork, user: AppUser, provider: IdentityProvider, subject: str) -> UserIdentity:
    """Let a user log in with an account at a provider.

    Raises:
        Conflict: the account is somebody else's here.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    made = UserIdentity(user_id=user.id, provider_id=provider.id, issuer=provider.issuer, subject=subject)
    found, new = add_once(uow.session, made, lambda: identity_of(uow, provider, subject))
    if found.user_id != user.id:
        raise Conflict(_("This account of %(provider)s is linked with another user here.", provider=provider.name))
    if new:
        _note(uow, user, "identity_linked", provider.name, subject)
    identity: UserIdentity = found
    return identity


def unlink(uow: UnitOfWork, user: AppUser, uid: UUID) -> None:
    """Take a link from a user.

    Raises:
        NotFound: he has none of that id.
        Conflict: he could not log in any more.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    found = next((row for row, _name in identities_of(uow, user) if row.uid == uid), None)
    if found is None:
        raise NotFound(_("There is no such link."))
    keep_a_way_in(uow, user, besides_link=found.id)
    provider = uow.session.get_one(IdentityProvider, found.provider_id)
    uow.session.delete(found)
    uow.session.flush()
    _note(uow, user, "identity_unlinked", provider.name, found.subject)


def unlink_everybody(uow: UnitOfWork, provider: IdentityProvider) -> None:
    """Note for each user linked with a provider that his link goes with it; a fixed number of statements.

    Raises:
        Forbidden: one of them may do what the actor may not.
        Conflict: one of them could not log in any more.
    """
    refuse_over_linked(uow, provider)
    keep_ways_in(uow, provider)
    links = sa.select(AppUser.uid, UserIdentity.subject).join(AppUser, AppUser.id == UserIdentity.user_id)
    rows = uow.session.execute(links.where(UserIdentity.provider_id == provider.id).order_by(UserIdentity.id))
    gone = [AuditRow(uid, None, {"provider": provider.name, "subject": subject}) for uid, subject in rows]
    record_audit_many(uow, "user", "identity_unlinked", gone)


def refuse_over_linked(uow: UnitOfWork, provider: IdentityProvider) -> None:
    """Refuse to act on how the users of a provider log in when one of them may do what the actor may not.

    Raises:
        Forbidden: naming one of them.
    """
    refuse_over_each(uow, sa.select(UserIdentity.user_id).where(UserIdentity.provider_id == provider.id))


def identities_of(uow: UnitOfWork, user: AppUser) -> Sequence[tuple[UserIdentity, str]]:
    """Return a user's links with the names of their providers, oldest first; one query."""
    mine = sa.select(UserIdentity, IdentityProvider.name).join(
        IdentityProvider, IdentityProvider.id == UserIdentity.provider_id
    )
    rows = uow.session.execute(mine.where(UserIdentity.user_id == user.id).order_by(UserIdentity.id))
    return [(row[0], row[1]) for row in rows]


def vouched(provider: IdentityProvider, claims: Mapping[str, Any]) -> bool:
    """Say whether the provider has asked for what counts here as a second factor."""
    methods = claims.get("amr")
    said = {str(found) for found in methods} if isinstance(methods, list) else set()
    return bool((said | {str(claims.get("acr", ""))}) & set(provider.factor_values.split()))


def roles_for(provider: IdentityProvider, claims: Mapping[str, Any]) -> list[str]:
    """Return the roles that a new user gets by the provider's claim; the default one if no line fits, else none."""
    wanted = dict(role_lines(provider.role_map))
    found = [wanted[value] for value in _claimed(claims, provider.role_claim) if value in wanted]
    return list(dict.fromkeys(found)) or [provider.default_role] * bool(provider.default_role)


def _claimed(claims: Mapping[str, Any], path: str) -> list[str]:
    found: Any = claims
    for part in [path] if path in claims else path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return [found]
    return [value for value in found if isinstance(value, str)] if isinstance(found, list) else []


def _by_address(uow: UnitOfWork, provider: IdentityProvider, claims: Mapping[str, Any]) -> AppUser | None:
    if not provider.link_by_email or claims.get("email_verified") is not True:
        return None
    found: AppUser | None = Datastore().find_user(email=str(claims.get("email", "")))
    return found


def _made(uow: UnitOfWork, provider: IdentityProvider, claims: Mapping[str, Any]) -> AppUser:
    address = str(claims.get("email", ""))
    roles = roles_for(provider, claims)
    unknown = _("Nobody here is linked with your account of %(provider)s. Log in another way and link it on the page “Sign-in and security”, or ask an administrator.", provider=provider.name)  # fmt: skip
    if not provider.create_users or not roles:
        raise LogInFailed(unknown)
    if claims.get("email_verified") is not True:
        raise LogInFailed(_("%(provider)s has not verified your e-mail address.", provider=provider.name))
    if Datastore().find_user(email=address) is not None:
        raise LogInFailed(unknown)
    name = str(claims.get("name") or address.partition("@")[0]).strip()[:120]
    zone, language = usual_timezone(), first_language()
    try:
        return create_user(uow, email=address, name=name, timezone=zone, language=language, roles=roles)
    except CrmError as error:
        raise LogInFailed(_("You could not be made a user here: %(why)s", why=error)) from error


def _note(uow: UnitOfWork, user: AppUser, action: str, provider: str, subject: str) -> None:
    details = {"provider": provider, "subject": subject}
    record_audit_many(uow, "user", action, [AuditRow(user.uid, None, details)])
