"""Nobody is shut out by what is done to a provider or a link, and nobody acts by a provider on who may do more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from crm_kernel.access.acting import actor_for
from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.access.explain import explain
from crm_kernel.access.factors.services import remove_passkey, reset_second_factor
from crm_kernel.access.models import AppUser, WebAuthnCredential
from crm_kernel.access.oidc.models import IdentityProvider, UserIdentity
from crm_kernel.access.oidc.people import link, unlink
from crm_kernel.access.oidc.providers import (
    client_of,
    create_provider,
    delete_provider,
    provider_named,
    set_secret,
    update_provider,
)
from crm_kernel.access.services import (
    assign_role,
    create_role,
    create_user,
    deactivate_user,
    grant,
    role_named,
    set_password,
)
from crm_kernel.database import db
from crm_kernel.errors import Conflict, Forbidden

PASSWORD = "violet harbour pencil"
ISSUER = "https://login.example.com"

#: What ends, or might end, that people log in by a provider.
ENDS = {
    "disable": lambda uow, provider: update_provider(uow, provider, {"enabled": False}),
    "delete": delete_provider,
    "issuer": lambda uow, provider: update_provider(uow, provider, {"issuer": "https://new.example.com"}),
}
CHANGES = {
    **ENDS,
    "client id": lambda uow, provider: update_provider(uow, provider, {"client_id": "other"}),
    "scopes": lambda uow, provider: update_provider(uow, provider, {"scopes": "openid"}),
    "secret": lambda uow, provider: set_secret(uow, provider, "other"),
}


def _provider(uow, name="Staff", issuer=ISSUER, **settings):
    return create_provider(
        uow, {"name": name, "issuer": issuer, "client_id": "crm", "scopes": "openid email", **settings}
    )


def _linked(uow, name, *roles, provider="Staff"):
    user = create_user(uow, email=f"{name.lower()}@crm.test", name=name, roles=roles)
    link(uow, user, provider_named(uow, provider), name)
    return user


def _link_of(uow, subject):
    return uow.session.scalar(sa.select(UserIdentity.uid).where(UserIdentity.subject == subject))


def _everything(app):
    tables = (IdentityProvider.__table__, UserIdentity.__table__)
    with app.app_context(), db.engine.connect() as connection:
        return [connection.execute(sa.select(table).order_by(table.c.id)).all() for table in tables]


@pytest.fixture
def staff(unit) -> SimpleNamespace:
    """A provider by which the only administrator, Ada, and Rita log in; an administrator with a password; a helper."""
    with unit() as uow:
        _provider(uow)
        ada, rita = _linked(uow, "Ada", "administrator"), _linked(uow, "Rita", "representative")
        boss = create_user(uow, email="boss@crm.test", name="Boss", roles=["administrator"])
        role = create_role(uow, name="Providers")
        grant(uow, role, "identity_provider.*", Scope.ALL)
        helper = create_user(uow, email="helper@crm.test", name="Helper", roles=["Providers"])
        return SimpleNamespace(ada=ada.id, rita=rita.id, boss=boss.id, helper=helper.id)


def _acting(unit, user_id: int) -> Actor:
    with unit() as uow:
        return actor_for(uow, uow.session.get_one(AppUser, user_id))


def _give_password(unit, *users):
    with unit() as uow:
        for user in users:
            set_password(uow, uow.session.get_one(AppUser, user), PASSWORD)


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_nobody_changes_the_log_in_of_somebody_who_may_do_more(crm_app, unit, staff, change):
    _give_password(unit, staff.ada, staff.rita)
    helper, before = _acting(unit, staff.helper), _everything(crm_app)

    with pytest.raises(Forbidden), unit(helper) as uow:
        change(uow, provider_named(uow, "Staff"))

    assert _everything(crm_app) == before


@pytest.mark.parametrize(("verb", "allowed"), [("delete", False), ("set_secret", False), ("read", True)])
def test_what_the_services_refuse_is_explained(unit, staff, verb, allowed):
    with unit() as uow:
        helper, provider = uow.session.get_one(AppUser, staff.helper), provider_named(uow, "Staff")

        assert explain(uow, helper, f"identity_provider.{verb}", provider.uid).allowed is allowed


def test_a_helper_changes_the_log_in_of_those_who_may_do_no_more(unit, staff):
    with unit() as uow:
        create_user(uow, email="x@crm.test", name="X", password=PASSWORD)
        user = uow.session.scalars(sa.select(AppUser).where(AppUser.name == "X")).one()
        link(uow, user, _provider(uow, "Guests", "https://guests.example.com"), "x")

    with unit(_acting(unit, staff.helper)) as uow:
        delete_provider(uow, provider_named(uow, "Guests"))

        assert uow.session.scalars(sa.select(UserIdentity.subject).order_by(UserIdentity.id)).all() == ["Ada", "Rita"]


@pytest.mark.parametrize("end", ENDS.values(), ids=list(ENDS))
def test_a_provider_by_which_alone_somebody_logs_in_stays(crm_app, unit, staff, end):
    _give_password(unit, staff.ada, staff.boss)
    boss, before = _acting(unit, staff.boss), _everything(crm_app)

    with pytest.raises(Conflict, match=r"could not log in any more: 1 \(Rita\)"), unit(boss) as uow:
        end(uow, provider_named(uow, "Staff"))

    assert _everything(crm_app) == before


@pytest.mark.parametrize("end", ["delete", "issuer"])
def test_a_provider_that_is_switched_off_shuts_nobody_out(crm_app, unit, staff, end):
    _give_password(unit, staff.ada, staff.boss)
    with unit(SYSTEM) as uow:
        update_provider(uow, provider_named(uow, "Staff"), {"enabled": False})
    before = _everything(crm_app)

    with unit(_acting(unit, staff.boss)) as uow:
        ENDS[end](uow, provider_named(uow, "Staff"))

    assert _everything(crm_app) != before


@pytest.mark.parametrize("end", ENDS.values(), ids=list(ENDS))
def test_the_system_shuts_out_users_and_never_all_administrators(crm_app, unit, staff, end):
    before = _everything(crm_app)
    with pytest.raises(Conflict, match=r"\(Ada\)"), unit(SYSTEM) as uow:
        end(uow, provider_named(uow, "Staff"))
    assert _everything(crm_app) == before

    _give_password(unit, staff.boss)
    with unit(SYSTEM) as uow:
        end(uow, provider_named(uow, "Staff"))


@pytest.mark.parametrize("change", ["client id", "scopes", "secret"])
def test_a_secret_is_renewed_where_all_log_in_by_the_provider_alone(unit, staff, change):
    with unit(_acting(unit, staff.ada)) as uow:
        provider = provider_named(uow, "Staff")
        CHANGES[change](uow, provider)

        assert "other" in (provider.client_id, client_of(provider).client_secret) or provider.scopes == "openid"


def test_of_many_who_would_be_shut_out_a_few_are_named(unit, staff, count_queries):
    _give_password(unit, staff.ada, staff.rita)
    with unit() as uow:
        for number in range(30):
            _linked(uow, f"User {number:02}".replace(" ", ""), "representative")
        inactive = _linked(uow, "Aaron")
        deactivate_user(uow, inactive)
    ada = _acting(unit, staff.ada)

    with count_queries() as found, pytest.raises(Conflict) as refused, unit(ada) as uow:
        delete_provider(uow, provider_named(uow, "Staff"))

    assert "30 (User00, User01, User02, User03, User04, …)" in str(refused.value)
    found.at_most(10)


def test_whether_many_may_do_more_is_asked_once_per_team_and_roles(unit, staff, count_queries):
    with unit() as uow:
        _provider(uow, "Guests", "https://guests.example.com")
        for number in range(30):
            _linked(uow, f"Guest{number}", "representative" if number % 2 else "Providers", provider="Guests")
        assign_role(uow, uow.session.get_one(AppUser, staff.helper), role_named(uow, "representative"))
    helper = _acting(unit, staff.helper)

    with count_queries() as found, pytest.raises(Forbidden, match="Guest"), unit(helper) as uow:
        set_secret(uow, provider_named(uow, "Guests"), "other")

    found.at_most(10)


def test_who_is_unlinked_by_a_deletion_is_noted(unit, staff, audited):
    _give_password(unit, staff.ada, staff.rita)

    with unit(_acting(unit, staff.ada)) as uow:
        delete_provider(uow, provider_named(uow, "Staff"))

    noted = [values for action, values in audited() if action == "identity_unlinked"]
    assert noted == [{"provider": "Staff", "subject": "Ada"}, {"provider": "Staff", "subject": "Rita"}]


def test_links_of_another_provider_count_while_it_is_switched_on_and_has_its_issuer(unit, staff):
    _give_password(unit, staff.ada)
    with unit() as uow:
        other = _provider(uow, "Other", "https://other.example.com")
        link(uow, uow.session.get_one(AppUser, staff.rita), other, "rita")
    ada = _acting(unit, staff.ada)

    for change in ({"enabled": False}, {"issuer": "https://else.example.com"}):
        with unit() as uow:
            update_provider(uow, provider_named(uow, "Other"), change)
        with pytest.raises(Conflict), unit(ada) as uow:
            delete_provider(uow, provider_named(uow, "Staff"))
        with pytest.raises(Conflict), unit() as uow:
            unlink(uow, uow.session.get_one(AppUser, staff.rita), _link_of(uow, "Rita"))
        with unit() as uow:
            update_provider(uow, provider_named(uow, "Other"), {"enabled": True, "issuer": "https://other.example.com"})

    with unit(ada) as uow:
        delete_provider(uow, provider_named(uow, "Staff"))


def test_the_last_passkey_stays_where_there_is_no_other_way_in(unit):
    with unit() as uow:
        user = create_user(uow, email="u@crm.test", name="U")
        for name in (b"one", b"two"):
            uow.session.add(
                WebAuthnCredential(user_id=user.id, credential_id=name, public_key=b"k", synced=False, name="Key")
            )
        uow.session.flush()
        first, second = uow.session.scalars(sa.select(WebAuthnCredential.uid).order_by(WebAuthnCredential.id))

        with pytest.raises(Conflict, match="U could not log in any more: set a password first"):
            reset_second_factor(uow, user)
        remove_passkey(uow, user, first)
        with pytest.raises(Conflict, match="could not log in any more"):
            remove_passkey(uow, user, second)
        set_password(uow, user, PASSWORD)
        remove_passkey(uow, user, second)


def test_a_second_provider_of_an_issuer_in_use_is_for_who_may_do_everything(unit, staff):
    helper = _acting(unit, staff.helper)

    with unit(helper) as uow:
        _provider(uow, "New", "https://new.example.com")
    for issuer in (ISSUER, "https://new.example.com"):
        with pytest.raises(Forbidden, match="Only who may"), unit(helper) as uow:
            _provider(uow, "Twin", issuer)
    with unit(_acting(unit, staff.ada)) as uow:
        _provider(uow, "Twin")


@pytest.mark.crm_databases("postgresql")
def test_of_two_ways_in_that_go_at_once_one_stays(crm_app, unit):
    with unit() as uow:
        user = create_user(uow, email="u@crm.test", name="U")
        providers = [_provider(uow, name, f"https://{name}.example.com") for name in ("one", "two")]
        uids = [link(uow, user, provider, "u").uid for provider in providers]
        key, done = user.id, Event()

    def go_too() -> str:
        try:
            with unit() as uow:
                unlink(uow, uow.session.get_one(AppUser, key), uids[1])
        except Conflict as error:
            return str(error)
        finally:
            done.set()
        return "gone"

    with ThreadPoolExecutor(1) as pool, unit() as uow:
        update_provider(uow, provider_named(uow, "one"), {"enabled": False})
        other = pool.submit(go_too)
        while not done.wait(0.02) and not _waits(crm_app):
            pass

    assert "could not log in any more" in other.result()


def _waits(app) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with app.app_context(), db.engine.connect() as connection:
        return bool(connection.scalar(sa.text(waiting)))
