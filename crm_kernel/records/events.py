"""The fact that many records were written at once, told instead of one event per record."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import ClassVar

from crm_kernel.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsBulkChanged(Event):
    """Records of one type were created or updated by a bulk run; told once per transaction of the run.

    Which ones: ``crm_kernel.records.bulk.changed_records(uow, event)``, from the audit rows of that transaction.
    """

    name: ClassVar[str] = "kernel.records_bulk_changed"

    #: The run: the request id of all its transactions.
    run_id: str
    record_type: str
    #: The time of this transaction; with the run it names the audit rows.
    changed_at: dt.datetime
    created: int = 0
    updated: int = 0


EVENTS = (RecordsBulkChanged,)
