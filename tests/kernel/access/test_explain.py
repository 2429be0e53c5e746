"""Why a user may or may not do something: the policy's verdict with every rule it follows from, for CLI and API alike."""

from __future__ import annotations

import uuid
from dataclasses import replace
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM, Scope
from crm_kernel.access.explain import explain
from crm_kernel.access.models import AppUser, UserSession
from crm_kernel.access.policy import allowed, visible
from crm_kernel.access.services import (
    create_role,
    create_team,
    create_token,
    deactivate_user,
    grant,
    role_named,
    update_role,
    user_by_email,
)
from crm_kernel.errors import InvalidInput, NotFound
from crm_kernel.plugin import Plugin, hookimpl


class Vault(Plugin):
    """A plugin with a policy of its own, which a test gives it."""

    name = "vault"

    def __init__(self, authorize, visibility):
        self.authorize, self.visibility = authorize, visibility

    @hookimpl
    def crm_authorize(self, actor, permission, subject):
        return self.authorize(actor)

    @hookimpl
    def crm_visibility(self, actor, record_type):
        return self.visibility(actor, record_type.model)


@pytest.fixture
def vault(app):
    """Load the plugin for one test: ``vault(authorize=…, visibility=…)``."""
    manager = app.extensions["crm"].manager

    def load(*, authorize=lambda actor: None, visibility=lambda actor, model: None):
        manager.register("vault", Vault(authorize, visibility))

    yield load
    manager.unregister("vault", "the test is over")
    del manager.failed["vault"]


@pytest.fixture
def office(unit, person, app):
    """Two teams, a user who reaches his team's notes, and a note of each team."""
    note = app.extensions["crm"].registry.get("record_types", "note")
    with unit() as uow:
        north, south = create_team(uow, name="North").id, create_team(uow, name="South").id
        role = create_role(uow, name="teams")
        grant(uow, role, "note.read", Scope.TEAM)
        grant(uow, role, "note.update", Scope.OWN)
    rita = person("teams", email="rita@crm.test", team_id=north)
    otto = person("teams", email="otto@crm.test", team_id=south)
    with unit() as uow:
        notes = {"mine": note.model(text="a", owner_id=rita, team_id=north)}
        notes["otto"] = note.model(text="b", owner_id=otto, team_id=south)
        notes["north"] = note.model(text="c", team_id=north)
        uow.session.add_all(notes.values())
        uow.session.flush()
        found = {name: row.uid for name, row in notes.items()}
    return SimpleNamespace(type=note, rita=rita, **found)


@pytest.fixture
def why(unit):
    """Explain something about Rita: ``why("note.read", uid)``."""

    def explained(permission, record=None, *, email="rita@crm.test", **options):
        with unit() as uow:
            return explain(uow, user_by_email(uow, email), permission, record, **options)

    return explained


def steps(found, rule):
    return [(step.source, step.answer, step.text) for step in found.steps if step.rule == rule]


def test_a_grant_names_the_role_the_pattern_and_its_reach(office, why):
    found = why("note.read")

    assert found.allowed
    assert steps(found, "grant") == [("teams", True, "Grants note.read (Records of the team).")]
    assert steps(found, "verdict") == [("kernel", True, "Grants it.")]


def test_without_a_grant_the_roles_are_named(office, why):
    found = why("note.delete")

    assert not found.allowed
    assert steps(found, "grant") == [("teams", False, "None of the roles grants it.")]


def test_a_permission_that_no_module_declares_is_named(office, why):
    found = why("moon.land")

    assert not found.allowed
    assert steps(found, "permission") == [("moon.land", None, "No loaded module declares this permission.")]


def test_a_record_of_another_team_is_hidden_by_the_reach(office, why):
    found = why("note.read", office.otto)

    assert not found.allowed
    text = "The owner is otto, the team South. Reach: Records of the team. The user’s teams: North."
    assert steps(found, "reach") == [("team", False, text)]
    assert steps(found, "visibility") == [("roles", False, "Hides the record.")]


