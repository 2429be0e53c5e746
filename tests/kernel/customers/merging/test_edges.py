"""Merging by API, pages and command line, and where old ids lead."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

ADA = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace"}


@pytest.fixture
def rest(api):
    """An API client that may do everything."""
    return api(grants={"*": "all"})


@pytest.fixture
def pair(rest):
    """The ids of two customers: the one that goes, with an external key, and the one that stays."""
    source = {**ADA, "notes": "old", "source": "legacy", "external_ref": "7"}
    return rest.post("/api/customers", source).get_json()["id"], rest.post("/api/customers", ADA).get_json()["id"]


@pytest.fixture
def merged(rest, pair):
    """The same two, merged, and the run."""
    answer = rest.post(f"/api/customers/{pair[1]}/merge", {"source": pair[0]})
    assert answer.status_code == 201, answer.text
    return *pair, answer.get_json()["id"]


@pytest.fixture
def browser(login):
    """A manager's browser that submits forms: ``browser.send(path, name="x")``."""
    found = login("manager")

    def send(path, **form):
        token = re.search(r'name="csrf-token" content="([^"]+)"', found.get("/customers").text)[1]
        return found.post(path, data={"csrf_token": token, **form})

    found.send = send
    return found


class TestApi:
    def test_it_tells_what_was_merged(self, rest, merged):
        source, target, run = merged

        told = rest.get(f"/api/customers/merges/{run}").get_json()

        assert (told["source"], told["target"], told["state"]) == (source, target, "merged")

    def test_the_old_id_leads_to_the_survivor(self, rest, merged):
        source, target, _run = merged

        answer = rest.get(f"/api/customers/{source}", fields="notes")

        assert answer.status_code == 308
        assert answer.headers["Location"] == f"/api/customers/{target}?fields=notes"
        assert answer.get_json()["merged_into"] == target
        assert answer.headers["Cache-Control"] == "no-store"

    def test_a_write_to_the_old_id_is_refused_and_names_the_survivor(self, rest, merged):
        source, target, _run = merged

        for answer in (
            rest.patch(f"/api/customers/{source}", {"notes": "x"}, etag='"1"'),
            rest.delete(f"/api/customers/{source}", etag='"1"'),
        ):
            assert (answer.status_code, answer.get_json()["merged_into"]) == (409, target)

    def test_a_reference_by_the_old_id_is_the_survivor(self, rest, merged):
        source, target, _run = merged
        said = {"customer": source, "channel": "phone", "direction": "in", "kind": "call", "summary": "Hello"}

        made = rest.post("/api/interactions", said)

        assert made.status_code == 201, made.text
        assert made.get_json()["customer"]["id"] == target

    def test_a_filter_by_the_old_id_finds_what_is_the_survivors(self, rest, merged):
        source, target, _run = merged
        said = {"customer": target, "channel": "phone", "direction": "in", "kind": "call", "summary": "Hello"}
        rest.post("/api/interactions", said)

        assert len(rest.get("/api/interactions", customer=source).get_json()["items"]) == 1

    def test_lists_search_and_counts_leave_it_out(self, rest, merged):
        for query in ({}, {"q": "lovelace"}):
            found = rest.get("/api/customers", count="true", **query).get_json()
            assert ([item["id"] for item in found["items"]], found["count"]) == ([merged[1]], 1)

    def test_unmerging_brings_it_back(self, rest, merged):
        source, target, _run = merged

        answer = rest.post(f"/api/customers/{target}/unmerge", {})

        assert (answer.status_code, answer.get_json()["state"]) == (200, "unmerged")
        assert rest.get(f"/api/customers/{source}").get_json()["notes"] == "old"
        assert rest.post(f"/api/customers/{target}/unmerge", {}).status_code == 409
        assert len(rest.get("/api/customers", q="lovelace").get_json()["items"]) == 2

    def test_a_version_that_is_not_the_current_one_is_refused(self, rest, pair):
        body = {"source": pair[0]}

        stale = rest.post(f"/api/customers/{pair[1]}/merge", body, If_Match='"9"')

        assert stale.status_code == 412
        assert rest.post(f"/api/customers/{pair[1]}/merge", {**body, "source_version": 9}).status_code == 412

    def test_the_permission_is_needed_and_the_other_must_be_visible(self, rest, api, pair):
        body = {"source": pair[0]}

        assert api(grants={"customer.read": "all"}).post(f"/api/customers/{pair[1]}/merge", body).status_code == 403
        own = api(grants={"customer.read": "all", "customer.merge": "own"})
        assert own.post(f"/api/customers/{pair[1]}/merge", body).status_code == 403
        blind = api(grants={"customer.read": "own", "customer.merge": "all"})
        assert blind.post(f"/api/customers/{pair[1]}/merge", body).status_code == 404
        assert rest.get(f"/api/customers/{pair[0]}").status_code == 200

    @pytest.mark.parametrize(
        "body", [{}, {"source": "x"}, {"source": "018f0000-0000-7000-8000-000000000000"}, {"nix": 1}]
    )
    def test_bad_input_names_the_field(self, rest, pair, body):
        answer = rest.post(f"/api/customers/{pair[1]}/merge", body)

        assert answer.status_code == 422
        assert answer.get_json()["errors"].keys() <= {"source", "nix"}

    def test_who_may_not_see_the_survivor_is_not_told_of_it(self, rest, api, unit, merged):
        blind = api(grants={"customer.read": "own"})

        answer = blind.get(f"/api/customers/{merged[0]}")

        assert answer.status_code == 404
        assert merged[1] not in answer.text

    def test_the_document_describes_it(self, rest):
        paths = rest.get("/api/openapi.json").get_json()["paths"]

        assert {"/api/customers/{uid}/merge", "/api/customers/{uid}/unmerge"} <= paths.keys()


