"""Lets records be created under the public ids they had elsewhere: what an import from another instance needs.

Services know nothing of it: what is about to be inserted by the session is renamed before anybody reads its id, and
what was inserted below the session is renamed in the same transaction, before it is audited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@contextmanager
def born_as(uow: UnitOfWork, model: type[Any], uid: UUID | None) -> Iterator[None]:
    """Give the first new object of a model that is added to the session in this block a public id; None changes none.

    The object has it before it is flushed, so events and audit rows tell the same id.
    """
    if uid is None:
        yield
        return
    left = [uid]

    def give(_session: Any, added: Any) -> None:
        if left and type(added) is model:
            added.uid = left.pop()

    sa.event.listen(uow.session, "transient_to_pending", give)
    try:
        yield
    finally:
        sa.event.remove(uow.session, "transient_to_pending", give)


def rename(uow: UnitOfWork, model: type[Any], uids: Mapping[int, UUID]) -> None:
    """Give rows that were just inserted below the session their public ids; one ``executemany``, none without ids."""
    if not uids:
        return
    table: Any = sa.inspect(model).local_table
    statement = sa.update(table).where(table.c.id == sa.bindparam("the_key")).values(uid=sa.bindparam("the_uid"))
    uow.session.connection().execute(statement, [{"the_key": key, "the_uid": uid} for key, uid in uids.items()])
