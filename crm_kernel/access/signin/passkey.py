"""Passkeys in the browser: what its script asks for, and what it sends back.

A challenge lives in the cookie for five minutes. It is good once for each passkey, because none takes a challenge that is
older than its last use (``factors/passkeys.py``); a passkey is registered once because its id is.
"""

from __future__ import annotations

import base64
import datetime as dt
import time
from typing import Any

import orjson
from flask import Blueprint, Response, request, session, url_for
from flask_babel import gettext as _

from crm_kernel.access.factors import passkeys
from crm_kernel.access.factors.services import add_passkey, passkeys_of
from crm_kernel.access.login import count_try
from crm_kernel.access.own import own_user, refuse_tokens
from crm_kernel.access.signin.password import finish, is_fresh
from crm_kernel.access.signin.pending import opened, pending, safe_next
from crm_kernel.errors import Forbidden, InvalidInput
from crm_kernel.records.api import json_response
from crm_kernel.records.sealing import seal
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

_KEY = "crm_challenge"
_PATIENCE_SECONDS = 300


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the addresses that the script of passkeys calls."""
    blueprint.add_url_rule("/auth/passkey/options", view_func=offer_passkey, methods=["POST"])
    blueprint.add_url_rule("/auth/passkey", view_func=use_passkey, methods=["POST"])
    blueprint.add_url_rule("/profile/security/passkeys/options", view_func=offer_registration, methods=["POST"])
    blueprint.add_url_rule("/profile/security/passkeys", view_func=register_passkey, methods=["POST"])


@permission("public")
def offer_passkey() -> Response:
    """Answer what the browser needs to log in with a passkey."""
    options, challenge = passkeys.login_options()
    _remember("log-in", challenge)
    return json_response(options)


@permission("public")
def use_passkey() -> Response:
    """Log in with a passkey, which is two factors by itself; answer where to go."""
    uow, answer = current_uow(), _answer()
    challenge, asked_at = _challenge("log-in")
    user = passkeys.verified_login(uow, answer, challenge, asked_at=asked_at)
    if not count_try(user.id):
        raise InvalidInput({"passkey": [_("The account is locked for a while after too many tries.")]})
    found = pending()
    wanted = found.next if found else safe_next(str((request.get_json(silent=True) or {}).get("next", "")))
    finish(user, "passkey")
    return json_response({"next": wanted})


@permission("authenticated")
def offer_registration() -> Response:
    """Answer what the browser needs to make a passkey for the reader."""
    uow = current_uow()
    _require_fresh()
    user = own_user(uow)
    options, challenge = passkeys.registration_options(user, passkeys_of(uow, user))
    _remember("registration", challenge)
    return json_response(options)


@permission("authenticated")
def register_passkey() -> Response:
    """Store the passkey that the browser has made; answer where to go."""
    uow = current_uow()
    _require_fresh()
    given = request.get_json(silent=True) or {}
    challenge, _at = _challenge("registration")
    key = passkeys.verified_registration(_answer(), challenge, name=str(given.get("name", "")))
    add_passkey(uow, own_user(uow), key)
    return json_response({"next": url_for("signin.security")})


def _require_fresh() -> None:
    refuse_tokens(current_uow().actor)
    if not is_fresh():
        raise Forbidden(_("Confirm your password first: load the page again."))


def _answer() -> dict[str, Any]:
    given = request.get_json(silent=True)
    answer = given.get("credential") if isinstance(given, dict) else None
    if not isinstance(answer, dict):
        raise InvalidInput({"credential": [_("The answer of the browser is missing.")]})
    return answer


def _remember(use: str, challenge: bytes) -> None:
    found = {"challenge": base64.b64encode(challenge).decode("ascii"), "at": time.time()}
    session[_KEY] = seal(orjson.dumps(found), bound_to=("passkey", use))


def _challenge(use: str) -> tuple[bytes, dt.datetime]:
    """Return the challenge that this browser was given and when that was, and let it forget the two."""
    found = opened(_KEY, ("passkey", use), _PATIENCE_SECONDS)
    session.pop(_KEY, None)
    if found is None:
        raise InvalidInput({"passkey": [_("Too much time has passed: try again.")]})
    return base64.b64decode(found["challenge"]), dt.datetime.fromtimestamp(found["at"], dt.UTC)
