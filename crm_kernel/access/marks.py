"""The marks "last used" of API tokens and "last seen" of sessions: written after the request, in a unit of their own.

A GET never writes, so the mark cannot be part of the request's own transaction. Once a minute per token and once in five
minutes per session is enough to see which are alive.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import sqlalchemy as sa
from flask import Response, g

from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.authentication import MARK_EVERY, SEEN_EVERY, access_state
from crm_kernel.access.models import ApiToken, UserSession
from crm_kernel.database import utcnow
from crm_kernel.errors import CrmError
from crm_kernel.unit_of_work import writing

log = logging.getLogger("crm.access")


def mark_use(response: Response) -> Response:
    """Store when the request's token or session was used, if the last mark is old; never fails the request."""
    token_id, session_id = g.pop("crm_token_used", None), g.pop("crm_session_seen", None)
    if g.get("crm_uow") is None:
        state = access_state()
        if token_id is not None:
            _mark(ApiToken, "last_used_at", token_id, state.marked, MARK_EVERY)
        if session_id is not None:
            _mark(UserSession, "seen_at", session_id, state.seen, SEEN_EVERY)
    return response


def _mark(model: Any, column: str, key: int, marked: dict[int, dt.datetime], every: dt.timedelta) -> None:
    before, now = marked.get(key), utcnow()
    if before is not None and now - before < every:
        return
    marked[key] = now
    try:
        with writing(SYSTEM, channel="system") as uow:
            uow.session.execute(sa.update(model).where(model.id == key).values({column: uow.now}))
    except (CrmError, sa.exc.SQLAlchemyError) as error:
        log.warning("the last use of %s %s was not stored: %s", model.__tablename__, key, error)
