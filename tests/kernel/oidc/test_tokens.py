"""What a provider may not get away with: every wrong answer ends on a page that says so, and nobody is logged in."""

from __future__ import annotations

import time

import pytest

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.oidc import metadata

pytestmark = pytest.mark.usefixtures("trusting")


@pytest.fixture
def uid(elsewhere, connect, linked):
    """Rita's provider, which knows her."""
    uid = connect(elsewhere)
    linked()
    return uid


def refused(answer, sessions, why="Log-in failed"):
    """Say that an answer is the page of a failed log-in, for this reason, and that no session began."""
    assert answer.status_code == 403, answer.text
    assert why in answer.text
    assert sessions() == []


def test_the_right_answer_logs_in(client, uid, go, sessions):
    answer = go(client, uid, next="/profile")

    assert (answer.status_code, answer.location) == (302, "/profile")
    assert client.get("/profile").status_code == 200
    assert sessions() == ["oidc"]


def test_the_way_there_asks_for_a_code_with_pkce_state_and_nonce(client, uid):
    from urllib.parse import parse_qs, urlsplit

    sent = parse_qs(urlsplit(client.get(f"/auth/oidc/{uid}").location).query)

    assert (sent["response_type"], sent["code_challenge_method"]) == (["code"], ["S256"])
    assert len(sent["state"][0]) == len(sent["nonce"][0]) == len(sent["code_challenge"][0]) == 43
    assert sent["redirect_uri"][0].endswith(f"/auth/oidc/{uid}/callback")


@pytest.mark.parametrize("state", ["other", "", None, "é"])
def test_a_wrong_state_is_refused_before_anything_is_asked(client, uid, go, sessions, elsewhere, state):
    answer = go(client, uid, change={"state": state})

    refused(answer, sessions)
    assert "/token" not in elsewhere.asked


def test_an_answer_without_a_log_in_under_way_is_refused(client, uid, sessions):
    refused(client.get(f"/auth/oidc/{uid}/callback?code=x&state=y"), sessions)


def test_an_answer_is_good_once(client, uid, elsewhere, sessions):
    back = elsewhere.answer_to(client.get(f"/auth/oidc/{uid}").location)
    path = back[back.index("/auth/") :]
    assert client.get(path).status_code == 302
    client.post("/auth/logout")

    assert client.get(path).status_code == 403


def test_a_log_in_of_another_browser_is_refused(client, crm_app, uid, elsewhere, sessions):
    back = elsewhere.answer_to(client.get(f"/auth/oidc/{uid}").location)

    refused(crm_app.test_client().get(back[back.index("/auth/") :]), sessions)


@pytest.mark.parametrize(
    "lies",
    [
        {"nonce": "an earlier one"}, {"nonce": None}, {"aud": "another"}, {"aud": None}, {"aud": ["another"]},
        {"aud": ["crm", "another"]}, {"azp": "another"}, {"exp": 1_000_000_000}, {"exp": None}, {"sub": None},
        {"sub": ""}, {"sub": 7}, {"sub": "x" * 256}, {"iss": "https://evil.test"}, {"iss": None},
        {"nbf": 4_000_000_000}, {"iat": 4_000_000_000}, {"at_hash": "wrong"},
    ],
)  # fmt: skip
def test_a_token_that_does_not_hold_is_refused(client, uid, go, sessions, elsewhere, lies):
    elsewhere.lies = lies

    refused(go(client, uid), sessions, "could not be verified")


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_without_a_signature_of_the_providers_own_is_refused(client, uid, go, sessions, elsewhere, algorithm):
    elsewhere.algorithm = algorithm

    refused(go(client, uid), sessions, "could not be verified")


def test_a_token_of_a_key_that_is_not_published_is_refused(client, uid, go, sessions, elsewhere):
    published = elsewhere.key
    elsewhere.rotate()
    elsewhere.published = [published]

    refused(go(client, uid), sessions, "could not be verified")


def test_a_new_key_is_asked_for_once(client, crm_app, uid, go, elsewhere):
    go(client, uid)
    client.post("/auth/logout")
    before = elsewhere.asked.count("/jwks")
    elsewhere.rotate()

    assert go(client, uid).status_code == 302
    assert (before, elsewhere.asked.count("/jwks")) == (1, 2)
    client.post("/auth/logout")
    assert go(client, uid).status_code == 302
    assert elsewhere.asked.count("/jwks") == 2


def test_a_code_without_its_verifier_is_refused_by_the_provider(client, uid, elsewhere, sessions):
    first = elsewhere.answer_to(client.get(f"/auth/oidc/{uid}").location)
    second = elsewhere.answer_to(client.get(f"/auth/oidc/{uid}").location)
    stolen = second.replace(
        second.partition("code=")[2].partition("&")[0], first.partition("code=")[2].partition("&")[0]
    )

    refused(client.get(stolen[stolen.index("/auth/") :]), sessions)


