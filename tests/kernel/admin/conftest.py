"""An administrator's browser, and a way to submit its forms."""

from __future__ import annotations

import re

import pytest


@pytest.fixture
def admin(login):
    """An administrator's browser."""
    return login("administrator")


@pytest.fixture
def send():
    """Submit a form as a browser does: ``send(client, path, name="lamp")`` → the answer."""

    def run(client, path, **fields):
        page = client.get("/profile").text
        token = re.search(r'name="csrf-token" content="([^"]+)"', page)[1]
        return client.post(path, data={"csrf_token": token, **fields})

    return run
