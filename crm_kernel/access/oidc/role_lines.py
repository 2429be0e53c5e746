"""The roles that log-in providers name in their settings, by name: read here, and kept while a provider names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.oidc.models import IdentityProvider
from crm_kernel.errors import Conflict

if TYPE_CHECKING:
    from crm_kernel.access.models import Role
    from crm_kernel.unit_of_work import UnitOfWork


def role_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield (value of the claim, role) of the lines ``value = role``; a value may hold the sign itself."""
    for line in text.splitlines():
        value, sign, role = line.rpartition("=")
        if sign and value.strip() and role.strip():
            yield value.strip(), role.strip()


def named_roles(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (field, role) of the roles that a provider's settings name."""
    named = [("role_map", role) for _value, role in role_lines(str(data.get("role_map", "")))]
    default = str(data.get("default_role") or "")
    return [*named, ("default_role", default)] if default else named


def refuse_named(uow: UnitOfWork, role: Role) -> None:
    """Refuse to end a role's name while a provider names it: who logs in there for the first time would fail. One query.

    Raises:
        Conflict: naming the providers.
    """
    columns = (IdentityProvider.name, IdentityProvider.role_map, IdentityProvider.default_role)
    found = map(dict, uow.session.execute(sa.select(*columns).order_by(IdentityProvider.name)).mappings())
    naming = [row["name"] for row in found if role.name in (named for _field, named in named_roles(row))]
    if naming:
        message = _("Log-in providers give the role %(role)s to new users: %(names)s. Name another one there first.")
        raise Conflict(message % {"role": role.name, "names": ", ".join(naming)})
