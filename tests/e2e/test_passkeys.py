"""A passkey is made and used in a real browser, with an authenticator that Chromium plays."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.crm_databases("sqlite")]

PATIENCE = 120.0
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def local(site, tmp_path):
    """The address of the same instance under the host that passkeys can be bound to: one by numbers is none."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, log = f"http://localhost:{port}", tmp_path / "serve.log"
    command = [sys.executable, "-m", "crm_cli.main", "serve", "--no-worker", "--port", str(port)]
    with log.open("w") as stream:
        environment = {**site.environment(), "CRM_BASE_URL": address}
        server = subprocess.Popen(command, cwd=site.folder, env=environment, stdout=stream, stderr=stream)
    try:
        end = time.monotonic() + PATIENCE
        while "Serving on" not in log.read_text():
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(PATIENCE)


@pytest.fixture
def page(local, site, browser):
    """The administrator's page, with a virtual authenticator."""
    context = browser.new_context(base_url=local)
    found = context.new_page()
    session = context.new_cdp_session(found)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    found.goto("/auth/login")
    found.fill("[name=email]", site.login["email"])
    found.fill("[name=password]", site.login["password"])
    found.press("[name=password]", "Enter")
    found.wait_for_url("**/")
    yield found
    context.close()


def test_a_passkey_is_made_renamed_used_and_removed(page):
    page.goto("/profile/security")
    group = page.locator("[data-passkey-new]")
    group.get_by_label("Name of the passkey").fill("Laptop")
    group.get_by_role("button").click()
    expect(page.locator("input[name=name]")).to_have_value("Laptop")

    page.locator("input[name=name]").fill("Desk")
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("input[name=name]")).to_have_value("Desk")

    page.context.clear_cookies()
    page.goto("/auth/login?next=/profile/security")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_url("**/profile/security")

    page.get_by_role("button", name="Remove Desk").click()
    expect(page.locator("input[name=name]")).to_have_count(0)
