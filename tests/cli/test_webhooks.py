"""``crm webhooks``: from an address to what became of a message."""

from __future__ import annotations

from standardwebhooks import Webhook


def test_a_webhook_is_added_tested_and_shows_what_came_of_it(cli, api, deliver_events):
    user = api("administrator").user
    added = cli("webhooks", "add", "https://crm.invalid/hook", "--user", user.email, "--name", "Sink", "--json").json()
    assert Webhook(added["secret"])

    cli("webhooks", "test", added["id"])
    deliver_events()

    (row,) = cli("webhooks", "deliveries", added["id"], "--json").json()
    assert (row["event"], row["state"], row["attempts"]) == ("kernel.webhook_ping", "waiting", 1)
    assert [found["name"] for found in cli("webhooks", "list", "--json").json()] == ["Sink"]


def test_a_secret_is_shown_and_replaced(cli, api):
    user = api("administrator").user
    added = cli("webhooks", "add", "https://crm.invalid/hook", "--user", user.email, "--json").json()

    same = cli("webhooks", "secret", added["id"]).stdout.strip()
    new = cli("webhooks", "secret", added["id"], "--replace").stdout.strip()

    assert same == added["secret"]
    assert new.startswith("whsec_")
    assert new != same


def test_what_does_not_exist_or_does_not_fit_is_said(cli, api):
    user = api("administrator").user

    unknown = cli("webhooks", "test", "01990000-0000-7000-8000-000000000000")
    bad = cli("webhooks", "add", "ftp://a.test/", "--user", user.email)
    neither = cli("webhooks", "replay", "01990000-0000-7000-8000-000000000000")

    assert (unknown.exit_code, bad.exit_code, neither.exit_code) == (3, 2, 2)
    assert "There is no" in unknown.stderr
    assert "url" in bad.stderr
    assert "--since or --delivery" in neither.stderr
