"""E-mail addresses: from what people paste to one form to store and one to match.

Owns the unwrapping (``mailto:``, display names) and the normal form. The syntax belongs to ``email-validator``; DNS is
never asked. Special-use domains (``.test``, ``.example``, ``.local``, ``.invalid``) are accepted: imported data holds
them, refusing would lose the row, and ``Email.routable`` lets a sender skip them. A domain without a dot is refused
(a typing error, outside of a server's own mailboxes), and so are quoted local parts and IP addresses.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, ValidatedEmail, validate_email

from crm_kernel.customers.values.bulk import CACHE_SIZE, BulkParser
from crm_kernel.customers.values.cleaning import visible
from crm_kernel.customers.values.errors import ValueProblem, shown
from crm_kernel.errors import N_

#: Top-level domains that no public mail server can deliver to (RFC 2606, 6761, 7686).
UNROUTABLE = frozenset(SPECIAL_USE_DOMAIN_NAMES) | {"example"}
_UNROUTABLE_DOMAINS = ("example.com", "example.net", "example.org")

#: An address has at most 254 characters; the rest is room for a display name.
_MAX_LENGTH = 1000
_IN_ANGLES = re.compile(r"[^<>]*<([^<>]*)>")
#: Lower-case letters, digits and the usual signs; no label that IDNA could mean something by (``xn--``).
_PLAIN = re.compile(
    r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:(?![a-z0-9-]*--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
)
_FORBIDDEN = re.compile(r"[\r\n\x00]")

#: What the library says most often, up to the colon if there is one: only here so that it is translated.
REASONS = (
    N_("There must be something after the @-sign."),
    N_("There must be something before the @-sign."),
    N_("An email address cannot have two periods in a row."),
    N_("An email address cannot have a period and a hyphen next to each other."),
    N_("An email address cannot start with a period."),
    N_("An email address cannot end with a period."),
    N_("An email address cannot have a period immediately before the @-sign."),
    N_("An email address cannot have a period immediately after the @-sign."),
    N_("An email address cannot have a hyphen immediately after the @-sign."),
    N_("The part after the @-sign is not valid. It should have a period."),
    N_("The part after the @-sign is not valid. It is not within a valid top-level domain."),
    N_("The part after the @-sign contains invalid characters"),
    N_("The email address contains invalid characters before the @-sign"),
    N_("A bracketed IP address after the @-sign is not allowed here."),
    N_("Quoting the part before the @-sign is not allowed here."),
)


@dataclass(frozen=True, slots=True)
class Email:
    """A syntactically valid e-mail address."""

    #: The address as its owner writes it: case of the local part kept, domain lower-case and in Unicode.
    value: str
    #: The form to match: all lower-case, domain in ASCII (``xn--``).
    normalized: str

    @property
    def domain(self) -> str:
        """The domain in lower-case ASCII, without the ``@``."""
        return self.normalized.rpartition("@")[2]

    @property
    def routable(self) -> bool:
        """Whether mail to this address can leave the building: false for ``.test``, ``example.com`` and their like."""
        domain = self.domain
        reserved = domain.rpartition(".")[2] in UNROUTABLE
        return not reserved and not any(f".{domain}".endswith(f".{name}") for name in _UNROUTABLE_DOMAINS)


class EmailParser(BulkParser[Email]):
    """Reads many e-mail addresses, each distinct text once."""

    def __init__(self, *, cache_size: int = CACHE_SIZE) -> None:
        super().__init__(normalize_email, cache_size=cache_size)


def normalize_email(raw: str) -> Email:
    """Return the e-mail address in ``raw``, which may carry ``mailto:`` or a display name (``Jane <j@x.fr>``).

    The local part is lower-cased for matching although RFC 5321 lets a server tell ``Jane@`` from ``jane@``: none in
    practice does, and two spellings of one mailbox must meet. Dots and ``+tag`` stay: they are not ours to judge.
    Costs about 25 µs and no DNS; use ``EmailParser`` for many.

    Raises:
        ValueProblem: when the text holds CR, LF or NUL (header injection), no or several addresses, or the address
            breaks the syntax.
    """
    address = _unwrapped(raw)
    return Email(address, address) if _is_plain(address) else _read(address)


def _is_plain(address: str) -> bool:
    """Say whether it is one of the many addresses that are their own normal form: the library need not be asked."""
    return len(address) <= 254 and address.find("@") <= 64 and _PLAIN.fullmatch(address) is not None


def _read(address: str) -> Email:
    before, dot, last = address.rpartition(".")
    reserved = last.lower() if last.lower() in UNROUTABLE else ""
    # The library refuses reserved domains whatever its options, so it sees the one that it lets pass.
    parts = _validated(f"{before}{dot}example" if reserved and dot else address)
    domain, ascii_domain = _restored(parts.domain, reserved), _restored(parts.ascii_domain, reserved)
    local = unicodedata.normalize("NFC", parts.local_part.lower())
    return Email(value=f"{parts.local_part}@{domain}", normalized=f"{local}@{ascii_domain}")


def _restored(domain: str, reserved: str) -> str:
    return domain.removesuffix("example") + reserved if reserved else domain


def _unwrapped(raw: str) -> str:
    if _FORBIDDEN.search(raw):
        raise ValueProblem("{found!r} holds a line break or NUL: expected one e-mail address", found=shown(raw))
    text = visible(raw)
    if len(text) > _MAX_LENGTH:
        raise ValueProblem("{found!r} is too long for an e-mail address", found=shown(text))
    in_angles = _IN_ANGLES.fullmatch(text)
    address = _without_scheme((in_angles[1] if in_angles else text).strip())
    if address.count("@") > 1 and re.search(r"[,;\s]", address):
        raise ValueProblem("{found!r} holds several e-mail addresses: expected one", found=shown(text))
    return address


def _without_scheme(text: str) -> str:
    if text[:7].lower() != "mailto:":
        return text
    address = unquote(text[7:].partition("?")[0]).strip()
    if _FORBIDDEN.search(address):
        raise ValueProblem("{found!r} holds a line break or NUL: expected one e-mail address", found=shown(text))
    return address


def _validated(address: str) -> ValidatedEmail:
    if "@" not in address:
        raise ValueProblem("{found!r} has no @: expected one such as jane@example.com", found=shown(address))
    try:
        return validate_email(address, check_deliverability=False)
    except EmailNotValidError as error:
        template = N_("{found!r} is not a valid e-mail address: {reason}")
        raise ValueProblem(template, found=shown(address), reason=str(error)) from None
