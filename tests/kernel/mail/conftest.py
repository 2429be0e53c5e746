"""A real mail server for each test, and an application whose settings name it."""

from __future__ import annotations

import pytest

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.mail.transport import hang_up
from crm_kernel.testing.mail_server import mail_server


@pytest.fixture
def use_server(crm_app):
    """Point the settings to a mail server: ``use_server(server, mail_user="ada", …)``."""
    runtime = runtime_of(crm_app)
    before = runtime.config

    def use(server, **settings):
        usual = {
            "mail_host": "127.0.0.1",
            "mail_port": server.port,
            "mail_encryption": "none",
            "mail_sender": "crm@acme.test",
            "mail_timeout_seconds": 5,
        }
        runtime.config = before.replace(**{**usual, **settings})

    yield use
    runtime.config = before
    hang_up(crm_app)


@pytest.fixture
def server(use_server):
    """A mail server that takes everything, named by the settings."""
    with mail_server() as found:
        use_server(found)
        yield found
