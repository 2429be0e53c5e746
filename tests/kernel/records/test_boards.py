"""The board's columns beyond their first cards: order, cost, visibility, and the way without JavaScript."""

from __future__ import annotations

import re
from html import unescape

import pytest
import sqlalchemy as sa

THINGS = "/toyrecords/things"


@pytest.fixture
def admin(login):
    """A browser of somebody who may do everything."""
    return login("administrator")


@pytest.fixture
def mark_used(crm_app, types):
    """Move a thing to another column: ``mark_used("other")``."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.services import update_record
    from crm_kernel.unit_of_work import writing

    def run(name):
        with crm_app.app_context(), writing(SYSTEM) as uow:
            uid = uow.session.scalars(sa.select(types.thing.model.uid).where(types.thing.model.name == name)).one()
            update_record(uow, types.thing, uid, {"state": "used"}, version=1)

    return run


def card_titles(page, column=None) -> list[str]:
    """Return the titles of the cards of a fragment, or of one column of a board."""
    text = page.text if column is None else page.text.split(f'data-column="{column}"')[1].split("</section>")[0]
    return re.findall(r'data-card="[^>]*aria-label="([^"]+)"', text)


def row_titles(page) -> list[str]:
    """Return the names in a list, in order."""
    table = page.text.split("<tbody")[1].split("</tbody>")[0]
    return list(dict.fromkeys(re.findall(r">\s*((?:thing|other)[^<]*?)\s*<", table)))


@pytest.mark.parametrize("order", ["name", "-name", "amount", "-amount"])
def test_a_board_column_goes_on_behind_its_first_cards_in_the_order_of_the_list(
    admin, make_things, mark_used, monkeypatch, order
):
    from crm_kernel.records.pages import boards

    monkeypatch.setattr(boards, "CARDS", 2)
    make_things(("other", 9), *((f"thing {number}", number % 2 or None) for number in range(5)))
    mark_used("other")

    page = admin.get(f"{THINGS}?view=board&sort={order}")
    shown = card_titles(page, "new")
    while more := re.search(r'hx-get="([^"]+/column[^"]*)"', page.text):
        page = admin.get(unescape(more[1]))
        shown += card_titles(page)

    listed = re.findall(r"thing \d", " ".join(row_titles(admin.get(f"{THINGS}?state=new&sort={order}"))))
    assert shown == listed
    assert len(shown) == 5


def test_the_rest_of_a_board_column_is_a_list_without_javascript(admin, make_things, mark_used, monkeypatch):
    from crm_kernel.records.pages import boards

    monkeypatch.setattr(boards, "CARDS", 2)
    make_things(*((f"thing {number}", number) for number in range(6)))
    mark_used("thing 0")

    board = admin.get(f"{THINGS}?view=board&amount__lte=4&q=thing").text
    rest = admin.get(unescape(re.search(r'class="crm-board-more"><a [^>]*href="([^"]+)"', board)[1]))

    assert row_titles(rest) == ["thing 3", "thing 4"]


@pytest.mark.parametrize("rows", [3, 60])
def test_more_cards_cost_the_same_queries_at_any_size(admin, make_things, count_queries, monkeypatch, rows):
    from crm_kernel.records.pages import boards

    monkeypatch.setattr(boards, "CARDS", 2)
    make_things(*((f"thing {number:02}", number) for number in range(rows)))
    address = unescape(re.search(r'hx-get="([^"]+/column[^"]*)"', admin.get(f"{THINGS}?view=board").text)[1])

    with count_queries() as queries:
        assert admin.get(address).status_code == 200

    queries.at_most(2)


def test_more_cards_show_only_what_the_user_may_see_of_a_column_there_is(admin, make_things, login, monkeypatch):
    from crm_kernel.records.pages import boards

    monkeypatch.setattr(boards, "CARDS", 2)
    make_things(*((f"thing {number}", number) for number in range(3)))
    address = unescape(re.search(r'hx-get="([^"]+/column[^"]*)"', admin.get(f"{THINGS}?view=board").text)[1])
    stranger = login(grants={"toyrecords.thing.read": "own"})

    assert "thing" in admin.get(address).text
    assert "thing" not in stranger.get(address).text
    assert login(grants={"toyrecords.maker.read": "all"}).get(address).status_code == 403
    assert admin.get(f"{THINGS}/column?column=nope").status_code == 404
    assert admin.get(f"{THINGS}/column?column=new&cursor=nope").status_code == 422
