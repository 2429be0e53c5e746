"""The "last used" mark of API tokens: written after the request, in a unit of work of its own.

A GET never writes, so the mark cannot be part of the request's own transaction; once a minute per token is enough to
see which tokens are alive.
"""

from __future__ import annotations

import logging

import sqlalchemy as sa
from flask import Response, g

from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.authentication import MARK_EVERY, access_state
from crm_kernel.access.models import ApiToken
from crm_kernel.database import utcnow
from crm_kernel.errors import CrmError
from crm_kernel.unit_of_work import writing

log = logging.getLogger("crm.access")


def mark_token_used(response: Response) -> Response:
    """Store when the request's token was used, if the last mark is older than a minute; never fails the request."""
    token_id: int | None = g.pop("crm_token_used", None)
    if token_id is not None and g.get("crm_uow") is None:
        try:
            _mark(token_id)
        except (CrmError, sa.exc.SQLAlchemyError) as error:
            log.warning("the last use of API token %s was not stored: %s", token_id, error)
    return response


def _mark(token_id: int) -> None:
    marked, now = access_state().marked, utcnow()
    before = marked.get(token_id)
    if before is not None and now - before < MARK_EVERY:
        return
    marked[token_id] = now
    with writing(SYSTEM, channel="system") as uow:
        uow.session.execute(sa.update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=uow.now))
