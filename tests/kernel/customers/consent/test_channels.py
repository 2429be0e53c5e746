"""Consent by API, pages and imports: facts are added by all of them and changed by none."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.customers.consent.models import Consent
from crm_kernel.errors import UnitOfWorkError

POINTS = [{"channel": "email", "value": "ada@crm.test"}]


@pytest.fixture
def ada_stored(customer_factory):
    """A stored person with an e-mail address."""
    return customer_factory(kind="person", given_name="Ada", family_name="Lovelace", contact_points=POINTS)


@pytest.fixture
def consents(ada_stored):
    """The address of her consents in the API."""
    return f"/api/customers/{ada_stored.uid}/consents"


@pytest.fixture
def gate(ada_stored):
    """The address of the gate in the API."""
    return f"/api/customers/{ada_stored.uid}/may-contact"


AGREED = {"channel": "email", "purpose": "marketing", "status": "given", "form": "newsletter", "ip": "192.0.2.7"}


def test_a_consent_told_by_the_api_opens_the_gate_and_a_withdrawal_closes_it(api, consents, gate, recorded_events):
    clerk = api("representative")

    made = clerk.post(consents, AGREED)
    assert made.status_code == 201, made.json
    opened = clerk.get(gate, channel="email", purpose="marketing").json
    clerk.post(consents, {**AGREED, "status": "withdrawn"})
    closed = clerk.get(gate, channel="email", purpose="marketing").json

    assert (opened["allowed"], opened["proof"]["id"]) == (True, made.json["id"])
    assert (closed["allowed"], closed["reason"], closed["proof"]["says"]) == (False, "withdrawn", "withdrawn")
    assert [row["status"] for row in clerk.get(consents).json["items"]] == ["withdrawn", "given"]
    assert len(recorded_events("kernel.consent_given")) == len(recorded_events("kernel.consent_withdrawn")) == 1


def test_no_channel_changes_or_deletes_a_fact(api, login, consents):
    admin = api("administrator")
    made = admin.post(consents, AGREED).json
    fact = f"/api/consents/{made['id']}"

    answers = [
        admin.patch(fact, {"status": "withdrawn"}).status_code,
        admin.delete(fact).status_code,
        login("administrator").get(f"/consents/{made['id']}/edit").status_code,
    ]

    assert set(answers) <= {404, 405}
    assert admin.get(fact).json["status"] == "given"


def test_an_import_cannot_change_a_fact(unit, api, consents):
    from crm_kernel.errors import Conflict
    from crm_kernel.records.bulk import update_many
    from crm_kernel.records.plan import record_type

    api("administrator").post(consents, AGREED)

    with unit() as uow:
        row = uow.session.scalars(sa.select(Consent)).one()
        with pytest.raises(Conflict):
            update_many(uow, record_type("consent"), {row.id: {"status": "withdrawn"}})

    with unit() as uow:
        assert uow.session.scalars(sa.select(Consent.status)).one() == "given"


def test_code_that_holds_a_fact_cannot_change_it(unit, api, consents):
    api("administrator").post(consents, AGREED)

    with pytest.raises(UnitOfWorkError), unit() as uow:
        uow.session.scalars(sa.select(Consent)).one().status = "withdrawn"


def test_the_proof_is_kept_with_the_words_of_the_purpose(api, consents):
    admin = api("administrator")
    purpose = admin.get("/api/purposes", code="marketing").json["items"][0]
    admin.patch(f"/api/purposes/{purpose['id']}", {"statement": "Yes, send me news.", "statement_version": "2"})

    made = admin.post(consents, AGREED).json

    assert (made["statement"], made["form_version"]) == ("Yes, send me news.", "2")
    assert (made["form"], made["ip"], made["source"]) == ("newsletter", "192.0.2.7", "user:api")


def test_the_code_of_a_purpose_stays(api):
    admin = api("administrator")
    purpose = admin.get("/api/purposes", code="marketing").json["items"][0]

    assert admin.patch(f"/api/purposes/{purpose['id']}", {"code": "news"}).status_code == 422


def test_a_purpose_with_consents_is_retired_not_deleted(api, consents):
    admin = api("administrator")
    admin.post(consents, AGREED)
    purpose = admin.get("/api/purposes", code="marketing").json["items"][0]

    assert admin.delete(f"/api/purposes/{purpose['id']}").status_code == 409


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"status": "pending"}, "status"),
        ({"purpose": "rumour"}, "purpose"),
        ({"channel": "pigeon"}, "channel"),
        ({"captured_at": "2999-01-01T00:00:00Z"}, "captured_at"),
        ({"valid_to": "2001-01-01T00:00:00Z"}, "valid_to"),
        ({"basis": "mood"}, "basis"),
    ],
)
def test_a_wrong_fact_is_refused_by_its_field(api, consents, change, field):
    refused = api("administrator").post(consents, {**AGREED, **change})

    assert refused.status_code == 422
    assert list(refused.json["errors"]) == [field]


def test_who_may_not_see_the_customer_sees_no_consent(api, consents, gate):
    admin = api("administrator")
    made = admin.post(consents, AGREED).json
    stranger = api(grants={"customer.read": "own", "consent.*": "all"})

    assert stranger.get(consents).status_code == 404
    assert stranger.post(consents, AGREED).status_code == 404
    assert stranger.get(gate, channel="email", purpose="marketing").status_code == 404
    assert stranger.get(f"/api/consents/{made['id']}").status_code == 404
    assert stranger.get("/api/consents").json["items"] == []


def test_who_may_not_record_is_refused(api, consents):
    reader = api("reader")

    assert reader.post(consents, AGREED).status_code == 403
    assert reader.get(consents).json["items"] == []


def test_the_customer_page_shows_the_history_and_offers_to_record(login, api, consents, ada_stored):
    api("administrator").post(consents, AGREED)

    page = login("representative").get(f"/customers/{ada_stored.uid}").text

    assert "News and offers" in page
    assert f"/consents/new?customer={ada_stored.uid}" in page


def test_the_form_records_a_withdrawal(login, ada_stored, unit):
    fields = {"customer": str(ada_stored.uid), "purpose": "marketing", "channel": "email", "status": "withdrawn"}

    answer = login("representative").post("/consents/new", data=fields)

    assert answer.status_code in (302, 303), answer.text
    with unit() as uow:
        row = uow.session.scalars(sa.select(Consent)).one()
        assert (row.status, row.source) == ("withdrawn", "user:web")


def test_a_value_is_suppressed_and_lifted_by_the_api(api, gate):
    admin = api("administrator")
    value = {"value": "ADA@crm.test", "channel": "email", "reason": "legal"}

    made = admin.post("/api/suppressions/values", value)
    refused = admin.get(gate, channel="email", purpose="service").json
    path = f"/api/suppressions/{made.json['id']}"
    lifted = admin.post(f"{path}/lift", {"note": "asked again"}, If_Match=admin.etag(path))

    assert (made.status_code, refused["reason"], lifted.status_code) == (201, "suppressed", 200), lifted.json
    assert "ada" not in made.text.lower()
    assert admin.get(gate, channel="email", purpose="service").json["allowed"]
    assert api("reader").post("/api/suppressions/values", value).status_code == 403


def test_the_gate_names_what_is_wrong_with_the_question(api, gate):
    admin = api("administrator")

    assert admin.get(gate, channel="email").status_code == 422
    assert admin.get(gate, channel="pigeon", purpose="marketing").status_code == 422
    assert admin.get(gate, channel="email", purpose="marketing", at="0001-01-01T00:00:00Z").status_code == 422
    assert admin.get(gate, channel="email", purpose="rumour").json["reason"] == "unknown_purpose"
