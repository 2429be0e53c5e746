"""The form of a custom field, from flat texts and back to the options that the services take.

Everything stands in texts, so that a refused form, one that is shown again and a preview carry the same values without
scripts. Choices are lines: ``gold = Gold | Or``, the labels in the order of the instance's languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import current_app
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.errors import InvalidInput
from crm_kernel.records.custom_fields.current import Declared
from crm_kernel.records.custom_fields.kinds import WITH_CHOICES, WORDS, FieldKind
from crm_kernel.records.custom_fields.models import CustomField
from crm_kernel.records.custom_fields.planning import field_plans_of
from crm_kernel.records.numbers import Misread, number_text
from crm_kernel.records.pages.forms import CURRENCIES
from crm_kernel.records.pages.saying import language_name
from crm_kernel.records.pages.submitted import submitted
from crm_kernel.records.plan import record_type, record_types

#: Options that are ticked or not.
FLAGS = ("required", "listed", "searchable", "indexed")


def languages() -> tuple[str, ...]:
    """Return the languages of the user interface, the first one first."""
    return tuple(runtime_of(current_app).config.languages)


def texts_of(field: CustomField) -> dict[str, str]:
    """Return what the form of a field that is there shows."""
    texts = {f"label_{language}": text for language, text in field.labels.items()}
    texts |= {f"help_{language}": text for language, text in (field.help or {}).items()}
    texts |= {flag: "1" if getattr(field, flag) else "" for flag in FLAGS}
    texts |= {"section": field.section or "", "position": str(field.position), **_default_texts(field)}
    if field.kind in WITH_CHOICES:
        texts["choices"] = "\n".join(_line(choice) for choice in field.choices or ())
    return texts


def options_of(host: str, kind: FieldKind, form: MultiDict[str, str], *, new: bool) -> dict[str, Any]:
    """Return what a form sent as the options of ``add_field``, or of ``change_field`` where it is not ``new``.

    Raises:
        InvalidInput: a position is no number; the services check the rest.
    """
    found: dict[str, Any] = {flag: bool(form.getlist(flag)[-1:] == ["1"]) for flag in FLAGS if flag in form}
    found["labels"] = _by_language(form, "label_")
    found["help"] = _by_language(form, "help_") or None
    found["section"] = form.get("section", "").strip() or None
    if kind in WITH_CHOICES:
        found["choices"] = _choices(form.get("choices", ""))
    if kind is not FieldKind.REFERENCE:
        found["default"] = _default(host, kind, form)
    if form.get("position", "").strip():
        found["position"] = _whole(form["position"])
    if not new:
        return found
    if kind is FieldKind.REFERENCE:
        found["target"] = form.get("target") or None
    if kind is FieldKind.TEXT:
        found["multiline"] = form.getlist("multiline")[-1:] == ["1"]
    # What nobody said needs no place in the command, and the services know the defaults.
    return {name: value for name, value in found.items() if (name == "default" and value is not None) or value}


def form_of(
    host: str, kind: FieldKind, texts: Mapping[str, str], errors: Mapping[str, Sequence[str]], *, new: bool
) -> dict[str, Any]:
    """Return the form component's description of a field's form.

    Args:
        errors: option of the services → what is wrong with it; those with no place in the form stand above it.
    """
    left = {_place(option): " ".join(said) for option, said in errors.items()}
    sections = [
        {"title": _("Field"), "columns": 2, "fields": _naming(kind, new=new)},
        {"title": _("Behaviour"), "columns": 1, "fields": _behaviour(kind)},
        {"title": _("Place"), "columns": 2, "fields": _placing(host, new=new)},
    ]
    for section in sections:
        for control in section["fields"]:
            control.setdefault("value", texts.get(control["name"], ""))
            control["error"] = left.pop(control["name"], None)
            if control["kind"] == "money":
                control["currency"] = texts.get("default_currency") or control["currency"]
    return {"sections": sections, "message": " ".join(left.values()) or None}


def _naming(kind: FieldKind, *, new: bool) -> list[dict[str, Any]]:
    controls: list[dict[str, Any]] = []
    if new:
        said = _(
            "Lower-case letters, digits and single underscores, such as tier; it never changes. “cf_” comes before it."
        )
        controls.append({"name": "name", "label": _("Name"), "kind": "text", "required": True, "help": said})
    if new and kind is FieldKind.REFERENCE:
        known = [{"value": name, "label": found.label} for name, found in sorted(record_types().items())]
        controls.append(
            {"name": "target", "label": _("Points to"), "kind": "choice", "required": True, "choices": known}
        )
    if new and kind is FieldKind.TEXT:
        controls.append({"name": "multiline", "label": _("Several lines"), "kind": "boolean"})
    for language in languages():
        said = language_name(language)
        controls.append(
            {"name": f"label_{language}", "label": _("Label (%(language)s)", language=said), "kind": "text"}
        )
    for language in languages():
        said = language_name(language)
        label = _("Help text (%(language)s)", language=said)
        controls.append({"name": f"help_{language}", "label": label, "kind": "text"})
    if kind in WITH_CHOICES:
        order = " | ".join(language_name(language) for language in languages())
        said = _("One per line, in their order: value = %(labels)s. The value is what is stored.", labels=order)
        controls.append({"name": "choices", "label": _("Choices"), "kind": "textarea", "required": True, "rows": 6,
                         "help": said, "placeholder": "gold = Gold"})  # fmt: skip
    return controls


def _behaviour(kind: FieldKind) -> list[dict[str, Any]]:
    controls = [] if kind is FieldKind.REFERENCE else [_default_control(kind)]
    controls.append({"name": "required", "label": _("Required"), "kind": "boolean"})
    controls.append({"name": "listed", "label": _("Column of lists"), "kind": "boolean"})
    if kind in WORDS:
        controls.append({"name": "searchable", "label": _("Searched"), "kind": "boolean"})
    if kind is FieldKind.REFERENCE:
        return controls  # it always has its index
    said = _("Filters and orders by it stay fast with many records. A job makes the index.")
    return [*controls, {"name": "indexed", "label": _("Indexed"), "kind": "boolean", "help": said}]


def _default_control(kind: FieldKind) -> dict[str, Any]:
    control: dict[str, Any] = {"name": "default", "label": _("Default"), "kind": "text"}
    if kind is FieldKind.BOOLEAN:
        choices = [("", "–"), ("true", _("Yes")), ("false", _("No"))]
        control |= {"kind": "choice", "choices": [{"value": v, "label": label} for v, label in choices]}
    elif kind in (FieldKind.DATE, FieldKind.NUMBER):
        control["kind"] = "date" if kind is FieldKind.DATE else "decimal"
    elif kind is FieldKind.MONEY:
        base = runtime_of(current_app).config.base_currency
        known = list(dict.fromkeys((base, *CURRENCIES)))
        control |= {"kind": "money", "currency": base, "currencies": known, "currency_name": "default_currency"}
    elif kind is FieldKind.CHOICE:
        control["help"] = _("The value of one of the choices.")
    elif kind is FieldKind.MULTICHOICE:
        control["help"] = _("Values of choices, separated by “;”.")
    return control


def _placing(host: str, *, new: bool) -> list[dict[str, Any]]:
    from crm_kernel.records.custom_fields.planning import plain_title
    from crm_kernel.records.plan import plan_of

    titles = [
        (plain_title(section.title), str(section.title)) for section in plan_of(record_type(host)).record_type.form
    ]
    choices = [{"value": plain, "label": shown} for plain, shown in titles]
    said = _("One of the form's sections, or a new one; empty for “More” at the end.")
    controls = [{"name": "section", "label": _("Section"), "kind": "datalist", "choices": choices, "help": said}]
    last = _("At the end when nothing is said.") if new else None
    return [
        *controls,
        {"name": "position", "label": _("Position"), "kind": "number", "step": "1", "min": 0, "help": last},
    ]


def _place(option: str) -> str:
    first = languages()[0]
    return {"labels": f"label_{first}", "help": f"help_{first}"}.get(option, option)


def _by_language(form: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {
        key.removeprefix(prefix): text.strip() for key, text in form.items() if key.startswith(prefix) and text.strip()
    }


def _choices(text: str) -> list[dict[str, Any]]:
    found = []
    for line in filter(str.strip, text.splitlines()):
        value, _equals, labels = line.partition("=")
        said = [part.strip() for part in labels.split("|")]
        by_language = {language: label for language, label in zip(languages(), said, strict=False) if label}
        found.append({"value": value.strip(), "labels": by_language or {languages()[0]: value.strip()}})
    return found


def _line(choice: Mapping[str, Any]) -> str:
    labels = choice["labels"]
    return f"{choice['value']} = " + " | ".join(labels.get(language, "") for language in languages()).rstrip(" |")


def _default(host: str, kind: FieldKind, form: MultiDict[str, str]) -> Any:
    """Return the default as the API would send it, None for none; numbers are read in the reader's language."""
    if kind is FieldKind.MULTICHOICE:
        return [part.strip() for part in form.get("default", "").split(";") if part.strip()] or None
    choices = tuple(_choices(form.get("choices", "")))
    name = "cf_default"
    declared = Declared(host, name, kind, {}, {}, choices, None, False, False, None, None, False, False)
    found = submitted(field_plans_of(declared, record_type(host))[name], form.getlist("default"))
    if isinstance(found, Misread):
        raise InvalidInput({"default": [found.expected]})
    if kind is FieldKind.MONEY and found is not None:
        return {"amount": found, "currency": form.get("default_currency", "")}
    return None if found == "" else found


def _default_texts(field: CustomField) -> dict[str, str]:
    value = field.default
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {
            "default": number_text(str(value.get("amount", ""))),
            "default_currency": str(value.get("currency", "")),
        }
    if isinstance(value, list):
        return {"default": "; ".join(map(str, value))}
    if FieldKind(field.kind) is FieldKind.NUMBER:
        return {"default": number_text(str(value))}
    return {"default": str(value).lower() if isinstance(value, bool) else str(value)}


def _whole(text: str) -> int:
    try:
        return int(text.strip())
    except ValueError as error:
        raise InvalidInput({"position": [_("Found %(found)s, expected a whole number.", found=text[:20])]}) from error
