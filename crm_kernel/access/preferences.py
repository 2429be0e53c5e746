"""What users may prefer: the languages of the instance and the time zones of the world, as forms offer them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from babel import Locale
from flask import current_app
from flask_babel import gettext as _

from crm_kernel.access.services.checks import timezones
from crm_kernel.records.names import ORDERS

if TYPE_CHECKING:
    from crm_kernel.config import Config


def language_choices() -> dict[str, str]:
    """Return the configured languages: code → the language's own name, in the order of the setting."""
    return {code: _own_name(code) for code in _config().languages}


def first_language() -> str:
    """Return the language of whoever has chosen none: the first of the setting."""
    return str(_config().languages[0])


def timezone_choices() -> dict[str, str]:
    """Return the time zones that are places, and UTC: name → the name again, in order."""
    return {name: name for name in _places()}


def usual_timezone() -> str:
    """Return the time zone of whoever has chosen none: the company's."""
    return str(_config().timezone)


def name_order_choices() -> dict[str, str]:
    """Return the orders in which the names of people may be shown, the instance's first: key → label."""
    usual = ORDERS[_config().name_order]
    return {"": _("As usual here (%(order)s)", order=usual), **{key: str(label) for key, label in ORDERS.items()}}


@cache
def _places() -> tuple[str, ...]:
    # Without a slash there are only old names of countries; those of Etc turn the sign round.
    named = sorted(name for name in timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))
    return ("UTC", *named)


def _own_name(code: str) -> str:
    name = Locale.parse(code.replace("-", "_")).get_display_name() or code
    return name[:1].upper() + name[1:]


def _config() -> Config:
    from crm_kernel._internal.runtime import runtime_of

    return runtime_of(current_app).config
