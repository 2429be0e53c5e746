"""What a pair agrees on, in words: ``family_name:same`` reads "Family name: the same"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

#: Comparison → its name for people.
_COMPARISONS: dict[str, Any] = {
    "given_name": _l("Given name"),
    "family_name": _l("Family name"),
    "name": _l("Name"),
    "birth_date": _l("Date of birth"),
    "street": _l("Street"),
    "street_number": _l("Street number"),
    "postal_code": _l("Postal code"),
    "city": _l("City"),
    "region": _l("Region"),
    "country": _l("Country"),
    "email": _l("E-mail"),
    "phone": _l("Phone"),
    "identifier": _l("Identifier"),
    "others": _l("Other fields"),
}
_LEVELS: dict[str, Any] = {
    "near": _l("similar"),
    "close": _l("nearly the same"),
    "short_form": _l("short form"),
    "part": _l("partly the same"),
    "swapped": _l("names swapped"),
    "same": _l("the same"),
    "two_parts": _l("similar"),
    "one_slip": _l("one slip"),
    "same_name": _l("same name before the @"),
    "some": _l("partly the same"),
}


def in_words(reasons: Iterable[str]) -> list[str]:
    """Return reasons (``comparison:level``) in the reader's language."""
    parts = (reason.partition(":") for reason in reasons)
    return [
        _("%(field)s: %(likeness)s", field=_COMPARISONS[name], likeness=_LEVELS[level]) for name, _colon, level in parts
    ]
