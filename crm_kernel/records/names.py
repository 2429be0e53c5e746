"""In which order the names of people are shown: as the reader prefers it, or as the person's own language has it.

Stored, searched, exported and told by the API a name stays as it is; only pages turn it round. The sort name says where
the family name begins, so nothing more is read: ``Jean de la Tour`` sorts as ``de la tour jean``. A name that is no
given and family name in a row, because somebody wrote it otherwise, is shown as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from flask import current_app, g, has_app_context
from flask_babel import lazy_gettext as _l

from crm_kernel.config_checks import NAME_ORDERS
from crm_kernel.text import tokens

GIVEN_FIRST, FAMILY_FIRST, BY_LANGUAGE = NAME_ORDERS
#: Order → what people call it.
ORDERS: Mapping[str, Any] = {
    GIVEN_FIRST: _l("Given name first"),
    FAMILY_FIRST: _l("Family name first"),
    BY_LANGUAGE: _l("As each person’s language has it"),
}
#: Languages in which the family name stands first, of CLDR's ``nameOrderLocales``.
_FAMILY_FIRST = frozenset(("hu", "ja", "km", "ko", "mn", "vi", "yue", "zh"))
#: Between the parts of a name on its way from the database: in no name, because no name holds control characters.
_BETWEEN = "\x1f"


class SaidName(sa.types.TypeDecorator[str]):
    """The result of ``said_name``: the name in the reader's order."""

    impl = sa.Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        """Return the name that the four parts spell."""
        if value is None:
            return None
        kind, language, sort_name, name = value.split(_BETWEEN, 3)
        return person_name(name, {"kind": kind, "language": language, "sort_name": sort_name})


def said_name(kind: Any, language: Any, sort_name: Any, name: Any) -> sa.ColumnElement[str]:
    """Return the expression over four columns whose value is the name as the reader wants it; for results only."""
    between = sa.literal_column("'\x1f'", sa.Text)
    parts = kind + between + sa.func.coalesce(language, "") + between + sort_name + between + name
    return sa.type_coerce(parts, SaidName())


def person_name(name: str, person: Mapping[str, Any]) -> str:
    """Return a name as the reader wants it.

    Args:
        person: ``kind``, ``language`` and ``sort_name``; without them the name is shown as it is.
    """
    if person.get("kind") != "person" or not _family_first(person.get("language") or ""):
        return name
    return turned(name, person.get("sort_name") or "")


def called(customer: Any) -> str:
    """Return the name of a customer as the reader wants it; the filter ``called`` of templates."""
    parts = {name: getattr(customer, name, None) for name in ("kind", "language", "sort_name")}
    return person_name(str(customer.display_name), parts)


def turned(name: str, sort_name: str) -> str:
    """Return ``given family`` as ``family given``; a name that does not sort so stays."""
    words = name.split()
    for place in range(1, len(words)):
        other = " ".join([*words[place:], *words[:place]])
        if " ".join(tokens(other)) == sort_name:
            return other
    return name


def _family_first(language: str) -> bool:
    order = reader_order()
    if order == BY_LANGUAGE:
        return language.replace("_", "-").partition("-")[0].lower() in _FAMILY_FIRST
    return order == FAMILY_FIRST


def reader_order() -> str:
    """Return the order that whoever reads this page prefers; anywhere but on pages, names stay as they are stored."""
    uow = g.get("crm_uow") if has_app_context() else None
    if uow is None or uow.channel != "web":
        return GIVEN_FIRST
    from crm_kernel._internal.runtime import runtime_of

    return str(uow.actor.name_order or runtime_of(current_app).config.name_order)
