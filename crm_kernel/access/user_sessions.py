"""What an administrator does about another user's sessions, one by one; and the job that forgets those that are over."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, current_app, flash, redirect, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.authentication import SESSION_LIFETIME
from crm_kernel.access.models import AppUser, UserSession
from crm_kernel.access.own import refuse_tokens
from crm_kernel.access.sessions import end_session
from crm_kernel.contributions import Job, JobKind
from crm_kernel.errors import NotFound
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Sessions deleted per chunk.
CHUNK = 500


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint what the buttons on a user's page do."""
    address = "/users/<uuid:uid>/sessions/<uuid:session_uid>/end"
    blueprint.add_url_rule(address, view_func=end_users_session, methods=["POST"])


def session_jobs() -> list[Job]:
    """Return the job that deletes sessions that are over."""
    return [
        Job(
            name="kernel.expire_sessions",
            handler=expire_sessions,
            kind=JobKind.CHUNKED,
            schedule="50 3 * * *",
            queue="housekeeping",
            priority=10,
        )
    ]


@permission("user.sign_out")
def end_users_session(uid: UUID, session_uid: UUID) -> Response:
    """End one session of a user; it holds from its next request on."""
    uow = current_uow()
    refuse_tokens(uow.actor)
    user = uow.session.scalars(sa.select(AppUser).where(AppUser.uid == uid)).one_or_none()
    if user is None:
        raise NotFound(_("There is no such user."))
    end_session(uow, user, session_uid)
    flash(_("The session has ended."), "success")
    return redirect(url_for("records.user_detail", uid=uid), 303)


def expire_sessions(uow: UnitOfWork, payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Delete one chunk of sessions that ended, or were last seen, longer ago than is kept; None when there are no more."""
    cutoff = uow.now - dt.timedelta(days=runtime_of(current_app).config.session_days)
    ended = UserSession.ended_at < cutoff
    faded = UserSession.seen_at < cutoff - SESSION_LIFETIME
    over = sa.select(UserSession.id).where(sa.or_(ended, faded)).order_by(UserSession.id).limit(CHUNK)
    ids = list(uow.session.scalars(over))
    if not ids:
        return None
    uow.session.execute(sa.delete(UserSession).where(UserSession.id.in_(ids)))
    so_far = payload.get("checkpoint", {}).get("deleted", 0) + len(ids)
    return {"deleted": so_far, "progress": {"done": so_far}}
