"""What only those who administer users see on a user's page: his log-ins, whether he is locked out, his second factor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask_babel import lazy_gettext as _l

from crm_kernel.access.models import AppUser, Role
from crm_kernel.access.sessions import described, sessions_of
from crm_kernel.contributions import Panel

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def panels() -> list[Panel]:
    """Return the card "access" of users and the card "rights" of roles."""
    return [
        Panel(
            name="kernel.user_access",
            label=_l("Access"),
            template="access/user_access.html",
            load=_load,
            permission="user.update",
            host="user",
            icon="lock",
        ),
        Panel(
            name="kernel.role_rights",
            label=_l("Rights"),
            template="access/role_rights.html",
            load=_load_rights,
            permission="role.update",
            host="role",
            icon="lock",
        ),
    ]


def _load_rights(_uow: UnitOfWork, role: Role) -> Mapping[str, Any]:
    return {"url": url_for("admin.role_rights", uid=role.uid)}


def _load(uow: UnitOfWork, user: AppUser) -> Mapping[str, Any]:
    from crm_kernel.access.explain_pages import explain_url

    locked = user.locked_until is not None and user.locked_until > uow.now
    return {
        "last_login_at": user.last_login_at,
        "locked_until": user.locked_until if locked else None,
        "explain_url": explain_url(uow.actor, user=user.uid),
        "factor": user.tf_primary_method,
        "sessions": [described(row) for row in sessions_of(uow, user)],
        "email": user.email,
        "uid": user.uid,
        "may_end": uow.actor.may("user.sign_out"),
    }
