"""Web addresses: safe to link to, one spelling per page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.provisional import urls

from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.values.urls import normalize_url


@pytest.mark.parametrize(
    ("raw", "normalized"),
    [
        ("http://www.IBM.com",                 "http://www.ibm.com/"),
        ("HTTPS://acme.fr:443/A?b=C#d",        "https://acme.fr/A?b=C#d"),
        ("www.acme.fr",                        "https://www.acme.fr/"),
        ("//acme.fr/x",                        "https://acme.fr/x"),
        ("acme.fr:8080/x",                     "https://acme.fr:8080/x"),
        ("http://acme.fr.:80?x=1",             "http://acme.fr/?x=1"),
        ("https://Bücher.de/é à",              "https://xn--bcher-kva.de/%C3%A9%20%C3%A0"),
        ("https://acme.fr/%C3%A9",             "https://acme.fr/%C3%A9"),
        ("http://intranet/wiki",               "http://intranet/wiki"),
        ("http://[2001:DB8:0::1]:81/",         "http://[2001:db8::1]:81/"),
        ("http://192.168.1.1",                 "http://192.168.1.1/"),
        ("https://my_shop.acme.fr",            "https://my_shop.acme.fr/"),
        (" \u200bhttps://acme.fr\ufeff ",      "https://acme.fr/"),
    ],
)  # fmt: skip
def test_an_address_gets_one_spelling(raw: str, normalized: str) -> None:
    assert normalize_url(raw).normalized == normalized


def test_the_host_is_known_without_port_and_brackets() -> None:
    assert normalize_url("https://Acme.fr:81/x").host == "acme.fr"
    assert normalize_url("http://[::1]/").host == "::1"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("javascript:alert(1)",           "begins with javascript"),
        ("JavaScript://acme.fr/%0aalert", "begins with JavaScript"),
        ("data:text/html,x",              "begins with data"),
        ("ftp://acme.fr",                 "begins with ftp"),
        ("mailto:a@acme.fr",              "begins with mailto"),
        ("https://jane:pw@acme.fr",       "user name or password"),
        ("https://",                      "host name"),
        ("https:acme.fr",                 "host name"),
        ("ibm",                           "host name"),
        ("https://-acme-.fr/",            "host name"),
        ("https://a b.fr/",               "host name"),
        ("http://999.1.1.1",              "host name"),
        ("http://[::1",                   "host name"),
        ("https://acme.fr:99999",         "port"),
        ("https://acme.fr/\nx",           "control character"),
        ("https:\\\\acme.fr",             "backslash"),
        ("",                              "no web address"),
        ("https://acme.fr/" + "x" * 3000, "no web address"),
    ],
)  # fmt: skip
def test_a_refusal_says_why(raw: str, reason: str) -> None:
    with pytest.raises(ValueProblem, match=reason):
        normalize_url(raw)


def test_a_refusal_does_not_repeat_a_password() -> None:
    with pytest.raises(ValueProblem) as caught:
        normalize_url("https://jane:secret@acme.fr")

    assert "secret" not in caught.value.message


@given(urls() | st.text(max_size=40).map("https://acme.fr/{}".format) | st.text(max_size=40))
def test_normalising_a_normalised_address_changes_nothing(raw: str) -> None:
    try:
        url = normalize_url(raw)
    except ValueProblem:
        return

    assert url.normalized.isascii()
    assert url.normalized.startswith(("http://", "https://"))
    assert normalize_url(url.normalized) == url
