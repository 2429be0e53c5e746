"""API token secrets: their form ``crm_<prefix>_<secret>`` and their hash."""

from __future__ import annotations

import hashlib
import re
import secrets

_FORM = re.compile(r"crm_([0-9a-z]{8,16})_[A-Za-z0-9_-]{32,128}\Z")


def new_secret() -> str:
    """Return a new token: a 48-bit prefix that finds it and a 256-bit secret."""
    return f"crm_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"


def prefix_of(token: str) -> str | None:
    """Return the part of a token that finds its row, or None if the text has not the form of a token."""
    found = _FORM.match(token)
    return found[1] if found else None


def digest_of(token: str) -> str:
    """Return the SHA-256 of a token, hexadecimal; no slow hash, because nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()
