"""What the pages of imports show of a run: its state and counts in words, the rows that are not taken, what undoing left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from flask import url_for
from flask_babel import lazy_gettext as _l
from flask_babel import lazy_pgettext

from crm_kernel.records.importing import preparing
from crm_kernel.records.importing.error_files import problem_text
from crm_kernel.records.importing.models import ImportRow, ImportRun, RunState
from crm_kernel.records.importing.verdict_files import has_verdicts
from crm_kernel.records.plan import record_types
from crm_kernel.records.subjects import titles_of
from crm_kernel.unit_of_work import UnitOfWork

#: Rows with problems on a run's page.
SHOWN = 50

_STATES = {
    RunState.DRAFT: (_l("Draft"), "gray"),
    RunState.REHEARSING: (_l("Being checked"), "azure"),
    RunState.RUNNING: (_l("Running"), "azure"),
    RunState.STOPPED: (_l("Stopped"), "orange"),
    RunState.DONE: (_l("Done"), "green"),
    RunState.UNDOING: (_l("Being undone"), "azure"),
    RunState.UNDONE: (_l("Undone"), "gray"),
}
_COUNTS = {
    "created": lazy_pgettext("rows", "New"),
    "updated": lazy_pgettext("rows", "Changed"),
    "unchanged": lazy_pgettext("rows", "Unchanged"),
    "skipped": _l("Left out"),
    "review": _l("To be looked at"),
    "refused": lazy_pgettext("rows", "Refused"),
}
#: Verdict of a row that is not imported → label and colour.
_NOT_TAKEN = {"refused": (_l("Refused"), "red"), "review": (_l("To be looked at"), "orange")}
#: What is found out about a file, as runs keep it → label.
_DETECTED = {
    "encoding": _l("Encoding"),
    "separator": _l("Separator"),
    "sheet": _l("Sheet"),
    "decimal": _l("Decimal sign"),
    "dates": _l("Dates"),
    "records": _l("Records"),
    "ignored": _l("Left out"),
}


def described(run: ImportRun) -> dict[str, Any]:
    """Return what the templates show of a run."""
    label, color = _STATES[RunState(run.state)]
    totals = {name: sum(counts.get(name, 0) for counts in run.counts) for name in (*_COUNTS, "total", "left_out")}
    done = sum(totals[name] for name in _COUNTS)
    return {
        "id": run.uid,
        "name": run.name,
        "who": run.actor,
        "at": run.created_at,
        "state": run.state,
        "label": label,
        "color": color,
        "counts": [(text, totals[name]) for name, text in _COUNTS.items()],
        "total": totals["total"],
        "done": done,
        "refused": totals["refused"],
        "not_taken": totals["refused"] + totals["review"],
        "left_out": totals["left_out"],
        "failure": run.failure,
        "undo": run.undo,
        "expired": run.expired_rows,
        "mapped": preparing.is_mapped(run),
        "verdicts": has_verdicts(run),
        "rehearsed": has_verdicts(run) and run.failure is None,
        "under_way": run.state in (RunState.RUNNING, RunState.REHEARSING, RunState.UNDOING),
        "detected": [
            (_DETECTED.get(what, what), how)
            for counts in run.counts
            for what, how in counts.get("detected", {}).items()
        ],
    }


def kept_mappings(uow: UnitOfWork, record_type: str | None = None) -> list[dict[str, Any]]:
    """Return what pages show of mappings that the actor keeps or others share, of one type or of all that he may import."""
    importable = {kind.name: kind.label_plural for kind in preparing.importable_types(uow.actor)}
    kept = [one for one in preparing.saved_mappings(uow, record_type) if record_type or one.record_type in importable]
    names = preparing.keepers(uow, kept)
    return [
        {
            "id": one.uid,
            "name": one.name,
            "kind": importable.get(one.record_type, one.record_type),
            "by": names[one.user_id],
            "shared": one.shared,
            "deletable": preparing.may_delete(uow.actor, one),
        }
        for one in kept
    ]


def problems_of(uow: UnitOfWork, run: ImportRun) -> list[dict[str, Any]]:
    """Return the first rows that are not imported, in the order of the file, with why."""
    query = sa.select(ImportRow).where(ImportRow.run_id == run.id, ImportRow.verdict.in_(_NOT_TAKEN))
    rows = uow.session.scalars(query.order_by(ImportRow.source, ImportRow.number, ImportRow.id).limit(SHOWN))
    return [
        {
            "number": row.number,
            "label": _NOT_TAKEN[row.verdict][0],
            "color": _NOT_TAKEN[row.verdict][1],
            "text": " · ".join(map(problem_text, row.problems or ())),
        }
        for row in rows
    ]


def kept_by_undoing(uow: UnitOfWork, rows: Sequence[ImportRow]) -> list[dict[str, Any]]:
    """Return what undoing has left as it is, with the addresses of those records alone that the reader sees."""
    kinds, seen = record_types(), titles_of(uow, [(row.record_type, row.record_uid) for row in rows if row.record_uid])
    found = []
    for row in rows:
        kind = kinds.get(row.record_type)
        shown = kind is not None and (row.record_type, row.record_uid) in seen
        url = url_for(f"{kind.endpoint}_detail", uid=row.record_uid) if kind and shown else None
        label = kind.label if kind else row.record_type
        found.append({"label": label, "url": url, "why": problem_text((row.problems or [{}])[0])})
    return found
