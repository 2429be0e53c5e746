"""Log-in: the form, the count of wrong passwords, and what a good log-in leaves behind.

Two walls against guessing. The rate limit (``throttle.py``) is per process and per address; the count here is in the
database, exact under parallel tries in every process, because it is raised before the password is looked at. A locked
account answers like an unknown one.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import sqlalchemy as sa
from flask import g, session
from flask_security.forms import LoginForm

from crm_kernel.access.datastore import Datastore
from crm_kernel.access.models import AppUser
from crm_kernel.database import db, utcnow

log = logging.getLogger("crm.access")

#: Wrong passwords in a row until an account is locked, and for how long.
MAX_FAILED_LOGINS = 10
LOCKED_FOR = dt.timedelta(minutes=15)


class CrmLoginForm(LoginForm):
    """Flask-Security's form without "remember me"; counts the try before it checks the password."""

    #: Removes the field: sessions last as long as the configuration says.
    remember = None

    def validate(self, **kwargs: Any) -> bool:
        """Say whether user and password fit; an unknown, locked or inactive user takes as long and says the same."""
        self.ifield = self.email
        found = Datastore().find_user(email=self.email.data) if self.email.data else None
        self.user = found if found is not None and found.active and _count_try(found.id) else None
        return bool(super().validate(**kwargs))


def _count_try(user_id: int) -> bool:
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


def after_login(_sender: Any, user: AppUser, **_context: Any) -> None:
    """Note a good log-in, forget the failed ones, and begin the session with a CSRF token of its own."""
    noted = sa.update(AppUser).where(AppUser.id == user.id)
    values = {"last_login_at": utcnow(), "failed_logins": 0, "locked_until": None}
    db.session.execute(noted.values(**values).execution_options(synchronize_session=False))
    session.pop("csrf_token", None)
    g.pop("csrf_token", None)


def after_new_password(_sender: Any, user: AppUser, **_context: Any) -> None:
    """Lift a lock once the user has proved by a link or the old password who he is."""
    user.failed_logins, user.locked_until = 0, None
