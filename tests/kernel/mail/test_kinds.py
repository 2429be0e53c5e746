"""What the system writes arrives, in its reader's language, once; what a server refuses is a dead letter with its reason."""

from __future__ import annotations

import datetime as dt
import re

import pytest
import sqlalchemy as sa

from crm_kernel.access import reset
from crm_kernel.access.invitations.services import invite
from crm_kernel.access.models import AppUser, AuditLog
from crm_kernel.collaboration.notifications.digests import plan_digests
from crm_kernel.collaboration.notifications.models import Notification
from crm_kernel.customers.consent.models import Purpose
from crm_kernel.database import utcnow
from crm_kernel.jobs.models import JobRow, JobState
from crm_kernel.jobs.runner import Runner


@pytest.fixture
def work(crm_app):
    """Do what is due, as if it were some hours later: ``work(hours=1)``."""

    def run(hours=0):
        Runner(crm_app, "test", clock=lambda: utcnow() + dt.timedelta(hours=hours)).drain()

    return run


@pytest.fixture
def jobs(unit):
    """State, failures and error of the jobs of a name."""

    def found(name):
        with unit() as uow:
            rows = uow.session.scalars(sa.select(JobRow).where(JobRow.name == name).order_by(JobRow.id))
            return [(JobState(row.state), row.failures, row.error or "") for row in rows]

    return found


@pytest.fixture
def told(api, factories, unit):
    """Give a user news that are due by mail: ``told(language="fr")`` → the user."""

    def tell(**traits):
        boss, reader = api("administrator", name="Boss"), api("representative", **traits)
        way = {"kinds": [{"kind": "kernel.assigned", "in_app": True, "email": "immediate"}]}
        assert reader.open("PUT", "/api/notifications/settings", json=way).status_code == 200
        acme = factories.organization(display_name="Acme")
        boss.patch(f"/api/customers/{acme.uid}", {"owner": str(reader.user.uid)})
        return reader.user

    return tell


def test_an_invitation_arrives_in_the_invited_persons_language(server, unit, work):
    with unit() as uow:
        invite(uow, email="zoe@example.test", role="reader", language="fr")

    work()

    [mail] = server.mails
    assert mail.recipient == "zoe@example.test"
    assert mail.message["Subject"] == "Votre compte chez CRM"
    assert "/join/" in mail.text


def test_a_link_for_a_new_password_arrives_in_the_users_language(server, login, client, work):
    user = login("representative", language="fr").user

    client.post("/auth/reset", data={"email": user.email})
    work()

    [mail] = server.mails
    assert mail.recipient == user.email
    path = re.search(r"https?://[^/]+(/auth/reset/\S+)", mail.text)[1]
    assert client.get(path).status_code == 200
    assert "Bonjour" in mail.text


def test_the_question_of_a_double_opt_in_arrives_in_the_customers_language(server, unit, api, customer_factory, work):
    with unit() as uow:
        purpose = uow.session.scalars(sa.select(Purpose).where(Purpose.code == "marketing")).one()
        purpose.double_opt_in, purpose.statement, purpose.statement_version = True, "Une lettre par mois.", "2"
    point = {"channel": "email", "value": "zoe@example.test"}
    zoe = customer_factory(kind="person", given_name="Zoé", family_name="Bon", language="fr", contact_points=[point])
    api("representative").post(f"/api/customers/{zoe.uid}/consent-requests", {"purpose": "marketing"})

    work()

    [mail] = server.mails
    assert mail.recipient == "zoe@example.test"
    assert "confirmer" in mail.message["Subject"]
    assert "Une lettre par mois." in mail.text


def test_a_digest_of_notifications_arrives_in_the_users_language(server, told, unit, work):
    user = told(language="fr")
    with unit() as uow:
        plan_digests(uow, {})

    work()

    [mail] = server.mails
    assert mail.recipient == user.email
    assert "Boss vous a confié" in mail.text


def test_a_mail_that_was_not_taken_for_now_is_sent_later_and_once(server, unit, work, jobs):
    with unit() as uow:
        invite(uow, email="zoe@example.test", role="reader", language="en")
    server.answers["RCPT"] = ["450 4.2.0 Greylisted"]

    work()
    assert server.mails == []
    [(state, failures, error)] = jobs("kernel.mail_invitation")
    assert (state, failures) == (JobState.READY, 1)
    assert "450 4.2.0 Greylisted" in error

    work(hours=1)
    work(hours=2)

    assert len(server.mails) == 1
    assert jobs("kernel.mail_invitation")[0][0] is JobState.DONE


def test_a_mail_that_is_sent_again_after_a_crash_is_the_same_mail(server, unit, work):
    with unit() as uow:
        invite(uow, email="zoe@example.test", role="reader", language="en")
    work()
    with unit() as uow:
        uow.session.execute(sa.update(JobRow).values(state=JobState.READY))

    work()

    first, again = [mail.message["Message-ID"] for mail in server.mails]
    assert first == again


def test_a_mail_that_is_refused_for_good_is_a_dead_letter_and_stands_in_the_users_history(
    server, login, client, unit, work, jobs
):
    user = login("representative").user
    server.answers["RCPT"] = [f"550 5.1.1 <{user.email}>: no such mailbox"]
    client.post("/auth/reset", data={"email": user.email})

    work()
    work(hours=2)

    [(state, _failures, error)] = jobs("kernel.mail_reset")
    assert state is JobState.DEAD
    assert "550 5.1.1 <…>: no such mailbox" in error
    assert user.email not in error
    assert server.mails == []
    with unit() as uow:
        noted = uow.session.scalars(sa.select(AuditLog).where(AuditLog.action == "mail_refused")).all()
        assert [(row.record_type, row.record_uid) for row in noted] == [("user", user.uid)]


