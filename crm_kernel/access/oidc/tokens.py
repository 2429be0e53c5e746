"""Sends somebody to a provider, changes the code he comes back with into tokens, and checks what these say.

Protocol parts by Authlib and joserfc. What is checked is said here in full, because their defaults are looser: Authlib's
own client checks neither the audience nor which algorithms a provider may sign with.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from flask_babel import gettext as _
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jws import JWSRegistry

from crm_kernel.access.oidc.errors import LogInFailed
from crm_kernel.access.oidc.metadata import keys_of
from crm_kernel.access.oidc.network import Session, ask_json

log = logging.getLogger("crm.access")

#: Signatures of a private key. None of a shared secret, and never "none".
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
#: Seconds by which the provider's clock may differ from ours.
_LEEWAY = 60
#: Seconds ago at most that somebody must have proved himself there, when he was sent to do it anew.
FRESH_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What is needed to talk to a provider, apart from the session of the database."""

    uid: UUID
    name: str
    issuer: str
    client_id: str
    client_secret: str | None
    scopes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one log-in was begun with: the answer must fit it."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    #: Whether the person had to prove himself there anew.
    anew: bool = False


def way_there(client: Client, metadata: Mapping[str, Any], asked: Asked) -> str:
    """Return the address to send somebody to."""
    more = {"prompt": "login", "max_age": "0"} if asked.anew else {}
    protocol = _protocol(client, metadata, asked)
    url, _state = protocol.create_authorization_url(
        metadata["authorization_endpoint"],
        state=asked.state,
        code_verifier=asked.verifier,
        nonce=asked.nonce,
        **more,
    )
    return str(url)


def claims_for(client: Client, metadata: dict[str, Any], asked: Asked, code: str) -> dict[str, Any]:
    """Change a code into tokens and return what the provider says of the person, checked.

    Raises:
        LogInFailed: the provider refuses the code, or its token does not hold.
    """
    try:
        tokens = _protocol(client, metadata, asked).fetch_token(
            metadata["token_endpoint"], code=code, code_verifier=asked.verifier, grant_type="authorization_code"
        )
    except (OAuth2Error, ValueError, KeyError) as error:
        log.warning("%s refused a code: %s", client.name, error)
        raise LogInFailed(_("The log-in provider refused the log-in: try again.")) from error
    claims = _checked(client, metadata, asked, tokens)
    return {**_told(metadata, claims, tokens), **claims}


def _protocol(client: Client, metadata: Mapping[str, Any], asked: Asked) -> OAuth2Client:
    return OAuth2Client(
        Session(),
        client_id=client.client_id,
        client_secret=client.client_secret,
        token_endpoint_auth_method=_proof(client, metadata),
        scope=client.scopes,
        redirect_uri=asked.redirect_uri,
        code_challenge_method="S256",
    )


def _proof(client: Client, metadata: Mapping[str, Any]) -> str:
    """Return how the client proves itself at the token endpoint."""
    known = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if client.client_secret is None:
        return "none"
    return "client_secret_post" if "client_secret_basic" not in known else "client_secret_basic"


def _checked(client: Client, metadata: dict[str, Any], asked: Asked, tokens: Mapping[str, Any]) -> dict[str, Any]:
    try:
        token = _decoded(str(tokens["id_token"]), metadata)
        options: Any = {
            "iss": {"essential": True, "value": client.issuer},
            "aud": {"essential": True, "value": client.client_id},
            "sub": {"essential": True},
            "exp": {"essential": True},
        }
        params = {"nonce": asked.nonce, "client_id": client.client_id, "access_token": tokens.get("access_token")}
        claims = CodeIDToken(token.claims, token.header, options, params)
        claims.validate(now=int(time.time()), leeway=_LEEWAY)
        _check_more(claims, asked)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        log.warning("a token of %s was refused: %s: %s", client.name, type(error).__name__, error)
        raise LogInFailed(_("What the log-in provider says could not be verified: try again.")) from error
    return dict(claims)


def _check_more(claims: Mapping[str, Any], asked: Asked) -> None:
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
        raise ValueError("the subject is no text of at most 255 characters")
    if asked.anew and not time.time() - float(claims.get("auth_time", 0)) <= FRESH_SECONDS:
        raise ValueError("the person has not proved himself anew")


def _decoded(raw: str, metadata: dict[str, Any]) -> jwt.Token:
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    try:
        return jwt.decode(raw, keys_of(metadata), registry=registry)
    except (InvalidKeyIdError, BadSignatureError):
        # It may have changed its keys since we asked: once more with those of now, and then no more.
        return jwt.decode(raw, keys_of(metadata, anew=True), registry=registry)


def _told(metadata: Mapping[str, Any], claims: Mapping[str, Any], tokens: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the provider tells at its userinfo endpoint, if the token itself does not name an address."""
    endpoint, access = metadata.get("userinfo_endpoint"), tokens.get("access_token")
    if "email" in claims or not isinstance(endpoint, str) or not access:
        return {}
    told = ask_json(endpoint, headers={"Authorization": f"Bearer {access}"})
    return told if told.get("sub") == claims["sub"] else {}
