"""Invitations: sent by who may, used once, within a week, and telling nobody who is a user."""

from __future__ import annotations

import datetime as dt
import html
import re
import threading
import time

import pytest
import sqlalchemy as sa
from flask import g

from crm_kernel.access.actor import Actor, Scope
from crm_kernel.access.invitations import mails, public, services
from crm_kernel.access.invitations.models import Invitation
from crm_kernel.access.models import AppUser, AuditLog, Role, Team, UserRole
from crm_kernel.access.services import create_role, grant
from crm_kernel.database import utcnow
from crm_kernel.errors import Conflict, Forbidden, InvalidInput
from crm_kernel.jobs.models import JobRow
from crm_kernel.mail.transport import use_mail_transport
from crm_kernel.testing.people import browser

PASSWORD = "five unrelated words here"
GOOD = {"name": "Dan Dare", "password": PASSWORD, "password_confirm": PASSWORD}


@pytest.fixture
def invited(unit):
    """Invite somebody and return the path of the link: ``invited("dan@crm.test", role="manager")``."""

    def run(email="dan@crm.test", **options):
        with unit() as uow:
            row = services.invite(uow, **{"email": email, "role": "reader", "language": "en", **options})
            return path_of(services.link_of(row))

    return run


@pytest.fixture
def change(unit):
    """Change the only invitation: ``change(expires_at=…)``."""

    def run(**values):
        with unit() as uow:
            uow.session.execute(sa.update(Invitation).values(**values))

    return run


@pytest.fixture
def guest(crm_app):
    """A browser of nobody in particular."""
    return browser(crm_app)


@pytest.fixture
def sent(crm_app):
    """The mails that an instance with a transport sent: (recipient, subject, text)."""
    mails_sent = []
    use_mail_transport(crm_app, lambda mail: mails_sent.append((mail.recipient, mail.subject, mail.text)))
    yield mails_sent
    del crm_app.extensions["crm_mail_transport"]


def path_of(link):
    return "/join/" + link.rpartition("/join/")[2]


def test_who_is_invited_becomes_a_user_with_role_and_team_and_is_logged_in(invited, guest, unit):
    with unit() as uow:
        team = Team(name="North")
        uow.session.add(team)
        uow.session.flush()
        team_id = team.id
    path = invited("Dan@CRM.test ", role="manager", team_id=team_id, language="fr", name="Dan")

    form = guest.get(path)
    answer = guest.post(path, data=GOOD)

    assert "Dan@crm.test" in form.text or "dan@crm.test" in form.text
    assert 'value="Dan"' in form.text
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert guest.get("/profile").status_code == 200
    with unit() as uow:
        found = sa.select(AppUser.name, AppUser.team_id, AppUser.language, Role.name)
        found = found.join(UserRole, UserRole.user_id == AppUser.id).join(Role, Role.id == UserRole.role_id)
        row = uow.session.execute(found.where(AppUser.email == "dan@crm.test")).one()
    assert tuple(row) == ("Dan Dare", team_id, "fr", "manager")


def test_a_role_that_asks_for_a_second_factor_leads_to_setting_one_up(invited, guest, unit):
    with unit() as uow:
        uow.session.execute(sa.update(Role).where(Role.name == "reader").values(second_factor=True))
    path = invited()

    answer = guest.post(path, data=GOOD)

    assert guest.get(answer.headers["Location"]).status_code in (200, 302)
    assert guest.get("/customers").status_code != 200


def test_a_link_works_once(invited, guest, crm_app, unit):
    path = invited()
    guest.post(path, data=GOOD)

    again = browser(crm_app).post(path, data={**GOOD, "name": "Eve"})

    assert again.status_code == 410
    with unit() as uow:
        assert uow.session.scalars(sa.select(AppUser.name).where(AppUser.email == "dan@crm.test")).all() == ["Dan Dare"]


