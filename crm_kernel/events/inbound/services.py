"""Sets up and changes the addresses that take messages; whoever decides what is taken there does it in his own name."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import current_app, url_for
from flask_babel import gettext as _
from uuid_utils.compat import uuid7

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.errors import InvalidInput
from crm_kernel.events.inbound.models import WebhookSource
from crm_kernel.events.inbound.storing import digest_of
from crm_kernel.events.webhooks.secrets import opened, replace_secret, sealed
from crm_kernel.events.webhooks.signing import new_secret
from crm_kernel.records.storing import set_changed

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Fields that decide what is taken and how it is checked.
DECIDING = frozenset({"kind", "scheme"})


def create_source(uow: UnitOfWork, data: Mapping[str, Any]) -> WebhookSource:
    """Set up an address with a token and a secret of its own and return it, flushed.

    Raises:
        InvalidInput: nobody is logged in, in whose name messages could be handled.
    """
    if uow.actor.user_id is None:
        raise InvalidInput({"user": [_("Messages are handled in the name of a user: set this up as one.")]})
    uid, token = uuid7(), secrets.token_urlsafe(24)
    made = WebhookSource(
        uid=uid,
        user_id=uow.actor.user_id,
        scopes=_scopes(uow),
        token=sealed(uid, token),
        token_digest=digest_of(token),
        secret=sealed(uid, new_secret()),
        **data,
    )
    uow.session.add(made)
    uow.session.flush()
    return made


def update_source(uow: UnitOfWork, source: WebhookSource, changes: Mapping[str, Any]) -> None:
    """Change an address; its token and its secret stay."""
    decides = any(getattr(source, name) != value for name, value in changes.items() if name in DECIDING)
    if decides and uow.actor.user_id is not None:
        source.user_id, source.scopes = uow.actor.user_id, _scopes(uow)
    set_changed(source, changes)


def replace_source_secret(uow: UnitOfWork, source: WebhookSource) -> None:
    """Give an address a new secret; the old one is good beside it for 24 hours."""
    replace_secret(source, new_secret(), uow.now)
    uow.session.flush()


def address_of(source: WebhookSource) -> str:
    """Return the address that messages are sent to; whole where ``base_url`` is set."""
    token = opened(source.uid, source.token)
    base = runtime_of(current_app).config.base_url.rstrip("/")
    return base + url_for("api_hook.receive", token=token)


def _scopes(uow: UnitOfWork) -> list[str] | None:
    return list(uow.actor.token_scopes) if uow.actor.token_scopes is not None else None
