"""A stream says to its user alone that there is something new, ends with his log-in, and never holds up another."""

from __future__ import annotations

import pytest
from werkzeug.test import create_environ

from crm_kernel.server import live
from crm_kernel.server.live import Board, LiveApp, Watcher


@pytest.fixture
def stream(crm_app, monkeypatch):
    """Open the stream of a browser: ``stream(client)`` → status, headers, iterator of what it says."""
    monkeypatch.setattr(live, "PING_EVERY", 0.01)
    app, opened = LiveApp(crm_app, Board()), []

    def open_(client=None, path="/live", **headers):
        cookie = client.get_cookie("crm_session") if client else None
        environ = create_environ(path, headers={"Cookie": f"crm_session={cookie.value}" if cookie else "", **headers})
        answer = {}
        body = app(environ, lambda status, found: answer.update(status=int(status[:3]), headers=dict(found)))
        opened.append(body)
        return answer["status"], answer["headers"], iter(body)

    open_.end = lambda number: opened[number].close()
    open_.watcher = Watcher(crm_app, app.board)
    yield open_
    for body in opened:
        getattr(body, "close", lambda: None)()


def _tell(unit, *users):
    from crm_kernel.collaboration.notifications.services import notify

    with unit() as uow:
        notify(uow, [user.id for user in users], "kernel.mention")


def test_news_reach_the_user_they_are_for_and_nobody_else(login, stream, unit):
    ada, grace = login("reader"), login("reader")
    stream.watcher.look()
    (_, headers, hers), (_, _, his) = stream(ada), stream(grace)
    start = (next(hers), next(his))

    _tell(unit, ada.user)
    stream.watcher.look()

    assert b"event: told" in start[0]
    assert headers["Content-Type"].startswith("text/event-stream")
    assert next(hers) == b"event: told\ndata:\n\n"
    assert next(his) == b": ping\n\n"


def test_each_news_is_told_once(login, stream, unit):
    ada = login("reader")
    stream.watcher.look()
    _status, _headers, hers = stream(ada)
    next(hers)
    _tell(unit, ada.user)

    stream.watcher.look()
    stream.watcher.look()

    assert [next(hers), next(hers)] == [b"event: told\ndata:\n\n", b": ping\n\n"]


def test_a_stream_ends_when_its_log_in_does(login, stream, unit, monkeypatch):
    from crm_kernel.access.models import AppUser

    monkeypatch.setattr(live, "CHECK_EVERY", 0)
    ada = login("reader")
    _status, _headers, hers = stream(ada)
    next(hers)
    with unit() as uow:
        uow.session.get(AppUser, ada.user.id).session_epoch += 1

    assert list(hers) == [b": ping\n\n"]


def test_nobody_gets_a_stream_without_log_in(client, stream):
    assert stream()[0] == 401
    assert stream(path="/other")[0] == 404
    assert stream(path="/health/live")[0] == 200


def test_too_many_streams_of_one_user_are_refused_and_leave_again(login, stream, monkeypatch):
    monkeypatch.setattr(live, "MOST_OF_USER", 2)
    ada = login("reader")
    stream(ada), stream(ada)

    assert stream(ada)[0] == 503
    stream.end(0)  # although nothing was ever read of it
    assert stream(ada)[0] == 200


def test_only_the_pages_own_origin_may_read_a_stream_of_another_port(crm_app, login, monkeypatch, stream):
    ada = login("reader")
    app = LiveApp(crm_app, Board())
    app._origin = "https://crm.example"

    def allowed(origin):
        return dict(app._headers(origin)).get("Access-Control-Allow-Origin")

    assert (allowed("https://crm.example"), allowed("https://evil.example"), allowed("")) == (
        "https://crm.example",
        None,
        None,
    )
    assert "Access-Control-Allow-Origin" not in stream(ada, Origin="https://evil.example")[1]


def test_the_policy_of_the_pages_names_a_stream_elsewhere():
    from crm_kernel.web.setup import CONTENT_SECURITY_POLICY, _policy

    assert _policy("/live") == CONTENT_SECURITY_POLICY
    assert _policy("https://live.example:8001/live").endswith("connect-src 'self' https://live.example:8001")
