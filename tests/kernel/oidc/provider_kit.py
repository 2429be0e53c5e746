"""An identity provider on a local port, made of Authlib's server parts: real codes, PKCE, tokens and keys over HTTP.

What a hostile or broken provider would do is asked of it by its attributes; the protocol around stays Authlib's.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

CLIENT_ID, CLIENT_SECRET = "crm", "provider-secret-91c2"


class _Client(ClientMixin):
    client_id = CLIENT_ID

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def get_client_id(self):
        return CLIENT_ID

    def get_default_redirect_uri(self):
        return ""

    def get_allowed_scope(self, scope):
        return scope

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri.startswith("http")

    def check_client_secret(self, client_secret):
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type == "authorization_code"


class _Code(SimpleNamespace):
    """A code that was given out."""

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope

    def get_nonce(self):
        return self.nonce

    def get_auth_time(self):
        return self.auth_time

    def get_acr(self):
        return None

    def get_amr(self):
        return None


def _coded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"}, private=True)


@dataclass
class Provider:
    """One provider; ``claims`` are the person's, everything below ``lies`` is what it does wrong."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1", "email": "rita@crm.test"})
    key: RSAKey = field(default_factory=lambda: _key("first"))
    published: list[RSAKey] = field(default_factory=list)
    codes: dict[str, _Code] = field(default_factory=dict)
    #: Paths that were asked, in order.
    asked: list[str] = field(default_factory=list)
    #: Claims that replace the right ones in its token; None takes one out.
    lies: dict[str, Any] = field(default_factory=dict)
    #: What its document says differently.
    metadata: dict[str, Any] = field(default_factory=dict)
    #: ``none`` or ``HS256`` signs so.
    algorithm: str = "RS256"
    #: Whether the token names no address, which is then told at the userinfo endpoint.
    tells_later: bool = False

    def document(self) -> dict[str, Any]:
        """Return what it says of itself."""
        paths = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "jwks_uri": "jwks",
            "userinfo_endpoint": "userinfo",
            "end_session_endpoint": "logout",
        }
        return {"issuer": self.issuer, **{k: f"{self.issuer}/{v}" for k, v in paths.items()}, **self.metadata}

    def token(self, claims: dict[str, Any]) -> str:
        """Return a signed token of these claims, as wrong as it was asked to be."""
        told = {name: value for name, value in {**claims, **self.lies}.items() if value is not None}
        if self.algorithm != "RS256":
            return self._forged(told)
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, told, self.key, ["RS256"])

    def _forged(self, told: dict[str, Any]) -> str:
        """Return a token made by hand, as Authlib makes none: unsigned, or with the public key as a shared secret."""
        parts = [{"alg": self.algorithm, "kid": self.key.kid, "typ": "JWT"}, told]
        signed = b".".join(_coded(flask.json.dumps(part).encode()) for part in parts)
        public = self.key.as_pem(private=False)
        signature = b"" if self.algorithm == "none" else _coded(hmac.digest(public, signed, "sha256"))
        return (signed + b"." + signature).decode()

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish it alone."""
        self.key = _key(f"key-{time.monotonic_ns()}")
        self.published = [self.key]

    def answer_to(self, address: str) -> str:
        """Log the person in, who was sent to an address, and return the address he is sent back to."""
        parts = urlsplit(address)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        connection.request("GET", f"{parts.path}?{parts.query}")
        found = connection.getresponse()
        found.read()
        connection.close()
        assert found.status == 302, found.status
        return str(found.headers["Location"])


def _application(provider: Provider) -> flask.Flask:
    app = flask.Flask("identity_provider")
    server = AuthorizationServer(
        app, query_client=lambda client_id: _Client(provider) if client_id == CLIENT_ID else None,
        save_token=lambda token, request: None,
    )  # fmt: skip

    class CodeGrant(grants.AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

        def save_authorization_code(self, code, request):
            data = request.payload.data
            provider.codes[code] = _Code(
                client_id=CLIENT_ID, redirect_uri=data.get("redirect_uri"), scope=data.get("scope"),
                nonce=data.get("nonce"), auth_time=int(time.time()), code_challenge=data.get("code_challenge"),
                code_challenge_method=data.get("code_challenge_method"),
            )  # fmt: skip

        def query_authorization_code(self, code, client):
            return provider.codes.get(code)

        def delete_authorization_code(self, authorization_code):
            provider.codes = {code: row for code, row in provider.codes.items() if row is not authorization_code}

        def authenticate_user(self, authorization_code):
            return SimpleNamespace(**provider.claims)

    class Tokens(OpenIDCode):
        def exists_nonce(self, nonce, request):
            return False

        def generate_user_info(self, user, scope):
            return {}

        def encode_id_token(self, token, request):
            now, code = int(time.time()), request.authorization_code
            person = {"sub": provider.claims["sub"]} if provider.tells_later else provider.claims
            claims = {"iss": provider.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300}
            return provider.token({**claims, **self.get_authorization_code_claims(code), **person})

    server.register_grant(CodeGrant, [Tokens(require_nonce=True), CodeChallenge(required=True)])
    app.before_request(lambda: provider.asked.append(flask.request.path))

    @app.get("/.well-known/openid-configuration")
    def document():
        return provider.document()

    @app.get("/jwks")
    def keys():
        return KeySet(provider.published or [provider.key]).as_dict(private=False)

    @app.get("/authorize")
    def authorize():
        grant = server.get_consent_grant(end_user=provider)
        return server.create_authorization_response(grant_user=SimpleNamespace(**provider.claims), grant=grant)

    @app.post("/token")
    def token():
        return server.create_token_response()

    @app.get("/userinfo")
    def userinfo():
        return provider.claims

    return app


class Running:
    """A provider that answers on a port of its own until it is stopped."""

    def __init__(self) -> None:
        self.provider = Provider()
        self._server = make_server("127.0.0.1", 0, _application(self.provider), threaded=True)
        self.provider.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


def parameters(address: str) -> dict[str, str]:
    """Return the parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