def test_a_record_that_is_seen_may_still_not_be_changed(office, why):
    assert why("note.read", office.north).allowed
    found = why("note.update", office.north)

    assert not found.allowed
    assert steps(found, "visibility") == [("roles", True, "Shows the record.")]
    assert steps(found, "reach")[0][:2] == ("own", False)
    assert steps(found, "verdict") == [("kernel", None, "Has no say.")]


@pytest.fixture
def strict(office, unit):
    """The role of Rita asks for a second factor; she has none."""
    with unit() as uow:
        update_role(uow, role_named(uow, "teams"), {"second_factor": True})
        return create_token(uow, user_by_email(uow, "rita@crm.test"), name="script").token.prefix


def test_who_lacks_the_second_factor_that_a_role_asks_for_is_allowed_nothing(app, strict, why, unit):
    found = why("note.read")

    assert not found.allowed
    text = "A role asks for a second factor and there is none: only the page that sets one up can be reached."
    assert steps(found, "second_factor") == [("none", False, text)]
    assert why("public").allowed
    assert why("note.read", token=strict).allowed
    with unit() as uow:
        user_by_email(uow, "rita@crm.test").tf_primary_method = "totp"
    assert why("note.read").allowed
    assert steps(why("note.read"), "second_factor")[0][:2] == ("totp", True)


def test_a_session_whose_provider_asked_for_a_second_factor_is_enough(strict, office, why, unit):
    with unit() as uow:
        user = user_by_email(uow, "rita@crm.test")
        uow.session.add(UserSession(user_id=user.id, digest="d", identity=user.get_id(), method="oidc+mfa"))

    assert why("note.read").allowed


def test_a_lock_is_named_and_takes_nothing_from_a_session(office, why, unit):
    with unit() as uow:
        user_by_email(uow, "rita@crm.test").locked_until = uow.now.replace(year=2100)

    found = why("note.read")

    assert found.allowed
    assert [(source, answer) for source, answer, _text in steps(found, "locked")] == [("rita@crm.test", None)]
    assert "no log-in until then" in steps(found, "locked")[0][2]
    with unit() as uow:
        user_by_email(uow, "rita@crm.test").locked_until = uow.now.replace(year=2020)
    assert steps(why("note.read"), "locked") == []


def test_a_plugins_verdict_is_named(office, why, vault):
    vault(authorize=lambda actor: False)

    found = why("note.read")

    assert not found.allowed
    assert steps(found, "verdict") == [("kernel", True, "Grants it."), ("vault", False, "Denies it.")]


def test_a_plugin_that_hides_a_record_is_named(office, why, vault):
    vault(visibility=lambda actor, model: model.text == "z" if actor.user_id == office.rita else None)

    found = why("note.read", office.mine)

    assert not found.allowed
    assert steps(found, "visibility") == [("roles", True, "Shows the record."), ("vault", False, "Hides the record.")]


def test_a_rule_that_fails_denies_and_is_named(office, why, vault):
    def fail(actor, model=None):
        if actor.user_id == office.rita:
            raise RuntimeError("no vault today")

    vault(authorize=fail, visibility=fail)

    found = why("note.read", office.mine)

    assert not found.allowed
    failed = ("vault", False, "Failed, which denies: RuntimeError: no vault today")
    assert failed in steps(found, "verdict")
    assert failed in steps(found, "visibility")


def test_a_limit_that_fails_denies_and_is_named(app, office, why, monkeypatch):
    registry, limited = type(app.extensions["crm"].registry), replace(office.type, limit=lambda *_given: {}["today"])
    get = registry.get
    monkeypatch.setattr(registry, "get", lambda *given: limited if given[2] == "note" else get(*given))

    found = why("note.update", office.mine)

    assert not found.allowed
    assert steps(found, "limit") == [("note", False, "Failed, which denies: KeyError: 'today'")]


