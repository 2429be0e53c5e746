"""Log-in: the count of tries, and what a good log-in leaves behind.

Two walls against guessing. The rate limit (``throttle.py``) is per process and per address; the count here is in the
database, exact under parallel tries in every process, because it is raised before the password is looked at. A locked
account answers like an unknown one.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from flask import g, session

from crm_kernel.access.models import AppUser
from crm_kernel.access.services.tokens import revoke_tokens_of
from crm_kernel.access.sessions import begin_session
from crm_kernel.database import db, utcnow
from crm_kernel.unit_of_work import current_uow

log = logging.getLogger("crm.access")

#: Wrong passwords in a row until an account is locked, and for how long.
MAX_FAILED_LOGINS = 10
LOCKED_FOR = dt.timedelta(minutes=15)


def count_try(user_id: int) -> bool:
    """Count a try and say whether it may be made; holds the user's row, so that parallel tries queue up."""
    now = utcnow()
    last = AppUser.failed_logins + 1 >= MAX_FAILED_LOGINS
    counted = (
        sa.update(AppUser)
        .where(AppUser.id == user_id, sa.or_(AppUser.locked_until.is_(None), AppUser.locked_until <= now))
        .values(
            failed_logins=sa.case((last, 0), else_=AppUser.failed_logins + 1),
            locked_until=sa.case((last, sa.literal(now + LOCKED_FOR, AppUser.locked_until.type)), else_=None),
        )
        .returning(AppUser.locked_until)
        .execution_options(synchronize_session=False)
    )
    row = db.session.execute(counted).first()
    if row is None or row.locked_until is not None:
        log.warning("user %s: %s", user_id, "log-in refused, the account is locked" if row is None else "last try")
    return row is not None


def after_login(_sender: Any, user: AppUser, authn_via: Sequence[str] = (), **_context: Any) -> None:
    """Note a good log-in, forget the failed ones, and begin a session with a CSRF token of its own."""
    forget_tries(user.id, last_login_at=utcnow())
    begin_session(current_uow(), user, "password" if "change" in authn_via else "+".join(authn_via))
    session.pop("csrf_token", None)
    g.pop("csrf_token", None)


def forget_tries(user_id: int, **more: Any) -> None:
    """Forget the tries of a user who has proved who he is."""
    noted = sa.update(AppUser).where(AppUser.id == user_id).values(failed_logins=0, locked_until=None, **more)
    db.session.execute(noted.execution_options(synchronize_session=False))


def after_new_password(_sender: Any, user: AppUser, **_context: Any) -> None:
    """Lift a lock once the user has proved by a link who he is, and revoke his API tokens."""
    user.failed_logins, user.locked_until = 0, None
    revoke_tokens_of(current_uow(), user)
