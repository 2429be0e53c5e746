"""Writes notes beside records, and tells whom they mention."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.acting import actor_for
from crm_kernel.access.policy import authorize, visible
from crm_kernel.collaboration.mentions import Mentions, mentions_in
from crm_kernel.collaboration.models import Note, NoteMention
from crm_kernel.collaboration.notifications.kinds import MENTION
from crm_kernel.collaboration.notifications.services import notify
from crm_kernel.errors import InvalidInput
from crm_kernel.records.storing import set_changed
from crm_kernel.records.subjects import Subject, annotated_subject

if TYPE_CHECKING:
    from crm_kernel.access.models import AppUser
    from crm_kernel.unit_of_work import UnitOfWork

_MOST_TITLE = 120


@dataclass(frozen=True, slots=True)
class Written:
    """A note, and who was not told although it mentions him."""

    note: Note
    #: Names of users who may not see the record.
    blind: Sequence[str]
    #: Names that several users have.
    ambiguous: Sequence[str]

    def warnings(self) -> list[str]:
        """Return what the writer should know, in his language."""
        texts = [_("%(name)s was not told: he or she may not see this record.", name=name) for name in self.blind]
        return texts + [
            _("Several users are called %(name)s: mention one by e-mail address.", name=name) for name in self.ambiguous
        ]


def add_note(uow: UnitOfWork, *, subject_type: str, subject_uid: UUID, body: str) -> Written:
    """Write a note beside a record and tell whom it mentions, those who may see the record.

    Raises:
        Forbidden: the actor may not write notes.
        InvalidInput: the record type takes no notes.
        NotFound: there is no such record, or none the actor may see.
    """
    authorize(uow.actor, "note.create")
    subject = annotated_subject(uow, subject_type, subject_uid)
    note = Note(
        title=first_line(body),
        body=body,
        author_id=uow.actor.user_id,
        author_name=uow.actor.name[:120],
        **subject.place,
    )
    uow.session.add(note)
    uow.session.flush()
    return _tell(uow, note, subject)


def change_note(uow: UnitOfWork, note: Note, changes: Mapping[str, Any]) -> Written:
    """Change the text of a note; whom it mentions now and did not before is told.

    Raises:
        InvalidInput: it is to be moved to another record.
        NotFound: the actor does not see the record any more.
    """
    moved = [
        name
        for name in ("subject_type", "subject_uid")
        if changes.get(name, getattr(note, name)) != getattr(note, name)
    ]
    if moved:
        field = moved[0].replace("uid", "id")
        raise InvalidInput({field: [_("A note stays with its record: write a new one beside the other.")]})
    if changes.get("body", note.body) != note.body:
        body = changes["body"]
        set_changed(note, {"title": first_line(body), "body": body, "edited_at": uow.now})
        uow.session.flush()
    return _tell(uow, note, annotated_subject(uow, note.subject_type, note.subject_uid))


def update_note(uow: UnitOfWork, record: Note, changes: dict[str, Any]) -> None:
    """Change a note, as every channel does; see ``change_note``."""
    change_note(uow, record, changes)


def first_line(body: str) -> str:
    """Return the first line of a text without its marks, cut at 120 characters."""
    plain = re.sub(r"\*\*|__|`", "", body)
    line = next((found for line in plain.splitlines() if (found := line.strip(" #>*_`~-\t"))), body.strip())
    return line if len(line) <= _MOST_TITLE else line[: _MOST_TITLE - 1].rstrip() + "…"


def _tell(uow: UnitOfWork, note: Note, subject: Subject) -> Written:
    mentions = mentions_in(uow, note.body)
    seeing = {user.id for user, _written in mentions.users if _sees(uow, user, subject)}
    _store(uow, note, mentions, seeing)
    notify(uow, seeing, MENTION, subject.record, dedupe_key=f"note:{note.uid}")
    blind = tuple(user.name for user, _written in mentions.users if user.id not in seeing)
    return Written(note, blind, mentions.ambiguous)


def _sees(uow: UnitOfWork, user: AppUser, subject: Subject) -> bool:
    """Say whether a user may see the record and its notes; at most three queries."""
    if user.id == uow.actor.user_id:
        return True
    actor = actor_for(uow, user)
    if not actor.may("note.read"):
        return False
    model = subject.record_type.model
    seen = sa.select(sa.literal(1)).where(model.id == subject.record.id, visible(actor, subject.record_type))
    return uow.session.execute(seen).first() is not None


def _store(uow: UnitOfWork, note: Note, mentions: Mentions, told: set[int]) -> None:
    stored = {
        row.user_id: row for row in uow.session.scalars(sa.select(NoteMention).where(NoteMention.note_id == note.id))
    }
    for user, written in mentions.users:
        row = stored.pop(user.id, None)
        if row is None:
            uow.session.add(NoteMention(note_id=note.id, user_id=user.id, written=written, told=user.id in told))
        else:
            set_changed(row, {"written": written, "told": user.id in told})
    for gone in stored.values():
        uow.session.delete(gone)
    uow.session.flush()
