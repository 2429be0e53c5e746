"""What people and programs see: API, list, board, dialogs, dashboard, cards; each with its permission and cost."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import pytest
import sqlalchemy as sa
from crm_sfa.opportunities.closing import win_opportunity
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.opportunities.panels import customer_context, customer_panel
from crm_sfa.opportunities.services import create_opportunity
from crm_sfa.pipelines.models import Stage
from crm_sfa.pipelines.services import ensure_default_pipeline

from crm_kernel.customers.models import Customer

ALL = {"*": "all"}


@pytest.fixture
def deals(unit, customer_factory):
    """Three open opportunities and one won of one customer; returns name → public id."""
    buyer = customer_factory(kind="organization", display_name="Acme")
    with unit() as uow:
        ensure_default_pipeline(uow)
        found = {
            name: create_opportunity(
                uow,
                {
                    "name": name,
                    "customer_id": buyer.id,
                    "amount": Decimal(amount),
                    "region": "East",
                    "opened_on": dt.date(2026, 1, 1),
                },
            )
            for name, amount in (("Chairs", 100), ("Tables", 200), ("Lamps", 300), ("Desks", 400))
        }
        win_opportunity(uow, found["Desks"], closed_on=dt.date(2026, 2, 10))
        return {name: opportunity.uid for name, opportunity in found.items()} | {"customer": buyer.uid}


@pytest.fixture
def stage_uid(unit, deals):
    """Find the public id of a stage by its name."""

    def find(name):
        with unit() as uow:
            return str(uow.session.scalars(sa.select(Stage.uid).where(Stage.name == name)).one())

    return find


def test_the_api_creates_moves_wins_and_reopens(api, customer_factory, stage_uid):
    client, buyer = api(grants=ALL), customer_factory()

    made = client.post("/api/sfa/opportunities", {"name": "Sofas", "customer": str(buyer.uid), "amount": "12.5"})
    path = f"/api/sfa/opportunities/{made.json['id']}"
    moved = client.patch(path, {"stage": stage_uid("Proposal")})
    refused = client.patch(path, {"stage": stage_uid("Won")})
    won = client.post(f"{path}/win", {}, If_Match=client.etag(path))
    again = client.post(f"{path}/win", {}, If_Match=client.etag(path))
    reopened = client.post(f"{path}/reopen", {}, If_Match=client.etag(path))

    assert made.status_code == 201
    assert (made.json["status"], made.json["currency"], made.json["stage"]["title"]) == ("open", "USD", "Qualification")
    assert moved.json["stage"]["title"] == "Proposal"
    assert refused.status_code == 422
    assert "use the action Win" in str(refused.json["errors"]["stage"])
    assert (won.status_code, won.json["status"]) == (200, "won")
    assert again.status_code == 409
    assert (reopened.json["status"], reopened.json["stage"]["title"]) == ("open", "Proposal")


def test_losing_by_the_api_asks_for_the_reason(api, deals):
    client = api(grants=ALL)
    path = f"/api/sfa/opportunities/{deals['Chairs']}"

    without = client.post(f"{path}/lose", {}, If_Match=client.etag(path))
    unknown = client.post(f"{path}/lose", {"reason": "weather"}, If_Match=client.etag(path))
    lost = client.post(f"{path}/lose", {"reason": "price", "note": "Too much."}, If_Match=client.etag(path))

    assert (without.status_code, unknown.status_code) == (422, 422)
    assert (lost.json["status"], lost.json["lost_reason"]) == ("lost", "price")


def test_every_action_has_a_permission_of_its_own(api, deals):
    client = api(grants={"*.read": "all", "sfa.opportunity.update": "all"})
    path = f"/api/sfa/opportunities/{deals['Chairs']}"

    answers = [
        client.post(f"{path}/{verb}", {}, If_Match=client.etag(path)).status_code for verb in ("win", "lose", "reopen")
    ]

    assert answers == [403, 403, 403]


def test_the_button_of_an_action_of_color_danger_looks_so(login, deals):
    page = login(grants=ALL).get(f"/sfa/opportunities/{deals['Chairs']}").text

    looks = {name: re.search(rf'<button[^>]*class="([^"]*)"[^>]*/{name}"', page)[1].split() for name in ("win", "lose")}
    assert ("crm-btn-danger" in looks["lose"], "crm-btn-danger" in looks["win"]) == (True, False)


def test_a_card_dropped_on_an_open_stage_moves_and_on_won_leads_to_the_dialog(login, deals, stage_uid, unit):
    browser = login(grants=ALL)
    path = f"/sfa/opportunities/{deals['Chairs']}"

    moved = browser.patch(f"{path}/move", json={"stage": stage_uid("Proposal")}, headers={"If-Match": '"1"'})
    refused = browser.patch(f"{path}/move", json={"stage": stage_uid("Won")}, headers={"If-Match": '"2"'})
    dialog = browser.get(f"{path}/drop", query_string={"stage": stage_uid("Won")}, follow_redirects=True)
    won = browser.post(f"{path}/win?answer=json", data={"version": 2})

    assert (moved.status_code, refused.status_code) == (200, 422)
    assert "leave it empty to keep the opportunity" in dialog.text
    assert 'name="currency"' not in dialog.text
    assert won.status_code == 200, won.text
    with unit() as uow:
        assert (
            uow.session.scalars(sa.select(Opportunity.status).where(Opportunity.uid == deals["Chairs"])).one() == "won"
        )


def test_a_won_card_is_not_dragged_back(login, api, deals, stage_uid):
    browser, path = login(grants=ALL), f"/sfa/opportunities/{deals['Desks']}"

    answer = browser.patch(
        f"{path}/move",
        json={"stage": stage_uid("Proposal")},
        headers={"If-Match": api(grants=ALL).etag(f"/api{path}")},
    )

    assert answer.status_code == 409


def test_list_and_board_show_stages_amounts_and_totals_in_few_queries(login, deals, count_queries):
    browser = login(grants=ALL)

    with count_queries() as listing:
        page = browser.get("/sfa/opportunities?sort=-amount").text
    with count_queries() as dragging:
        board = browser.get("/sfa/opportunities?view=board").text

    listing.at_most(5)
    dragging.at_most(6)  # one of them for the tabs of saved views
    assert re.findall(r"Desks|Lamps|Tables|Chairs", page)[0] == "Desks"
    assert all(name in board for name in ("Qualification", "Negotiation", "Won", "Lost", "$600", "Chairs"))


def test_the_board_is_of_the_pipeline_that_the_address_names(login, deals, unit):
    browser = login(grants=ALL)
    with unit() as uow:
        from crm_sfa.pipelines.services import create_pipeline

        other = create_pipeline(uow, {"name": "Tenders"}).uid

    board = browser.get(f"/sfa/opportunities?view=board&pipeline={other}")

    assert board.status_code == 200
    assert "Qualification" in board.text
    assert "Chairs" not in board.text
    assert browser.get("/sfa/opportunities?view=board&pipeline=x").status_code == 422


def test_the_dashboard_shows_every_figure_with_a_link_to_what_it_counts(login, deals, count_queries):
    browser = login(grants=ALL)

    with count_queries() as queries:
        page = browser.get("/sfa/dashboard")

    assert page.status_code == 200
    queries.at_most(10)
    links = {link.replace("&amp;", "&") for link in re.findall(r'href="(/sfa/opportunities\?[^"]+)"', page.text)}
    assert {
        "/sfa/opportunities?status=open",
        "/sfa/opportunities?status=won",
        "/sfa/opportunities?status__in=won,lost",
        "/sfa/opportunities?status=won&region=East",
        "/sfa/opportunities?status=won&close_date__gte=2026-02-01&close_date__lte=2026-02-28",
        "/sfa/opportunities?status=won&owner__empty=true",
    } <= links
    for link in links:
        assert browser.get(link).status_code == 200, link


def test_the_dashboards_filters_are_in_its_address(login, deals):
    browser = login(grants=ALL)

    inside = browser.get("/sfa/dashboard?from=2026-02-01&to=2026-02-28").text
    outside = browser.get("/sfa/dashboard?from=2026-03-01").text
    wrong = browser.get("/sfa/dashboard?from=yesterday&team=x")

    assert "Feb 2026" in inside
    assert "Feb 2026" not in outside
    assert wrong.status_code == 422


def test_the_dashboard_needs_its_permission(login, deals):
    assert login(grants={"sfa.opportunity.*": "all"}).get("/sfa/dashboard").status_code == 403


def test_the_customers_card_lists_open_opportunities_in_one_query(crm_app, unit, deals, count_queries):
    with unit() as uow, crm_app.test_request_context():
        buyer = uow.session.scalars(sa.select(Customer).where(Customer.uid == deals["customer"])).one()
        with count_queries() as panel:
            context = customer_panel(uow, buyer)
        with count_queries() as progress:
            in_progress = customer_context(uow, buyer)

    panel.at_most(1)
    progress.at_most(1)
    assert [found["name"] for found in context["opportunities"]] == ["Chairs", "Tables", "Lamps"]
    assert {found.title for found in in_progress} == {"Chairs · $100", "Tables · $200", "Lamps · $300"}


def test_the_customers_page_shows_card_progress_and_the_won_deal_in_the_timeline(login, deals):
    page = login(grants=ALL).get(f"/customers/{deals['customer']}").text

    assert "Open opportunities" in page
    assert "Opportunity: Qualification" in page
    assert "Won: Desks" in page


def test_what_happened_is_told_in_the_readers_language(login, deals):
    browser = login(grants=ALL)
    browser.post("/language", data={"language": "fr"})

    assert "Gagnée\u00a0: Desks" in browser.get(f"/customers/{deals['customer']}").text
    assert "Gagnée" in browser.get("/interactions").text


def test_the_opportunitys_page_shows_its_way_and_its_actions(login, deals):
    browser = login(grants=ALL)

    still, done = (browser.get(f"/sfa/opportunities/{deals[name]}").text for name in ("Chairs", "Desks"))

    assert "Way through the stages" in still
    assert f"/sfa/opportunities/{deals['Chairs']}/win" in still
    assert f"/sfa/opportunities/{deals['Desks']}/reopen" in done
    assert f"/sfa/opportunities/{deals['Desks']}/win" not in done


def test_pages_speak_french(login, deals):
    browser = login(grants=ALL, language="fr")

    assert "Tableau de bord des ventes" in browser.get("/sfa/dashboard").text
    assert "Motif" in browser.get(f"/sfa/opportunities/{deals['Chairs']}/lose").text


@pytest.mark.parametrize(
    ("scope", "seen"), [("own", {"mine"}), ("team", {"mine", "ours"}), ("all", {"mine", "ours", "theirs"})]
)
def test_figures_lists_and_cards_reach_as_far_as_the_role(login, unit, customer_factory, scope, seen):
    grants = dict.fromkeys(("sfa.opportunity.read", "customer.read"), scope) | {
        "sfa.dashboard.read": "all",
        "sfa.stage.read": "all",
        "sfa.pipeline.read": "all",
    }
    browser = login(grants=grants, team="North")
    colleague, stranger = login(grants={}, team="North"), login(grants={}, team="South")
    with unit() as uow:
        for name, user in (("mine", browser.user), ("ours", colleague.user), ("theirs", stranger.user)):
            create_opportunity(uow, {"name": name, "owner_id": user.id, "amount": Decimal(1)})

    page = browser.get("/sfa/opportunities").text
    figures = browser.get("/sfa/dashboard").text

    assert {name for name in ("mine", "ours", "theirs") if f">{name}<" in page} == seen
    assert re.search(rf'aria-label="Open: {len(seen)}"', figures)


def test_the_start_page_shows_what_the_user_has_in_hand_and_what_is_late(login, unit, count_queries):
    browser, other = login(grants=ALL), login(grants=ALL)
    with unit() as uow:
        for days in (-1, 5):
            close = uow.now.date() + dt.timedelta(days=days)
            opened = close - dt.timedelta(days=9)
            create_opportunity(
                uow,
                {
                    "name": "Chairs",
                    "owner_id": browser.user.id,
                    "amount": Decimal(50),
                    "close_date": close,
                    "opened_on": opened,
                },
            )

    page = browser.get("/").text

    assert "My opportunities" in page
    assert "$100" in page
    assert re.search(r'href="/sfa/opportunities\?owner=me&amp;status=open&amp;close_date__lt=[\d-]+">1</a>', page)
    assert "My opportunities" not in other.get("/").text


def test_the_dialog_of_losing_makes_people_choose_a_reason(login, deals):
    browser, path = login(grants=ALL), f"/sfa/opportunities/{deals['Chairs']}/lose"

    page = browser.get(path).text
    unchosen = browser.post(path, data={"version": 1, "reason": ""})

    assert '<option value="">–</option>' in page or '<option value="" selected>–</option>' in page
    assert unchosen.status_code == 422


@pytest.mark.parametrize(
    ("amount", "told"), [("-1", "Expected 0 to"), ("0.00001", "At most four decimals."), ("x", "number")]
)
def test_a_wrong_amount_is_refused_where_it_is_typed(api, deals, amount, told):
    client, path = api(grants=ALL), f"/api/sfa/opportunities/{deals['Chairs']}"

    refused = client.post(f"{path}/win", {"amount": amount}, If_Match=client.etag(path))

    assert refused.status_code == 422
    assert told in str(refused.json["errors"]["amount"])
