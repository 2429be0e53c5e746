"""The tables of saved views, and of which one a user sees first."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import Model, NullableJson, RecordMixin

#: Who sees a view.
PRIVATE, TEAM, EVERYONE = "private", "team", "everyone"
#: How its records are shown.
LIST, BOARD, CALENDAR = "list", "board", "calendar"


class SavedView(RecordMixin, Model):
    """One saved view of one record type, whose module need not be loaded."""

    __tablename__ = "saved_view"

    record_type: Mapped[str] = mapped_column(sa.String(80), index=True)
    name: Mapped[str] = mapped_column(sa.String(80))
    #: ``list``, ``board`` or ``calendar``.
    kind: Mapped[str] = mapped_column(sa.String(10), default=LIST, server_default=LIST)
    #: Conditions, ``filter``, ``q`` and ``sort`` as the list's address spells them.
    query: Mapped[str] = mapped_column(sa.Text, default="", server_default="")
    #: Of a calendar: the field it goes by, and how many days it shows (``month``, ``week``, …); None for the usual.
    calendar: Mapped[str | None] = mapped_column(sa.String(80))
    span: Mapped[str | None] = mapped_column(sa.String(10))
    #: Names of the columns in order; None for the type's own.
    columns: Mapped[list[Any] | None] = mapped_column(NullableJson)
    sharing: Mapped[str] = mapped_column(sa.String(10), default=PRIVATE, server_default=PRIVATE)
    #: Whether it is what the list shows to those who chose no view of their own.
    default_for_all: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    author_id: Mapped[int | None] = mapped_column(sa.ForeignKey("app_user.id", ondelete="SET NULL"), index=True)
    #: The team it is shared with, one of the author's; None unless ``sharing`` is ``team``.
    team_id: Mapped[int | None] = mapped_column(sa.ForeignKey("team.id", ondelete="SET NULL"), index=True)


class ViewChoice(Model):
    """The view that a user wants to see first when he opens a list."""

    __tablename__ = "view_choice"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"))
    record_type: Mapped[str] = mapped_column(sa.String(80))
    view_id: Mapped[int] = mapped_column(sa.ForeignKey("saved_view.id", ondelete="CASCADE"), index=True)

    __table_args__ = (sa.UniqueConstraint("user_id", "record_type"),)
