"""Which records a bulk action is for: what chooses none is refused, and never taken for all of them."""

from __future__ import annotations

import pytest

API = "/api/toyrecords/things"


@pytest.fixture
def preview(admin_api, three):
    """Preview the deletion of things, chosen by the rest of a body."""
    return lambda **chosen: admin_api.post(f"{API}/bulk", {"do": "delete", "preview": True, **chosen})


@pytest.mark.parametrize(
    ("chosen", "place"),
    [
        ({"query": "sort=name"}, "all"),
        ({"query": "fields=id"}, "all"),
        ({"query": "state=&q="}, "all"),
        ({"query": "view="}, "all"),
        ({"view": "list"}, "all"),
        ({"filter": {"and": []}}, "all"),
        ({"filter": {"and": [{"not": {"or": []}}]}}, "all"),
        ({"filter": {"not": {"field": "name", "op": "in", "value": []}}}, "all"),
        ({"filter": {"field": "name", "op": "contains", "value": ""}}, "filter.value"),
        ({"filter": {"field": "name", "op": "startswith", "value": ""}}, "filter.value"),
        ({"filter": {"not": {"not": {"field": "name", "op": "contains", "value": ""}}}}, "filter.not.not.value"),
        ({"query": "name__contains="}, "all"),
        ({"query": "limit=1"}, "query"),
        ({"query": "state=new&limit=1"}, "query"),
        ({"query": "state=new&cursor=x"}, "query"),
        ({"query": "foo"}, "query"),
        ({"query": 5}, "query"),
        ({"filter": [], "query": "state=new"}, "filter"),
        ({"filter": "state"}, "filter"),
        ({"all": "no"}, "all"),
        ({"all": "true"}, "all"),
        ({"all": 1}, "all"),
        ({"ids": [], "query": "state=new"}, "ids"),
        ({"ids": [], "all": True}, "ids"),
    ],
)
def test_what_leaves_no_record_out_is_refused_unless_all_are_named(preview, chosen, place):
    refused = preview(**chosen)

    assert refused.status_code == 422, refused.text
    assert [*refused.json["errors"]] == [place], refused.json


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({"query": "amount__gte=100&sort=name&fields=id"}, 2),
        ({"query": "amount__gte=100&state="}, 2),
        ({"query": "q=lamp"}, 1),
        ({"query": "", "filter": {"field": "name", "op": "eq", "value": "torch"}}, 1),
        ({"filter": {"not": {"field": "name", "op": "eq", "value": "torch"}}}, 2),
        ({"query": "amount__gte=100", "all": False, "filter": {}}, 2),
        ({"query": "amount__gte=100", "all": True}, 2),
        ({"all": True, "filter": {"and": []}}, 3),
        ({"all": True}, 3),
    ],
)
def test_what_limits_the_records_or_names_all_is_taken(preview, chosen, count):
    answer = preview(**chosen)

    assert (answer.status_code, answer.json.get("count")) == (200, count), answer.text


def test_a_view_without_a_condition_is_not_taken_for_everything(unit, preview):
    from crm_kernel.records.saved_views.models import SavedView

    with unit() as uow:
        view = SavedView(record_type="toyrecords.thing", name="All", sharing="everyone", query="sort=name")
        uow.session.add(view)
        uow.session.flush()
        named = str(view.uid)

    assert preview(view=named).status_code == 422
    assert preview(view=named, all=True).json["count"] == 3
