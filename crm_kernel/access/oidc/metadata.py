"""What a provider says of itself: where to send people, where to fetch tokens, which keys it signs with.

Kept per process for an hour; that it cannot be had is kept for half a minute, so that nobody holds one thread after the
other for as long as a provider that is down is waited for. The document is refused when it names another issuer than the one it was asked of, so that
no provider can speak for another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from authlib.oidc.discovery import get_well_known_url
from flask import current_app
from flask_babel import gettext as _
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from crm_kernel.access.oidc.errors import LogInFailed
from crm_kernel.access.oidc.network import ask_json

_Kept = TypeVar("_Kept")

#: Key of ``app.extensions``.
_KEPT = "crm_oidc"
#: Begins the name of what could not be had.
_FAILED = "failed"
#: Seconds for which documents of a provider are kept.
KEPT_SECONDS = 3600
#: Seconds for which a provider that did not answer is not asked again.
FAILED_SECONDS = 30
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
#: Kinds of keys that only the provider has the private half of; a shared secret is none.
_KINDS = ("RSA", "EC", "OKP")


def metadata_of(issuer: str) -> dict[str, Any]:
    """Return a provider's discovery document.

    Raises:
        LogInFailed: it cannot be had, is incomplete, or is another issuer's.
    """
    return _kept(("metadata", issuer), lambda: _discovered(issuer))


def keys_of(metadata: dict[str, Any], *, anew: bool = False) -> KeySet:
    """Return the keys that a provider signs with; ``anew`` asks again, for a token of a key that is not among them.

    Raises:
        LogInFailed: they cannot be had.
    """
    uri = str(metadata["jwks_uri"])
    if anew:
        _memory().pop(("keys", uri), None)
    return _kept(("keys", uri), lambda: _fetched_keys(uri))


def _discovered(issuer: str) -> dict[str, Any]:
    found = ask_json(get_well_known_url(issuer, external=True))
    if found.get("issuer") != issuer:
        text = _("The log-in provider calls itself %(found)s, expected %(issuer)s.")
        raise LogInFailed(text % {"found": str(found.get("issuer"))[:200], "issuer": issuer})
    for name in _NEEDED:
        if not isinstance(found.get(name), str):
            raise LogInFailed(_("The log-in provider does not say its %(name)s.", name=name))
    # People are sent there with their browser, which no guard of ours sees.
    if urlsplit(found["authorization_endpoint"]).scheme not in ("https", urlsplit(issuer).scheme):
        raise LogInFailed(_("The log-in provider does not say its %(name)s.", name="authorization_endpoint (https)"))
    return found


def _fetched_keys(uri: str) -> KeySet:
    listed = ask_json(uri).get("keys")
    usable = [
        key
        for key in (listed if isinstance(listed, list) else [])
        if isinstance(key, dict) and key.get("kty") in _KINDS and key.get("use", "sig") == "sig"
    ]
    try:
        return KeySet.import_key_set({"keys": usable})
    except (JoseError, ValueError) as error:
        raise LogInFailed(_("The keys of the log-in provider cannot be read.")) from error


def _kept(name: tuple[str, str], fetch: Callable[[], _Kept]) -> _Kept:
    memory = _memory()
    since, known = memory.get(name, (0.0, None))
    if known is not None and time.monotonic() - since <= KEPT_SECONDS:
        found: _Kept = known
        return found
    _refuse_failed(name)
    try:
        found = fetch()
    except LogInFailed:
        memory[_FAILED, *name] = (time.monotonic(), True)
        raise
    memory[name] = (time.monotonic(), found)
    return found


def _refuse_failed(name: tuple[str, ...]) -> None:
    since, failed = _memory().get((_FAILED, *name), (0.0, False))
    if failed and time.monotonic() - since <= FAILED_SECONDS:
        raise LogInFailed(_("The log-in provider gave no answer a moment ago: try again in half a minute."))


def _memory() -> dict[tuple[str, ...], tuple[float, Any]]:
    memory: dict[tuple[str, ...], tuple[float, Any]] = current_app.extensions.setdefault(_KEPT, {})
    return memory
