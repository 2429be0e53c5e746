"""How an address is written that mails go to or come from: text and no more, the configuration checks with it too."""

from __future__ import annotations

import re
import unicodedata

import idna

#: A local part that needs no quotes, in any script; a host name in ASCII.
_LOCAL = re.compile(r"[^\s()<>\[\]:;@\\,\"\x00-\x1f\x7f]{1,64}")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
#: What looks like an address amid other text, cut off or not.
_NAMED = re.compile(r"[^\s()<>\[\]:;@\\,\"]+@[^\s()<>\[\]:;@\\,\"]*")


def parted(address: str) -> tuple[str, str] | None:
    """Return local part and domain, the latter as name servers know it, or None where it is no address."""
    local, _at, domain = address.rpartition("@")
    try:
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return None
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(ascii_domain) or has_controls(local):
        return None
    return local, ascii_domain


def is_address(text: str) -> bool:
    """Say whether a mail can be addressed so: ``local@domain``, without quotes, in any script."""
    return parted(text) is not None


def needs_utf8(address: str) -> bool:
    """Say whether only a server that offers SMTPUTF8 can take an address; a domain in another script is no reason."""
    return not address.rpartition("@")[0].isascii()


def can_be_sender(address: str) -> bool:
    """Say whether mails can come from an address, whatever the server offers."""
    return is_address(address) and not needs_utf8(address)


def without_addresses(text: str) -> str:
    """Return a text with … in place of everything that looks like an address, however it is written."""
    return _NAMED.sub("…", text)


def has_controls(text: str) -> bool:
    """Say whether a text holds what ends a line, or another control character."""
    # Cc: CR, LF, NUL and the like; Zl and Zp: what Python's own headers also take for the end of a line.
    return any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in text)
