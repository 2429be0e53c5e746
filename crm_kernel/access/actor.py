"""Who acts: what an edge learns once per request and every service and policy reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from uuid import UUID


class Scope(IntEnum):
    """How far a permission reaches over owned records; a larger scope contains the smaller ones."""

    OWN = 1
    TEAM = 2
    ALL = 3


class Grants(dict[str, Scope]):
    """The grants of a user, pattern → scope, that remember what they answered: one page asks some forty times.

    Shared by all requests of the user until anybody's access changes; permissions are names of code, so few.
    """

    def __init__(self, grants: Mapping[str, Scope]) -> None:
        super().__init__(grants)
        self._answers: dict[str, Scope | None] = {}

    def widest(self, permission: str) -> Scope | None:
        """Return the widest scope among the grants that cover a permission, or None."""
        if permission not in self._answers:
            self._answers[permission] = widest(self, permission)
        return self._answers[permission]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A user, an API token acting for a user, the system itself, or nobody.

    ``grants`` maps permission → scope; ``*`` and ``sfa.*`` match by prefix at dots.
    """

    kind: str
    name: str
    user_id: int | None = None
    user_uid: UUID | None = None
    token_id: int | None = None
    team_ids: tuple[int, ...] = ()
    grants: Mapping[str, Scope] = field(default_factory=dict)
    #: Record type → field → ``hidden`` or ``read``, where the roles narrow single fields (``access.field_access``).
    field_rules: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: A token's own limits: it may do what its user may AND these say. None: no limit.
    token_scopes: tuple[str, ...] | None = None
    language: str = "en"
    timezone: str = "UTC"
    #: In which order pages show him the names of people; None for the instance's.
    name_order: str | None = None

    def scope_of(self, permission: str) -> Scope | None:
        """Return how far the actor's grant for a permission reaches, or None without a grant."""
        if self.token_scopes is not None and not any(matches(pattern, permission) for pattern in self.token_scopes):
            return None
        if isinstance(self.grants, Grants):
            return self.grants.widest(permission)
        return widest(self.grants, permission)

    def may(self, permission: str) -> bool:
        """Say whether the actor holds the permission at any scope; for menus and buttons, not for decisions on rows."""
        if permission == "public":
            return True
        if permission == "authenticated":
            return self.kind in ("user", "token", "system")
        return self.scope_of(permission) is not None


def widest(grants: Mapping[str, Scope], permission: str) -> Scope | None:
    """Return the widest scope among the grants that cover a permission, or None."""
    return max((scope for pattern, scope in grants.items() if matches(pattern, permission)), default=None)


def matches(pattern: str, permission: str) -> bool:
    """Say whether a grant pattern (``*``, ``sfa.*``, ``*.read``, exact) covers a permission."""
    if pattern in ("*", permission):
        return True
    if pattern.startswith("*."):
        return permission.endswith(pattern[1:])
    return pattern.endswith(".*") and permission.startswith(pattern[:-1])


#: The system itself: jobs, migrations, the command line.
SYSTEM = Actor(kind="system", name="system", grants={"*": Scope.ALL})
#: Nobody: a request without log-in.
ANONYMOUS = Actor(kind="anonymous", name="anonymous")
