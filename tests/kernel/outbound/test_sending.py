"""Time and size of an answer are bounded, redirects are answers, and TLS proves the name and not the address."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from crm_kernel.outbound import OutboundPolicy, Unreachable, send

pytestmark = pytest.mark.crm_databases("sqlite")
HERE = OutboundPolicy(trusted_networks=(ipaddress.ip_network("127.0.0.0/8"),))


@pytest.fixture(autouse=True)
def in_english(crm_app: Any) -> Any:
    """Messages are translated: they need an application."""
    with crm_app.app_context():
        yield


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serve one connection by a function of the socket: ``serve(answer)`` → URL."""
    open_: list[Any] = []

    def start(answer: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            connection, _address = listener.accept()
            with connection:
                heard = connection.recv(65_536)
                while b"Content-Length: 0" not in heard and not heard.endswith(b"{}"):
                    heard += connection.recv(65_536)
                start.heard.append(heard)
                with suppress(OSError):  # hung up on, as it should be
                    answer(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        open_.append((listener, thread))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/x"

    start.heard = []
    yield start
    for listener, thread in open_:
        listener.close()
        thread.join(5)


def test_only_the_beginning_of_a_long_answer_is_read(serve):
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65_536)

    answer = send(serve(endless), policy=HERE, max_answer=1000, timeout=10)

    assert (answer.status, len(answer.body), answer.truncated) == (200, 1000, True)


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"])
def test_who_drips_is_hung_up_on(serve, first):
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(first)
        while not over.wait(0.05):
            connection.sendall(b"a")

    began = time.monotonic()
    with pytest.raises(Unreachable):
        send(serve(drip), policy=HERE, timeout=0.5)
    over.set()

    assert time.monotonic() - began < 5


def test_a_redirect_is_an_answer(serve):
    url = serve(
        lambda c: c.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
    )

    answer = send(url, policy=HERE)

    assert (answer.status, answer.headers["location"]) == (302, "http://169.254.169.254/")


@pytest.mark.parametrize(
    "said", [b"", b"nonsense\r\n\r\n", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nxx"]
)
def test_what_is_no_whole_answer_is_none(serve, said):
    with pytest.raises(Unreachable):
        send(serve(lambda connection: connection.sendall(said)), policy=HERE)


def test_host_and_length_are_those_of_the_request(serve):
    url = serve(lambda connection: connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n"))

    answer = send(url, policy=HERE, headers={"X-A": "b"}, body=b"{}")

    head, _blank, body = serve.heard[0].partition(b"\r\n\r\n")
    assert (answer.status, answer.body, body) == (204, b"", b"{}")
    assert f"Host: {url.split('/')[2]}".encode() in head.splitlines()
    assert {b"X-A: b", b"Content-Length: 2"} <= set(head.splitlines())


def test_a_certificate_of_nobody_is_not_trusted(tmp_path, serve):
    import datetime as dt
    import ssl

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.test")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(1)
    )
    cert = made.sign(key, hashes.SHA256())
    (tmp_path / "c.pem").write_bytes(
        cert.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _address = listener.accept()
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    with pytest.raises(Unreachable, match="certificate"):
        send(f"https://127.0.0.1:{listener.getsockname()[1]}/", policy=HERE)
    thread.join(5)
    listener.close()
