"""Finds whom a text mentions: an ``@`` followed by the name or the e-mail address of an active user.

The longest name wins (``@Ada Lovelace`` before ``@Ada``). Two users of one name are told apart by their addresses. Only
users whom the writer may see can be mentioned: for others the text is just text, so that nobody finds out who exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from crm_kernel.access.models import AppUser
from crm_kernel.access.policy import visible
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.plan import plan_of, record_type

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: An address, or the rest of the line, which may begin with a name.
_SIGN = re.compile(r"(?<![\w@.])@(?=\S)([^\n@]{1,120}(?:@[\w.-]+)?)")
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_TRAILING = ".,;:!?)]}»”’*_" + "'\""
#: Words a name may have; mentions beyond these are not looked at.
_MOST_WORDS = 6
_MOST_MENTIONS = 50


@dataclass(frozen=True, slots=True)
class Mentions:
    """Whom a text mentions."""

    #: User → his name as it stands in the text, without the sign; in the order of the text.
    users: Sequence[tuple[AppUser, str]]
    #: Names that several users have: nobody is meant by them.
    ambiguous: Sequence[str]


def mentions_in(uow: UnitOfWork, text: str) -> Mentions:
    """Return whom a text mentions; one query, none without a sign."""
    places = [
        _candidates(found.group(1)) for _n, found in zip(range(_MOST_MENTIONS), _SIGN.finditer(text), strict=False)
    ]
    wanted = {candidate.lower() for candidates in places for candidate in candidates}
    known = _users_called(uow, wanted) if wanted else {}
    users: dict[int, tuple[AppUser, str]] = {}
    ambiguous: dict[str, None] = {}
    for candidates in places:
        written = next((c for c in candidates if c.lower() in known), None)
        if written is None:
            continue
        meant = known[written.lower()]
        if len(meant) > 1:
            ambiguous[written] = None
        else:
            users.setdefault(meant[0].id, (meant[0], written))
    return Mentions(tuple(users.values()), tuple(ambiguous))


def suggested_users(uow: UnitOfWork, text: str, *, limit: int = 8) -> list[dict[str, Any]]:
    """Return active users one of whose names starts with the text: ``{"id", "title", "subtitle", "insert"}``; one query.

    ``insert`` is what a text has to hold to mention that user: the address where the name is not his alone. Who may not see
    users' addresses neither reads them here nor finds anybody by them; an address he knows still mentions its user.
    """
    addresses = "email" not in hidden_from(uow.actor, plan_of(record_type("user")))
    same = sa.orm.aliased(AppUser)
    alone = ~sa.exists().where(
        sa.func.lower(same.name) == sa.func.lower(AppUser.name), same.id != AppUser.id, same.active
    )
    query = sa.select(AppUser.uid, AppUser.name, AppUser.email, alone.label("alone"))
    rows = uow.session.execute(
        query.where(*_mentionable(uow), _starts(text, addresses))
        .order_by(sa.func.lower(AppUser.name), AppUser.id)
        .limit(limit)
    )
    return [
        {
            "id": row.uid,
            "title": row.name,
            "subtitle": row.email if addresses else "",
            "insert": row.name if row.alone or not addresses else row.email,
        }
        for row in rows
    ]


def _starts(text: str, addresses: bool) -> sa.ColumnElement[bool]:
    typed = text.replace("\x00", "").lower()
    name: InstrumentedAttribute[str] = AppUser.name
    lowered = sa.func.lower(name)
    return sa.or_(
        lowered.startswith(typed, autoescape=True),
        lowered.contains(f" {typed}", autoescape=True),
        AppUser.email.startswith(typed, autoescape=True) if addresses else sa.false(),
    )


def _candidates(rest: str) -> list[str]:
    """Return what may be meant by the text after a sign, the longest first."""
    return list(dict.fromkeys(_spelt(rest)))


def _spelt(rest: str) -> Iterator[str]:
    address = _ADDRESS.match(rest)
    if address:
        yield address.group().rstrip(_TRAILING)
    words = rest.split(" ")[:_MOST_WORDS]
    for count in range(len(words), 0, -1):
        whole = " ".join(words[:count]).rstrip()
        yield whole
        yield whole.rstrip(_TRAILING)


def _users_called(uow: UnitOfWork, wanted: set[str]) -> dict[str, list[AppUser]]:
    named = sa.or_(sa.func.lower(AppUser.name).in_(wanted), AppUser.email.in_(wanted))
    found: dict[str, list[AppUser]] = {}
    for user in uow.session.scalars(sa.select(AppUser).where(named, *_mentionable(uow)).order_by(AppUser.id)):
        for key in {user.name.lower(), user.email} & wanted:
            found.setdefault(key, []).append(user)
    return found


def _mentionable(uow: UnitOfWork) -> tuple[Any, ...]:
    return (AppUser.active, visible(uow.actor, record_type("user")))
