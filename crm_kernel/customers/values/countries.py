"""Country names to ISO 3166 codes, in the languages address books are written in.

Owns the reverse of Babel's territory names. Loaded on first use (about 10 ms), never at import.
"""

from __future__ import annotations

from functools import cache

from babel import Locale

from crm_kernel.text import tokens

#: Locales whose country names are understood; the first one names countries in what we write.
LOCALES = ("en", "fr", "de", "es", "it", "nl", "pt")

#: What people and other programs write and no locale lists.
_ALIASES = {
    "united states of america": "US", "usa": "US", "u s a": "US", "u s": "US", "uk": "GB", "u k": "GB",
    "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB",
    "czech republic": "CZ", "republique tcheque": "CZ", "holland": "NL", "the netherlands": "NL",
    "republic of ireland": "IE", "russian federation": "RU", "south korea": "KR", "republic of korea": "KR",
    "france metropolitaine": "FR", "macedonia": "MK", "turkey": "TR", "kosovo": "XK",
}  # fmt: skip


def country_code(text: str) -> str | None:
    """Return the ISO 3166 code of a country given by code or name, ``None`` when it is not understood.

    Case, accents and punctuation do not matter: ``fr``, ``États-Unis``, ``U.S.A.``.
    """
    code = text.strip().upper()
    if code in _names_of("en"):
        return code
    return _codes().get(" ".join(tokens(text)))


def country_name(code: str) -> str:
    """Return the English name of an ISO 3166 code; an unknown code is its own name."""
    return _names_of(LOCALES[0]).get(code, code)


@cache
def _names_of(locale: str) -> dict[str, str]:
    territories = Locale.parse(locale).territories
    return {code: name for code, name in territories.items() if len(code) == 2 and code.isalpha() and code not in _NOT}


#: Codes of the CLDR that are no country: regions, currencies' areas, pseudo-locales.
_NOT = frozenset({"EU", "EZ", "UN", "QO", "XA", "XB", "ZZ"})


@cache
def _codes() -> dict[str, str]:
    named = {" ".join(tokens(name)): code for locale in LOCALES for code, name in _names_of(locale).items()}
    return {**named, **_ALIASES}
