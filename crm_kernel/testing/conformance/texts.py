"""Rules of words: events on the wire, the README, translations."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import types
import typing
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from crm_kernel.testing.conformance.rule import Subject, rule

_SAMPLES: dict[Any, Any] = {
    uuid.UUID: uuid.UUID(int=7),
    Decimal: Decimal("12.3400"),
    dt.datetime: dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC),
    dt.date: dt.date(2026, 2, 28),
    str: "é\u2028\"'",
    int: 7,
    bool: True,
    float: 0.5,
}
_KEYWORDS: dict[str, Any] = {
    "_": None,
    "_l": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "lazy_ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "lazy_pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "N_": None,
    "ValueProblem": None,
}
_METHODS = [("**.py", "python"), ("**.html", "jinja2"), ("**.txt", "jinja2")]


@rule("events-round-trip", "An event is stored as JSON and read by another version of the module, perhaps years later.")
def events_round_trip(subject: Subject) -> Iterator[str]:
    """Yield events that do not survive their JSON form, or carry what no event may carry."""
    for event in subject.records["events"]:
        hints = typing.get_type_hints(event)
        try:
            values = {f.name: _sample(hints[f.name]) for f in dataclasses.fields(event)}
            for sample in (event(**values), event(**{n: _none(hints[n], v) for n, v in values.items()})):
                if event.from_json(json.loads(json.dumps(sample.to_json()))) != sample:
                    yield f"{event.name}: {sample} is not the same after JSON"
        except (TypeError, ValueError, KeyError) as error:
            yield f"{event.name}: {type(error).__name__}: {error}"


@rule("readme-complete", "What an admin can set, grant or hear of stands in the README, or nobody finds it.")
def readme_complete(subject: Subject) -> Iterator[str]:
    """Yield settings, permissions and events that the README does not name."""
    kinds = {"settings": "setting", "permissions": "permission", "events": "event"}
    names = [(what, record.name) for kind, what in kinds.items() for record in subject.records[kind]]
    for record_type in subject.records["record_types"]:
        names += [("permission", record_type.permission(verb)) for verb in record_type.granted]
    for what, name in names:
        if name not in subject.readme:
            yield f"the README does not name the {what} {name}"


@rule("translations-complete", "Half a language is worse than none.")
def translations_complete(subject: Subject) -> Iterator[str]:
    """Yield texts of the package and entries of its catalogs that have no French translation."""
    catalogs = {
        file.parent.parent.name: _catalog(file) for file in sorted(subject.folder.glob("translations/*/*/*.po"))
    }
    french = catalogs.get("fr", {})
    wanted = dict.fromkeys(_texts(subject.folder), "its code")
    for language, catalog in catalogs.items():
        wanted.update(dict.fromkeys(catalog, f"its catalog {language}"))
    for (context, text), where in sorted(wanted.items(), key=lambda found: (found[1], found[0][0] or "", found[0][1])):
        if not french.get((context, text)):
            yield f"{text!r}{f' in the context {context}' if context else ''} of {where} has no French translation"


def _sample(hint: Any) -> Any:
    options = [o for o in _options(hint) if o is not type(None)]
    return _SAMPLES[options[0]]


def _none(hint: Any, value: Any) -> Any:
    return None if type(None) in _options(hint) else value


def _options(hint: Any) -> tuple[Any, ...]:
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if is_union else (hint,)


def _catalog(file: Path) -> dict[tuple[str | None, str], bool]:
    """Return (context, text) → whether it is translated."""
    from babel.messages.pofile import read_po

    found = {}
    for message in read_po(io.BytesIO(file.read_bytes())):
        if message.id:
            texts = message.string if isinstance(message.string, list | tuple) else [message.string]
            found[message.context, _first(message.id)] = all(texts) and not message.fuzzy
    return found


def _texts(folder: Path) -> set[tuple[str | None, str]]:
    """Return (context, text) of every text that the package's code and templates mark as translatable."""
    from babel.messages.extract import extract_from_dir

    found = extract_from_dir(folder, _METHODS, keywords=_KEYWORDS)
    return {(context, _first(text)) for _file, _line, text, _comments, context in found if _first(text)}


def _first(text: Any) -> str:
    return str(text[0] if isinstance(text, list | tuple) else text)
