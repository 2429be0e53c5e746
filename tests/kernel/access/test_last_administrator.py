"""Two administrators who go at the same moment: one does, the other stays, on a database with several writers too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AppUser, Role, UserRole
from crm_kernel.access.services import deactivate_user, role_named, unassign_role
from crm_kernel.database import db
from crm_kernel.errors import Conflict

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def _take_role(uow, user):
    unassign_role(uow, user, role_named(uow, "administrator"))


@pytest.fixture
def administrators(person) -> tuple[int, int]:
    """The keys of the only two."""
    return (
        person("administrator", email="one@crm.test"),
        person("administrator", email="two@crm.test"),
    )


@pytest.fixture
def left(unit):
    """Count the administrators who are left."""

    def count() -> int:
        holders = sa.select(AppUser.id).join(UserRole, UserRole.user_id == AppUser.id).join(Role)
        with unit() as uow:
            return len(uow.session.scalars(holders.where(Role.name == "administrator", AppUser.active)).all())

    return count


@pytest.fixture
def waits(app):
    """Say whether a transaction waits for a lock of another."""

    def look() -> bool:
        with app.app_context(), db.engine.connect() as connection:
            return bool(connection.scalar(sa.text(_WAITING)))

    return look


@pytest.mark.crm_databases("postgresql")
@pytest.mark.parametrize("second", [deactivate_user, _take_role])
@pytest.mark.parametrize("first", [deactivate_user, _take_role])
def test_of_two_administrators_who_go_at_once_one_stays(unit, administrators, left, waits, first, second):
    done = Event()

    def go_too() -> str:
        try:
            with unit() as uow:
                second(uow, uow.session.get_one(AppUser, administrators[1]))
        except Conflict as error:
            return str(error)
        finally:
            done.set()
        return "gone"

    with ThreadPoolExecutor(1) as pool, unit() as uow:
        first(uow, uow.session.get_one(AppUser, administrators[0]))
        other = pool.submit(go_too)
        while not done.wait(0.02) and not waits():
            pass

    assert "last active administrator" in other.result()
    assert left() == 1
