"""Users: made, changed, locked out, never deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.grants import read_reach
from crm_kernel.access.models import AppUser, Role, Team
from crm_kernel.access.passwords import hash_password, password_problems
from crm_kernel.access.services.checks import (
    Errors,
    checked_email,
    checked_language,
    checked_name,
    checked_name_order,
    checked_timezone,
    known_only,
    refuse_taken,
)
from crm_kernel.access.services.limits import refuse_beyond_team, refuse_over
from crm_kernel.access.services.roles import assign_role, keep_one_administrator, role_named
from crm_kernel.access.services.tokens import revoke_tokens_of
from crm_kernel.errors import Conflict, InvalidInput, NotFound

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_CHANGEABLE = frozenset({"email", "name", "team_id", "language", "timezone", "name_order"})


def create_user(
    uow: UnitOfWork,
    *,
    email: str,
    name: str,
    password: str | None = None,
    team_id: int | None = None,
    language: str = "en",
    timezone: str = "UTC",
    name_order: str | None = None,
    roles: Sequence[str] = (),
) -> AppUser:
    """Create an active user, flushed; without a password he logs in only after a reset link.

    Raises:
        InvalidInput: a field is wrong, the address is taken, or a role or team does not exist; all errors at once.
    """
    errors = Errors()
    address = checked_email(errors, email)
    refuse_taken(uow, errors, AppUser.email, address, message=_("%(email)s is a user already.", email=address))
    user = AppUser(
        email=address,
        name=checked_name(errors, name, longest=120),
        team_id=_checked_team(uow, errors, team_id),
        language=checked_language(errors, language),
        timezone=checked_timezone(errors, timezone),
        name_order=checked_name_order(errors, name_order),
        fs_uniquifier=uuid4().hex,
        active=True,
    )
    found = [_checked_role(uow, errors, role) for role in roles]
    for problem in password_problems(password, email=address) if password is not None else ():
        errors.add("password", problem)
    errors.refuse()
    user.password = None if password is None else hash_password(password)
    uow.session.add(user)
    uow.session.flush()
    for role in found:
        if role is not None:
            assign_role(uow, user, role)
    return user


def update_user(uow: UnitOfWork, user: AppUser, changes: Mapping[str, Any]) -> None:
    """Change e-mail, name, team, language, time zone or the order of names.

    Raises:
        InvalidInput: a field is unknown or wrong.
        Forbidden: he may do what the actor may not, or would reach another team with it.
    """
    known_only(changes, _CHANGEABLE)
    refuse_over(uow, user)
    errors, clean = Errors(), dict(changes)
    if "email" in changes:
        clean["email"] = checked_email(errors, changes["email"])
        message = _("%(email)s is a user already.", email=clean["email"])
        refuse_taken(uow, errors, AppUser.email, clean["email"], message=message, besides=user.id)
    if "name" in changes:
        clean["name"] = checked_name(errors, changes["name"], longest=120)
    if "team_id" in changes:
        _checked_team(uow, errors, changes["team_id"])
        if changes["team_id"] != user.team_id:
            refuse_beyond_team(uow.actor, read_reach(uow.session, user.id).grants, changes["team_id"])
    if "language" in changes:
        checked_language(errors, changes["language"])
    if "timezone" in changes:
        checked_timezone(errors, changes["timezone"])
    if "name_order" in changes:
        clean["name_order"] = checked_name_order(errors, changes["name_order"])
    errors.refuse()
    for attribute, value in clean.items():
        setattr(user, attribute, value)
    uow.session.flush()


def set_password(uow: UnitOfWork, user: AppUser, password: str) -> None:
    """Set a password, end every session, reset link and API token of the user, and lift a lock.

    Raises:
        InvalidInput: the password breaks the policy; names ``password``.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    problems = password_problems(password, email=user.email)
    if problems:
        raise InvalidInput({"password": problems})
    user.password = hash_password(password)
    user.fs_uniquifier = uuid4().hex
    user.failed_logins, user.locked_until = 0, None
    revoke_tokens_of(uow, user)
    end_sessions(uow, user)


def end_sessions(uow: UnitOfWork, user: AppUser) -> None:
    """End every session of a user; his API tokens stay.

    Raises:
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    user.session_epoch = user.session_epoch + 1
    uow.session.flush()


def deactivate_user(uow: UnitOfWork, user: AppUser) -> None:
    """Refuse the user from the next request on, in every session and by every token; what he owns stays his.

    Raises:
        Conflict: he is inactive already, or the last active administrator.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    if not user.active:
        raise Conflict(_("%(name)s is inactive already.", name=user.name))
    keep_one_administrator(uow, user)
    user.active = False
    end_sessions(uow, user)


def activate_user(uow: UnitOfWork, user: AppUser) -> None:
    """Let a deactivated user in again, with the password he had.

    Raises:
        Conflict: he is active.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    if user.active:
        raise Conflict(_("%(name)s is active already.", name=user.name))
    user.active = True
    user.failed_logins, user.locked_until = 0, None
    uow.session.flush()


def user_by_email(uow: UnitOfWork, email: str) -> AppUser:
    """Return the user of an address, however it is written; one query.

    Raises:
        InvalidInput: it is no address.
        NotFound: nobody has it.
    """
    errors = Errors()
    address = checked_email(errors, email)
    errors.refuse()
    found = uow.session.execute(sa.select(AppUser).where(AppUser.email == address)).scalar_one_or_none()
    if found is None:
        raise NotFound(_("There is no user %(email)s. List them with: crm users list", email=address))
    return found


def _checked_team(uow: UnitOfWork, errors: Errors, team_id: int | None) -> int | None:
    if team_id is not None and uow.session.get(Team, team_id) is None:
        errors.add("team", _("There is no such team."))
    return team_id


def _checked_role(uow: UnitOfWork, errors: Errors, name: str) -> Role | None:
    try:
        return role_named(uow, name)
    except NotFound as error:
        errors.add("roles", str(error))
        return None