@pytest.mark.parametrize("end", ["expired", "withdrawn", "sent_again", "user", "role"])
def test_whatever_ended_an_invitation_the_page_says_the_same(invited, guest, change, unit, end):
    path = invited()
    with unit() as uow:
        row = uow.session.scalars(sa.select(Invitation)).one()
        if end == "withdrawn":
            services.withdraw(uow, row)
        elif end == "role":
            row.sending = 7
        elif end == "user":
            uow.session.add(AppUser(email="dan@crm.test", name="Dan", fs_uniquifier="x"))
    if end == "expired":
        change(expires_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    if end == "sent_again":
        change(sent_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        with unit() as uow:
            services.send_again(uow, uow.session.scalars(sa.select(Invitation)).one())

    answer = guest.post(path, data=GOOD)

    assert answer.status_code == 410
    assert "This invitation is over" in answer.text
    assert "dan@crm.test" not in answer.text


def test_a_link_that_was_not_made_here_opens_nothing(invited, guest):
    path = invited()

    for wrong in (path[:-2] + "AA", "/join/x", path + "A"):
        assert guest.get(wrong).status_code == 404, wrong
        assert guest.post(wrong, data=GOOD).status_code == 404, wrong


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": " "}, "A name is needed."),
        ({"password": "short", "password_confirm": "short"}, "at least 12 characters"),
        ({"password": "dan@crm.test", "password_confirm": "dan@crm.test"}, "must not be the e-mail address"),
        ({"password_confirm": "another one entirely"}, "The two passwords differ."),
    ],
)
def test_a_refused_form_says_why_and_the_link_stays_good(invited, guest, fields, said):
    path = invited()

    refused = guest.post(path, data={**GOOD, **fields})

    assert refused.status_code == 422
    assert said in html.unescape(refused.text)
    assert PASSWORD not in refused.text
    assert guest.post(path, data=GOOD).status_code == 303


def test_guessing_is_slowed_down(invited, guest):
    invited()

    answers = [guest.get(f"/join/{number}").status_code for number in range(35)]

    assert answers[:30] == [404] * 30
    assert answers[-1] == 429


def test_the_mail_is_written_in_the_language_of_who_is_invited(crm_app, sent, unit, login):
    actor = login("administrator", name="Ann <b>").user
    with unit(Actor(kind="user", name="Ann", user_id=actor.id, grants={"*": Scope.ALL})) as uow:
        services.invite(uow, email="dan@crm.test", role="reader", language="fr", name="Dan")
    with unit() as uow:
        payload = dict(uow.session.scalars(sa.select(JobRow.payload).where(JobRow.name == services.MAIL)).one())

    with crm_app.app_context():
        mails.mail_invitation(payload)
        mails.mail_invitation({**payload, "sending": 2})

    [(recipient, subject, text)] = sent
    assert (recipient, "compte" in subject) == ("dan@crm.test", True)
    assert "Bonjour Dan" in text
    assert "Ann <b> vous invite" in text
    assert re.search(r"/join/[\w-]{30,}", text)
    assert "dan@crm.test" not in str(payload)


def test_a_mail_for_an_invitation_that_is_over_is_not_sent(crm_app, sent, invited, unit):
    invited()
    with unit() as uow:
        row = uow.session.scalars(sa.select(Invitation)).one()
        services.withdraw(uow, row)
        payload = {"invitation": str(row.uid), "sending": 1}

    with crm_app.app_context():
        mails.mail_invitation(payload)

    assert sent == []


def test_who_invites_gives_no_more_than_he_has(unit):
    actor = Actor(kind="user", name="Rae", grants={"user.*": Scope.ALL, "*.read": Scope.ALL})

    with unit(actor) as uow:
        services.invite(uow, email="dan@crm.test", role="reader", language="en")
    with pytest.raises(Forbidden), unit(actor) as uow:
        services.invite(uow, email="eve@crm.test", role="administrator", language="en")


def test_who_sends_again_gives_no_more_than_he_has_either(unit, change, invited):
    with unit() as uow:
        team = Team(name="South")
        uow.session.add(team)
        grant(uow, create_role(uow, name="Members"), "customer.delete", Scope.TEAM)
        uow.session.flush()
        team_id = team.id
    invited(role="Members", team_id=team_id)
    change(sent_at=utcnow() - dt.timedelta(hours=1))
    grants = {"user.*": Scope.ALL, "customer.*": Scope.TEAM}

    with pytest.raises(Forbidden, match="reach of a team"), unit(Actor(kind="user", name="Rae", grants=grants)) as uow:
        services.send_again(uow, services.invitation_to(uow, "dan@crm.test"))
    with unit(Actor(kind="user", name="Rae", team_ids=(team_id,), grants=grants)) as uow:
        services.send_again(uow, services.invitation_to(uow, "dan@crm.test"))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"email": "dan"}, "email"),
        ({"language": "xx"}, "language"),
        ({"team_id": 99}, "team"),
        ({"name": "x" * 121}, "name"),
    ],
)
def test_a_wrong_invitation_is_refused_by_its_field(unit, wrong, field):
    with pytest.raises(InvalidInput) as refused, unit() as uow:
        services.invite(uow, **{"email": "dan@crm.test", "role": "reader", "language": "en", **wrong})

    assert list(refused.value.errors) == [field]


