"""Server-sent events in a process of their own: an open stream holds a thread, twenty would block the pages' server.

A stream carries no data: it says that there is something new, and the page then asks for what its reader may see. So a
word lost is made good by the page's own asking every half minute, and nobody learns anything from somebody else's stream.
One query a second serves all streams, however many; any number of other processes may write notifications.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Flask

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import ANONYMOUS, SYSTEM
from crm_kernel.access.authentication import authenticate
from crm_kernel.collaboration.notifications.models import Notification
from crm_kernel.errors import CrmError
from crm_kernel.unit_of_work import reading

log = logging.getLogger("crm.live")

#: Streams in all, and of one user: each of his open pages has one.
MOST_STREAMS, MOST_OF_USER = 900, 12
#: Seconds between two looks at the table, between two signs of life, and until a log-in is looked at again.
LOOK_EVERY, PING_EVERY, CHECK_EVERY = 1.0, 15.0, 60.0
#: Seconds in which open streams may end after SIGTERM; nothing is lost by cutting one.
LEAVE_WITHIN = 2
#: How far back each look goes: a notification is stored later than it was made. Beyond it the pages' own asking helps.
WINDOW = dt.timedelta(seconds=30)

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


@dataclass(slots=True)
class Board:
    """Which users have news, as a count that only grows; threads wait on it."""

    _news: Counter[int] = field(default_factory=Counter)
    _streams: Counter[int] = field(default_factory=Counter)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, users: Iterable[int]) -> None:
        """Wake the streams of these users."""
        with self._changed:
            self._news.update(users)
            self._changed.notify_all()

    def seen(self, user: int) -> int:
        """Return the count of a user's news until now."""
        with self._changed:
            return self._news[user]

    def wait(self, user: int, seen: int, seconds: float) -> int:
        """Return the count once it is another one, or when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._news[user] != seen, seconds)
            return self._news[user]

    def enter(self, user: int) -> bool:
        """Count a stream in; False when there are too many."""
        with self._changed:
            if self._streams.total() >= MOST_STREAMS or self._streams[user] >= MOST_OF_USER:
                return False
            self._streams[user] += 1
            return True

    def leave(self, user: int) -> None:
        """Count a stream out."""
        with self._changed:
            self._streams[user] -= 1


class _Begun:
    """A generator that has begun, so that closing it counts its stream out, even where nothing was ever read of it."""

    def __init__(self, stream: Generator[bytes, None, None]) -> None:
        self._first, self._rest = next(stream), stream

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        yield from self._rest

    def close(self) -> None:
        """End the stream; servers call it when the client is gone."""
        self._rest.close()


class LiveApp:
    """The WSGI application of the live process: ``GET /live`` is a stream, ``GET /health/live`` says ok."""

    def __init__(self, app: Flask, board: Board | None = None) -> None:
        self.app, self.board = app, board or Board()
        base = urlsplit(runtime_of(app).config.base_url)
        self._origin = f"{base.scheme}://{base.netloc}" if base.netloc else ""

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path, method = environ.get("PATH_INFO", ""), environ.get("REQUEST_METHOD")
        if method != "GET" or path not in ("/live", "/health/live"):
            return _answer(start_response, "404 Not Found")
        if path == "/health/live":
            return _answer(start_response, "200 OK")
        cookie = environ.get("HTTP_COOKIE", "")
        user = self._user(cookie)
        if user is None:
            return _answer(start_response, "401 Unauthorized")
        if not self.board.enter(user):
            return _answer(start_response, "503 Service Unavailable", ("Retry-After", "60"))
        start_response("200 OK", self._headers(environ.get("HTTP_ORIGIN", "")))
        return _Begun(self._stream(user, cookie))

    def _headers(self, origin: str) -> list[tuple[str, str]]:
        allowed = [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true")]
        return [
            ("Content-Type", "text/event-stream; charset=utf-8"),
            ("Cache-Control", "no-store"),
            ("X-Accel-Buffering", "no"),
            ("X-Content-Type-Options", "nosniff"),
            *(allowed if origin and origin == self._origin else []),
        ]

    def _stream(self, user: int, cookie: str) -> Generator[bytes, None, None]:
        try:
            seen, checked = self.board.seen(user), time.monotonic()
            yield b"retry: 5000\n\nevent: told\ndata:\n\n"  # what came while the page was loading
            while True:
                now = self.board.wait(user, seen, PING_EVERY)
                yield b": ping\n\n" if now == seen else b"event: told\ndata:\n\n"
                seen = now
                if time.monotonic() - checked >= CHECK_EVERY:
                    if self._user(cookie) != user:
                        return
                    checked = time.monotonic()
        finally:
            self.board.leave(user)

    def _user(self, cookie: str) -> int | None:
        """Return whose log-in a cookie is; None for nobody's, or when the database cannot be asked."""
        try:
            with self.app.test_request_context("/live", headers={"Cookie": cookie}), reading(ANONYMOUS) as uow:
                return authenticate(uow).user_id
        except CrmError:
            log.warning("a log-in cannot be looked at", exc_info=True)
            return None


@dataclass(slots=True)
class Watcher:
    """Looks for new notifications and tells the board."""

    app: Flask
    board: Board
    _known: dict[int, int] | None = None

    def look(self) -> None:
        """Tell of what was stored since the last look; one query."""
        with self.app.app_context(), reading(SYSTEM) as uow:
            query = sa.select(Notification.id, Notification.user_id).where(Notification.created_at > uow.now - WINDOW)
            found = {row[0]: row[1] for row in uow.session.execute(query)}
        new = [user for key, user in found.items() if self._known is not None and key not in self._known]
        self._known = found
        if new:
            self.board.tell(new)

    def run_forever(self) -> None:
        """Look every second; a database that is away is waited for."""
        while True:
            try:
                self.look()
            except CrmError:
                log.warning("new notifications cannot be looked for", exc_info=True)
            time.sleep(LOOK_EVERY)


def create_live() -> LiveApp:
    """Return the application of ``crm live`` for the instance of ``CRM_CONFIG``, its watcher running."""
    from crm_kernel.app import create_app

    app = create_app()
    live = LiveApp(app)
    threading.Thread(target=Watcher(app, live.board).run_forever, daemon=True).start()
    return live


def serve_live(host: str, port: int) -> None:
    """Serve the streams until SIGTERM or SIGINT, one thread each."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels

    Granian(
        "crm_kernel.server.live:create_live",
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=MOST_STREAMS + 20,
        # A stream ends by itself only when its reader leaves: without a limit, one open page keeps the process for ever.
        workers_kill_timeout=LEAVE_WITHIN,
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels.warning,
        log_access=False,
    ).serve()


def _answer(start_response: StartResponse, status: str, *headers: tuple[str, str]) -> list[bytes]:
    body = f"{status}\n".encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]
