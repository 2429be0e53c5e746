"""Official numbers of companies and accounts: SIREN, SIRET, VAT, IBAN, BIC, LEI, and free external ids.

Owns the built-in identifier types and how a registry of them grows. The check-digit rules belong to ``python-stdnum``.
Nothing here asks a public register whether the number is in use.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stdnum import bic, iban, lei, vatin
from stdnum.eu import vat
from stdnum.exceptions import InvalidChecksum, InvalidComponent, InvalidFormat, InvalidLength, ValidationError
from stdnum.fr import siren, siret

from crm_kernel.customers.values.errors import ValueProblem, shown
from crm_kernel.errors import N_

#: Longest external id; longer ones are data, not keys.
MAX_EXTERNAL = 255

_REASONS: tuple[tuple[type[ValidationError], str], ...] = (
    (InvalidChecksum, N_("{found!r} is not a valid {type}: its check digits do not match")),
    (InvalidLength, N_("{found!r} is not a valid {type}: wrong number of characters; expected one such as {example}")),
    (InvalidFormat, N_("{found!r} is not a valid {type}: wrong characters; expected one such as {example}")),
    (InvalidComponent, N_("{found!r} is not a valid {type}: it names a country or part that does not exist")),
)
_INVALID = N_("{found!r} is not a valid {type}; expected one such as {example}")

Convert = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class IdentifierType:
    """One kind of identifier that a customer can carry.

    ``normalize`` takes what people type and returns the form to store and compare, or raises ``ValueProblem``; doing
    it twice changes nothing. ``format`` takes the stored form and returns the one to show.
    """

    #: ``[a-z][a-z0-9_]*``, the value of ``customer_identifier.type``; a plugin's begins with the plugin's name.
    name: str
    #: English label, translated by the page that shows it.
    label: str
    normalize: Convert
    format: Convert


def normalize_siren(raw: str) -> str:
    """Return the nine digits of a SIREN, the number of a French company.

    Raises:
        ValueProblem: when it has not nine digits or the Luhn check fails.
    """
    return _checked(siren.validate, raw, "SIREN", "732 829 320")


def normalize_siret(raw: str) -> str:
    """Return the fourteen digits of a SIRET, the number of a French establishment.

    Post offices (SIREN 356 000 000) follow their own rule: the sum of the digits is a multiple of five.

    Raises:
        ValueProblem: when it has not fourteen digits, or its check or the one of the SIREN in it fails.
    """
    return _checked(siret.validate, raw, "SIRET", "732 829 320 00074")


def normalize_vat(raw: str) -> str:
    """Return a VAT number with its country prefix: the European Union's, and those of GB, CH and NO.

    Greek ones get their own prefix, EL, also when written with GR. French numbers are checked with their key,
    ``(12 + 3 × (SIREN mod 97)) mod 97``, and the SIREN in them.

    Raises:
        ValueProblem: when the prefix is missing or not of these countries, or the country's own check fails.
    """
    validate = vatin.validate if raw.strip()[:2].upper() in ("GB", "CH", "NO") else vat.validate
    number = _checked(validate, raw, "VAT number", "FR 44 732 829 320")
    return "EL" + number[2:] if number.startswith("GR") else number


def normalize_iban(raw: str) -> str:
    """Return an IBAN without spaces, in capitals.

    Country, structure and check digits are verified. A bank that the library's frozen list of Belgian, Spanish and
    other banks does not know is no error: banks are founded after the list was made.

    Raises:
        ValueProblem: when the country has no IBAN, or length, characters or check digits are wrong.
    """
    return _checked(_iban, raw, "IBAN", "FR14 2004 1010 0505 0001 3M02 606")


def normalize_bic(raw: str) -> str:
    """Return a BIC (SWIFT code) of 8 or 11 characters in capitals; ``XXX``, the head office, is left out.

    Raises:
        ValueProblem: when the length, the characters or the country is wrong.
    """
    code = _checked(bic.validate, raw, "BIC", "BNPAFRPP")
    return code.removesuffix("XXX") if len(code) == 11 else code


def normalize_lei(raw: str) -> str:
    """Return a legal entity identifier of 20 characters in capitals.

    Raises:
        ValueProblem: when the length, the characters or the check digits are wrong.
    """
    return _checked(_lei, raw, "LEI", "213800KUD8LAJWSQ9D15")


def normalize_external(raw: str) -> str:
    """Return the identifier of another system, trimmed and in Unicode NFC; case and inner spaces are the system's.

    Raises:
        ValueProblem: when it is empty, longer than ``MAX_EXTERNAL`` or holds a control character.
    """
    text = unicodedata.normalize("NFC", raw.strip())
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise ValueProblem("{found!r} holds a control character", found=shown(text))
    if not 0 < len(text) <= MAX_EXTERNAL:
        raise ValueProblem(
            "{found!r} is not an external id: expected 1 to {most} characters", found=shown(text), most=MAX_EXTERNAL
        )
    return text


def with_types(types: Mapping[str, IdentifierType], *added: IdentifierType) -> Mapping[str, IdentifierType]:
    """Return ``types`` and the ``added`` ones as a read-only mapping; the given mapping does not change.

    Raises:
        ValueError: when a name is taken already or is not ``[a-z][a-z0-9_]*``.
    """
    merged = dict(types)
    for new in added:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", new.name):
            raise ValueError(f"identifier type: found name {new.name!r}, expected lower-case letters, digits, _")
        if new.name in merged:
            raise ValueError(f"identifier type {new.name!r} is registered twice: expected a name of its own")
        merged[new.name] = new
    return MappingProxyType(merged)


def normalize_identifier(type_name: str, raw: str, types: Mapping[str, IdentifierType] | None = None) -> str:
    """Return ``raw`` in the stored form of the named type, looked up in ``types`` (default: the built-in ones).

    Raises:
        ValueProblem: when the type is unknown or refuses the value.
    """
    known = IDENTIFIER_TYPES if types is None else types
    if type_name not in known:
        raise ValueProblem(
            "{found!r} is not an identifier type: expected one of {known}", found=type_name, known=", ".join(known)
        )
    return known[type_name].normalize(raw)


def _iban(raw: str) -> str:
    try:
        return iban.validate(raw)
    except InvalidComponent:
        return iban.validate(raw, check_country=False)


def _lei(raw: str) -> str:
    code = lei.compact(raw)
    if len(code) != 20:
        raise InvalidLength
    return lei.validate(code)


def _checked(validate: Convert, raw: str, type_name: str, example: str) -> str:
    try:
        return validate(raw)
    except ValidationError as error:
        template = next((text for kind, text in _REASONS if isinstance(error, kind)), _INVALID)
    raise ValueProblem(template, found=shown(raw), type=type_name, example=example)


def _spaced_vat(number: str) -> str:
    return (
        f"{number[:2]} {number[2:4]} {siren.format(number[4:])}"
        if number.startswith("FR")
        else f"{number[:2]} {number[2:]}"
    )


#: The built-in types by name, read-only; ``with_types`` makes a larger registry of them.
IDENTIFIER_TYPES: Mapping[str, IdentifierType] = with_types(
    {},
    IdentifierType("siren", N_("SIREN"), normalize_siren, siren.format),
    IdentifierType("siret", N_("SIRET"), normalize_siret, siret.format),
    IdentifierType("vat", N_("VAT number"), normalize_vat, _spaced_vat),
    IdentifierType("iban", N_("IBAN"), normalize_iban, iban.format),
    IdentifierType("bic", N_("BIC"), normalize_bic, str),
    IdentifierType("lei", N_("LEI"), normalize_lei, str),
    IdentifierType("external", N_("External id"), normalize_external, str),
)
