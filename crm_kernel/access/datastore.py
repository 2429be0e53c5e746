"""How Flask-Security finds and keeps users: through the one session, committing nothing.

Its views think that they commit; here the unit of work around the request does.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask_security import SQLAlchemyUserDatastore
from flask_security.password_util import PasswordUtil

from crm_kernel.access.models import AppUser, Role
from crm_kernel.access.passwords import normalized, password_problems
from crm_kernel.customers.values.emails import normalize_email
from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.database import db


class Datastore(SQLAlchemyUserDatastore):
    """Flask-Security's view of the user tables."""

    def __init__(self) -> None:
        super().__init__(db, AppUser, Role)  # type: ignore[arg-type]

    def commit(self) -> None:
        """Do nothing: the unit of work of the request commits."""

    def find_user(self, case_insensitive: bool = False, **wanted: Any) -> Any:
        """Return the user with that value of one attribute, or None; an address is looked up in its stored form."""
        ((attribute, value),) = wanted.items()
        if attribute == "email":
            try:
                value = normalize_email(str(value)).normalized
            except ValueProblem:
                return None
        statement = sa.select(AppUser).where(getattr(AppUser, attribute) == value)
        return db.session.execute(statement).scalar_one_or_none()


class PasswordRules(PasswordUtil):
    """Flask-Security's password checks, replaced by the project's one policy."""

    def normalize(self, password: str) -> str:
        """Return a password in the form that is hashed."""
        return normalized(password)

    def validate(self, password: str, is_register: bool, **context: Any) -> tuple[list[str] | None, str]:
        """Return the reasons to refuse a password (None if there are none) and its normal form."""
        email = str(getattr(context.get("user"), "email", ""))
        return password_problems(password, email=email) or None, normalized(password)
