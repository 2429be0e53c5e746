"""What a reader asks of the audit log, by page, API and export alike: the arguments of the address, checked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask_babel import gettext as _
from marshmallow import Schema, fields, validate

from crm_kernel.access.audit_queries import AuditFilter, audit_rows
from crm_kernel.access.audit_reading.visibility import oversees, visible_entries
from crm_kernel.access.models import AppUser
from crm_kernel.errors import InvalidInput, NotFound
from crm_kernel.records.payloads import load_with

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from crm_kernel.unit_of_work import UnitOfWork

#: Entries on a page, unless asked otherwise, and at most.
PAGE, MOST = 50, 500


class QuestionSchema(Schema):
    """The arguments; an empty one asks nothing."""

    who = fields.String(load_default=None, validate=validate.Length(max=254))
    action = fields.String(load_default=None, validate=validate.Length(max=60))
    record_type = fields.String(load_default=None, validate=validate.Length(max=80))
    record = fields.UUID(load_default=None)
    channel = fields.String(load_default=None, validate=validate.Length(max=20))
    request = fields.String(load_default=None, validate=validate.Length(max=64))
    since = fields.String(load_default=None)
    until = fields.String(load_default=None)
    before = fields.UUID(load_default=None)
    limit = fields.Integer(load_default=PAGE, validate=validate.Range(1, MOST))


@dataclass(frozen=True, slots=True)
class Question:
    """A page of the log that somebody asks for."""

    wanted: AuditFilter
    limit: int = PAGE
    before: UUID | None = None


def question_of(uow: UnitOfWork, arguments: Mapping[str, str]) -> Question:
    """Return what the arguments ask for; one query if they name somebody.

    Who does not oversee the log asks about somebody, a record or a request, else about himself: everything else would
    read the whole log for the few entries that he sees.

    Raises:
        InvalidInput: an argument is unknown or does not fit.
    """
    given = load_with(QuestionSchema, {name: value for name, value in arguments.items() if value.strip()})
    wanted = AuditFilter(
        action=given["action"],
        record_type=given["record_type"],
        record_uid=given["record"],
        channel=given["channel"],
        request_id=given["request"],
        since=_moment(uow, given["since"], "since", days=0),
        until=_moment(uow, given["until"], "until", days=1),
        **_who(uow, given["who"]),
    )
    if not oversees(uow.actor) and not (given["who"] or given["record"] or given["request"]):
        wanted = replace(wanted, actor_uid=uow.actor.user_uid)
    return Question(wanted, given["limit"], given["before"])


def entries(uow: UnitOfWork, question: Question, *, more: int = 0) -> Sequence[Any]:
    """Return the entries of the page that the actor sees, and so many of the next; one query."""
    seen = visible_entries(uow.actor, question.wanted.record_type)
    return audit_rows(uow, question.wanted, limit=question.limit + more, before=question.before, seen=seen)


def entry(uow: UnitOfWork, uid: UUID) -> Any:
    """Return one entry.

    Raises:
        NotFound: there is none, or none the actor may see.
    """
    found = audit_rows(uow, AuditFilter(uid=uid), limit=1, seen=visible_entries(uow.actor))
    if not found:
        raise NotFound(_("There is no entry %(id)s in the audit log.", id=uid))
    return found[0]


def _who(uow: UnitOfWork, text: str | None) -> dict[str, Any]:
    """Return the filter for a person, or else for the name of a job or the system."""
    if not text:
        return {}
    found = uow.session.scalars(sa.select(AppUser.uid).where(AppUser.name == text).limit(2)).all()
    if len(found) == 1:
        return {"actor_uid": found[0]}
    if not oversees(uow.actor):
        raise InvalidInput({"who": [_("Found %(found)s, expected the name of one user.", found=text[:40])]})
    # Two of one name: their entries carry the name as well.
    return {"actor": text}


def _moment(uow: UnitOfWork, text: str | None, name: str, *, days: int) -> dt.datetime | None:
    """Return a time, or the beginning of a day of the reader's zone so many days on."""
    if not text:
        return None
    try:
        if "T" not in text:
            day = dt.date.fromisoformat(text) + dt.timedelta(days=days)
            return dt.datetime.combine(day, dt.time(), ZoneInfo(uow.actor.timezone)).astimezone(dt.UTC)
        found = dt.datetime.fromisoformat(text)
        return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError) as error:
        message = _("Found %(found)s, expected a date such as 2027-01-31.", found=text[:40])
        raise InvalidInput({name: [message]}) from error
