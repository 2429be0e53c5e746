"""Users for tests: in a role, in a team, logged in or with an API token, without the cost of a password hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from flask.testing import FlaskClient

from crm_kernel.access.actor import Scope
from crm_kernel.access.models import ApiToken, AppUser, Role, RolePermission, Team, UserRole
from crm_kernel.access.secrets import digest_of, new_secret, prefix_of
from crm_kernel.access.services.roles import role_named

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.test import TestResponse

    from crm_kernel.unit_of_work import UnitOfWork


class CrmClient(FlaskClient):
    """A browser for tests; ``user`` is who is logged in (detached from the session: read its columns)."""

    user: AppUser | None = None


class ApiClient:
    """An API client for tests: sends JSON with a bearer token, fills in ``If-Match`` when told which ETag."""

    def __init__(self, client: CrmClient, token: str, user: AppUser) -> None:
        self._client = client
        #: The bearer token, whole.
        self.token = token
        #: Whom the token acts for.
        self.user = user

    def get(self, path: str, **query: Any) -> TestResponse:
        """Send a GET; keyword arguments are the query string."""
        return self.open("GET", path, query_string=query)

    def post(self, path: str, body: Any = None, **headers: str) -> TestResponse:
        """Send a POST with a JSON body; keyword arguments are headers, ``_`` for ``-``."""
        return self.open("POST", path, json={} if body is None else body, headers=_headers(headers))

    def patch(self, path: str, changes: Any, *, etag: str | None = None, **headers: str) -> TestResponse:
        """Send a PATCH; without ``etag`` the record is read first and its current one sent."""
        return self.open(
            "PATCH", path, json=changes, headers={"If-Match": etag or self.etag(path), **_headers(headers)}
        )

    def delete(self, path: str, *, etag: str | None = None, **headers: str) -> TestResponse:
        """Send a DELETE; without ``etag`` the record is read first and its current one sent."""
        return self.open("DELETE", path, headers={"If-Match": etag or self.etag(path), **_headers(headers)})

    def etag(self, path: str) -> str:
        """Return the current ETag of a record as the header wants it, quotes included."""
        return self.get(path).headers.get("ETag", "*")

    def open(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> TestResponse:
        """Send any request with the token."""
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        return self._client.open(path, method=method, headers=sent, **options)


def add_user(
    uow: UnitOfWork,
    role: str | None = None,
    *,
    team: str | None = None,
    grants: Mapping[str, str] | None = None,
    name: str = "",
    language: str = "en",
) -> AppUser:
    """Add a user.

    Args:
        role: name of an existing role.
        team: name of a team; made if there is none.
        grants: permission or pattern → ``own``, ``team`` or ``all``, as a role of the user's own.

    Raises:
        NotFound: no such role; the text lists those there are.
    """
    key = uuid4().hex
    user = AppUser(
        email=f"{key[:12]}@crm.test",
        name=name or (role or "somebody").capitalize(),
        fs_uniquifier=key,
        language=language,
        team_id=_team_id(uow, team),
    )
    uow.session.add(user)
    uow.session.flush()
    if role is not None:
        uow.session.add(UserRole(user_id=user.id, role_id=role_named(uow, role).id))
    if grants is not None:
        uow.session.add(UserRole(user_id=user.id, role_id=_own_role_id(uow, key, grants)))
    uow.session.flush()
    return user


def add_token(uow: UnitOfWork, user: AppUser, *, scopes: list[str] | None = None) -> str:
    """Add an API token of a user and return it whole; ``scopes`` limit it to permission patterns."""
    token = new_secret()
    row = ApiToken(user_id=user.id, name="test", prefix=prefix_of(token), digest=digest_of(token), scopes=scopes)
    uow.session.add(row)
    uow.session.flush()
    return token


def browser(app: Flask, user: AppUser | None = None) -> CrmClient:
    """Return a browser, logged in as a user if one is given."""
    client = CrmClient(app, app.response_class, use_cookies=True)
    client.user = user
    if user is not None:
        with client.session_transaction() as session:
            session.update(_user_id=user.get_id(), _fresh=True, fs_cc="set", fs_paa=0)
    return client


def _headers(named: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in named.items()}


def _team_id(uow: UnitOfWork, name: str | None) -> int | None:
    if name is None:
        return None
    found = uow.session.scalars(sa.select(Team).where(Team.name == name)).one_or_none()
    if found is None:
        found = Team(name=name)
        uow.session.add(found)
        uow.session.flush()
    return found.id


def _own_role_id(uow: UnitOfWork, key: str, grants: Mapping[str, str]) -> int:
    role = Role(name=f"test-{key}")
    uow.session.add(role)
    uow.session.flush()
    for permission, scope in grants.items():
        uow.session.add(RolePermission(role_id=role.id, permission=permission, scope=int(Scope[scope.upper()])))
    return role.id
