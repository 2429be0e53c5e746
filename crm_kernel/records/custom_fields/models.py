"""The table of custom fields: what was declared, with labels in several languages; and where their values are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import Model, NullableJson, RecordMixin

#: Record types of the kernel whose table has another name than they.
_OTHERWISE: Mapping[str, str] = {"user": "app_user", "webhook": "webhook_endpoint"}


def table_named(record_type: str) -> str:
    """Return the name of a record type's table, whose module need not be loaded."""
    return _OTHERWISE.get(record_type) or record_type.replace(".", "_")


class CustomField(RecordMixin, Model):
    """One field of one record type; ``record_type``, ``name`` and ``kind`` never change."""

    __tablename__ = "custom_field"

    #: Name of the record type, whose module need not be loaded.
    record_type: Mapped[str] = mapped_column(sa.String(80))
    #: ``cf_`` and lower-case letters, digits, single underscores.
    name: Mapped[str] = mapped_column(sa.String(50))
    #: A ``FieldKind``.
    kind: Mapped[str] = mapped_column(sa.String(20))
    #: Language → what people call it; English stands in for a language that is missing.
    labels: Mapped[dict[str, Any]]
    #: Language → a sentence below the field on forms.
    help: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    #: Of a choice: ``[{"value": "gold", "labels": {"en": "Gold"}}, …]`` in order.
    choices: Mapped[list[Any] | None] = mapped_column(NullableJson)
    #: Of a reference: the record type it points to.
    target: Mapped[str | None] = mapped_column(sa.String(80))
    #: Of a text: whether it has several lines.
    multiline: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    required: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: What new records hold when nobody says anything, as the API would send it; None for nothing.
    default: Mapped[Any | None] = mapped_column(NullableJson)
    #: Title of the section of form and page; None for a section of its own at the end.
    section: Mapped[str | None] = mapped_column(sa.String(80))
    #: Order among the custom fields of the type.
    position: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    #: Whether lists show it as a column.
    listed: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Whether the full-text search finds its words.
    searchable: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Whether the database keeps an index over it; of a reference always.
    indexed: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Since when it is out of use; its values are kept.
    archived_at: Mapped[dt.datetime | None]

    __table_args__ = (sa.UniqueConstraint("record_type", "name"),)

    @property
    def keeps_index(self) -> bool:
        """Whether its index is there: while it is in use, and of a reference as long as rows may hold values.

        A reference is a foreign key in all but name: whoever deletes, merges or erases what it points to looks for it.
        """
        return self.indexed and (self.archived_at is None or self.kind == "reference")
