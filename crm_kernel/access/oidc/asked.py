"""A log-in that is under way at a provider: kept sealed in the cookie, for ten minutes, in this browser.

The browser forgets it with the first answer. That is all that is done here against a second one: who kept cookie and answer
sends them again, and it is the provider that takes a code once.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import orjson
from authlib.common.security import generate_token
from flask import session
from flask_babel import gettext as _

from crm_kernel.access.oidc.errors import LogInFailed
from crm_kernel.access.oidc.tokens import Asked
from crm_kernel.access.signin.pending import opened
from crm_kernel.records.sealing import seal

_KEY, _BOUND = "crm_oidc", ("oidc", "log-in")
_LINK_KEY, _LINK_BOUND = "crm_oidc_link", ("oidc", "link")
_PATIENCE_SECONDS = 600
#: What a log-in may be for: to log in, to link the account, to prove again who one is.
PURPOSES = ("login", "link", "again")


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What was begun: where, what for, by whom, and where to go then."""

    provider: str
    purpose: str
    next: str
    asked: Asked
    #: Key of the user who links or proves; None for a log-in.
    user: int | None


def begin(provider: UUID, *, purpose: str, next_url: str, redirect_uri: str, user: int | None) -> Asked:
    """Remember a log-in that begins now; one before it, in the same browser, is forgotten."""
    asked = Asked(
        state=generate_token(43),
        nonce=generate_token(43),
        verifier=generate_token(64),
        redirect_uri=redirect_uri,
        anew=purpose == "again",
    )
    found = UnderWay(str(provider), purpose, next_url, asked, user)
    session[_KEY] = seal(orjson.dumps({**asdict(found), "at": time.time()}), bound_to=_BOUND)
    return asked


def take(provider: UUID, answer: Mapping[str, str]) -> UnderWay:
    """Return the log-in that an answer belongs to, and let the browser forget it.

    Raises:
        LogInFailed: none is under way here, or another one, or at another provider.
    """
    found = opened(_KEY, _BOUND, _PATIENCE_SECONDS)
    session.pop(_KEY, None)
    if found is None:
        raise LogInFailed(_("No log-in is under way in this browser, or too much time has passed: begin again."))
    found.pop("at")
    under_way = UnderWay(**{**found, "asked": Asked(**found["asked"])})
    same = hmac.compare_digest(under_way.asked.state.encode(), answer.get("state", "").encode())
    if not same or under_way.provider != str(provider):
        raise LogInFailed(_("The answer belongs to another log-in: begin again."))
    return under_way


def remember_link(provider: UUID, subject: str, user: int) -> None:
    """Remember an account that the user has proved to be his, until he says that it is to be linked."""
    found: dict[str, Any] = {"provider": str(provider), "subject": subject, "user": user, "at": time.time()}
    session[_LINK_KEY] = seal(orjson.dumps(found), bound_to=_LINK_BOUND)


def take_link(user: int) -> tuple[UUID, str] | None:
    """Return provider and subject of the account that the user has proved to be his, and forget it."""
    found = opened(_LINK_KEY, _LINK_BOUND, _PATIENCE_SECONDS)
    session.pop(_LINK_KEY, None)
    return (UUID(found["provider"]), found["subject"]) if found is not None and found["user"] == user else None
