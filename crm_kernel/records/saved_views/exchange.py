"""Saved views as plain data that another instance can take: people and teams by what they are called, not by ids.

Ids inside of conditions stay what they are: a view of one owner's records finds nobody elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.acting import actor_of
from crm_kernel.access.models import AppUser, Team
from crm_kernel.access.services.users import user_by_email
from crm_kernel.errors import Conflict, InvalidInput, NotFound
from crm_kernel.records.plan import record_type
from crm_kernel.records.saved_views.models import PRIVATE, SavedView
from crm_kernel.records.services import create_record, update_record

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: What describes a view wherever it is; the author's address and the team's name come beside.
FIELDS = ("name", "record_type", "kind", "calendar", "span", "query", "columns", "sharing", "default_for_all")


def described_views(uow: UnitOfWork, wanted: str | None = None) -> list[dict[str, Any]]:
    """Return all views, or those of one record type, by type and name, with ``id`` and ``author`` (an address); one query.

    For whoever looks after the instance: it asks nobody's permission.
    """
    query = sa.select(SavedView, AppUser.email, Team.name).outerjoin(AppUser, AppUser.id == SavedView.author_id)
    query = query.outerjoin(Team, Team.id == SavedView.team_id)
    if wanted is not None:
        query = query.where(SavedView.record_type == wanted)
    rows = uow.session.execute(query.order_by(SavedView.record_type, SavedView.name, SavedView.id))
    return [described(view, email, team) for view, email, team in rows]


def described(view: SavedView, author: str | None, team: str | None) -> dict[str, Any]:
    """Return one view as plain data, with its author's address and the name of the team it is shared with."""
    return {"id": view.uid, **{name: getattr(view, name) for name in FIELDS}, "team": team, "author": author}


def view_called(uow: UnitOfWork, text: str) -> SavedView:
    """Return the view of an id or a name.

    Raises:
        NotFound: there is none.
        Conflict: several have the name; the text names their ids.
    """
    try:
        wanted = SavedView.uid == UUID(text)
    except ValueError:
        wanted = SavedView.name == text
    found = uow.session.scalars(sa.select(SavedView).where(wanted).order_by(SavedView.id).limit(5)).all()
    if not found:
        raise NotFound(_("There is no saved view %(found)s; see: crm views list", found=text[:80]))
    if len(found) > 1:
        ids = ", ".join(str(view.uid) for view in found)
        raise Conflict(_("Several views are called %(found)s; name one by its id: %(ids)s", found=text[:80], ids=ids))
    return found[0]


def take_views(uow: UnitOfWork, given: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Create or change views as ``described_views`` wrote them; return how many were ``created`` and ``changed``.

    A view of the same type, name and author is changed. Each is written as its author, with his permissions, or as the
    actor where none is named.

    Raises:
        InvalidInput, Forbidden, NotFound: a view does not fit this instance, or its author may not save it so. The error's
            place begins with the view's number.
    """
    counts = {"created": 0, "changed": 0}
    actor = uow.actor
    for number, entry in enumerate(given, 1):
        author = _author(uow, entry, number)
        uow.actor = actor if author is None else author
        try:
            counts[_take(uow, entry, None if author is None else author.user_id)] += 1
        except InvalidInput as error:
            raise InvalidInput({f"{number}.{place}": texts for place, texts in error.errors.items()}) from error
        finally:
            uow.actor = actor
    return counts


def _take(uow: UnitOfWork, entry: Mapping[str, Any], author: int | None) -> str:
    payload = {name: entry[name] for name in FIELDS if name in entry} | _team_of(uow, entry)
    same = (SavedView.record_type == entry.get("record_type"), SavedView.name == entry.get("name"))
    mine = SavedView.author_id == author if author is not None else SavedView.author_id.is_(None)
    known = uow.session.scalars(sa.select(SavedView).where(*same, mine).limit(1)).first()
    if known is None:
        create_record(uow, record_type("saved_view"), payload)
        return "created"
    update_record(uow, record_type("saved_view"), known.uid, payload, version=known.version)
    return "changed"


def _team_of(uow: UnitOfWork, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the team that an entry names, for a view's payload; nothing where it says nothing of one."""
    if "team" not in entry:
        return {}
    name = entry["team"]
    found = uow.session.scalar(sa.select(Team.uid).where(Team.name == str(name))) if name else None
    if name and found is None:
        raise InvalidInput({"team": [_("There is no team %(found)s.", found=str(name)[:80])]})
    return {"team": found}


def _author(uow: UnitOfWork, entry: Mapping[str, Any], number: int) -> Any:
    if not isinstance(entry, Mapping):
        raise InvalidInput({str(number): [_("Expected a view as an object with its fields.")]})
    email = entry.get("author")
    if not email:
        if entry.get("sharing", PRIVATE) == PRIVATE:
            raise InvalidInput({f"{number}.author": [_("A view that nobody else sees needs its author’s address.")]})
        return None
    found = None
    with suppress(InvalidInput, NotFound):
        found = actor_of(uow, user_by_email(uow, str(email)).id)
    if found is None:
        message = _("Found %(found)s, expected the address of an active user.", found=str(email)[:80])
        raise InvalidInput({f"{number}.author": [message]})
    return found
