"""What the account itself says to a question of rights: active, locked, with the second factor that a role asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flask_babel import format_datetime
from flask_babel import gettext as _

from crm_kernel.access.explain_fields import Step
from crm_kernel.access.grants import read_reach
from crm_kernel.access.sessions import sessions_of

if TYPE_CHECKING:
    from crm_kernel.access.models import ApiToken, AppUser
    from crm_kernel.unit_of_work import UnitOfWork


def account_steps(uow: UnitOfWork, user: AppUser, token: ApiToken | None, permission: str) -> Iterator[Step]:
    """Yield what the account has to say; of a token only whether its user is active: the rest is about log-ins."""
    text = _("The user is active.") if user.active else _("The user is deactivated: nothing is allowed.")
    yield Step("user", user.email, bool(user.active), text)
    if token is None:
        yield from _lock(uow, user)
        yield from _second_factor(uow, user, permission)


def _lock(uow: UnitOfWork, user: AppUser) -> Iterator[Step]:
    if user.locked_until is not None and user.locked_until > uow.now:
        until = format_datetime(user.locked_until, "short")
        text = _("Locked after too many tries until %(until)s: no log-in until then; sessions go on.", until=until)
        yield Step("locked", user.email, None, text)


def _second_factor(uow: UnitOfWork, user: AppUser, permission: str) -> Iterator[Step]:
    if permission == "public" or not read_reach(uow.session, user.id).second_factor:
        return
    if user.tf_primary_method is not None:
        yield Step("second_factor", user.tf_primary_method, True, _("A role asks for a second factor; there is one."))
    elif any("mfa" in row.method.split("+") for row in sessions_of(uow, user)):
        text = _("A role asks for a second factor; a log-in provider has asked for one in a session that is open.")
        yield Step("second_factor", _("none"), True, text)
    else:
        text = _("A role asks for a second factor and there is none: only the page that sets one up can be reached.")
        yield Step("second_factor", _("none"), False, text)
