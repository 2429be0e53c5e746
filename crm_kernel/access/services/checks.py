"""Checks that the services of access share: each returns the clean value or adds to the errors by field."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from crm_kernel._internal.runtime import EXTENSION
from crm_kernel.customers.values.emails import normalize_email
from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.errors import InvalidInput
from crm_kernel.records.names import ORDERS

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


class Errors(dict[str, list[str]]):
    """Errors by field, raised together: people correct a form once."""

    def add(self, field: str, message: str) -> None:
        """Add a message to a field."""
        self.setdefault(field, []).append(message)

    def refuse(self) -> None:
        """Raise what has been found.

        Raises:
            InvalidInput: there is at least one error.
        """
        if self:
            raise InvalidInput(self)


def checked_name(errors: Errors, text: str, *, longest: int, field: str = "name") -> str:
    """Return a name without surrounding space; refuses an empty or too long one."""
    found = text.strip()
    if not found:
        errors.add(field, _("A name is needed."))
    elif len(found) > longest:
        errors.add(field, _("At most %(most)s characters; found %(found)s.", most=longest, found=len(found)))
    return found


def checked_email(errors: Errors, text: str) -> str:
    """Return an address in the form users are stored and looked up by."""
    try:
        found = normalize_email(text).normalized
    except ValueProblem as problem:
        errors.add("email", _(problem.template).format(**problem.params))
        return ""
    if len(found) > 254:
        errors.add("email", _("At most %(most)s characters; found %(found)s.", most=254, found=len(found)))
    return found


def checked_language(errors: Errors, code: str) -> str:
    """Return a language of the user interface."""
    runtime = current_app.extensions.get(EXTENSION)
    known = runtime.config.languages if runtime else (code,)
    if code not in known:
        errors.add("language", _("Found %(found)s, expected one of: %(known)s.", found=code, known=", ".join(known)))
    return code


def checked_timezone(errors: Errors, name: str) -> str:
    """Return a name of the time zone database."""
    if name not in timezones():
        errors.add("timezone", _("Found %(found)s, expected a time zone such as Europe/Paris.", found=name))
    return name


def checked_name_order(errors: Errors, order: str | None) -> str | None:
    """Return an order of names, None for an empty one; one that is not known becomes an error."""
    if order and order not in ORDERS:
        errors.add(
            "name_order", _("Found %(found)s, expected one of: %(known)s.", found=order, known=", ".join(ORDERS))
        )
    return order or None


@cache
def timezones() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(zoneinfo.available_timezones())


def refuse_taken(uow: UnitOfWork, errors: Errors, column: Any, value: str, *, message: str, besides: int = 0) -> None:
    """Add an error when another row already has the value; one query."""
    model = column.class_
    taken = sa.select(model.id).where(sa.func.lower(column) == value.lower(), model.id != besides).limit(1)
    if value and uow.session.execute(taken).first() is not None:
        errors.add(column.key, message)


def known_only(changes: Mapping[str, Any], known: frozenset[str]) -> None:
    """Refuse changes of attributes that a service does not offer.

    Raises:
        InvalidInput: naming each of them.
    """
    unknown = sorted(changes.keys() - known)
    if unknown:
        raise InvalidInput({name: [_("Unknown field.")] for name in unknown})
