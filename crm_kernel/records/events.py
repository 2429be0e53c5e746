"""The fact that many records were written at once, told instead of one event per record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from flask_babel import lazy_gettext as _l

from crm_kernel.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsBulkChanged(Event):
    """Records of one type were created or updated by a bulk run; told once per transaction of the run.

    Which ones: ``crm_kernel.records.bulk.changed_records(uow, event)``, from the audit rows of that transaction.
    """

    name: ClassVar[str] = "kernel.records_bulk_changed"
    event_label: ClassVar[Any] = _l("Many records changed")
    field_labels: ClassVar[Mapping[str, Any]] = {
        "run_id": _l("Run"),
        "record_type": _l("Records"),
        "changed_at": _l("When"),
        "created": _l("Created"),
        "updated": _l("Updated"),
    }

    #: The run: the request id of all its transactions.
    run_id: str
    record_type: str
    #: The time of this transaction; with the run it names the audit rows.
    changed_at: dt.datetime
    created: int = 0
    updated: int = 0


EVENTS = (RecordsBulkChanged,)
