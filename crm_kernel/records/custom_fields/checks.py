"""What a declaration of a custom field must say; every wrong option is named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _
from marshmallow import ValidationError

from crm_kernel.errors import InvalidInput
from crm_kernel.records.custom_fields.current import declared
from crm_kernel.records.custom_fields.json_value import KEY
from crm_kernel.records.custom_fields.kinds import WITH_CHOICES, WORDS, FieldKind
from crm_kernel.records.custom_fields.planning import PREFIX, field_plans_of
from crm_kernel.records.messages import flatten
from crm_kernel.records.plan import record_type, record_types

if TYPE_CHECKING:
    from crm_kernel.records.custom_fields.models import CustomField

#: Longest name and longest label.
LONGEST_NAME, LONGEST_LABEL = 50, 80
#: Highest position.
FURTHEST = 1_000_000
_LANGUAGE = re.compile(r"[a-z]{2,3}\Z")
_VALUE = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*\Z")


def full_name(name: str) -> str:
    """Return a name with its prefix."""
    return name if name.startswith(PREFIX) else PREFIX + name


def check_name(name: str) -> None:
    """Refuse a name that cannot stand in addresses and statements.

    Raises:
        InvalidInput: naming ``name``.
    """
    if not KEY.match(name) or len(name) > LONGEST_NAME or name.endswith("_currency"):
        message = _(
            "Found %(found)s, expected lower-case letters, digits and single underscores such as cf_tier, at most "
            "%(most)s characters, not ending in _currency.",
            found=name[:60],
            most=LONGEST_NAME,
        )
        raise InvalidInput({"name": [message]})


def check_kind(kind: str) -> None:
    """Refuse an unknown kind.

    Raises:
        InvalidInput: naming ``kind``.
    """
    if kind not in list(FieldKind):
        known = ", ".join(FieldKind)
        raise InvalidInput({"kind": [_("Found %(found)s, expected one of: %(known)s.", found=kind, known=known)]})


def refuse_unknown(options: Iterable[str], known: Iterable[str]) -> None:
    """Refuse options that do not exist or never change.

    Raises:
        InvalidInput: naming each.
    """
    allowed = list(known)
    message = _("Unknown, or never changed; known: %(known)s.", known=", ".join(allowed))
    errors = {name: [message] for name in options if name not in allowed}
    if errors:
        raise InvalidInput(errors)


def check_field(field: CustomField) -> None:
    """Refuse a declaration whose options contradict its kind or each other.

    Raises:
        InvalidInput: naming each wrong option.
    """
    errors: dict[str, list[str]] = {}
    _check_texts("labels", field.labels, errors)
    if not field.labels:
        errors["labels"] = [_("Expected a label in at least one language.")]
    _check_texts("help", field.help or {}, errors)
    _check_choices(field, errors)
    _check_target(field, errors)
    _check_place(field, errors)
    _check_index(field, errors)
    if field.searchable and field.kind not in WORDS:
        errors["searchable"] = [_("Only these kinds have words to search: %(known)s.", known=", ".join(WORDS))]
    if not errors and field.default is not None:
        _check_default(field, errors)
    if errors:
        raise InvalidInput(errors)


def _check_texts(option: str, texts: Any, errors: dict[str, list[str]]) -> None:
    longest = LONGEST_LABEL if option != "help" else 255
    fits = isinstance(texts, Mapping) and all(
        _LANGUAGE.match(str(language))
        and isinstance(text, str)
        and 0 < len(text.strip()) <= longest
        and text.isprintable()
        for language, text in texts.items()
    )
    if not fits:
        errors[option] = [
            _("Expected texts of at most %(most)s characters by language, such as en=Tier fr=Niveau.", most=longest)
        ]


def _check_choices(field: CustomField, errors: dict[str, list[str]]) -> None:
    if field.kind not in WITH_CHOICES:
        if field.choices:
            errors["choices"] = [_("Only these kinds have choices: %(known)s.", known=", ".join(WITH_CHOICES))]
        return
    given = field.choices if isinstance(field.choices, list) else []
    values = [choice.get("value") for choice in given if isinstance(choice, Mapping)]
    fits = values and all(isinstance(v, str) and _VALUE.match(v) and len(v) <= 60 for v in values)
    if not fits or len(values) != len(given) or len(set(values)) != len(values):
        errors["choices"] = [
            _("Expected at least one choice, each with a value of its own in lower-case letters and digits.")
        ]
        return
    for choice in given:
        _check_texts("choices", choice.get("labels"), errors)


def _check_target(field: CustomField, errors: dict[str, list[str]]) -> None:
    if field.kind != FieldKind.REFERENCE:
        if field.target:
            errors["target"] = [_("Only a reference has a target.")]
    elif field.target not in record_types():
        known = ", ".join(sorted(record_types()))
        errors["target"] = [_("Found %(found)s, expected one of: %(known)s.", found=field.target, known=known)]


def _check_index(field: CustomField, errors: dict[str, list[str]]) -> None:
    if field.kind == FieldKind.REFERENCE and not field.indexed:
        errors["indexed"] = [_("A reference always has its index: what it points to is looked for by it.")]


def _check_place(field: CustomField, errors: dict[str, list[str]]) -> None:
    section, position = field.section, field.position or 0
    if section is not None and not (0 < len(section.strip()) <= LONGEST_LABEL and section.isprintable()):
        errors["section"] = [_("Expected a title of at most %(most)s characters.", most=LONGEST_LABEL)]
    if not 0 <= position <= FURTHEST:
        errors["position"] = [_("Expected a number from 0 to %(most)s.", most=FURTHEST)]


def _check_default(field: CustomField, errors: dict[str, list[str]]) -> None:
    if field.kind == FieldKind.REFERENCE:
        errors["default"] = [_("A reference has no default.")]
        return
    try:
        field_plans_of(declared(_Given(field)), record_type(field.record_type))
    except ValidationError as error:
        errors["default"] = [text for texts in flatten(error.messages).values() for text in texts]
    except (TypeError, KeyError, ValueError):
        errors["default"] = [_("Expected a value as the API takes it; of money an object with amount and currency.")]


class _Given:
    """A row that is not flushed yet, with the defaults its columns will have."""

    def __init__(self, field: CustomField) -> None:
        self._field = field

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._field, name)
        return False if found is None and name in ("multiline", "required", "listed", "searchable") else found