def test_a_deactivated_user_may_nothing(office, why, unit):
    with unit() as uow:
        deactivate_user(uow, user_by_email(uow, "rita@crm.test"))

    found = why("note.read")

    assert not found.allowed
    assert steps(found, "user")[0][1:] == (False, "The user is deactivated: nothing is allowed.")


@pytest.mark.parametrize(("scopes", "holds"), [(["note.read"], True), (["role.*"], False), (None, True)])
def test_a_tokens_limits_have_their_say(office, why, unit, scopes, holds):
    with unit() as uow:
        made = create_token(uow, uow.session.get(AppUser, office.rita), name="script", scopes=scopes)
        prefix = made.token.prefix

    found = why("note.read", token=prefix)

    assert (found.allowed, steps(found, "token")[0][:2]) == (holds, (prefix, holds))


def test_what_cannot_be_explained_is_refused(office, why):
    with pytest.raises(NotFound, match="or you do not see it"):
        why("note.read", uuid.uuid4())
    with pytest.raises(InvalidInput, match="leave the record out"):
        why("authenticated", office.otto)
    with pytest.raises(NotFound, match="no API token"):
        why("note.read", token="missing")


def test_the_verdict_is_the_policys_for_every_user_permission_and_record(office, why, unit, actor_of):
    with unit() as uow:
        uids = list(uow.session.scalars(sa.select(office.type.model.uid)))
    actor = actor_of(office.rita)
    for permission in ("note.read", "note.update", "note.delete"):
        for uid in uids:
            with unit(SYSTEM) as uow:
                row = uow.session.scalars(sa.select(office.type.model).where(office.type.model.uid == uid)).one()
                seen = uow.session.scalar(
                    sa.select(office.type.model.id).where(office.type.model.id == row.id, visible(actor, office.type))
                )
                expected = seen is not None and allowed(actor, permission, row)

            assert why(permission, uid).allowed is expected, (permission, uid)


@pytest.fixture
def ask(app):
    """Ask the API: ``ask(token, permission="note.read")``."""

    def get(token, **arguments):
        headers = {"Authorization": f"Bearer {token}"}
        return app.test_client().get("/api/access/explain", query_string=arguments, headers=headers)

    return get


def test_the_api_explains_ones_own_access(ask, rep):
    answer = ask(rep.token, permission="note.update")

    assert (answer.status_code, answer.json["user"], answer.json["allowed"]) == (200, rep.email, True)
    assert [step["rule"] for step in answer.json["steps"]] == ["user", "token", "grant", "verdict"]


def test_the_api_does_not_explain_others_to_those_who_are_no_administrators(ask, rep, person, unit):
    other = person("reader")
    with unit() as uow:
        uid = str(uow.session.get(AppUser, other).uid)

    assert ask(rep.token, permission="note.read", user=uid).status_code == 403
    assert ask(rep.token, permission="note.read", user=str(uuid.uuid4())).status_code == 403


def test_the_api_explains_others_to_administrators(ask, rep, person, unit):
    admin = person("administrator")
    with unit() as uow:
        token = create_token(uow, uow.session.get(AppUser, admin), name="script").secret

    assert ask(token, permission="note.delete", user=str(rep.uid)).json["user"] == rep.email
    assert ask(token, permission="note.delete", user=str(uuid.uuid4())).status_code == 404


def test_the_api_tells_nothing_of_a_record_that_one_does_not_see(ask, rep, office):
    hidden, missing = ask(rep.token, permission="note.update", record=str(office.otto)), uuid.uuid4()
    unknown = ask(rep.token, permission="note.update", record=str(missing))

    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json["detail"].replace(str(office.otto), "") == unknown.json["detail"].replace(str(missing), "")


@pytest.mark.parametrize(
    "arguments", [{}, {"permission": ""}, {"permission": "a", "record": "x"}, {"permission": "a", "b": "c"}]
)
def test_the_api_refuses_what_it_does_not_understand(ask, rep, arguments):
    assert ask(rep.token, **arguments).status_code == 422
