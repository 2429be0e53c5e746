"""Takes back a part of a unit of work: rows, events, marks and notes for the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@contextmanager
def all_or_nothing(uow: UnitOfWork) -> Iterator[None]:
    """Undo rows, events and marks of the block if it raises; the audit's notes follow the savepoint by themselves."""
    events, touched = list(uow.events), set(uow.touched)
    try:
        with uow.session.begin_nested():
            yield
    except BaseException:
        uow.events[:] = events
        uow.touched.clear()
        uow.touched.update(touched)
        raise


class _TakenBack(Exception):
    """Ends a rehearsal."""


@contextmanager
def rehearsed(uow: UnitOfWork) -> Iterator[None]:
    """Do everything the block does and take it back."""
    try:
        with all_or_nothing(uow):
            yield
            uow.session.flush()
            raise _TakenBack
    except _TakenBack:
        uow.session.expire_all()
