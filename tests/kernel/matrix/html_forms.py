"""Reads the forms of a page: where they are sent, what they hold, and which of their fields take the id of a record."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
#: Names whose value is an id where a form has none yet.
_NAMES = re.compile(r"(?:(?:.*[_-])?u?id|into|ids|owner|team|customer)\Z")


@dataclass
class Form:
    """One form: its address, its method, its fields as (name, value), and those that complete a record's title."""

    action: str
    method: str
    multipart: bool = False
    fields: list[tuple[str, str]] = field(default_factory=list)
    #: Field → address of the suggestions.
    completed: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def slots(self) -> list[str]:
        """Return the names of the fields that take an id: those that hold one, complete one, or are called so."""
        found = [name for name, value in self.fields if _ID.match(value) or _NAMES.match(name)]
        return list(dict.fromkeys([*found, *self.completed]))

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        """What makes two forms the same."""
        return (
            re.sub(r"[0-9a-f-]{36}", "…", self.action),
            self.method,
            tuple(sorted({name for name, _v in self.fields})),
        )


class Page(HTMLParser):
    """A page taken apart: its forms, and the text that people read."""

    def __init__(self, html: str, address: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.words: list[str] = []
        self._address, self._form, self._select, self._silent = address, None, None, 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._silent += tag in ("script", "style", "template")
        if tag == "form":
            self._begin(given)
        elif self._form is not None and tag in ("input", "textarea", "button", "select"):
            self._field(tag, given)
        elif self._select is not None and tag == "option" and ("selected" in given or not self._chosen()):
            self._form.fields.append((self._select, given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style", "template")
        if tag == "form":
            self._form = None
        if tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.words.append(" ".join(data.split()))

    def _begin(self, given: dict[str, str]) -> None:
        action = given.get("action") or given.get("hx-post") or self._address
        self._form = Form(action, given.get("method", "get").lower(), "multipart" in given.get("enctype", ""))
        self.forms.append(self._form)

    def _field(self, tag: str, given: dict[str, str]) -> None:
        name = given.get("name", "")
        if tag == "select":
            self._select = name
        elif given.get("type") == "file":
            self._form.files.append(name)
        elif name and not (given.get("type") in ("checkbox", "radio") and "checked" not in given):
            self._form.fields.append((name, given.get("value", "")))
        completion = next((value for key, value in given.items() if value.endswith("/suggest")), None)
        if name and completion:
            self._form.completed[name] = completion

    def _chosen(self) -> bool:
        return any(name == self._select for name, _value in self._form.fields)
