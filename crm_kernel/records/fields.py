"""The schema fields that records add to marshmallow's: references, money, choices, collections.

A record's schema is the only description of what can be read and written; API, forms, import and export all use it.
Other metadata that the derived parts read from any field: ``label`` (lazy text), ``help``, ``widget``
(``textarea``, ``password``, …), ``show_as``, ``sort_by`` (the field a list sorts by instead of this one), ``side`` (a 1:1
side table's model the attribute lives on), ``computed`` (never written), ``needs`` (the verb of the type without which
nobody sees it), ``offered`` and ``choose_from`` (the record's values → those of a choice, or the values with labels, that its
form offers), ``fixed`` (asked of new records alone), ``code`` (neither column nor fact: its page says it in words),
``made_of`` (of a title, the fields whose words it repeats: no role can hide them). ``identity`` of a
collection (a part → a tuple of what makes two parts one: its kind, its value as it is stored to be compared, whatever else;
``ValidationError`` for a value that cannot be read) lets imports know a number that is spelt otherwise.
"""

from __future__ import annotations

import typing
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from marshmallow import Schema, ValidationError, fields, validate

#: Largest amount accepted: a BIGINT of ten-thousandths still holds the sum of ninety of them.
MAX_AMOUNT = Decimal("9999999999999.9999")


class Reference(fields.Field[Any]):
    """A link to another record: read as ``{"id": …, "title": …}``, written as the id or as such an object.

    The attribute is the foreign key column; loading gives the public id, which the writer resolves to the key of a
    record that the actor may see — an id he may not see is as unknown as one that does not exist.
    """

    default_error_messages = {
        "invalid": _l("Not a record id: expected a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057."),
        "unknown": _l("No such record."),
    }

    def __init__(self, to: str, *, attribute: str, **kwargs: Any) -> None:
        super().__init__(attribute=attribute, **kwargs)
        #: Name of the record type it points to.
        self.to = to

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return value

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> uuid.UUID:
        found = value.get("id") if isinstance(value, Mapping) else value
        try:
            return found if isinstance(found, uuid.UUID) else uuid.UUID(str(found))
        except ValueError as error:
            raise self.make_error("invalid") from error


class Money(fields.Decimal):
    """An amount with up to four decimals, as text in JSON; its currency is a field of its own beside it.

    ``currency`` names that field, so that lists and forms show both as one.
    """

    def __init__(self, *, currency: str = "currency", **kwargs: Any) -> None:
        kwargs.setdefault("as_string", True)
        checks = kwargs.pop("validate", [])
        checks = [checks] if not isinstance(checks, list) else checks
        super().__init__(validate=[four_decimals, *checks], **kwargs)
        self.currency = currency


class Choice(fields.String):
    """One of a fixed set of values, each with a label people read."""

    def __init__(self, choices: Mapping[str, Any], **kwargs: Any) -> None:
        kwargs.setdefault("validate", validate.OneOf(list(choices), error=_l("Expected one of: {choices}.")))
        super().__init__(**kwargs)
        #: value → lazy label, in order.
        self.choices = dict(choices)

    def label_of(self, value: str) -> Any:
        """Return the label of a value; one that is none of the choices, because its module is gone, is its own."""
        return self.choices.get(value, value)


class Currency(fields.String):
    """An ISO 4217 code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=_known_currency, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return super()._deserialize(value, attr, data, **kwargs).upper()


class Country(fields.String):
    """An ISO 3166-1 alpha-2 code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=_known_country, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return super()._deserialize(value, attr, data, **kwargs).upper()


class Collection(fields.List[Any]):
    """A list of parts that belong to the record (contact points, lines): one query per page, never one per row.

    Writing replaces by ``id``: a part with a known id is changed, one without is added, one left out is removed. The
    record's service does it, so that the rules of the parts hold.
    """

    def __init__(
        self, schema: type[Schema], *, model: type[Any], key: str, order_by: str = "id", **kwargs: Any
    ) -> None:
        super().__init__(fields.Nested(schema), **kwargs)
        self.part_schema = schema
        #: Mapped class of the parts, its column that points at the record, and their order.
        self.model, self.key, self.order_by = model, key, order_by


def four_decimals(value: Decimal) -> None:
    """Check that a number is one that the database keeps exactly.

    Raises:
        ValidationError: infinite, too large, or with more than four decimals.
    """
    if not value.is_finite():
        raise ValidationError(_("Not a finite number."))
    if abs(value) > MAX_AMOUNT:
        raise ValidationError(_("Too large: the limit is %(limit)s.", limit=MAX_AMOUNT))
    if -typing.cast(int, value.normalize().as_tuple().exponent) > 4:
        raise ValidationError(_("At most four decimals."))


def _known_currency(value: str) -> None:
    from crm_kernel.records.codes import currencies

    if value not in currencies():
        raise ValidationError(_("%(found)s is no ISO 4217 currency code; expected for example EUR.", found=value))


def _known_country(value: str) -> None:
    from crm_kernel.records.codes import countries

    if value not in countries():
        raise ValidationError(_("%(found)s is no ISO 3166 country code; expected for example FR.", found=value))
