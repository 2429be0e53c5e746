"""Does to one record what a run does to many: through the same services as any other channel."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from crm_kernel.collaboration.tags.queries import tags_on
from crm_kernel.collaboration.tags.services import change_tags
from crm_kernel.records.bulk_actions.models import DELETE, TAGS, UNDO, UPDATE
from crm_kernel.records.reading import record_of
from crm_kernel.records.services import delete_record, find_action, run_action, update_record
from crm_kernel.records.undo import undo_change

if TYPE_CHECKING:
    from crm_kernel.records.bulk_actions.asking import Change
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


def apply(uow: UnitOfWork, record_type: RecordType, change: Change, uid: UUID) -> bool:
    """Change one record, flushed, and say whether it is another than before.

    Raises:
        CrmError: whatever the service refuses it for; the caller takes back what was half done.
    """
    if change.what == UNDO:
        undo_change(uow, record_type, uid, str(change.data["change"]))
        return True
    if change.what == TAGS:
        before = tags_on(uow, record_type, [uid])
        return before != change_tags(uow, record_type, [uid], add=change.data["add"], remove=change.data["remove"])
    # Held on to: looked up anew, it could be at a later version, and a change that is based on none would be refused.
    record = record_of(uow, record_type, uid)
    version = record.version
    if change.what == UPDATE:
        return bool(update_record(uow, record_type, uid, change.data, version=version).version != version)
    if change.what == DELETE:
        delete_record(uow, record_type, uid, version=version)
    else:
        run_action(uow, record_type, uid, find_action(record_type, change.what), change.data, version=version)
    return True
