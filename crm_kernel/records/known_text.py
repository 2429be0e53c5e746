"""The schema field for texts that are partly ours: stored as the message id, read in the reader's language."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flask_babel import gettext as _
from marshmallow import fields


class KnownText(fields.String):
    """A text of which some values come with the product; those are translated when they are read.

    Whoever saves such a value unchanged in his own language stores the original again; any other text stays as typed.

    Args:
        known: the texts that come with the product, marked for translation by ``N_``.
    """

    def __init__(self, *, known: Collection[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known = tuple(known)

    def said(self, text: str | None) -> str | None:
        """Return a stored text in the current language if it is a known one, else as it is."""
        return str(_(text)) if text in self.known else text

    # Returns None where ``allow_none`` lets it: marshmallow's annotation is narrower than its behaviour.
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        found = super()._deserialize(value, attr, data, **kwargs)
        return next((text for text in self.known if self.said(text) == found), found)
