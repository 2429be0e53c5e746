"""A receiver on this machine, a webhook that points at it, and the work of a worker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sqlalchemy as sa

from crm_kernel._internal.runtime import EXTENSION
from crm_kernel.events.webhooks.models import WebhookDelivery, WebhookEndpoint


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """A server that keeps what it is sent; ``answer`` says how it answers: status, headers, body."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], tuple[int, dict[str, str], bytes]] = lambda _request: (200, {}, b"thanks")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a port of its own."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            request = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, self.rfile.read(length))
            found.received.append(request)
            status, headers, body = found.answer(request)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def configure(crm_app: Any) -> Iterator[Callable[..., None]]:
    """Change settings of the application for one test."""
    from dataclasses import replace

    before = crm_app.extensions[EXTENSION]

    def change(**settings: Any) -> None:
        runtime = crm_app.extensions[EXTENSION]
        crm_app.extensions[EXTENSION] = replace(runtime, config=runtime.config.replace(**settings))

    yield change
    crm_app.extensions[EXTENSION] = before


@pytest.fixture(autouse=True)
def trusted(configure: Callable[..., None]) -> None:
    """Let webhooks reach this machine, as an intranet would be."""
    configure(outbound_trusted_networks=("127.0.0.0/8",))


@pytest.fixture
def admin(api: Any) -> Any:
    """An API client that may do everything."""
    return api("administrator")


@pytest.fixture
def webhook(admin: Any, receiver: Receiver) -> str:
    """The address of a webhook that is told of every event."""
    made = admin.post("/api/webhooks", {"name": "Sink", "url": receiver.url, "events": ["*"]})
    assert made.status_code == 201, made.text
    return made.headers["Location"]


@pytest.fixture
def deliveries(unit: Any) -> Callable[[], list[WebhookDelivery]]:
    """Read the log, oldest first."""

    def read() -> list[WebhookDelivery]:
        with unit() as uow:
            found = list(uow.session.scalars(sa.select(WebhookDelivery).order_by(WebhookDelivery.id)))
            uow.session.expunge_all()
            return found

    return read


@pytest.fixture
def endpoint(unit: Any) -> Callable[[], WebhookEndpoint]:
    """Read the one webhook there is."""

    def read() -> WebhookEndpoint:
        with unit() as uow:
            found = uow.session.scalars(sa.select(WebhookEndpoint)).one()
            uow.session.expunge_all()
            return found

    return read