class TestPages:
    def test_the_old_page_leads_to_the_survivors(self, browser, merged):
        answer = browser.get(f"/customers/{merged[0]}")

        assert (answer.status_code, answer.headers["Location"]) == (302, f"/customers/{merged[1]}")

    def test_two_are_merged_and_taken_back(self, browser, rest, pair):
        page = browser.get(f"/customers/{pair[0]}/merge?with={pair[1]}")
        assert page.status_code == 200
        assert 'name="choice.notes"' in page.text

        done = browser.send(
            f"/customers/{pair[0]}/merge", **{"with": pair[1], "keep": pair[1], "choice.notes": pair[1]}
        )

        assert done.status_code == 303
        assert rest.get(f"/api/customers/{pair[1]}").get_json()["notes"] is None
        shown = browser.get(done.headers["Location"])
        assert "Undo the merge" in shown.text
        assert browser.get(f"/customers/{pair[1]}").status_code == 200
        browser.send(f"{done.headers['Location']}/undo")
        assert rest.get(f"/api/customers/{pair[0]}").status_code == 200
        assert "Everything is as it was." in browser.get(done.headers["Location"]).text

    def test_a_value_there_wins_over_none(self, browser, rest, pair):
        browser.send(f"/customers/{pair[0]}/merge", **{"with": pair[1], "keep": pair[1]})

        assert rest.get(f"/api/customers/{pair[1]}").get_json()["notes"] == "old"

    def test_the_other_is_searched_for(self, browser, pair):
        found = browser.get(f"/customers/{pair[0]}/merge?q=love")

        assert f"with={pair[1]}" in found.text
        assert f"with={pair[0]}" not in found.text

    def test_two_kinds_are_refused_on_the_page(self, browser, rest, pair):
        firm = rest.post("/api/customers", {"kind": "organization", "display_name": "Acme"}).get_json()["id"]

        answer = browser.send(f"/customers/{pair[0]}/merge", **{"with": firm})

        assert (answer.status_code, "different kinds" in answer.text) == (422, True)

    def test_a_change_made_meanwhile_is_not_lost(self, browser, pair):
        answer = browser.send(f"/customers/{pair[0]}/merge", **{"with": pair[1], "version": "9"})

        assert answer.status_code == 412

    def test_a_reader_is_refused(self, login, pair):
        assert login("reader").get(f"/customers/{pair[0]}/merge").status_code == 403


class TestImport:
    def test_the_external_key_of_the_merged_one_hits_the_survivor(self, rest, unit, merged):
        from crm_kernel.records.importing.lookups import Lookups
        from crm_kernel.records.importing.matching import Matcher
        from crm_kernel.records.plan import plan_of, record_type

        with unit() as uow:
            plan = plan_of(record_type("customer"))
            draft = SimpleNamespace(match=("legacy", "7"), key=None, problems=[])
            Matcher(plan, ("source", "external_ref"), Lookups()).find(uow, [draft])
            uid = uow.session.get(record_type("customer").model, draft.key).uid

        assert str(uid) == merged[1]


class TestCommands:
    def test_merge_and_unmerge(self, cli, unit, customer_factory):
        one, two = (str(customer_factory().uid) for _ in range(2))

        run = cli("customers", "merge", one, two, "--json").json()
        assert (run["source"], run["target"]) == (one, two)
        assert cli("customers", "unmerge", run["id"], "--json").json()["state"] == "unmerged"
