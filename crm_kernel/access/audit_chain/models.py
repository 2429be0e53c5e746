"""The tables of the chain: one seal per audit row, and the head, which says where the chain ends.

No foreign key leads to the log: a seal must outlive the row whose deletion it proves.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import Model

#: Key of the only row of ``audit_head``.
THE_HEAD = 1


class AuditSeal(Model):
    """The place of one audit row in the chain."""

    __tablename__ = "audit_seal"

    #: From 1, without gaps, in the order of sealing.
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: The sealed row's key.
    audit_id: Mapped[int] = mapped_column(unique=True)
    #: SHA-256 over the hash before it, the number and the row (``links.link``); 32 bytes.
    hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32))


class AuditHead(Model):
    """Where the chain ends, signed with the instance's ``secret_key``; one row, from the first seal on."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: The last seal's number and hash.
    number: Mapped[int]
    hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32))
    #: HMAC-SHA-256 over the two.
    signature: Mapped[bytes] = mapped_column(sa.LargeBinary(32))
    sealed_at: Mapped[dt.datetime]
    #: Every row up to this key is sealed, and none can appear there any more.
    settled_id: Mapped[int] = mapped_column(default=0)
    #: The same for this key once the transactions of ``mark_holders`` have ended (PostgreSQL).
    mark_id: Mapped[int | None]
    mark_holders: Mapped[list[str]] = mapped_column(default=list)
