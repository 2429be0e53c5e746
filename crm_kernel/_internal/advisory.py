"""The locks that stand for no row: PostgreSQL only, where several write at once; SQLite has one writer anyway.

Their numbers are all here, so that no two of them mean the same. PostgreSQL keeps those of two halves apart from those of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: First half of the locks that keep the order of events (``outbox``); the second is the customer's share.
EVENTS_SPACE = 0x43524D
#: Both halves of the lock of the verbs of a module's life (``lifecycle.locking``).
VERBS_SPACE, VERBS = 0x63726D, 0x6D6F64
#: The one number of the lock of the steps of a migration (``migrations.running``).
MIGRATION = 0x63726D5F6D6967
#: Customers who come in from outside (``customers.capturing``).
CAPTURES = 1
#: Files that are counted against the quotas (``collaboration.attachments``).
FILES = 2

_SERVICES_SPACE = 0x43524E
_TAKE = sa.text("SELECT pg_advisory_xact_lock(:space, :key)")


def take_turns(session: Session, key: int) -> None:
    """Wait until no other transaction holds a lock of this module by its key, and hold it until this one ends.

    What others committed meanwhile is seen by the next statement. Take it before anything is written: who holds rows that the
    holder waits for waits in a circle with it, and one of the two fails.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(_TAKE, {"space": _SERVICES_SPACE, "key": key})
