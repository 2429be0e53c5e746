"""The matrix runs on all there is: the kernel, the modules that are installed, and the toys."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crm_kernel.access.models import AppUser
from tests.kernel.matrix.foreign import hang, make_all

_SITES = [str(Path(__file__).parents[2] / "fixtures" / name) for name in ("toybank", "toyrecords", "toyshop")]
#: The kernel's tests also run where no module is installed.
MODULES = (*(("sfa",) if find_spec("crm_sfa") else ()), "toybank", "toyrecords", "toyshop")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.crm_plugins(*MODULES))


@pytest.fixture(scope="session", autouse=True)
def toys_installed():
    sys.path[:0] = _SITES
    yield
    for site in _SITES:
        sys.path.remove(site)


@pytest.fixture
def world(crm_app: Any, login: Any, factories: Any, unit: Any) -> SimpleNamespace:
    """What belongs to somebody far away, what is one's own, and the browsers of each role.

    ``world.foreign`` has one object of every type, ``world.hung`` those of foreign owners that hang on one's own customer:
    ``world.near`` names the customer of each role.
    """
    far = login("manager", team="Far").user
    roles = {
        "nobody": login(grants={}),
        "own": login(grants={"*": "own"}, team="Near"),
        "team": login(grants={"*": "team"}, team="Near"),
        "reader": login("reader", team="Near"),
    }
    for client in roles.values():  # a page that asks for the password first would hide what comes after it
        with client.session_transaction() as session:
            session["fs_paa"] = time.time()
    with unit() as uow:
        foreign = make_all(uow, uow.session.get(AppUser, far.id))
    near = {role: factories.organization(display_name=f"Near {role}", **_mine(roles[role].user)) for role in roles}
    with unit() as uow:
        hung = {role: hang(uow, foreign, customer) for role, customer in near.items()}
        uow.session.expunge_all()
    return SimpleNamespace(foreign=foreign, roles=roles, near=near, hung=hung)


def _mine(user: Any) -> dict[str, str]:
    return {"owner": str(user.uid)}
