"""Currency and country codes, from Babel's CLDR data: no frozen copy of our own."""

from __future__ import annotations

from functools import cache

from babel import Locale


@cache
def currencies() -> frozenset[str]:
    """Return the ISO 4217 codes CLDR knows."""
    return frozenset(str(code) for code in Locale("en").currencies)


@cache
def countries() -> frozenset[str]:
    """Return the ISO 3166-1 alpha-2 codes CLDR knows (its numeric regions and the pseudo ones left out)."""
    pseudo = {"EU", "EZ", "UN", "XA", "XB", "ZZ", "QO"}
    codes = (str(code) for code in Locale("en").territories)
    return frozenset(code for code in codes if len(code) == 2 and code.isalpha()) - pseudo
