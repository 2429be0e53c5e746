"""The body of a request: read to its end, and measured, before a transaction is opened.

A server hands a body over as it arrives. Whoever sends slowly would hold SQLite's only write lock if it were read inside the
unit of work. What a form or a file may have is the setting ``max_upload_mb``; everything else has ``MAX_BODY``.
"""

from __future__ import annotations

from flask import request
from flask_babel import gettext as _
from werkzeug.exceptions import RequestEntityTooLarge

from crm_kernel.web.idempotency.once import wants_once

#: Most bytes of a request that is no form, whether or not it says its length.
MAX_BODY = 1_000_000

_FORM = "application/x-www-form-urlencoded"


def receive_body() -> None:
    """Read the current request's body: forms of pages and files into fields, the rest into bytes, both kept with the request.

    Raises:
        RequestEntityTooLarge: it is larger than is taken.
    """
    api = request.path.startswith("/api/")
    if request.mimetype == "multipart/form-data" or (request.mimetype == _FORM and not api):
        if wants_once():
            request.get_data()  # what makes this request another one under the same key is among its bytes
        request.files  # noqa: B018 - parsed on first use, and kept
        return
    if (request.content_length or 0) > MAX_BODY or len(request.get_data()) > MAX_BODY:
        raise RequestEntityTooLarge(_("At most %(most)s bytes are taken in one request.", most=MAX_BODY))
