"""The search index: kept by every commit, and written anew from the rows when it was lost."""

from __future__ import annotations

import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.records.models import SearchEntry
from crm_kernel.records.search import reindex
from crm_kernel.unit_of_work import writing


def test_a_lost_index_is_written_anew_in_steps(crm_app, types, make_things, read):
    make_things(*((f"thing {number}", number) for number in range(5)), labels=[{"value": "kept"}])
    with crm_app.app_context(), writing(SYSTEM) as uow:
        uow.session.execute(sa.delete(SearchEntry))
    assert read(q="kept").items == []

    steps, after = 0, 0
    while after is not None:
        with crm_app.app_context(), writing(SYSTEM) as uow:
            after = reindex(uow, types.thing, after=after, limit=2)
        steps += 1

    assert steps == 4
    assert len(read(q="kept").items) == 5
    assert [item["name"] for item in read(q="thing 3").items] == ["thing 3"]
