"""Telephone numbers: from what people type to E.164.

Owns the reading of one number (letters, extensions, prefixes people write) and the reasons for refusing it. The
numbering plans belong to ``phonenumbers``; the region that national numbers are read in is the organisation's setting.
A number is accepted when the numbering plan knows its range, so made-up ones that no plan assigns are refused
(among them the French 06 39 98 and the British 07700 900 ranges for fiction).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

from crm_kernel.customers.values.bulk import CACHE_SIZE, BulkParser
from crm_kernel.customers.values.cleaning import visible
from crm_kernel.customers.values.errors import ValueProblem, shown
from crm_kernel.errors import N_

#: What ``Phone.kind`` may say, by the number type of ``phonenumbers``.
KINDS = {
    PhoneNumberType.FIXED_LINE: "fixed",
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "fixed_or_mobile",
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.PREMIUM_RATE: "premium",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.VOIP: "voip",
    PhoneNumberType.PERSONAL_NUMBER: "personal",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "company",
    PhoneNumberType.VOICEMAIL: "voicemail",
}

_REASONS = {
    ValidationResult.TOO_SHORT: N_("{found!r} is too short for a phone number of {region}"),
    ValidationResult.TOO_LONG: N_("{found!r} is too long for a phone number of {region}: give one number only"),
    ValidationResult.INVALID_LENGTH: N_("{found!r} has not as many digits as phone numbers of {region} have"),
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: N_("{found!r} lacks its area code: expected a full number of {region}"),
}
_NO_NUMBER = N_("{found!r} holds no phone number: expected one such as {example}")

#: Longer text is never a number; the library refuses at 250 after searching it with regular expressions.
_MAX_LENGTH = 100
_PREFIX = re.compile(r"^\s*(?:tel|tél|callto|phone|téléphone|fax|mobile)\s*\.?\s*:\s*", re.IGNORECASE)
#: Words for "extension" that the library does not know, before the digits that end the text.
_EXTENSION = re.compile(r"[\s,;]*\b(?:poste|durchwahl|interno|toestel)\b[\s.:]*(\d{1,7})\s*$", re.IGNORECASE)
_PARAMETER = re.compile(r";(?:ext|isub|phone-context)=", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Phone:
    """A telephone number that its numbering plan knows."""

    #: ``+33123456789``: what is dialled and matched against a caller; never holds the extension.
    e164: str
    #: ``01 23 45 67 89``: as written inside its country, extension excluded.
    national: str
    #: ISO 3166 country of the number, which may differ from the one it was read in; ``001`` for +800 and its like.
    region: str
    #: One of the values of ``KINDS``; ``fixed_or_mobile`` where the plan does not tell (the United States).
    kind: str
    #: Digits to dial after the connection, empty when there are none; leading zeros count.
    extension: str = ""

    @property
    def normalized(self) -> str:
        """The form to store and compare: E.164, and ``;ext=12`` after it when there is an extension."""
        return _with_extension(self.e164, self.extension)


class PhoneParser(BulkParser[Phone]):
    """Reads many phone numbers in one region, each distinct text once.

    Args:
        region: ISO 3166 country that national numbers belong to (``"FR"``).
        cache_size: distinct texts remembered.

    Raises:
        ValueProblem: from the constructor when no numbering plan has this region.
    """

    def __init__(self, region: str, *, cache_size: int = CACHE_SIZE) -> None:
        self.region = _known(region)
        super().__init__(partial(_read, region=self.region), cache_size=cache_size)


class PhoneKeyParser(BulkParser[str]):
    """Reads many phone numbers into the form to store and compare only: half the cost of ``PhoneParser``."""

    def __init__(self, region: str, *, cache_size: int = CACHE_SIZE) -> None:
        self.region = _known(region)
        super().__init__(partial(_key, region=self.region), cache_size=cache_size)


def normalize_phone(raw: str, region: str) -> Phone:
    """Return the phone number in ``raw``, read as if dialled in ``region`` (ISO 3166, ``"FR"``).

    International forms (``+33``, ``0033``, ``tel:``) say their country themselves. An extension is kept (``x12``,
    ``ext. 12``, ``poste 12``). Letters are read as keypad digits in +1 numbers only (``1-800-FLOWERS``): elsewhere
    "030 123456 home" would become somebody else's number. Short codes (112, 3639) are no E.164 numbers.
    Costs about 50 µs; use ``PhoneParser`` for many.

    Raises:
        ValueProblem: when the region is unknown, the text holds no number, or the number cannot exist.
    """
    return _read(raw, region=_known(region))


def international(normalized: str) -> str:
    """Return a stored number as written from abroad (``+33 1 23 45 67 89``): read alike in every region.

    ``normalized`` is E.164 with its ``;ext=``, as ``PhoneKeyParser`` gives it; it is returned itself where the written
    form would be read as another number.
    """
    written = phonenumbers.format_number(phonenumbers.parse(normalized), PhoneNumberFormat.INTERNATIONAL)
    try:
        return written if _key(written, region="ZZ") == normalized else normalized
    except ValueProblem:
        return normalized


def _known(region: str) -> str:
    code = region.strip().upper()
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueProblem("{found!r} is not a country with phone numbers: expected a code such as FR", found=region)
    return code


def _read(raw: str, *, region: str) -> Phone:
    return _phone(_number(raw, region), region)


def _key(raw: str, *, region: str) -> str:
    number = _number(raw, region)
    extension, number.extension = number.extension, None
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return _with_extension(e164, extension or "")


def _number(raw: str, region: str) -> PhoneNumber:
    text = _clean(raw, region)
    number = _parsed(text, region)
    _refuse_letters(text, number)
    if not phonenumbers.is_valid_number(number):
        raise _invalid(text, number, region)
    return number


def _with_extension(e164: str, extension: str) -> str:
    return f"{e164};ext={extension}" if extension else e164


def _clean(raw: str, region: str) -> str:
    """Drop invisible characters (Windows contacts paste bidi marks) and the words around the number."""
    text = visible(raw)
    if not text or len(text) > _MAX_LENGTH:
        raise ValueProblem(_NO_NUMBER, found=shown(text), example=_example(region))
    return _EXTENSION.sub(r" ext. \1", _PREFIX.sub("", text))


def _parsed(text: str, region: str) -> PhoneNumber:
    try:
        return phonenumbers.parse(text, region)
    except NumberParseException as error:
        raise _unparsable(text, error, region) from None


def _unparsable(text: str, error: NumberParseException, region: str) -> ValueProblem:
    if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
        return ValueProblem("{found!r} begins with a country code that does not exist", found=shown(text))
    if error.error_type in (NumberParseException.TOO_SHORT_NSN, NumberParseException.TOO_SHORT_AFTER_IDD):
        return ValueProblem(_REASONS[ValidationResult.TOO_SHORT], found=shown(text), region=region)
    if error.error_type == NumberParseException.TOO_LONG:
        return ValueProblem(_REASONS[ValidationResult.TOO_LONG], found=shown(text), region=region)
    return ValueProblem(_NO_NUMBER, found=shown(text), example=_example(region))


def _refuse_letters(text: str, number: PhoneNumber) -> None:
    if number.country_code != 1 and _LETTER.search(_main_part(text, number)):
        raise ValueProblem("{found!r} holds letters: expected digits, and an extension as 'ext. 12'", found=shown(text))


def _main_part(text: str, number: PhoneNumber) -> str:
    """Return ``text`` without the extension and the word that announces it, and without RFC 3966 parameters."""
    dialled = _PARAMETER.split(text, maxsplit=1)[0]
    if dialled != text or not number.extension:
        return dialled
    digits = phonenumbers.normalize_digits_only(text, keep_non_digits=True)
    return re.sub(rf"[^\W\d_]*[\W_]*{number.extension}\W*$", "", digits)


def _invalid(text: str, number: PhoneNumber, region: str) -> ValueProblem:
    reason = phonenumbers.is_possible_number_with_reason(number)
    code = number.country_code or 0
    at_home = code == phonenumbers.country_code_for_region(region)
    where = region if at_home else phonenumbers.region_code_for_country_code(code)
    template = _REASONS.get(reason, "")
    if template:
        return ValueProblem(template, found=shown(text), region=where)
    return ValueProblem("{found!r} is not a valid phone number for {region}", found=shown(text), region=where)


def _phone(number: PhoneNumber, region: str) -> Phone:
    extension, number.extension = number.extension or "", None
    return Phone(
        e164=phonenumbers.format_number(number, PhoneNumberFormat.E164),
        national=phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL),
        region=phonenumbers.region_code_for_number(number) or region,
        kind=KINDS.get(phonenumbers.number_type(number), "unknown"),
        extension=extension,
    )


def _example(region: str) -> str:
    number = phonenumbers.example_number(region)
    return phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL) if number else "+33 1 23 45 67 89"
