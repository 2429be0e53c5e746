"""What single settings of the kernel must be beside their type; each raises ``ValueError`` with a sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import phonenumbers
from flask_babel import gettext as _

from crm_kernel.access.services.checks import timezones
from crm_kernel.mail.addresses import can_be_sender

_TRANSLATIONS = Path(__file__).parent.parent / "translations"
_LONGEST_NAME = 80
#: A host name in ASCII, or an IP address.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")


def said(value: str) -> None:
    """Refuse a name that is empty or does not fit a page's header."""
    if not value.strip() or len(value) > _LONGEST_NAME or not value.isprintable():
        raise ValueError(_("A name of at most %(most)s characters is needed.", most=_LONGEST_NAME))


def web_address(value: str) -> None:
    """Refuse what is no address of a site; empty is where the server listens."""
    if value and not _is_site(value):
        raise ValueError(_("Expected an address such as https://crm.example.com."))


def live_address(value: str) -> None:
    """Refuse what is neither empty, a path of this site, nor an address of another."""
    path = value.startswith("/") and not value.startswith("//") and value.isascii() and value.isprintable()
    if value and not path and not _is_site(value):
        raise ValueError(_("Expected /live or an address such as https://live.example.com."))


def known_languages(value: Sequence[str]) -> None:
    """Refuse a language that the interface does not speak."""
    known = ["en", *sorted(folder.name for folder in _TRANSLATIONS.iterdir() if (folder / "LC_MESSAGES").is_dir())]
    for code in value:
        if code not in known:
            raise ValueError(_("Found %(found)s, expected of: %(known)s.", found=code, known=", ".join(known)))


def known_timezone(value: str) -> None:
    """Refuse a time zone that is none."""
    if value not in timezones():
        raise ValueError(_("Found %(found)s, expected an IANA name such as Europe/Paris.", found=value))


def known_region(value: str) -> None:
    """Refuse a region that has no phone numbers."""
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(_("Found %(found)s, expected an ISO 3166 code such as FR.", found=value))


def host_name(value: str) -> None:
    """Refuse what is no name or address of a machine; empty is none."""
    if value and not _HOST.fullmatch(value):
        raise ValueError(_("Expected the name of a server such as mail.example.com."))


def sender_address(value: str) -> None:
    """Refuse what no mail can come from; empty is nobody."""
    if value and not can_be_sender(value):
        raise ValueError(_("Expected an address such as crm@example.com."))


def header_text(value: str) -> None:
    """Refuse a name that cannot stand in the head of a mail."""
    if len(value) > _LONGEST_NAME or not value.isprintable():
        raise ValueError(_("Expected at most %(most)s characters on one line.", most=_LONGEST_NAME))


def _is_site(value: str) -> bool:
    try:
        parts = urlsplit(value)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = (
        value.isascii() and value.isprintable() and " " not in value and ";" not in value and "@" not in parts.netloc
    )
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port_fits and plain
