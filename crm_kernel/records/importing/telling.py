"""Tells more of a row that is refused anyway: whoever mends a file wants to know all that is wrong with a row at once.

A row goes through column, schema, references and service, and what one of them refuses the next never sees. The schema and the
type's own check are asked here about the rest of a row for a new record. No query is made, nothing is written.
"""

from __future__ import annotations

from crm_kernel.records.importing.drafts import Draft
from crm_kernel.records.importing.loading import Loader
from crm_kernel.records.record_type import RecordType


def further_problems(record_type: RecordType, loader: Loader, draft: Draft) -> list[tuple[str, list[str]]]:
    """Return path and messages of what else is wrong with a refused row, in fields of which nothing was said yet.

    A refused field may be why another seems to be missing: so only what the row gives is judged, and the service's check hears
    of what the schema takes alone, of a collection as a whole.
    """
    told = {problem.root.partition(".")[0] for problem in draft.problems}
    told |= {wanted.target.root.partition(".")[0] for wanted in draft.wanted}
    fitting, errors = loader.load_what_fits(draft.payload)
    found = dict(errors)
    if record_type.services.check is not None:
        given = {name: value for name, value in fitting.items() if name not in told}
        judged = record_type.services.check(given)
        found |= {path: messages for path, messages in judged.items() if path.partition(".")[0] in given}
    return [(path, messages) for path, messages in found.items() if path.partition(".")[0] not in told]
