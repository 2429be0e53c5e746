"""A mail server that is away for days loses no mail, and what is of no use any more is not sent when it is back."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access import reset
from crm_kernel.access.invitations.services import invite
from crm_kernel.database import utcnow
from crm_kernel.jobs.leases import backoff
from crm_kernel.jobs.models import JobRow, JobState
from crm_kernel.jobs.runner import Runner

MAILS = ["kernel.mail_consent_request", "kernel.mail_digest", "kernel.mail_invitation", "kernel.mail_reset"]


@pytest.fixture
def work(crm_app):
    """Do what is due, as if it were some hours later: ``work(hours=1)``."""

    def run(hours=0):
        Runner(crm_app, "test", clock=lambda: utcnow() + dt.timedelta(hours=hours)).drain()

    return run


@pytest.mark.crm_databases("sqlite")
def test_every_mail_of_the_system_is_tried_for_about_three_days(crm_app):
    mails = [job for job in runtime_of(crm_app).registry.all("jobs") if job.queue == "mail"]

    assert sorted(job.name for job in mails) == MAILS
    for job in mails:
        pauses = [backoff(failures, lambda: 0.5) for failures in range(1, job.max_attempts)]
        assert dt.timedelta(days=2.8) < sum(pauses, dt.timedelta()) < dt.timedelta(days=3.2)


def test_a_mail_outlives_two_days_without_its_server(server, unit, work):
    with unit() as uow:
        invite(uow, email="zoe@example.test", role="reader", language="en")
    server.answers["RCPT"] = ["451 4.3.0 Come again"] * 100

    for hours in range(48):
        work(hours=hours)
    server.answers["RCPT"] = []
    work(hours=50)

    assert [mail.recipient for mail in server.mails] == ["zoe@example.test"]


def test_a_link_for_a_new_password_that_was_asked_for_days_ago_is_not_sent(
    server, login, client, unit, work, monkeypatch
):
    monkeypatch.setattr(reset, "_GOOD_FOR", dt.timedelta(seconds=-1))
    client.post("/auth/reset", data={"email": login("representative").user.email})

    work()

    with unit() as uow:
        states = uow.session.scalars(sa.select(JobRow.state).where(JobRow.name == "kernel.mail_reset")).all()
    assert states == [JobState.DONE]
    assert server.mails == []
