"""Whoever logged a touch point corrects it, and nobody else with a narrow role does."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from crm_kernel.access.explain import explain
from crm_kernel.access.models import AppUser
from crm_kernel.touchpoints.models import Interaction


@pytest.fixture
def logged(unit, api):
    """A representative, and a call he logged with somebody's customer: the API client and the answer."""
    from crm_kernel.customers.services import create_customer

    with unit() as uow:
        customer = create_customer(uow, {"kind": "organization", "display_name": "Acme"}).uid
    rep = api("representative", team="North")
    call = rep.post("/api/interactions", {"customer": str(customer), "kind": "call", "summary": "Thay called"})
    assert call.status_code == 201, call.text
    return rep, call


def _correct(client, call):
    return client.patch(f"/api/interactions/{call.json['id']}", {"summary": "They called"}, etag=call.headers["ETag"])


def test_a_representative_corrects_and_deletes_what_he_logged(logged):
    rep, call = logged

    corrected = _correct(rep, call)

    assert (corrected.status_code, corrected.json["summary"]) == (200, "They called")
    gone = rep.delete(f"/api/interactions/{call.json['id']}", etag=corrected.headers["ETag"])
    assert gone.status_code == 204


def test_a_colleague_of_his_team_reads_it_and_changes_nothing(logged, api):
    _rep, call = logged
    mate = api("representative", team="North")

    assert mate.get(f"/api/interactions/{call.json['id']}").json["summary"] == "Thay called"
    assert _correct(mate, call).status_code == 403
    assert mate.delete(f"/api/interactions/{call.json['id']}", etag=call.headers["ETag"]).status_code == 403


@pytest.mark.parametrize("verb", ["update", "delete"])
def test_it_is_explained_by_who_wrote_it(logged, login, unit, verb):
    rep, call = logged
    asked = {rep.user.uid: True, login("representative").user.uid: False, login("manager").user.uid: True}

    for uid, allowed in asked.items():
        with unit() as uow:
            user = uow.session.scalars(sa.select(AppUser).where(AppUser.uid == uid)).one()
            found = explain(uow, user, f"interaction.{verb}", UUID(call.json["id"]))

        [reach] = [step for step in found.steps if step.rule == "reach"]
        assert (found.allowed, reach.answer) == (allowed, allowed)
        assert reach.text.startswith(f"The author is {rep.user.name}. Reach: ")


def test_a_reader_changes_nothing_and_a_manager_everything(logged, api):
    _rep, call = logged

    assert _correct(api("reader"), call).status_code == 403
    assert _correct(api("manager"), call).status_code == 200


def test_a_limited_token_of_his_does_not_change_it(logged, unit, crm_app):
    from crm_kernel.testing.people import ApiClient, add_token, browser

    rep, call = logged
    with unit() as uow:
        token = add_token(uow, rep.user, scopes=["interaction.read", "interaction.create"])
    limited = ApiClient(browser(crm_app), token, rep.user)

    assert _correct(limited, call).status_code == 403


def test_many_at_once_follow_the_same_rule(logged, api, unit):
    from crm_kernel.access.actor import Actor, Scope
    from crm_kernel.errors import Forbidden
    from crm_kernel.records.bulk import update_many
    from crm_kernel.records.plan import record_type

    with unit() as uow:
        entry = uow.session.query(Interaction).one()
        key, author = entry.id, entry.actor_id
    grants = {"interaction.update": Scope.OWN, "interaction.read": Scope.ALL, "customer.read": Scope.ALL}

    def change(user_id):
        actor = Actor(kind="user", name="x", user_id=user_id, grants=grants)
        with unit(actor) as uow:
            return update_many(uow, record_type("interaction"), {key: {"summary": "They called"}})

    with pytest.raises(Forbidden):
        change(author + 1)
    assert change(author) == [key]


def test_nobody_is_the_author_of_what_the_system_recorded(unit, api, customer_factory):
    from crm_kernel.touchpoints.services import log_interaction

    with unit() as uow:
        customer = customer_factory(kind="organization", display_name="Acme")
        uid = log_interaction(uow, {"customer_id": customer.id, "kind": "note", "summary": "By the system"}).uid

    refused = api("representative").patch(f"/api/interactions/{uid}", {"summary": "Mine"}, etag='"1"')

    assert refused.status_code == 403
