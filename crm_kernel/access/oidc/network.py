"""Asks a provider: by the one way out (``crm_kernel.outbound``), which refuses every address that is not public.

Authlib's own clients bring their HTTP library with them; its protocol parts take any session that has ``post``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask_babel import gettext as _

from crm_kernel.access.oidc.errors import LogInFailed
from crm_kernel.errors import CrmError
from crm_kernel.outbound import policy_of, send

log = logging.getLogger("crm.access")

#: Seconds a person waits for a provider at most, per question, and bytes of an answer.
TIMEOUT, MAX_ANSWER = 10.0, 262_144


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in the shape that Authlib's client reads."""

    status_code: int
    body: bytes

    def json(self) -> Any:
        """Return what the answer holds.

        Raises:
            ValueError: it is no JSON.
        """
        return json.loads(self.body)

    def raise_for_status(self) -> None:
        """Refuse an answer that is an error.

        Raises:
            LogInFailed: its status says so.
        """
        if self.status_code >= 400:
            raise LogInFailed(_("The log-in provider answered with an error (%(status)s).", status=self.status_code))


class Session:
    """What Authlib's OAuth 2 client posts through."""

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> Reply:
        """Send a form, with what proves the client to be itself."""
        # The headers given are a dictionary of Authlib's module: proof put into it would be sent to every other provider.
        url, proven, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return ask(url, method="POST", headers=proven, body=body.encode())


def ask(url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
    """Ask a provider something; call it with no transaction open.

    Raises:
        LogInFailed: it cannot be reached, its address is not one that may be asked, or it says too much.
    """
    try:
        found = send(
            url,
            policy=policy_of(),
            method=method,
            headers={"Accept": "application/json", **(headers or {})},
            body=body,
            timeout=TIMEOUT,
            max_answer=MAX_ANSWER,
        )
    except CrmError as error:
        log.warning("the log-in provider at %s cannot be asked: %s", url.partition("?")[0], error)
        raise LogInFailed(_("The log-in provider cannot be reached: %(why)s", why=error)) from error
    if found.truncated:
        raise LogInFailed(_("The log-in provider says more than is read."))
    return Reply(found.status, found.body)


def ask_json(url: str, **options: Any) -> dict[str, Any]:
    """Ask for a JSON object.

    Raises:
        LogInFailed: it cannot be had.
    """
    reply = ask(url, **options)
    reply.raise_for_status()
    try:
        found = reply.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise LogInFailed(_("The log-in provider answered with something that is no JSON object."))
    return found
