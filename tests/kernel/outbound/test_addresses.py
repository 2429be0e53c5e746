"""No request leaves for an address that is not public, however it is spelt and whatever a name server says."""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from crm_kernel.outbound import AddressRefused, OutboundPolicy, Unreachable, send
from crm_kernel.outbound.addresses import is_public, target_of

_SPEC = importlib.util.spec_from_file_location("ssrf_spellings", Path(__file__).with_name("spellings.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
sys.modules["ssrf_spellings"] = _MODULE
_SPEC.loader.exec_module(_MODULE)
SPELLINGS: list[str] = _MODULE.spellings()

PUBLIC = "93.184.215.14"


@pytest.fixture(autouse=True)
def in_english(crm_app: Any) -> Any:
    """Messages are translated: they need an application."""
    with crm_app.app_context():
        yield


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What sockets were asked to connect to; none of them does."""
    found: list[Any] = []

    class Recorded(socket.socket):
        def connect(self, address: Any) -> None:
            found.append(address)
            raise ConnectionRefusedError("recorded")

        connect_ex = connect  # type: ignore[assignment]

    monkeypatch.setattr(socket, "socket", Recorded)
    return found


def answers(*addresses: str) -> Any:
    """A resolver that gives these addresses for every name."""

    def resolve(_host: str, port: int) -> list[tuple[Any, ...]]:
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [(f, socket.SOCK_STREAM, 6, "", (a, port)) for f, a in zip(families, addresses, strict=True)]

    return resolve


def inside(host: str, port: int) -> Any:
    """The system's own resolver for what is written as an address; a name of the list above leads inside."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return answers("10.0.0.7")(host, port)


def test_there_are_enough_spellings():
    assert len(SPELLINGS) >= 300


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_no_spelling_of_an_inner_address_is_dialled(dialled, method):
    sent = []
    for url in SPELLINGS:
        try:
            send(url, policy=OutboundPolicy(resolver=inside), method=method, timeout=1)
            sent.append(url)
        except (AddressRefused, Unreachable):
            pass

    assert sent == []
    assert [address for address in dialled if not is_public(ipaddress.ip_address(address[0]))] == []
    assert dialled == []


@pytest.mark.crm_databases("sqlite")
def test_a_public_address_is_dialled_as_it_was_checked(dialled):
    with pytest.raises(Unreachable):
        send("https://a.test/x", policy=OutboundPolicy(resolver=answers(PUBLIC)))

    assert dialled == [(PUBLIC, 443)]


@pytest.mark.crm_databases("sqlite")
def test_a_name_that_changes_its_mind_is_asked_once(dialled):
    asked = []

    def rebinding(host: str, port: int) -> Any:
        asked.append(host)
        return answers(PUBLIC if len(asked) == 1 else "127.0.0.1")(host, port)

    with pytest.raises(Unreachable):
        send("https://rebind.test/", policy=OutboundPolicy(resolver=rebinding))

    assert (asked, dialled) == (["rebind.test"], [(PUBLIC, 443)])


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize("addresses", [(PUBLIC, "10.0.0.1"), ("10.0.0.1", PUBLIC), (PUBLIC, "::1")])
def test_a_name_with_one_inner_address_is_refused_whole(dialled, addresses):
    with pytest.raises(AddressRefused):
        send("https://both.test/", policy=OutboundPolicy(resolver=answers(*addresses)))

    assert dialled == []


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    "url",
    ["http://a.test/", "https://a.test:22/", "https://a.test:6379/", "https://u:p@a.test/", "https://a.test/\x00"],
)
def test_what_is_not_https_at_a_usual_port_is_refused(dialled, url):
    with pytest.raises(AddressRefused):
        send(url, policy=OutboundPolicy(resolver=answers(PUBLIC)))

    assert dialled == []


@pytest.mark.crm_databases("sqlite")
def test_a_proxy_of_the_environment_is_not_asked(dialled, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:3128")

    with pytest.raises(Unreachable):
        send("https://a.test/", policy=OutboundPolicy(resolver=answers(PUBLIC)))

    assert dialled == [(PUBLIC, 443)]


@pytest.mark.crm_databases("sqlite")
def test_a_refusal_does_not_say_what_a_name_stands_for():
    with pytest.raises(AddressRefused) as refused:
        send("https://secret.test/", policy=OutboundPolicy(resolver=answers("10.20.30.40")))

    assert "10.20.30.40" not in str(refused.value)


@pytest.mark.crm_databases("sqlite")
def test_a_trusted_network_may_be_reached_by_http_and_at_any_port():
    policy = OutboundPolicy(trusted_networks=(ipaddress.ip_network("10.1.0.0/16"),), resolver=answers("10.1.2.3"))

    assert target_of("http://hooks.internal:8080/a?b=c", policy).dial[1] == ("10.1.2.3", 8080)
    with pytest.raises(AddressRefused):
        target_of(
            "http://hooks.internal/",
            OutboundPolicy(trusted_networks=policy.trusted_networks, resolver=answers("10.2.0.1")),
        )


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize(
    "text", ["93.184.215.14", "1.1.1.1", "8.8.8.8", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:1.1.1.1"]
)
def test_public_addresses_are_public(text):
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.crm_databases("sqlite")
def test_a_name_of_another_script_is_asked_for_in_ascii(dialled):
    asked = []

    def note(host: str, port: int) -> Any:
        asked.append(host)
        return answers(PUBLIC)(host, port)

    with pytest.raises(Unreachable):
        send("https://bücher.test/ok", policy=OutboundPolicy(resolver=note))

    assert asked == ["xn--bcher-kva.test"]
