"""Writes what a verb did to a module into the audit log, by the transaction that did it; no application is needed.

The rows are those of ``crm_kernel.access.audit``, record type ``module``. A module has no public id, so its name is among
the values. On the command line the system acts, and the values tell the operating system's account that typed the command;
a page says with ``acting`` who clicked.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from uuid_utils.compat import uuid7

from crm_kernel.access.actor import SYSTEM, Actor
from crm_kernel.access.audit import payload_digest, plain
from crm_kernel.access.models import AuditLog, AuditPayload
from crm_kernel.database import utcnow

if TYPE_CHECKING:
    from crm_kernel._internal.lifecycle.changes import Change
    from crm_kernel._internal.lifecycle.store import StoredModule
    from crm_kernel.migrations.running import Applied

RECORD_TYPE = "module"


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes modules, through which channel, in which request."""

    actor: Actor
    channel: str
    request_id: str


_AUTHOR: ContextVar[Author | None] = ContextVar("crm_lifecycle_author", default=None)


@contextmanager
def acting(actor: Actor, *, channel: str, request_id: str) -> Iterator[None]:
    """Name the author of what the block does to modules, for the audit log."""
    mark = _AUTHOR.set(Author(actor, channel, request_id))
    try:
        yield
    finally:
        _AUTHOR.reset(mark)


@dataclass(frozen=True, slots=True)
class Note:
    """What happened to one module: ``action`` is ``enabled``, ``disabled``, ``upgraded``, ``uninstalled``, ``purged`` or
    ``restored``; ``before`` and ``after`` hold ``state`` and what else tells the change."""

    module: str
    action: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def write_notes(connection: sa.Connection, notes: Sequence[Note]) -> None:
    """Insert one audit row per note, in the transaction of the connection; two statements for all."""
    if not notes:
        return
    now, author = utcnow(), _AUTHOR.get() or Author(SYSTEM, "cli", uuid4().hex)
    account = {} if author.actor.user_uid else {"account": _account()}
    rows, payloads = [], []
    for note in notes:
        values = {
            "salt": os.urandom(16),
            "before": plain({"module": note.module, **note.before}),
            "after": plain({"module": note.module, **note.after, **account}),
        }
        row = {"uid": uuid7(), "at": now, "actor": author.actor.name[:120], "actor_uid": author.actor.user_uid}
        row |= {
            "channel": author.channel,
            "request_id": author.request_id,
            "action": note.action,
            "record_type": RECORD_TYPE,
            "record_uid": None,
        }
        rows.append({**row, "digest": payload_digest(**values)})
        payloads.append({"audit_uid": row["uid"], **values})
    connection.execute(sa.insert(AuditLog), rows)
    connection.execute(sa.insert(AuditPayload), payloads)


def notes_of(changes: Iterable[Change]) -> list[Note]:
    """Return what changes of the enabled set are to leave in the log; nothing for those that changed nothing."""
    notes = []
    for change in changes:
        state, _space, version = change.before.partition(" ")
        before = {"state": state, **({"version": version} if version else {})}
        after = {"state": change.after, "version": change.version, "revisions": change.revisions}
        action = "upgraded" if state == change.after else change.after
        notes += [Note(change.module, action, before, after)] if change.changed else []
    return notes


def notes_of_steps(modules: Mapping[str, StoredModule], applied: Iterable[Applied]) -> list[Note]:
    """Return what an upgrade of the database is to leave in the log: one note per branch, the kernel's included."""
    steps: dict[str, list[str]] = {}
    for step in applied:
        steps.setdefault(step.branch, []).append(step.revision)
    states = {name: {"state": row.state, "version": row.version} for name, row in modules.items()}
    return [
        Note(name, "upgraded", states.get(name, {}), {**states.get(name, {}), "revisions": revisions})
        for name, revisions in steps.items()
    ]


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return str(os.getuid())