def test_an_address_is_invited_once_and_not_sent_to_at_every_click(invited, unit):
    invited()

    with pytest.raises(Conflict, match="invited already"):
        invited("DAN@crm.test")
    with pytest.raises(Conflict, match="a moment ago"), unit() as uow:
        services.send_again(uow, services.invitation_to(uow, "dan@crm.test"))


def test_two_who_invite_an_address_at_once_make_one_invitation(invited, unit):
    refused = []

    def second():
        try:
            invited("dan@crm.test")
        except Conflict as error:
            refused.append(str(error))

    other = threading.Thread(target=second)
    with unit() as uow:
        services.invite(uow, email="dan@crm.test", role="reader", language="en")
        other.start()
        time.sleep(1)  # long enough for the other one to look, and to find nobody invited
    other.join(60)

    assert len(refused) == 1
    assert "invited already" in refused[0]
    with unit() as uow:
        services.withdraw(uow, uow.session.scalars(sa.select(Invitation)).one())
    invited("dan@crm.test")


def test_a_password_is_hashed_with_no_transaction_open(invited, guest, monkeypatch):
    path, seen, real = invited(), [], public.hash_password

    def watched(password):
        seen.append("crm_uow" in g)
        return real(password)

    monkeypatch.setattr(public, "hash_password", watched)

    assert guest.post(path, data=GOOD).status_code == 303
    assert seen == [False]


def test_an_invitation_that_ends_while_the_password_is_hashed_makes_nobody(invited, guest, unit, monkeypatch):
    path = invited()

    def meanwhile(_password):
        with unit() as uow:
            services.withdraw(uow, uow.session.scalars(sa.select(Invitation)).one())
        return "hash"

    monkeypatch.setattr(public, "hash_password", meanwhile)

    assert guest.post(path, data=GOOD).status_code == 410
    with unit() as uow:
        assert uow.session.scalars(sa.select(AppUser)).all() == []


def test_administrators_invite_send_again_and_withdraw_on_a_page(admin, send, change, unit):
    answer = send(admin, "/admin/invitations", email="dan@crm.test", role="reader", language="fr")
    shown = admin.get("/admin/invitations").text
    verbs = dict(re.findall(r'action="(/admin/invitations/[^"]+/(again|withdraw))"', shown))
    assert verbs, shown
    too_soon = send(admin, next(path for path, verb in verbs.items() if verb == "again"))
    change(sent_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    again = send(admin, next(path for path, verb in verbs.items() if verb == "again"))
    gone = send(admin, next(path for path, verb in verbs.items() if verb == "withdraw"))

    assert [answer.status_code, too_soon.status_code, again.status_code, gone.status_code] == [303, 409, 303, 303]
    assert "/join/" in html.unescape(shown)  # no mail transport: the link is shown once
    assert "crm users invite dan@crm.test --again" in shown
    with unit() as uow:
        about = sa.select(AuditLog.actor, AuditLog.action).where(AuditLog.record_type == "invitation")
        rows = [tuple(row) for row in uow.session.execute(about.order_by(AuditLog.id))]
    assert rows == [("Administrator", action) for action in ("invited", "sent_again", "withdrawn")]


def test_a_refused_invitation_comes_back_with_what_was_typed(admin, send, unit):
    taken = send(admin, "/admin/invitations", email=admin.user.email, name="<Dan>", role="reader", language="en")
    nothing = send(admin, "/admin/invitations", email="dan@crm.test", role="nothing", language="en")

    assert (taken.status_code, nothing.status_code) == (422, 404)
    assert "is a user already" in taken.text
    assert 'value="&lt;Dan&gt;"' in taken.text
    assert "There is no role nothing" in nothing.text


def test_who_may_not_make_users_invites_nobody(login, send, invited, unit):
    invited()
    manager = login("manager")
    with unit() as uow:
        uid = uow.session.scalars(sa.select(Invitation.uid)).one()

    assert manager.get("/admin/invitations").status_code == 403
    assert send(manager, "/admin/invitations", email="eve@crm.test", role="administrator").status_code == 403
    assert send(manager, f"/admin/invitations/{uid}/withdraw").status_code == 403


def test_no_role_is_chosen_before_somebody_chooses_one(admin):
    page = admin.get("/admin/invitations").text

    options = re.search(r'name="role".*?</select>', page, re.S)[0]
    assert re.findall(r'<option value="([^"]*)"', options)[:2] == ["", "administrator"]
    assert " selected" not in options.replace('value="" selected', "")
