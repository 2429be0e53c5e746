"""Does a POST once per ``Idempotency-Key``: claims the key first, stores the answer last, both in the request's own unit.

Two requests under one key meet at the claim: SQLite has one writer anyway, and PostgreSQL lets the second insert wait for
the first transaction. So the second finds either the stored answer or, when the first was rolled back, a free key. Nothing
is stored of what was refused (4xx) or failed (5xx): their transaction is rolled back, and the same key may try again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask import Response, current_app, request
from flask_babel import gettext as _
from sqlalchemy.dialects import postgresql, sqlite

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.web.idempotency.models import IdempotencyKey

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: The header of a request, and the one that marks an answer as told before.
HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
#: Longest key.
MAX_KEY = 255

#: Headers of an answer that are told again; the others belong to the moment.
_KEPT = ("Content-Type", "Location", "ETag", "Cache-Control")
_KEYS = cast(sa.Table, IdempotencyKey.__table__)


def wants_once() -> bool:
    """Say whether the current request is one that a key makes unrepeatable: a POST of the API with the header."""
    return request.method == "POST" and request.path.startswith("/api/") and HEADER in request.headers


def once(uow: UnitOfWork, work: Callable[[], Any], *, content: str = "") -> Response:
    """Do the work of the current request and store its answer, or give the answer that is stored; two statements more.

    Args:
        content: what else makes this request another one, where the view took its body elsewhere: the digest of a file.

    Raises:
        InvalidInput: the key is no key, or was used for another request.
        Conflict: the request was done, and its answer is not kept.
    """
    if uow.actor.user_id is None:  # nobody's: there is no client whose keys these could be
        return current_app.make_response(work())
    digest, fingerprint = _digest(_key()), _fingerprint(content)
    claimed = _claim(uow, digest, fingerprint) or _claim_expired(uow, digest, fingerprint)
    if claimed is None:
        return _told_again(_stored(uow, digest), fingerprint)
    answer = current_app.make_response(work())
    if answer.status_code >= 400:
        uow.session.execute(sa.delete(_KEYS).where(_KEYS.c.id == claimed))
    else:
        _store(uow, claimed, answer)
    return answer


def _key() -> str:
    # RFC 8941 writes a string in quotes, most clients leave them out: both are the same key.
    text = request.headers[HEADER].strip()
    found = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if not (0 < len(found) <= MAX_KEY and found.isascii() and found.isprintable()):
        message = _("Expected 1 to %(most)s printable ASCII characters, such as a random UUID.", most=MAX_KEY)
        raise InvalidInput({HEADER: [message]})
    return found


def _fingerprint(content: str) -> str:
    parts = (request.method, request.full_path, request.headers.get("If-Match", ""), *([content] if content else []))
    body = request.get_data()
    return (
        _digest("\n".join(parts)) if not body else hashlib.sha256("\n".join(parts).encode() + b"\n" + body).hexdigest()
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _client(uow: UnitOfWork) -> str:
    actor = uow.actor
    # A token of fewer rights must not be told what a wider one was answered.
    return f"token:{actor.token_id}" if actor.token_id is not None else f"user:{actor.user_id}"


def _claim(uow: UnitOfWork, digest: str, fingerprint: str) -> int | None:
    insert: Any = postgresql.insert if uow.session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {
        "client": _client(uow),
        "key_digest": digest,
        "user_id": uow.actor.user_id,
        "fingerprint": fingerprint,
        "created_at": uow.now,
        "expires_at": uow.now + dt.timedelta(hours=runtime_of(current_app).config.idempotency_hours),
    }
    statement = insert(_KEYS).values(values).on_conflict_do_nothing(index_elements=["client", "key_digest"])
    found: int | None = uow.session.scalar(statement.returning(_KEYS.c.id))
    return found


def _claim_expired(uow: UnitOfWork, digest: str, fingerprint: str) -> int | None:
    """Take over a key whose time is over and that housekeeping has not met yet."""
    expired = sa.delete(_KEYS).where(*_named(uow, digest), _KEYS.c.expires_at <= uow.now)
    gone: Any = uow.session.execute(expired)
    return _claim(uow, digest, fingerprint) if gone.rowcount else None


def _named(uow: UnitOfWork, digest: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _KEYS.c.client == _client(uow), _KEYS.c.key_digest == digest


def _stored(uow: UnitOfWork, digest: str) -> Any:
    return uow.session.execute(sa.select(_KEYS).where(*_named(uow, digest))).one()


def _store(uow: UnitOfWork, claimed: int, answer: Response) -> None:
    # A view marks what must not be kept, such as a new token, by saying so itself.
    secret = "no-store" in answer.headers.get("Cache-Control", "")
    values = {
        "status": answer.status_code,
        "headers": {name: answer.headers[name] for name in _KEPT if name in answer.headers},
        "body": None if secret else answer.get_data(as_text=True),
    }
    uow.session.execute(sa.update(_KEYS).where(_KEYS.c.id == claimed).values(values))


def _told_again(stored: Any, fingerprint: str) -> Response:
    if stored.fingerprint != fingerprint:
        message = _("This key was used for another request: send the same one again, or take a new key.")
        raise InvalidInput({HEADER: [message]})
    if stored.body is None:
        raise Conflict(_("This request was done before; its answer is not kept. Read the record instead."))
    answer = Response(stored.body, stored.status, stored.headers)
    answer.headers[REPLAYED] = "true"
    return answer
