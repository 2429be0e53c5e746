"""Log-ins in browsers: begun, listed for their user, ended one by one or all but one.

The cookie is signed and holds a random number; its row says whether it still counts, so that ending one holds from its
next request on. Who ends all others gets a new epoch, which every cookie but his own lacks.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import request, session
from flask_babel import gettext as _

from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.authentication import SESSION_KEY, SESSION_LIFETIME
from crm_kernel.access.models import AppUser, UserSession
from crm_kernel.access.secrets import digest_of
from crm_kernel.access.services.limits import refuse_over
from crm_kernel.errors import NotFound
from crm_kernel.unit_of_work import current_uow

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: How a browser names itself → what people call it, the more particular first.
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip


def begin_session(uow: UnitOfWork, user: AppUser, method: str) -> UserSession:
    """Store the log-in of the current request and name it in its cookie; a session it had before ends."""
    end_current(uow)
    named = secrets.token_urlsafe(24)
    session[SESSION_KEY] = named
    row = UserSession(
        user_id=user.id,
        digest=digest_of(named),
        identity=user.get_id(),
        method=method,
        device=re.sub(r"[^\x20-\x7e]", "", request.user_agent.string)[:255],
        address=(request.remote_addr or "")[:45],
        created_at=uow.now,
        seen_at=uow.now,
    )
    uow.session.add(row)
    uow.session.flush()
    return row


def end_current(uow: UnitOfWork) -> None:
    """End the session that the request's cookie names, if it names one."""
    named = session.pop(SESSION_KEY, None)
    if named:
        mine = sa.update(UserSession).where(UserSession.digest == digest_of(str(named)), UserSession.ended_at.is_(None))
        uow.session.execute(mine.values(ended_at=uow.now))


def sessions_of(uow: UnitOfWork, user: AppUser) -> Sequence[UserSession]:
    """Return the sessions of a user that still count, the last seen first; one query."""
    alive = sa.select(UserSession).where(
        UserSession.user_id == user.id,
        UserSession.ended_at.is_(None),
        UserSession.identity == user.get_id(),
        UserSession.created_at > uow.now - SESSION_LIFETIME,
    )
    return uow.session.scalars(alive.order_by(UserSession.seen_at.desc())).all()


def end_session(uow: UnitOfWork, user: AppUser, uid: UUID) -> UserSession:
    """End one session of a user, from its next request on.

    Raises:
        NotFound: he has none of that id, or it has ended.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    found = next((row for row in sessions_of(uow, user) if row.uid == uid), None)
    if found is None:
        raise NotFound(_("There is no such session; it may have ended."))
    found.ended_at = uow.now
    _note(uow, user, "session_ended", {"session": str(uid)})
    return found


def end_other_sessions(uow: UnitOfWork, user: AppUser) -> int:
    """End every session of a user but the request's own; return how many rows that were."""
    own = digest_of(str(session.get(SESSION_KEY, "")))
    others = [row for row in sessions_of(uow, user) if row.digest != own]
    for row in others:
        row.ended_at = uow.now
    user.session_epoch += 1
    uow.session.flush()
    session["_user_id"] = user.get_id()
    mine = sa.update(UserSession).where(UserSession.digest == own)
    uow.session.execute(mine.values(identity=user.get_id()).execution_options(synchronize_session=False))
    _note(uow, user, "session_ended", {"sessions": "others"})
    return len(others)


def described(row: UserSession) -> dict[str, Any]:
    """Return a session as pages and the command line show it; ``current`` only inside a request."""
    return {
        "id": row.uid,
        "device": device_name(row.device),
        "address": row.address,
        "method": row.method,
        "proof": proof_text(row.method),
        "created_at": row.created_at,
        "seen_at": row.seen_at,
    }


def proof_text(method: str) -> str:
    """Return how somebody proved who he is, as people call it: ``Password, authenticator app``."""
    words = {
        "password": _("Password"),
        "change": _("New password"),
        "totp": _("Authenticator app"),
        "recovery": _("Recovery code"),
        "passkey": _("Passkey"),
        "oidc": _("Log-in provider"),
        "mfa": _("Second factor at the provider"),
    }
    return ", ".join(words.get(part, part) for part in method.split("+"))


def is_current(row: UserSession) -> bool:
    """Say whether a session is the request's own."""
    return row.digest == digest_of(str(session.get(SESSION_KEY, "")))


def device_name(agent: str) -> str:
    """Return what people call a browser: ``Firefox, Windows``; the agent's own beginning where it is unknown."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return ", ".join(filter(None, (browser, system))) or agent[:40]


def after_logout(_sender: Any, **_context: Any) -> None:
    """End the session of whoever logs out; attached to Flask-Login's signal."""
    from crm_kernel.access.signin.oidc import came_from

    came_from()
    end_current(current_uow())


def _note(uow: UnitOfWork, user: AppUser, action: str, details: dict[str, str]) -> None:
    record_audit_many(uow, "user", action, [AuditRow(user.uid, None, details)])
