"""One worker process: a fresh interpreter with one application and one granian server on the inherited socket.

Run as ``python -m crm_kernel.server.worker``, the order as JSON in its first argument. Two pipes join it to the
supervisor: on ``ready`` it says ``+`` once its application is built, or ``-`` and why not; ``life`` ends when the
supervisor wants it gone or is gone itself, killed or not, and the worker then drains.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crm_kernel.errors import CrmError
from crm_kernel.server.order import Order
from crm_kernel.server.sockets import BACKLOG

if TYPE_CHECKING:
    from flask import Flask


def main() -> None:
    """Build the application, report, serve until the lifeline ends."""
    order = Order(**{**(raw := json.loads(sys.argv[1])), "modules": tuple(raw["modules"])})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's; it ends the lifeline
    try:
        app = _build(order)
    except Exception as error:  # whatever a plugin did wrong, the supervisor must learn the reason
        os.write(order.ready_fd, f"-{_explained(error)}".encode()[:4000])
        sys.exit(1)
    serve(order, app)


def serve(order: Order, app: Flask) -> None:
    """Serve an application on the inherited socket; never returns."""
    from granian import Granian
    from granian._granian import SocketHolder
    from granian.constants import HTTPModes, Interfaces, RuntimeModes
    from granian.log import LogLevels

    from crm_kernel.mail.transport import hang_up

    draining = threading.Event()

    def load() -> Callable[..., Any]:  # called by granian when it is about to accept
        os.write(order.ready_fd, b"+")
        os.close(order.ready_fd)
        return _closing_connections(app, draining)

    server: Any = Granian(
        "crm_kernel.app:create_app",
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=order.threads,
        runtime_mode=RuntimeModes.mt,
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels.warning,
        log_access=False,
    )
    # Granian's own parent process opens the socket and forks; ours did the first and starts interpreters for the second.
    holder: Any = SocketHolder
    server._ssp, server._shd, server._sso = None, holder(order.socket_fd, False, BACKLOG), None
    server._ipc = {0: (None, None, None)}
    threading.Thread(target=_end_with_lifeline, args=(order, draining), daemon=True).start()
    server._spawn_worker(0, server._spawn_wsgi_worker, load).inner.run()
    hang_up(app)
    os._exit(0)  # drained; tearing the interpreter down while granian's threads end has crashed


def _build(order: Order) -> Flask:
    from crm_kernel.app import create_app
    from crm_kernel.config import load_config

    return create_app(load_config(order.config_path), modules=order.modules, skip_failed=order.skip_failed)


def _closing_connections(app: Callable[..., Any], draining: threading.Event) -> Callable[..., Any]:
    """While draining, tell clients that keep their connection open to come back on a new one."""

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if draining.is_set():
                headers = [*headers, ("Connection", "close")]
            return start_response(status, headers)  # granian's takes exactly these two

        return app(environ, start)

    return wsgi


def _end_with_lifeline(order: Order, draining: threading.Event) -> None:
    os.read(order.life_fd, 1)  # returns at its end: the supervisor closed it, or died
    draining.set()
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))
    nobody.listen(1)
    nobody.setblocking(False)
    os.dup2(nobody.fileno(), order.socket_fd, inheritable=False)  # accept() now asks a socket nobody connects to
    time.sleep(order.drain_seconds)
    os.kill(os.getpid(), signal.SIGTERM)  # granian's own graceful stop: finishes requests under way
    time.sleep(order.grace_seconds)
    os._exit(3)  # a request that never ends


def _explained(error: Exception) -> str:
    return str(error) if isinstance(error, CrmError) else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
