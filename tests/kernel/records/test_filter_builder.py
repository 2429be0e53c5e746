"""The filter builder without scripts: every step is a GET request, the last one leads to the list."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

THINGS = "/toyrecords/things"
MAKERS = "/toyrecords/makers"


@pytest.fixture
def admin(login):
    """A browser of somebody who may do everything."""
    return login("administrator")


@pytest.fixture
def build(admin):
    """Press a button of the builder: ``build("apply", {"f.join": "all", …})`` → the answer."""

    def run(action, fields, path=THINGS, **headers):
        return admin.get(f"{path}/filter", query_string={**fields, "do": action}, headers=headers)

    return run


def sent_by(page) -> dict[str, object]:
    """Return what the form on a page would send, buttons aside."""
    form = re.search(r'<form method="get" action="[^"]*/filter".*?</form>', page.text, re.DOTALL)[0]
    found: dict[str, object] = {}
    for tag in re.finditer(r"<input[^>]*>", form):
        name = re.search(r' name="([^"]+)"', tag[0])
        if name and "checkbox" not in tag[0]:
            found[name[1]] = html.unescape(re.search(r'value="([^"]*)"', tag[0])[1])
    for select in re.finditer(r'<select[^>]* name="([^"]+)".*?</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', select[0]) or re.search(
            r'<option value="([^"]*)"', select[0]
        )
        found[select[1]] = html.unescape(chosen[1]) if chosen else ""
    return found


def tree_of(answer):
    return orjson.loads(parse_qs(urlsplit(answer.location).query)["filter"][0])


def test_conditions_are_added_changed_and_removed_by_plain_requests(build):
    empty = build("", {})
    one = build("add:f", sent_by(empty))
    chosen = build("", {**sent_by(one), "f.0.field": "amount"})
    group = build("group:f", {**sent_by(chosen), "f.0.op": "gte", "f.0.value": "100"})
    fields = sent_by(group)
    without = build("drop:f.0", fields)

    assert [name for name in sent_by(empty) if name.startswith("f.")] == ["f.join"]
    assert sent_by(chosen)["f.0.op"] == "eq"
    assert (fields["f.0.op"], fields["f.0.value"], fields["f.1.join"], fields["f.1.0.field"]) == (
        "gte",
        "100",
        "any",
        "name",
    )
    assert "f.1.join" not in sent_by(without)
    assert sent_by(without)["f.0.join"] == "any"


def test_what_is_wrong_with_a_condition_goes_with_the_next_change(build):
    empty = build("", {})
    unfinished = build("add:f", sent_by(empty))
    finished = build("", {**sent_by(unfinished), "f.0.field": "amount", "f.0.op": "gte", "f.0.value": "100"})

    before, after = (
        page.text.partition('class="crm-builder-part"')[2].partition("</fieldset>")[0]
        for page in (unfinished, finished)
    )
    assert "crm-field-error" in before
    assert 'hx-target="#filter-builder-foot"' not in before
    assert "crm-field-error" not in after
    assert 'hx-target="#filter-builder-foot"' in after


def test_applying_leads_to_the_list_which_says_the_conditions_and_keeps_the_rest(build, admin, make_things):
    make_things(("lamp", 5), ("torch", 900))
    fields = {
        "f.join": "none",
        "f.0.field": "amount",
        "f.0.op": "lt",
        "f.0.value": "100",
        "sort": "-name",
        "state": "new",
    }

    answer = build("apply", fields)
    page = admin.get(answer.location)

    assert answer.status_code == 303
    assert tree_of(answer) == {"not": {"or": [{"field": "amount", "op": "lt", "value": "100"}]}}
    assert "sort=-name" in answer.location
    assert "state=new" in answer.location
    assert "torch" in page.text
    assert "lamp" not in page.text.split("<tbody")[1]
    assert "not (Amount below 100)" in html.unescape(page.text)


def test_the_builder_opens_on_the_filter_of_the_list_and_gives_the_same_tree_back(admin, build):
    tree = {
        "and": [
            {"field": "name", "op": "in", "value": ["a", "b, c"]},
            {"field": "made_on", "op": "gte", "value": {"relative": "-2w"}},
            {"field": "made_on", "op": "lt", "value": {"relative": "start_of_month"}},
            {"field": "created_at", "op": "during", "value": {"last": 3, "unit": "months"}},
            {"field": "made_on", "op": "during", "value": "2026-03-01"},
            {"field": "state", "op": "empty", "value": False},
            {"or": [{"field": "toyrecords.stars", "op": "eq", "value": "3"}, {"not": {"or": [{"field": "state", "op": "ne", "value": "new"}]}}]},
            {"has": "labels", "at_least": 1, "at_most": 3, "where": {"and": [{"field": "value", "op": "contains", "value": "x"}]}},
            {"has": "labels", "at_least": 0, "at_most": 0},
        ]
    }  # fmt: skip
    opened = admin.get(f"{THINGS}/filter", query_string={"filter": orjson.dumps(tree).decode()})
    fields = sent_by(opened) | {"f.0.value": "a\nb, c"}

    assert tree_of(build("apply", fields)) == tree
    assert "0 records" in opened.text


def test_a_relation_is_counted_or_summed_within_a_period(build, admin, make_things):
    make_things(("lamp", 5), ("torch", 900))
    block = {"f.join": "all", "f.0.relation": "toyrecords.thing.maker", "f.0.join": "any", "f.0.within_value": "last"}
    count = {**block, "f.0.measure": "count", "f.0.least": "2", "f.0.within_number": "7", "f.0.within_unit": "days"}
    where = {"f.0.0.field": "name", "f.0.0.op": "contains", "f.0.0.value": "o"}
    money = {**block, "f.0.measure": "sum:amount", "f.0.op": "gte", "f.0.value": "900", "f.0.currency": "EUR"}

    counted, summed = build("apply", count | where, MAKERS), build("apply", money, MAKERS)

    assert tree_of(counted) == {
        "and": [
            {
                "has": "toyrecords.thing.maker",
                "at_least": 2,
                "where": {"or": [{"field": "name", "op": "contains", "value": "o"}]},
                "within": {"days": 7},
            }
        ]
    }
    assert "0 records" in admin.get(counted.location).text
    assert tree_of(summed)["and"][0]["of"] == "amount"
    assert "1 record" in admin.get(summed.location).text
    assert "1 record" in build("", money, MAKERS).text


def test_what_is_missing_is_said_at_its_place_and_nothing_is_applied(build):
    answer = build("apply", {"f.join": "all", "f.0.field": "amount", "f.0.op": "gte", "f.0.value": "much"})

    assert answer.status_code == 200
    assert "The filter is not complete yet." in answer.text
    assert (
        "“much” is not a number as it is written here; expected for example 1,234.56."
        in re.search(r'id="f\.0".*?</fieldset>', answer.text, re.DOTALL)[0]
    )


def test_a_text_to_look_for_that_is_not_typed_yet_leaves_the_filter_unfinished(build):
    answer = build("apply", {"f.join": "all", "f.0.field": "name", "f.0.op": "contains", "f.0.value": ""})

    assert answer.status_code == 200
    assert "The filter is not complete yet." in answer.text


def test_a_script_gets_the_part_with_a_live_count_and_is_led_to_the_list(build, make_things):
    make_things(("lamp", 5), ("torch", 900))
    fields = {"f.join": "all", "f.0.field": "amount", "f.0.op": "gte", "f.0.value": "100"}

    part = build("", fields, **{"HX-Request": "true"})
    done = build("apply", fields, **{"HX-Request": "true"})

    assert "<html" not in part.text
    assert "<strong data-builder-count>1 record</strong>" in part.text
    assert (done.status_code, done.headers["HX-Redirect"].split("?")[0]) == (204, THINGS)


@pytest.mark.parametrize(
    "name", ["f.0.0.0.0.0.0.0.0.0.0.0.field", "f.x.field", "f..field", "f.0", "f.", "f.9999999999.field"]
)
def test_odd_names_of_controls_break_nothing(build, name):
    assert build("add:f.0.0", {name: "name"}).status_code == 200


def test_only_readable_fields_are_offered(login):
    page = login(grants={"user.read": "all", "team.read": "all"}).get("/users/filter?do=add:f")

    assert 'value="name"' in page.text
    assert 'value="email"' not in page.text
