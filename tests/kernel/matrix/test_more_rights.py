"""Whoever may do everything with users does nothing to one who may do more: each action of users, from its declaration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from crm_kernel.access.models import AppUser
from tests.kernel.matrix.asking import digest, types_of

#: What actions and changes of users are sent, by field.
SENT = {"role": "reader", "password": "violet harbour pencil", "email": "mine@crm.test", "name": "Mine"}
#: Refused by the policy, or before it because the record is in no state for the action.
REFUSED = {403, 409}


@pytest.fixture
def above(login: Any, unit: Any) -> SimpleNamespace:
    """Administrators, one of them deactivated, and somebody who may do everything with users and nothing else."""
    users = {name: login("administrator").user for name in ("active", "inactive", "another")}
    with unit() as uow:
        uow.session.get_one(AppUser, users["inactive"].id).active = False
        uow.session.get_one(AppUser, users["active"].id).tf_primary_method = "totp"
    uids = {name: user.uid for name, user in users.items()}
    return SimpleNamespace(uids=uids, helper=login(grants={"user.*": "all"}))


@pytest.mark.crm_databases("sqlite")
def test_every_action_on_somebody_with_more_rights_is_refused(crm_app: Any, above: SimpleNamespace) -> None:
    user = next(found for found in types_of(crm_app) if found.name == "user")
    before, answers = digest(crm_app), {}

    for action in user.actions:
        asked = action.schema().fields if action.schema else ()
        body = {name: SENT[name] for name in asked}
        for name in ("active", "inactive"):
            path = f"/api/users/{above.uids[name]}"
            etag = {"If-Match": above.helper.get(path).headers["ETag"]}
            answer = above.helper.post(f"{path}/{action.name}", json=body, headers=etag)
            answers.setdefault(action.name, set()).add(answer.status_code)

    assert {name: found for name, found in answers.items() if 403 not in found or found - REFUSED} == {}
    assert digest(crm_app) == before


@pytest.mark.crm_databases("sqlite")
@pytest.mark.parametrize("field", ["email", "name"])
def test_no_field_of_somebody_with_more_rights_is_changed(crm_app: Any, above: SimpleNamespace, field: str) -> None:
    path, before = f"/api/users/{above.uids['active']}", digest(crm_app)
    etag = {"If-Match": above.helper.get(path).headers["ETag"]}

    answer = above.helper.patch(path, json={field: SENT[field]}, headers=etag)

    assert answer.status_code == 403
    assert digest(crm_app) == before
