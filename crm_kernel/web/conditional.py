"""ETags for every reading answer of the API: who has it already is told 304 instead of the whole of it again.

A record's own ETag is its version, and says what a change is based on. Everything else (lists, catalogues, the document)
gets the digest of its bytes, so that equal tags mean equal bytes. The answer is made first, with the reader's rights, and
compared last: a condition saves the way back, and never tells anybody of what he may not read.
"""

from __future__ import annotations

import hashlib

from flask import Flask, Response, request

_READING = frozenset({"GET", "HEAD"})


def init_conditional(app: Flask) -> None:
    """Let the API answer conditional requests."""
    app.after_request(_conditional)


def digest_of(answer: bytes) -> str:
    """Return the ETag of an answer that has no version of its own."""
    return hashlib.blake2b(answer, digest_size=16).hexdigest()


def _conditional(response: Response) -> Response:
    if not request.path.startswith("/api/") or request.method not in _READING:
        return response
    if response.status_code not in (200, 304) or response.is_streamed:
        return response
    # Kept by the reader alone, and asked for anew each time: rights and rows change.
    response.headers.setdefault("Cache-Control", "private, no-cache")
    response.vary.update(("Authorization", "Cookie"))
    if response.status_code == 200 and "ETag" not in response.headers:
        digest = digest_of(response.get_data())
        response.set_etag(digest)
        # Werkzeug's make_conditional also asks If-Match, which is for changes: a reader of it would be refused.
        if request.if_none_match.contains_weak(digest):
            response.status_code = 304
            response.set_data(b"")
    return response
