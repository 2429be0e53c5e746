"""Who is believed about a request's address, scheme and host: nobody, or so many proxies of our own."""

from __future__ import annotations

import pytest
from flask import request

from crm_kernel.config import load_config
from crm_kernel.errors import ConfigError
from crm_kernel.testing.apps import build, let_go

WRONG = "violet harbour penzil"
SPOOFED = "198.51.100.7"


@pytest.fixture(scope="module")
def behind(crm_test_databases):
    """Build the application behind so many trusted proxies, once: ``behind(1)``."""
    made = {}

    def give(proxies):
        if proxies not in made:
            made[proxies] = build(crm_test_databases.fresh("sqlite", (), f"p{proxies}"), (), trusted_proxies=proxies)
            made[proxies].config["WTF_CSRF_ENABLED"] = False
            made[proxies].before_request_funcs.setdefault(None, []).insert(0, lambda: _seen.append(_of(request)))
        for limiter in made[proxies].extensions["limiter"]:
            limiter.reset()
        return made[proxies]

    yield give
    for app in made.values():
        let_go(app)


_seen: list[tuple[str | None, str, str]] = []


def _of(request):
    return request.remote_addr, request.scheme, request.host


def seen_by(app, **headers):
    """Return (address, scheme, host) as the application sees them."""
    app.test_client().get("/auth/login", headers={name.replace("_", "-"): text for name, text in headers.items()})
    return _seen[-1]


def test_without_a_trusted_proxy_forged_headers_are_ignored(behind):
    found = seen_by(
        behind(0), X_Forwarded_For=SPOOFED, X_Forwarded_Proto="https", X_Forwarded_Host="evil.test", X_Real_IP=SPOOFED
    )

    assert found == ("127.0.0.1", "http", "localhost")


def test_behind_one_proxy_only_what_it_added_last_is_believed(behind):
    found = seen_by(
        behind(1),
        X_Forwarded_For=f"{SPOOFED}, 203.0.113.9",
        X_Forwarded_Proto="http, https",
        X_Forwarded_Host="evil.test, crm.example.com",
    )

    assert found == ("203.0.113.9", "https", "crm.example.com")


def test_behind_two_proxies_the_last_but_one_is_believed(behind):
    found = seen_by(behind(2), X_Forwarded_For=f"{SPOOFED}, 203.0.113.9, 10.0.0.2")

    assert found[0] == "203.0.113.9"


def test_fewer_entries_than_proxies_mean_that_somebody_went_past_them_and_are_ignored(behind):
    assert seen_by(behind(2), X_Forwarded_For=SPOOFED)[0] == "127.0.0.1"


def tries(app, addresses):
    """Try to log in to one account with these values of X-Forwarded-For; return the status codes."""
    client = app.test_client()
    return [
        client.post(
            "/auth/login",
            data={"email": "ann@crm.test", "password": WRONG},
            headers={"X-Forwarded-For": address},
        ).status_code
        for address in addresses
    ]


def test_a_guesser_who_forges_addresses_is_still_one_address(behind):
    assert tries(behind(0), [f"198.51.100.{n}" for n in range(6)])[-1] == 429
    assert tries(behind(1), [f"198.51.100.{n}, 203.0.113.9" for n in range(6)])[-1] == 429


def test_behind_a_proxy_one_guesser_does_not_lock_the_others_out(behind):
    codes = tries(behind(1), ["203.0.113.9"] * 6 + ["203.0.113.10"])

    assert codes[-2:] == [429, 200]


@pytest.mark.parametrize(("text", "words"), [("-1", "expected 0"), ("many", "expected int"), ("true", "expected int")])
def test_a_wrong_number_of_proxies_is_named(text, words):
    with pytest.raises(ConfigError, match=f"(?i)trusted_proxies.*{words}"):
        load_config(environ={"CRM_TRUSTED_PROXIES": text})


def test_the_number_of_proxies_comes_from_the_environment_too():
    assert load_config(environ={"CRM_TRUSTED_PROXIES": "2"}).trusted_proxies == 2
    assert load_config(environ={}).trusted_proxies == 0
