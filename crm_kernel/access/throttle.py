"""Rate limits of the pages that check a password or a code: five tries a minute per address and account.

Counted before a transaction is opened, and only what failed: a whole company behind one address may log in at nine.
The memory is the process's own unless ``RATELIMIT_STORAGE_URI`` names a shared one; the exact count per account is in
``login.py``. Behind a proxy everybody has its address until the setting ``trusted_proxies`` says how many there are.
"""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Flask, Response, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from crm_kernel.access.signin.pending import pending_account

#: Per address and account, and per address whatever the account.
PER_ACCOUNT, PER_ADDRESS = "5 per minute", "60 per minute"
#: Of the addresses that ask a provider: it may take its time to answer, and a thread waits for it.
PER_ASKER = "30 per minute"

_THROTTLED = frozenset(
    {
        "security.login",
        "security.verify",
        "security.forgot_password",
        "security.reset_password",
        "security.change_password",
        "signin.second_factor",
        "signin.use_passkey",
        "signin.enable_totp",
    }
)
_ASKING = frozenset({"signin.oidc_begin", "signin.oidc_callback", "signin.oidc_logout"})


def init_throttle(app: Flask) -> None:
    """Limit the POSTs of the log-in and password pages, and the way to a provider and back."""
    app.config.setdefault("RATELIMIT_STORAGE_URI", "memory://")
    limiter = Limiter(get_remote_address, app=app, headers_enabled=True)
    for name in ("security", "signin"):
        pages = cast(Blueprint, app.blueprints[name])
        for limit, key in ((PER_ACCOUNT, _address_and_account), (PER_ADDRESS, get_remote_address)):
            limiter.limit(limit, key_func=key, methods=["POST"], exempt_when=_not_throttled, deduct_when=_failed)(pages)
    pages = cast(Blueprint, app.blueprints["signin"])
    limiter.limit(PER_ASKER, key_func=get_remote_address, exempt_when=_asks_nobody, deduct_when=_refused)(pages)


def _address_and_account() -> str:
    account = request.form.get("email", "").strip().lower()[:254] or pending_account()
    return f"{get_remote_address()} {account}"


def _not_throttled() -> bool:
    return request.endpoint not in _THROTTLED


def _asks_nobody() -> bool:
    return request.endpoint not in _ASKING


def _refused(response: Response) -> bool:
    return response.status_code >= 400


def _failed(response: Response) -> bool:
    return response.status_code not in (200, 302) if request.is_json else response.status_code != 302