def test_the_history_of_a_user_shows_that_a_mail_was_refused(server, login, client, work):
    user = login("representative").user
    server.answers["RCPT"] = ["550 5.1.1 No such mailbox"]
    client.post("/auth/reset", data={"email": user.email})

    work()

    assert "Mail refused" in login("administrator").get(f"/audit?record_type=user&record={user.uid}").text


def test_no_transaction_is_open_while_the_server_is_talked_to(server, told, unit, crm_app, work, monkeypatch):
    from flask import g

    from crm_kernel.mail import smtp

    told()
    with unit() as uow:
        plan_digests(uow, {})
    deliver, open_then = smtp._hand_over, []
    monkeypatch.setattr(smtp, "_hand_over", lambda *args: open_then.append("crm_uow" in g) or deliver(*args))

    work()

    assert open_then == [False]


@pytest.fixture
def long_pause(monkeypatch):
    """Let no new five minutes begin during a test."""
    monkeypatch.setattr(reset, "_PAUSE_SECONDS", 10**9)


@pytest.mark.usefixtures("long_pause")
def test_asking_for_a_link_costs_the_same_whoever_has_the_address(server, login, client, count_queries, jobs, work):
    user = login("representative").user
    client.post("/auth/reset", data={"email": "warm@up.test"}, follow_redirects=True)
    found = []
    for address in (user.email, "nobody@example.test", user.email, "nobody@example.test"):
        with count_queries() as queries:
            answer = client.post("/auth/reset", data={"email": address})
        shown = client.get(answer.location).text
        page = re.sub(r'(name="csrf[-_]token" (?:content|value)=)"[^"]+"', r"\1", shown)
        said = (answer.status_code, answer.location, answer.text, page)
        found.append((said, [statement.split()[0] for statement in queries.statements]))

    assert found[0] == found[1]
    assert found[2] == found[3]
    assert found[0][0][:2] == (303, "/auth/reset")
    assert "a link is on its way" in found[0][0][3]
    work()
    assert [mail.recipient for mail in server.mails] == [user.email]
    assert {state for state, _failures, _error in jobs("kernel.mail_reset")} == {JobState.DONE}


@pytest.mark.usefixtures("long_pause")
def test_a_link_for_a_new_password_is_mailed_once_in_five_minutes(server, login, client, work):
    user = login("representative").user

    for _time in range(3):
        client.post("/auth/reset", data={"email": user.email})
    work()

    assert len(server.mails) == 1


def test_a_link_leads_to_the_configured_host_whatever_the_request_says(server, login, client, work, crm_app):
    user = login("representative").user

    client.post("/auth/reset", data={"email": user.email}, headers={"Host": "evil.test"})
    work()

    assert "evil" not in server.mails[0].text


def test_a_server_that_is_down_is_no_error_of_the_page(use_server, login, client, work, jobs):
    from crm_kernel.testing.mail_server import mail_server

    with mail_server() as gone:
        use_server(gone)
    user = login("representative").user

    answer = client.post("/auth/reset", data={"email": user.email})
    work()

    assert answer.status_code == 303
    assert jobs("kernel.mail_reset")[0][:2] == (JobState.READY, 1)


def test_who_may_not_log_in_any_more_gets_no_link(server, login, client, unit, work):
    user = login("representative").user
    client.post("/auth/reset", data={"email": user.email})
    with unit() as uow:
        uow.session.get(AppUser, user.id).active = False

    work()

    assert server.mails == []


def test_what_is_no_address_is_said_to_be_none(server, client, jobs):
    answer = client.post("/auth/reset", data={"email": "zoe@"})

    assert answer.status_code == 422
    assert "There must be something after the @-sign." in answer.text
    assert "a link is on its way" not in answer.text
    assert jobs("kernel.mail_reset") == []


def test_loading_the_page_anew_asks_for_no_second_link(server, login, client, jobs):
    user = login("representative").user

    page = client.get(client.post("/auth/reset", data={"email": user.email}).location)
    again = client.get("/auth/reset")

    assert ("a link is on its way" in page.text, "a link is on its way" in again.text) == (True, False)
    assert len(jobs("kernel.mail_reset")) == 1


def test_users_whose_mail_is_dead_keep_none_of_the_others_waiting(server, told, unit, monkeypatch, work):
    from crm_kernel.collaboration.notifications import digests

    users = [told(name=f"Reader {number}") for number in range(3)]
    monkeypatch.setattr(digests, "_USERS", 2)
    with unit() as uow:
        plan_digests(uow, {})
        uow.session.execute(sa.update(JobRow).where(JobRow.name == digests.MAIL).values(state=JobState.DEAD))

    with unit() as uow:
        plan_digests(uow, {})
        again = uow.session.scalars(
            sa.select(JobRow).where(JobRow.name == digests.MAIL, JobRow.state == JobState.READY)
        )
        assert [row.payload["user"] for row in again] == [str(users[2].uid)]
    work()

    assert [mail.recipient for mail in server.mails] == [users[2].email]


def test_without_a_server_nothing_is_stored_for_whoever_asks(crm_app, client, login, jobs, unit):
    user = login("representative").user

    page = client.post("/auth/reset", data={"email": user.email})

    assert "crm users reset-link" in page.text
    assert jobs("kernel.mail_reset") == []
    with unit() as uow:
        assert uow.session.scalars(sa.select(Notification)).all() == []
