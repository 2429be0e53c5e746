"""Interleaved rounds: what is compared runs in turns in one process, so that both see the same machine."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from flask import Flask


def get(app: Flask, address: str, token: str | None = None) -> Callable[[], bytes]:
    """Return a call that sends one GET straight to the WSGI application and gives the body.

    Raises (when called):
        RuntimeError: the answer is not 200.
    """
    parts = urlsplit(address)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": parts.path,
        "QUERY_STRING": parts.query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
    }
    if token:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"

    def call() -> bytes:
        status: list[str] = []
        body = app({**environ, "wsgi.input": io.BytesIO()}, lambda found, _headers, _info=None: status.append(found))
        answer = b"".join(body)
        if hasattr(body, "close"):
            body.close()
        if not status[0].startswith("200"):
            raise RuntimeError(f"{address}: {status[0]} {answer[:300]!r}")
        return answer

    return call


def medians(calls: Mapping[str, Callable[[], Any]], *, rounds: int, each: int) -> dict[str, float]:
    """Return name → median seconds of one call over interleaved rounds, after one warming round."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(each):
                call()
            if number:
                found[name].append((time.perf_counter() - start) / each)
    return {name: statistics.median(times) for name, times in found.items()}
