"""Between the first and the second step of a log-in: who gave the right password, kept sealed in the cookie.

It opens nothing but the page of the second step, for ten minutes, and not after the password or the epoch has changed.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
import sqlalchemy as sa
from flask import session, url_for

from crm_kernel.access.models import AppUser
from crm_kernel.records.sealing import seal, unseal

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_KEY = "crm_pending"
_BOUND = ("log-in", "second step")
#: Seconds in which the second step must follow the first.
PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Pending:
    """Who has passed the first step, where he wants to go, when it was (seconds since 1970), and what the step was."""

    user: str
    identity: str
    next: str
    at: float
    first: str = "password"


def await_second_step(user: AppUser, next_url: str, *, first: str = "password") -> None:
    """Remember that a user has passed the first step: gave the right password, or came from a provider."""
    found = Pending(str(user.uid), user.get_id(), next_url, time.time(), first)
    session[_KEY] = seal(orjson.dumps(asdict(found)), bound_to=_BOUND)


def pending() -> Pending | None:
    """Return who has passed the first step in this browser, or None if nobody has, or not lately."""
    found = opened(_KEY, _BOUND, PATIENCE_SECONDS)
    return None if found is None else Pending(**found)


def pending_account() -> str:
    """Return the user of the first step for the rate limit; empty without one. No query."""
    found = pending()
    return found.user if found else ""


def pending_user(uow: UnitOfWork) -> AppUser | None:
    """Return the user who has passed the first step, if he is still the one he was; one query."""
    found = pending()
    if found is None:
        return None
    user = uow.session.scalars(sa.select(AppUser).where(AppUser.uid == UUID(found.user))).one_or_none()
    return user if user is not None and user.active and user.get_id() == found.identity else None


def forget_pending() -> None:
    """Forget the first step."""
    session.pop(_KEY, None)


def opened(key: str, bound: tuple[str, ...], seconds: float) -> dict[str, Any] | None:
    """Return what the cookie carries sealed under a key, if it is ours and its ``at`` not older than so many seconds."""
    try:
        found = orjson.loads(unseal(str(session.get(key, "")), bound_to=bound))
    except ValueError:
        return None
    return found if isinstance(found, dict) and 0 <= time.time() - found["at"] <= seconds else None


def safe_next(address: str) -> str:
    """Return an address of this site, else the start page: a link must not send anybody elsewhere after his log-in."""
    parts = urlsplit(address)
    fits = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return address if fits and address.isprintable() else url_for("web.home")
