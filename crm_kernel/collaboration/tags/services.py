"""Makes tags, puts them on records and takes them off; joins two tags into one.

Whoever may change a record may tag it. Names are compared without case and accents, so that "VIP" and "vip" are one tag.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.rows import add_once, insert_rows
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.policy import authorize, visible
from crm_kernel.collaboration.tags.models import Tag, Tagging
from crm_kernel.collaboration.tags.queries import tags_on
from crm_kernel.errors import Conflict, InvalidInput, NotFound, StaleVersion
from crm_kernel.records.storing import set_changed
from crm_kernel.text import fold

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Tags of one record; beyond these nobody reads them.
MOST_TAGS = 50
_MOST_NAME = 60


def create_tag(uow: UnitOfWork, data: Mapping[str, Any]) -> Tag:
    """Create a tag.

    Raises:
        Conflict: there is one of that name.
    """
    name = data["name"]
    if _tag_called(uow, name) is not None:
        raise Conflict(_("There is a tag %(name)s already.", name=name))
    tag = Tag(name=name, key=key_of(name), color=data.get("color") or "azure")
    uow.session.add(tag)
    uow.session.flush()
    return tag


def update_tag(uow: UnitOfWork, record: Tag, changes: dict[str, Any]) -> None:
    """Rename or recolor a tag; every record that has it shows it at once.

    Raises:
        Conflict: another tag has that name: merge the two instead.
    """
    if "name" in changes:
        same = _tag_called(uow, changes["name"])
        if same is not None and same.id != record.id:
            raise Conflict(_("There is a tag %(name)s already: merge the two instead.", name=same.name))
        changes = {**changes, "key": key_of(changes["name"])}
    set_changed(record, changes)


def merge_tags(uow: UnitOfWork, record: Tag, *, into: str) -> Tag:
    """Give every record that has one tag another instead, and delete the first; three statements for all records.

    Raises:
        InvalidInput: no such tag, or the same.
    """
    target = _tag_called(uow, into)
    if target is None or target.id == record.id:
        raise InvalidInput({"into": [_("Found %(found)s, expected the name of another tag.", found=into[:60])]})
    other = sa.orm.aliased(Tagging)
    both = sa.exists().where(
        other.tag_id == target.id,
        other.subject_type == Tagging.subject_type,
        other.subject_uid == Tagging.subject_uid,
    )
    plain = {"synchronize_session": False}
    mine = Tagging.tag_id == record.id
    uow.session.execute(sa.delete(Tagging).where(mine, both).execution_options(**plain))
    uow.session.execute(sa.update(Tagging).where(mine).values(tag_id=target.id).execution_options(**plain))
    uow.session.delete(record)
    uow.session.flush()
    return target


def change_tags(
    uow: UnitOfWork,
    record_type: RecordType,
    uids: Collection[UUID],
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
) -> dict[UUID, list[Tag]]:
    """Put tags on records and take others off; return record → its tags, by name. The same few statements for all.

    Args:
        uids: public ids of records of one type.
        add: names; a tag that does not exist is made, if the actor may.
        remove: names; one that a record does not have is no error.

    Raises:
        NotFound: one of the records is not there, or not for the actor.
        Forbidden: he may not change one of them, or not make a new tag.
        InvalidInput: the type takes no tags, a name is empty or too long, or a record would get too many.
    """
    if not record_type.annotated:
        raise InvalidInput({"subject_type": [_("%(type)s takes no tags.", type=record_type.label)]})
    records = _records(uow, record_type, uids)
    adding = [_tag_named(uow, name) for name in _checked(add, "add")]
    removing = [tag for name in remove if (tag := _tag_called(uow, name)) is not None]
    before = tags_on(uow, record_type, records)
    _take_off(uow, record_type, records, removing)
    _put_on(uow, record_type, before, [tag for tag in adding if tag not in removing])
    after = tags_on(uow, record_type, records)
    if any(len(tags) > MOST_TAGS for tags in after.values()):
        raise InvalidInput({"add": [_("At most %(most)s tags on one record.", most=MOST_TAGS)]})
    _audit(uow, record_type, before, after)
    return after


def put_tags_back(
    uow: UnitOfWork, record_type: RecordType, uid: UUID, before: Sequence[str], after: Sequence[str]
) -> None:
    """Take back a change of one record's tags: what it put on comes off, what it took off is put on again.

    Args:
        before, after: the names that the record had, as the audit log kept them.

    Raises:
        StaleVersion: one of these tags was put on or taken off again since.
        NotFound, Forbidden, InvalidInput: as for ``change_tags``.
    """
    had, has = {key_of(name): name for name in before}, {key_of(name): name for name in after}
    put, taken = has.keys() - had.keys(), had.keys() - has.keys()
    now = {tag.key for tag in tags_on(uow, record_type, [uid])[uid]}
    newer = sorted([has[key] for key in put - now] + [had[key] for key in taken & now])
    if newer:
        raise StaleVersion(_("Changed since, and left as it is: %(fields)s.", fields=", ".join(newer)))
    change_tags(uow, record_type, [uid], add=[had[key] for key in taken], remove=[has[key] for key in put])


def key_of(name: str) -> str:
    """Return what makes two names one tag."""
    return fold(name)[:_MOST_NAME]


def _records(uow: UnitOfWork, record_type: RecordType, uids: Collection[UUID]) -> list[UUID]:
    model = record_type.model
    seen = sa.select(model).where(model.uid.in_(uids), visible(uow.actor, record_type)).order_by(model.id)
    found = uow.session.scalars(seen).all()
    missing = set(uids) - {record.uid for record in found}
    if missing:
        raise NotFound(_("There is no %(type)s with the id %(id)s.", type=record_type.label, id=min(missing)))
    for record in found:
        authorize(uow.actor, record_type.permission("update"), record)
    return [record.uid for record in found]


def _checked(names: Sequence[str], field: str) -> list[str]:
    found = [" ".join(name.split()) for name in names]
    wrong = next((name for name in found if not name or len(name) > _MOST_NAME or not name.isprintable()), None)
    if wrong is not None:
        message = _("Found %(found)s, expected 1 to %(most)s characters.", found=wrong[:80] or "–", most=_MOST_NAME)
        raise InvalidInput({field: [message]})
    first: dict[str, str] = {}
    for name in found:
        first.setdefault(key_of(name), name)
    return list(first.values())


def _tag_called(uow: UnitOfWork, name: str) -> Tag | None:
    return uow.session.execute(sa.select(Tag).where(Tag.key == key_of(" ".join(name.split())))).scalar_one_or_none()


def _tag_named(uow: UnitOfWork, name: str) -> Tag:
    known = _tag_called(uow, name)
    if known is not None:
        return known
    authorize(uow.actor, "tag.create")
    tag, _new = add_once(uow.session, Tag(name=name, key=key_of(name)), lambda: _tag_called(uow, name))
    return cast(Tag, tag)


def _take_off(uow: UnitOfWork, record_type: RecordType, uids: Sequence[UUID], tags: Sequence[Tag]) -> None:
    if tags:
        gone = sa.delete(Tagging).where(
            Tagging.subject_type == record_type.name,
            Tagging.subject_uid.in_(uids),
            Tagging.tag_id.in_([tag.id for tag in tags]),
        )
        uow.session.execute(gone.execution_options(synchronize_session=False))


def _put_on(uow: UnitOfWork, record_type: RecordType, had: Mapping[UUID, Sequence[Tag]], tags: Sequence[Tag]) -> None:
    rows = [
        {"tag_id": tag.id, "subject_type": record_type.name, "subject_uid": uid, "created_at": uow.now}
        for uid, held in had.items()
        for tag in tags
        if tag not in held
    ]
    insert_rows(uow.session, cast(sa.Table, Tagging.__table__), rows)


def _audit(
    uow: UnitOfWork, record_type: RecordType, before: Mapping[UUID, Sequence[Tag]], after: Mapping[UUID, Sequence[Tag]]
) -> None:
    changed = [
        AuditRow(uid, {"tags": [tag.name for tag in before[uid]]}, {"tags": [tag.name for tag in after[uid]]})
        for uid in after
        if list(before[uid]) != list(after[uid])
    ]
    record_audit_many(uow, record_type.name, "updated", changed)
