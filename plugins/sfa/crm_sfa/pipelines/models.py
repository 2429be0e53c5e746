"""The tables of pipelines and their stages."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import RecordMixin
from crm_sfa.base import Base


class Pipeline(RecordMixin, Base):
    """A way of selling with stages of its own: new business, renewals, tenders."""

    __tablename__ = "sfa_pipeline"

    name: Mapped[str] = mapped_column(sa.String(120), unique=True)
    position: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    #: Where an opportunity goes that names no pipeline; the database allows one.
    is_default: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Inactive ones take no new opportunities and keep those they have.
    active: Mapped[bool] = mapped_column(default=True, server_default=sa.true())

    __table_args__ = (
        sa.Index(
            "uq_sfa_pipeline_default",
            "is_default",
            unique=True,
            sqlite_where=sa.text("is_default = 1"),
            postgresql_where=sa.text("is_default"),
        ),
    )


class Stage(RecordMixin, Base):
    """A step of a pipeline; its category says whether an opportunity in it is open, won or lost."""

    __tablename__ = "sfa_stage"

    pipeline_id: Mapped[int] = mapped_column(sa.ForeignKey("sfa_pipeline.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(120))
    position: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    #: ``open``, ``won`` or ``lost``; never changes while opportunities are in it.
    category: Mapped[str] = mapped_column(sa.String(10), default="open", server_default="open")
    #: Percent; 100 for won and 0 for lost stages.
    probability: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    #: A colour name of the shell: ``blue``, ``teal``, …
    color: Mapped[str] = mapped_column(sa.String(20), default="gray", server_default="gray")

    __table_args__ = (
        sa.UniqueConstraint("pipeline_id", "name"),
        sa.Index(None, "pipeline_id", "position", "id"),
        sa.CheckConstraint("category IN ('open', 'won', 'lost')", name="category"),
        sa.CheckConstraint("probability BETWEEN 0 AND 100", name="probability"),
    )
