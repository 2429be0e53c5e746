"""Sets up identity providers; their secret is sealed with the instance's key and never given out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from uuid_utils.compat import uuid7

from crm_kernel.access.actor import Scope
from crm_kernel.access.models import Role
from crm_kernel.access.oidc.models import IdentityProvider, UserIdentity
from crm_kernel.access.oidc.offered import offer_anew
from crm_kernel.access.oidc.people import refuse_over_linked, unlink_everybody
from crm_kernel.access.oidc.role_lines import named_roles, role_lines
from crm_kernel.access.oidc.tokens import Client
from crm_kernel.access.services import role_named
from crm_kernel.access.services.checks import Errors, refuse_taken
from crm_kernel.access.services.limits import covers, refuse_beyond_role
from crm_kernel.access.ways_in import keep_ways_in
from crm_kernel.errors import Forbidden, NotFound
from crm_kernel.outbound import AddressRefused, checked_url
from crm_kernel.records.sealing import seal_field, unseal
from crm_kernel.records.storing import set_changed

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: What decides who becomes what here: only who may give roles to users may say it.
_GIVES_ROLES = frozenset({"create_users", "role_claim", "role_map", "default_role"})
#: By which somebody can become anybody here, an administrator too.
_MEANS_ANYBODY = frozenset({"link_by_email", "issuer"})
#: A value that every log-in carries would switch off the second factor.
_ABOUT_ROLES = _GIVES_ROLES | _MEANS_ANYBODY | {"factor_values"}
#: By which all who are linked log in.
_LOGS_IN = frozenset({"enabled", "issuer", "client_id", "scopes"})


def create_provider(uow: UnitOfWork, data: Mapping[str, Any]) -> IdentityProvider:
    """Set up a provider, flushed; its secret is set by ``set_secret``.

    Raises:
        InvalidInput: the issuer is no address, the name is taken, or a role does not exist.
        Forbidden: it is to make users or to vouch for a second factor, and the actor may not give roles, or not these;
            it is to know users by e-mail, or its issuer means users already, and the actor may not do everything.
    """
    asked = {name for name in _ABOUT_ROLES - {"issuer"} if data.get(name)}
    _check(uow, data, asked | ({"issuer"} if _known_issuer(uow, data.get("issuer")) else set()))
    made = IdentityProvider(uid=uuid7(), **data)
    uow.session.add(made)
    offer_anew(uow)
    return made


def update_provider(uow: UnitOfWork, provider: IdentityProvider, changes: Mapping[str, Any]) -> None:
    """Change a provider. With another issuer, none of the accounts that were linked logs in any more.

    Raises:
        InvalidInput: the issuer is no address, the name is taken, or a role does not exist.
        Forbidden: it changes who becomes what, and the actor may not give roles, or not these; it changes who is meant,
            and the actor may not do everything; it changes how somebody logs in who may do what the actor may not.
        Conflict: it is switched off or gets another issuer, and somebody who is linked could not log in any more.
    """
    changed = {name for name, value in changes.items() if getattr(provider, name) != value}
    _check(uow, changes, changed & _ABOUT_ROLES, known=provider)
    if changed & _LOGS_IN:
        refuse_over_linked(uow, provider)
    # Another client id or secret is no end: a provider renews them, and a wrong one is put right.
    if "issuer" in changed or ("enabled" in changed and provider.enabled):
        keep_ways_in(uow, provider)
    set_changed(provider, changes)
    offer_anew(uow)


def delete_provider(uow: UnitOfWork, provider: IdentityProvider) -> None:
    """Delete a provider with the links of all users, which is noted for each of them.

    Raises:
        Forbidden: one of them may do what the actor may not.
        Conflict: one of them could not log in any more.
    """
    unlink_everybody(uow, provider)
    uow.session.delete(provider)
    offer_anew(uow)


def set_secret(uow: UnitOfWork, provider: IdentityProvider, client_secret: str) -> None:
    """Set the secret that the provider has given us; an empty one makes us a public client.

    Raises:
        InvalidInput: it is too long; names ``client_secret``.
        Forbidden: somebody who is linked may do what the actor may not.
    """
    refuse_over_linked(uow, provider)
    found = client_secret.strip()
    provider.client_secret = seal_field("client_secret", found, bound_to=_bound(provider.uid)) if found else None
    uow.session.flush()


def enabled_providers(uow: UnitOfWork) -> Sequence[IdentityProvider]:
    """Return the providers that are switched on, by name; one query."""
    wanted = sa.select(IdentityProvider).where(IdentityProvider.enabled).order_by(IdentityProvider.name)
    return uow.session.scalars(wanted).all()


def enabled_provider(uow: UnitOfWork, uid: UUID) -> IdentityProvider:
    """Return one of them; one query.

    Raises:
        NotFound: there is none of that id, or it is switched off.
    """
    wanted = sa.select(IdentityProvider).where(IdentityProvider.uid == uid, IdentityProvider.enabled)
    found = uow.session.scalars(wanted).one_or_none()
    if found is None:
        raise NotFound(_("There is no such log-in provider; it may have been switched off."))
    return found


def provider_named(uow: UnitOfWork, name: str) -> IdentityProvider:
    """Return a provider by its name; one query.

    Raises:
        NotFound: there is none.
    """
    found = uow.session.scalars(sa.select(IdentityProvider).where(IdentityProvider.name == name)).one_or_none()
    if found is None:
        raise NotFound(_("There is no log-in provider %(name)s. List them: crm identity-providers list", name=name))
    return found


def client_of(provider: IdentityProvider) -> Client:
    """Return what is needed to talk to a provider, its secret unsealed.

    Raises:
        ValueError: the secret was sealed with another ``secret_key``.
    """
    secret = provider.client_secret
    return Client(
        uid=provider.uid,
        name=provider.name,
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=None if secret is None else unseal(secret, bound_to=_bound(provider.uid)).decode(),
        scopes=provider.scopes,
    )


def _known_issuer(uow: UnitOfWork, issuer: Any) -> bool:
    """Say whether an issuer is used here: whoever is linked with it, or will be, is meant by another provider as well."""
    columns = (UserIdentity.issuer, IdentityProvider.issuer)
    return any(uow.session.scalar(sa.select(sa.exists().where(column == issuer))) for column in columns)


def _bound(uid: UUID) -> tuple[str, str]:
    return ("identity provider", str(uid))


def _check(
    uow: UnitOfWork, data: Mapping[str, Any], about_roles: set[str], *, known: IdentityProvider | None = None
) -> None:
    errors = Errors()
    if "issuer" in data:
        _check_issuer(errors, str(data["issuer"]))
    if "name" in data:
        message = _("There is a log-in provider of that name.")
        refuse_taken(
            uow, errors, IdentityProvider.name, str(data["name"]), message=message, besides=known.id if known else 0
        )
    if "scopes" in data and "openid" not in str(data["scopes"]).split():
        errors.add("scopes", _("The scope openid is needed."))
    _check_roles(uow, errors, data)
    errors.refuse()
    _refuse_beyond(uow, data, about_roles, known)


def _refuse_beyond(
    uow: UnitOfWork, data: Mapping[str, Any], about_roles: set[str], known: IdentityProvider | None
) -> None:
    if about_roles and not uow.actor.may("user.assign_role"):
        raise Forbidden(_("Only who may give roles to users decides who becomes what by a log-in provider."))
    if about_roles & _MEANS_ANYBODY and not covers(uow.actor, "*", Scope.ALL):
        raise Forbidden(_("Only who may do everything decides whom a log-in provider means."))
    if about_roles & _GIVES_ROLES:
        # The roles that stay named count too: a switch alone hands them on.
        stored = {name: getattr(known, name) for name in ("role_map", "default_role")} if known else {}
        names = {role for _field, role in named_roles({**stored, **data})}
        for role in uow.session.scalars(sa.select(Role).where(Role.name.in_(names))):
            refuse_beyond_role(uow, role)


def _check_issuer(errors: Errors, issuer: str) -> None:
    try:
        parts = checked_url(issuer)
    except AddressRefused as error:
        errors.add("issuer", str(error))
        return
    if parts.query or parts.fragment:
        errors.add("issuer", _("An issuer has neither a query nor a fragment."))


def _check_roles(uow: UnitOfWork, errors: Errors, data: Mapping[str, Any]) -> None:
    lines = [line for line in str(data.get("role_map", "")).splitlines() if line.strip()]
    if len(list(role_lines("\n".join(lines)))) != len(lines):
        errors.add("role_map", _("Each line is: value = role"))
    for field, role in named_roles(data):
        try:
            role_named(uow, role)
        except NotFound as error:
            errors.add(field, str(error))
