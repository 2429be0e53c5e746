"""Hides the passwords that stand inside of addresses: of databases, brokers, mail servers."""

from __future__ import annotations

import re

#: What stands where something is hidden.
MASK = "********"

# To the last "@" of the word, not the first: whoever forgot to escape one in a password must not see the rest of it here.
_PASSWORD = re.compile(r"(?<=://)([^:/\s]*):\S*@")


def without_passwords(text: str) -> str:
    """Return a text whose addresses keep their user but not the password: ``redis://crm:********@broker/0``."""
    return _PASSWORD.sub(rf"\1:{MASK}@", text)
