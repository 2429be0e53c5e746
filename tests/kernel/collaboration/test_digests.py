"""Mails tell what is unread and may still be seen, once, in the user's language, zone and rhythm."""

from __future__ import annotations

import datetime as dt

import pytest

from crm_kernel.collaboration.notifications.digests import mail_digest, plan_digests
from crm_kernel.collaboration.notifications.models import Notification
from crm_kernel.mail.transport import use_mail_transport


@pytest.fixture
def mails(crm_app):
    """What was sent: recipient, subject, text."""
    sent = []
    use_mail_transport(crm_app, lambda mail: sent.append((mail.recipient, mail.subject, mail.text)))
    yield sent
    del crm_app.extensions["crm_mail_transport"]


@pytest.fixture
def send(unit, crm_app):
    """Plan, then send as the worker does: ``send()``; ``later=hours`` as if it were later."""
    from crm_kernel.jobs.models import JobRow

    def run(later=0):
        with unit() as uow:
            uow.now += dt.timedelta(hours=later)
            for row in uow.session.query(Notification).filter(Notification.mail_due_at <= uow.now):
                row.mail_due_at -= dt.timedelta(hours=later)  # the sending job looks at the real clock
            uow.session.flush()
            plan_digests(uow, {})
            payloads = [row.payload for row in uow.session.query(JobRow).filter_by(name="kernel.mail_digest")]
            uow.session.query(JobRow).delete()
        for payload in payloads:
            with crm_app.app_context():
                settle = mail_digest(payload)
            if settle is not None:
                with unit() as uow:
                    settle(uow)
        return len(payloads)

    return run


def _wants(client, email, kind="kernel.assigned"):
    way = {"kinds": [{"kind": kind, "in_app": True, "email": email}]}
    assert client.open("PUT", "/api/notifications/settings", json=way).status_code == 200


def _assign(client, record, user):
    client.patch(f"/api/customers/{record.uid}", {"owner": str(user.uid)})


def test_what_is_due_is_mailed_once(api, factories, mails, send):
    boss, rep = api("administrator", name="Boss"), api("representative")
    _wants(rep, "immediate")
    acme = factories.organization(display_name="Acme")
    _assign(boss, acme, rep.user)
    _assign(boss, factories.organization(display_name="Bolt"), rep.user)

    counts = (send(), send())

    assert counts == (1, 0)
    ((recipient, subject, text),) = mails
    assert (recipient, subject) == (rep.user.email, "CRM: 2 notifications")
    assert "Boss assigned to you: Acme" in text
    assert f"/customers/{acme.uid}" in text


def test_an_hourly_mail_waits_for_the_hour(api, acme, mails, send):
    boss, rep = api("administrator"), api("representative")
    _wants(rep, "hourly")
    _assign(boss, acme, rep.user)

    assert send() == 0
    assert send(later=1) == 1
    assert len(mails) == 1


def test_what_was_read_is_not_mailed(api, acme, mails, send):
    boss, rep = api("administrator"), api("representative")
    _wants(rep, "immediate")
    _assign(boss, acme, rep.user)
    rep.post("/api/notifications/read", {})

    send()

    assert mails == []


def test_what_may_not_be_seen_any_more_is_not_mailed(api, owned, mails, send):
    boss, rep, other = api("administrator"), api(grants={"customer.read": "own"}), api("reader")
    _wants(rep, "immediate")
    secret = owned(boss.user)
    _assign(boss, secret, rep.user)
    _assign(boss, secret, other.user)

    send()

    assert [mail for mail in mails if mail[0] == rep.user.email] == []
    assert send() == 0


def test_a_mail_is_in_the_users_language(api, acme, mails, send):
    boss, rep = api("administrator", name="Boss"), api("representative", language="fr")
    _wants(rep, "immediate")
    _assign(boss, acme, rep.user)

    send()

    assert "Boss vous a confié" in mails[0][2]
    assert "Bonjour" in mails[0][2]


def test_without_a_way_to_send_nothing_is_planned_and_nothing_is_lost(api, acme, send, crm_app):
    boss, rep = api("administrator"), api("representative")
    _wants(rep, "immediate")
    _assign(boss, acme, rep.user)
    assert send() == 0
    sent = []

    use_mail_transport(crm_app, lambda mail: sent.append((mail.recipient, mail.subject, mail.text)))
    send()
    del crm_app.extensions["crm_mail_transport"]

    assert len(sent) == 1


def test_old_news_is_not_mailed(api, acme, mails, send, unit):
    boss, rep = api("administrator"), api("representative")
    _wants(rep, "immediate")
    _assign(boss, acme, rep.user)
    with unit() as uow:
        uow.session.query(Notification).one().mail_due_at = uow.now - dt.timedelta(days=4)

    assert send() == 0


def test_a_failed_mail_is_tried_again(api, acme, send, crm_app, unit):
    boss, rep = api("administrator"), api("representative")
    _wants(rep, "immediate")
    _assign(boss, acme, rep.user)

    def refuse(*_mail):
        raise OSError("no route to host")

    use_mail_transport(crm_app, refuse)
    with pytest.raises(OSError, match="no route"):
        send()
    del crm_app.extensions["crm_mail_transport"]

    with unit() as uow:
        assert uow.session.query(Notification).one().mail_due_at is not None
