"""Attaches files to records, within the quotas, and sweeps away what nobody attaches any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from crm_kernel._internal.advisory import FILES, take_turns
from crm_kernel._internal.rows import add_once
from crm_kernel.access.policy import authorize
from crm_kernel.collaboration.attachments.models import Attachment, StoredFile
from crm_kernel.collaboration.attachments.sniffing import clean_name, media_type_of
from crm_kernel.collaboration.attachments.storage import Received, storage
from crm_kernel.errors import InvalidInput
from crm_kernel.jobs.services import dialect_insert
from crm_kernel.records.storing import set_changed
from crm_kernel.records.subjects import annotated_subject

if TYPE_CHECKING:
    from crm_kernel.config import Config
    from crm_kernel.unit_of_work import UnitOfWork

_MB = 1_000_000
#: How long a content stays that nobody attaches: an upload under way must not lose its file.
_GRACE = dt.timedelta(hours=24)
#: Contents looked at per chunk of the sweep.
_CHUNK = 500


def attach(uow: UnitOfWork, received: Received, *, name: str, subject_type: str, subject_uid: UUID) -> Attachment:
    """Attach a received file to a record and return the attachment, flushed; about seven queries.

    The content is kept when all checks have passed. A rollback leaves a content without a row, which is swept.

    Raises:
        Forbidden: the actor may not attach files.
        InvalidInput: the type takes none, the content is a program, or a quota is used up.
        NotFound: there is no such record, or none the actor may see.
        StorageFailed: the content cannot be kept.
    """
    authorize(uow.actor, "attachment.create")
    subject = annotated_subject(uow, subject_type, subject_uid)
    shown = clean_name(name)
    media_type = media_type_of(received.head, shown)
    _check_quotas(uow, received)
    file = _file(uow, received, media_type)
    storage().keep(received)
    attachment = Attachment(
        name=shown,
        file_id=file.id,
        size=received.size,
        media_type=media_type,
        author_id=uow.actor.user_id,
        author_name=uow.actor.name[:120],
        **subject.place,
    )
    uow.session.add(attachment)
    uow.session.flush()
    return attachment


def rename_attachment(uow: UnitOfWork, record: Attachment, changes: dict[str, Any]) -> None:
    """Give an attachment another name.

    Raises:
        InvalidInput: it is to be moved to another record.
    """
    for column in ("subject_type", "subject_uid"):
        if changes.get(column, getattr(record, column)) != getattr(record, column):
            field = column.replace("uid", "id")
            raise InvalidInput({field: [_("A file stays with its record: attach it to the other one too.")]})
    if "name" in changes:
        set_changed(record, {"name": clean_name(changes["name"])})


def most_bytes() -> int:
    """Return the largest size of one file: the setting ``max_upload_mb``, in bytes."""
    return _config().max_upload_mb * _MB


def sweep_files(uow: UnitOfWork, payload: dict[str, Any]) -> dict[str, Any] | None:
    """Delete the rows of contents that nobody attaches, then contents that no row names; one chunk of a nightly job.

    A content is deleted a day after it was last kept at the earliest, and never in the chunk that deletes its row: an
    upload that finds it there meanwhile writes the row again.
    """
    here = payload.get("checkpoint") or {"step": "rows", "deleted": 0}
    old = uow.now - _GRACE
    if here["step"] == "rows":
        free = sa.select(StoredFile.id).where(
            StoredFile.created_at < old, ~sa.exists().where(Attachment.file_id == StoredFile.id)
        )
        keys = uow.session.scalars(free.order_by(StoredFile.id).limit(_CHUNK)).all()
        if keys:
            uow.session.execute(sa.delete(StoredFile).where(StoredFile.id.in_(keys)))
            return here
        return {**here, "step": "contents", "after": ""}
    if here["step"] == "contents":
        return _sweep_contents(uow, here, old)
    return None


def _sweep_contents(uow: UnitOfWork, here: dict[str, Any], old: dt.datetime) -> dict[str, Any]:
    found = [digest for digest in storage().kept_before(old) if digest > here["after"]][:_CHUNK]
    free = _claimed(uow, found)
    for digest in free:
        storage().delete(digest)
    uow.session.execute(sa.delete(StoredFile).where(StoredFile.digest.in_(free)))
    deleted = here["deleted"] + len(free)
    step = "contents" if len(found) == _CHUNK else "done"
    return {"step": step, "after": max(found, default=""), "deleted": deleted, "progress": {"done": deleted}}


def _claimed(uow: UnitOfWork, digests: Sequence[str]) -> list[str]:
    """Write a row for each content that none names, and return those: who attaches one of them waits for this commit.

    A row that another transaction has written and not committed yet is waited for, and then names its content.
    """
    if not digests:
        return []
    rows = [{"digest": digest, "size": 0, "media_type": "", "created_at": uow.now} for digest in digests]
    insert = dialect_insert(uow)(StoredFile.__table__).values(rows)
    insert = insert.on_conflict_do_nothing(index_elements=["digest"])
    return list(uow.session.scalars(insert.returning(StoredFile.digest)))


def _file(uow: UnitOfWork, received: Received, media_type: str) -> StoredFile:
    same = sa.select(StoredFile).where(StoredFile.digest == received.digest)
    known = uow.session.execute(same).scalar_one_or_none()
    if known is not None:
        return known
    made = StoredFile(digest=received.digest, size=received.size, media_type=media_type, created_at=uow.now)
    file, _new = add_once(uow.session, made, lambda: uow.session.execute(same).scalar_one_or_none())
    return cast(StoredFile, file)


def _check_quotas(uow: UnitOfWork, received: Received) -> None:
    config = _config()
    # Two uploads at once would each find the room that is left for one of them.
    take_turns(uow.session, FILES)
    used = uow.session.scalar(sa.select(sa.func.coalesce(sa.func.sum(StoredFile.size), 0))) or 0
    if not _is_kept(uow, received) and int(used) + received.size > config.files_mb * _MB:
        raise InvalidInput(
            {"file": [_("No room: this installation keeps %(most)s MB of files.", most=config.files_mb)]}
        )
    if uow.actor.user_id is None:
        return
    mine = sa.select(sa.func.coalesce(sa.func.sum(Attachment.size), 0)).where(Attachment.author_id == uow.actor.user_id)
    if int(uow.session.scalar(mine) or 0) + received.size > config.user_files_mb * _MB:
        message = _("No room: each user may attach %(most)s MB of files.", most=config.user_files_mb)
        raise InvalidInput({"file": [message]})


def _is_kept(uow: UnitOfWork, received: Received) -> bool:
    """Say whether the content takes no more room: it is kept once, however often it is attached."""
    return bool(uow.session.scalar(sa.select(sa.exists().where(StoredFile.digest == received.digest))))


def _config() -> Config:
    from crm_kernel._internal.runtime import runtime_of

    return runtime_of(current_app).config