def test_an_answer_of_one_provider_is_not_taken_for_anothers(client, uid, elsewhere, connect, sessions):
    other = connect(elsewhere, name="Other")
    back = elsewhere.answer_to(client.get(f"/auth/oidc/{uid}").location)

    refused(client.get(back[back.index("/auth/") :].replace(str(uid), str(other))), sessions)


def test_an_issuer_that_is_named_in_the_answer_must_be_the_one(client, uid, go, sessions):
    refused(go(client, uid, change={"iss": "https://evil.test"}), sessions)


def test_a_provider_that_promises_to_name_its_issuer_must(client, uid, go, sessions, elsewhere):
    elsewhere.metadata = {"authorization_response_iss_parameter_supported": True}

    refused(go(client, uid), sessions)
    assert go(client, uid, change={"iss": elsewhere.issuer}).status_code == 302


def test_a_document_of_another_issuer_is_refused(client, uid, elsewhere, sessions):
    elsewhere.metadata = {"issuer": "https://evil.test"}

    answer = client.get(f"/auth/oidc/{uid}")

    refused(answer, sessions)
    assert "https://evil.test" in answer.text


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_an_incomplete_document_is_refused(client, uid, elsewhere, sessions, name):
    elsewhere.metadata = {name: None}

    refused(client.get(f"/auth/oidc/{uid}"), sessions)


def test_nobody_is_sent_to_an_address_that_is_no_web_page(client, uid, elsewhere, sessions):
    elsewhere.metadata = {"authorization_endpoint": "javascript:alert(1)"}

    refused(client.get(f"/auth/oidc/{uid}"), sessions)


def test_what_was_cancelled_there_is_said(client, uid, go, sessions):
    answer = go(client, uid, change={"error": "access_denied", "code": None})

    refused(answer, sessions)
    assert "was cancelled or refused there" in answer.text


def test_words_of_an_error_are_not_shown_as_they_come(client, uid, go, sessions):
    answer = go(client, uid, change={"error": "<b>server_error</b>", "code": None})

    refused(answer, sessions)
    assert "<b>server" not in answer.text


def test_a_provider_is_asked_only_where_requests_may_go(client, crm_app, uid, monkeypatch, sessions, elsewhere):
    runtime = runtime_of(crm_app)
    monkeypatch.setattr(runtime, "config", runtime.config.replace(outbound_trusted_networks=()))

    answer = client.get(f"/auth/oidc/{uid}")

    refused(answer, sessions)
    assert "is not a public address" in answer.text
    assert elsewhere.asked == []


def test_too_much_time_is_refused(client, uid, go, sessions, monkeypatch, elsewhere):
    back = elsewhere.answer_to(client.get(f"/auth/oidc/{uid}").location)
    real = time.time
    monkeypatch.setattr("crm_kernel.access.signin.pending.time.time", lambda: real() + 601)

    refused(client.get(back[back.index("/auth/") :]), sessions)


def test_a_provider_that_is_switched_off_logs_nobody_in(client, crm_app, uid, unit, go, sessions):
    from crm_kernel.access.oidc.providers import provider_named, update_provider

    with unit() as uow:
        update_provider(uow, provider_named(uow, "Staff"), {"enabled": False})

    assert client.get(f"/auth/oidc/{uid}").status_code == 404
    assert "Log in with Staff" not in client.get("/auth/login").text
    assert sessions() == []


def test_a_provider_that_gave_no_answer_is_left_alone_for_half_a_minute(client, uid, elsewhere, monkeypatch):
    elsewhere.metadata = {"issuer": "https://evil.test"}
    answers = [client.get(f"/auth/oidc/{uid}") for _ in range(3)]
    asked = list(elsewhere.asked)
    elsewhere.metadata = {}
    later = time.monotonic() + metadata.FAILED_SECONDS + 1
    monkeypatch.setattr(metadata.time, "monotonic", lambda: later)

    assert [answer.status_code for answer in answers] == [403] * 3
    assert "calls itself" in answers[0].text
    assert "try again in half a minute" in answers[1].text
    assert len(asked) == 1
    assert client.get(f"/auth/oidc/{uid}").status_code == 302


def test_ways_to_a_provider_that_come_to_nothing_are_slowed_down(client, uid, elsewhere):
    elsewhere.metadata = {"issuer": "https://evil.test"}

    answers = [client.get(f"/auth/oidc/{uid}").status_code for _ in range(31)]

    assert answers == [403] * 30 + [429]


def test_ways_to_a_provider_that_answers_are_not_counted(client, uid):
    answers = [client.get(f"/auth/oidc/{uid}").status_code for _ in range(35)]

    assert answers == [302] * 35
