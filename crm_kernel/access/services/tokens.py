"""API tokens: made once, shown once, limited, revoked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.models import ApiToken, AppUser
from crm_kernel.access.secrets import digest_of, new_secret, prefix_of
from crm_kernel.access.services.checks import Errors, checked_name
from crm_kernel.access.services.limits import refuse_over
from crm_kernel.access.services.roles import PATTERN
from crm_kernel.errors import Conflict

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made; ``secret`` is the whole bearer token, which nobody can read again."""

    token: ApiToken
    secret: str = field(repr=False)


def create_token(
    uow: UnitOfWork,
    user: AppUser,
    *,
    name: str,
    scopes: Sequence[str] | None = None,
    expires_at: dt.datetime | None = None,
) -> NewToken:
    """Create an API token that acts for a user, flushed.

    Args:
        scopes: permission patterns that limit it further than its user is; None for no further limit.
        expires_at: aware; None for never.

    Raises:
        InvalidInput: the name is empty, a scope malformed or the list empty, or the end lies in the past.
        Conflict: the user is inactive.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    if not user.active:
        raise Conflict(_("%(name)s is inactive and can have no token.", name=user.name))
    errors = Errors()
    clean = checked_name(errors, name, longest=120)
    limits = None if scopes is None else list(dict.fromkeys(scope.strip() for scope in scopes))
    if limits == []:
        errors.add("scopes", _("Name at least one permission, or leave the limit out."))
    for scope in limits or ():
        if not PATTERN.match(scope):
            errors.add(
                "scopes",
                _("Found %(found)s, expected a permission such as customer.read, sfa.* or *.read.", found=scope),
            )
    if expires_at is not None and expires_at <= uow.now:
        errors.add("expires_at", _("Found %(found)s, expected a time to come.", found=expires_at.isoformat()))
    errors.refuse()
    secret = new_secret()
    token = ApiToken(
        user_id=user.id,
        name=clean,
        prefix=prefix_of(secret),
        digest=digest_of(secret),
        scopes=limits,
        expires_at=expires_at,
    )
    uow.session.add(token)
    uow.session.flush()
    _note(uow, "created", user, [token])
    return NewToken(token, secret)


def revoke_token(uow: UnitOfWork, token: ApiToken) -> None:
    """Refuse a token from the next request on; its row stays for the record.

    Raises:
        Conflict: it is revoked already.
        Forbidden: its user may do what the actor may not.
    """
    user = uow.session.get_one(AppUser, token.user_id)
    refuse_over(uow, user)
    if token.revoked_at is not None:
        raise Conflict(_("The token %(name)s is revoked already.", name=token.name))
    _revoke(uow, user, [token])


def revoke_tokens_of(uow: UnitOfWork, user: AppUser) -> int:
    """Revoke all tokens of a user whose password is new and return how many that were; the caller authorises.

    Whoever sets a password anew, because it was lost or is known to somebody, means to be alone again.
    """
    query = sa.select(ApiToken).where(ApiToken.user_id == user.id, ApiToken.revoked_at.is_(None))
    found = uow.session.scalars(query.order_by(ApiToken.id)).all()
    _revoke(uow, user, found)
    return len(found)


def _revoke(uow: UnitOfWork, user: AppUser, tokens: Sequence[ApiToken]) -> None:
    for token in tokens:
        token.revoked_at = uow.now
    uow.session.flush()
    _note(uow, "revoked", user, tokens)


def _note(uow: UnitOfWork, action: str, user: AppUser, tokens: Sequence[ApiToken]) -> None:
    # Tokens are no record type: what happens to them is noted here.
    record_audit_many(uow, "api_token", action, [AuditRow(token.uid, None, _facts(user, token)) for token in tokens])


def _facts(user: AppUser, token: ApiToken) -> dict[str, object]:
    return {
        "user": str(user.uid),
        "name": token.name,
        "prefix": token.prefix,
        "scopes": token.scopes,
        "expires_at": token.expires_at,
    }
