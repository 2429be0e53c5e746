"""The text field of record schemas: trimmed, without characters no database or page can show, of limited length."""

from __future__ import annotations

import unicodedata
from typing import Any

from flask_babel import gettext as _
from marshmallow import ValidationError, fields

#: Longest text of several lines.
MAX_TEXT = 20_000


class Text(fields.String):
    """One line (white space collapsed) or, with ``most=None``, several; empty text becomes None where that is allowed.

    Args:
        most: number of characters the column holds; None for several lines of up to ``MAX_TEXT`` characters.
    """

    def __init__(self, most: int | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("allow_none", not kwargs.get("required", False))
        if most is None:
            kwargs["metadata"] = {"widget": "textarea", **kwargs.get("metadata", {})}
        super().__init__(**kwargs)
        #: Number of characters the column holds; None for several lines.
        self.most = most

    # Returns None for "nothing", as marshmallow's allow_none does: its annotation is narrower than its behaviour.
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        found = super()._deserialize(value, attr, data, **kwargs)
        text = " ".join(found.split()) if self.most else found.strip()
        self._check(text)
        if text:
            return text
        if self.required or not self.allow_none:
            raise self.make_error("required")
        return None

    def _validate(self, value: str | None) -> None:
        if value is not None:
            super()._validate(value)

    def _check(self, text: str) -> None:
        limit = self.most or MAX_TEXT
        if len(text) > limit:
            raise ValidationError(
                _("Too long: found %(found)s characters, expected at most %(limit)s.", found=len(text), limit=limit)
            )
        # A NUL makes PostgreSQL refuse the whole transaction; the others are never meant.
        if not text.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t" for c in text):
            raise ValidationError(_("Holds a control character: expected plain text."))
