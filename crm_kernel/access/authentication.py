"""Who asks: from the bearer token or the session cookie of a request to an ``Actor``.

One query finds the user (and the token), a second one his reach when it is not in memory. A bearer token wins over a
cookie, and an invalid one is refused rather than ignored.
"""

from __future__ import annotations

import datetime as dt
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app, g, request, session
from flask_babel import gettext as _

from crm_kernel.access.actor import ANONYMOUS, Actor
from crm_kernel.access.grants import ReachCache, generation_column
from crm_kernel.access.models import ApiToken, AppUser, UserSession
from crm_kernel.access.secrets import digest_of, prefix_of
from crm_kernel.errors import Unauthenticated
from crm_kernel.records.custom_fields.current import version_column, version_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

    from crm_kernel.unit_of_work import UnitOfWork

log = logging.getLogger("crm.access")

#: Key of ``app.extensions``.
EXTENSION = "crm_access"
#: How often a token's mark "last used" is renewed at most.
MARK_EVERY = dt.timedelta(minutes=1)
#: How often a session's mark "last seen" is renewed at most.
SEEN_EVERY = dt.timedelta(minutes=5)
#: How long a log-in lasts at most, however often it is used: then who one is must be proved again.
SESSION_LIFETIME = dt.timedelta(days=14)
#: Key of a cookie for the random part that names the session's row.
SESSION_KEY = "sid"

_USER = (
    AppUser.id,
    AppUser.uid,
    AppUser.name,
    AppUser.active,
    AppUser.language,
    AppUser.timezone,
    AppUser.name_order,
    AppUser.session_epoch,
)
# Made once: building them anew costs more than running them.
_BY_SESSION = (
    sa.select(
        *_USER,
        generation_column,
        version_column,
        AppUser.tf_primary_method,
        UserSession.id.label("session_id"),
        UserSession.created_at,
        UserSession.seen_at,
        UserSession.ended_at,
        UserSession.method,
    )
    .outerjoin(
        UserSession, sa.and_(UserSession.user_id == AppUser.id, UserSession.digest == sa.bindparam("session_digest"))
    )
    .where(AppUser.fs_uniquifier == sa.bindparam("uniquifier"))
)
_BY_PREFIX = (
    sa.select(
        *_USER,
        generation_column,
        version_column,
        ApiToken.id.label("token_id"),
        ApiToken.digest,
        ApiToken.scopes,
        ApiToken.expires_at,
        ApiToken.revoked_at,
        ApiToken.last_used_at,
    )
    .join(AppUser, AppUser.id == ApiToken.user_id)
    .where(ApiToken.prefix == sa.bindparam("prefix"))
)


@dataclass(slots=True)
class AccessState:
    """What access keeps per application."""

    reaches: ReachCache = field(default_factory=ReachCache)
    #: token key → when this process last marked it used; saves the short write when several requests race.
    marked: dict[int, dt.datetime] = field(default_factory=dict)
    #: The same for sessions and the mark "last seen".
    seen: dict[int, dt.datetime] = field(default_factory=dict)


def access_state() -> AccessState:
    """Return the access state of the current application."""
    found: AccessState = current_app.extensions[EXTENSION]
    return found


def bearer_token() -> str | None:
    """Return the token of the request's ``Authorization: Bearer …`` header, or None."""
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def authenticate(uow: UnitOfWork) -> Actor:
    """Return who sent the current request; ``ANONYMOUS`` without token and log-in. One query, two at the most.

    Raises:
        Unauthenticated: a token was sent that is malformed, unknown, expired, revoked or of an inactive user.
    """
    token = bearer_token()
    return _by_session(uow) if token is None else _by_token(uow, token)


def _by_session(uow: UnitOfWork) -> Actor:
    uniquifier, _dot, epoch = str(session.get("_user_id", "")).rpartition(".")
    if not uniquifier:
        return ANONYMOUS
    named = str(session.get(SESSION_KEY, ""))
    values = {"uniquifier": uniquifier, "session_digest": digest_of(named) if named else ""}
    row = uow.session.execute(_BY_SESSION, values).first()
    if row is None or not row.active or str(row.session_epoch) != epoch:
        return ANONYMOUS
    # A cookie of a version that kept no sessions names none: the epoch alone decides about it.
    if named and (row.session_id is None or row.ended_at is not None):
        return ANONYMOUS
    # The cookie is signed anew with every change of what it holds, hence its own age says nothing.
    if row.session_id is not None and uow.now - row.created_at >= SESSION_LIFETIME:
        return ANONYMOUS
    if row.session_id is not None and uow.now - row.seen_at >= SEEN_EVERY:
        g.crm_session_seen = row.session_id
    actor = _actor(uow, row, "user")
    reach = access_state().reaches.get(uow.session, row.access_generation, row.id)
    vouched = "mfa" in (row.method or "").split("+")
    g.crm_lacks_factor = reach.second_factor and row.tf_primary_method is None and not vouched
    return actor


def _by_token(uow: UnitOfWork, token: str) -> Actor:
    prefix = prefix_of(token)
    row = uow.session.execute(_BY_PREFIX, {"prefix": prefix}).first() if prefix else None
    reason = _refusal(row, token, uow.now)
    if row is None or reason:
        log.info("API token %s refused: %s", prefix or "(malformed)", reason)
        raise Unauthenticated(_("The API token is unknown, expired or revoked: create one on your profile page."))
    if row.last_used_at is None or uow.now - row.last_used_at >= MARK_EVERY:
        g.crm_token_used = row.token_id
    return _actor(uow, row, "token", token_id=row.token_id, scopes=row.scopes)


def _refusal(row: Row[Any] | None, token: str, now: dt.datetime) -> str:
    # The digest is compared first and in constant time: nobody learns from the answer which part was wrong.
    if not hmac.compare_digest(row.digest if row else "0" * 64, digest_of(token)) or row is None:
        return "unknown"
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at is not None and row.expires_at <= now:
        return "expired"
    return "" if row.active else "its user is inactive"


def _actor(
    uow: UnitOfWork, row: Row[Any], kind: str, *, token_id: int | None = None, scopes: Sequence[str] | None = None
) -> Actor:
    reach = access_state().reaches.get(uow.session, row.access_generation, row.id)
    uow.custom_fields = version_of(row.custom_fields_version)
    return Actor(
        kind=kind,
        name=row.name,
        user_id=row.id,
        user_uid=row.uid,
        token_id=token_id,
        team_ids=reach.team_ids,
        grants=reach.grants,
        field_rules=reach.field_rules,
        token_scopes=None if scopes is None else tuple(scopes),
        language=row.language,
        timezone=row.timezone,
        name_order=row.name_order,
    )
