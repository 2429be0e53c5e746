"""Logging in: by password, second step, passkey, identity provider; and the page on which users look after sessions and second factors."""

from __future__ import annotations

from flask import Blueprint


def blueprint() -> Blueprint:
    """Return the blueprint of the pages."""
    from crm_kernel.access.signin import oidc, own, passkey, second

    found = Blueprint("signin", __name__)
    for part in (second, passkey, oidc, own):
        part.add_routes(found)
    return found
