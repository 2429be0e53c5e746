"""Checks what a bulk action is asked to do, and to which records, before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from marshmallow import Schema, validate
from marshmallow import fields as ma

from crm_kernel.access.field_access import payload_names, refuse_locked
from crm_kernel.access.policy import authorize, visible
from crm_kernel.errors import InvalidInput
from crm_kernel.records.bulk_actions.models import DELETE, TAGS, UPDATE
from crm_kernel.records.filter_tree import says_something
from crm_kernel.records.payloads import load, load_with
from crm_kernel.records.plan import plan_of
from crm_kernel.records.reading import ListQuery, parse_query, restrictions
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.saved_views.opening import expanded
from crm_kernel.records.texts import Text

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Records that can be named one by one; more are chosen by conditions.
MOST_IDS = 5_000


class TagsSchema(Schema):
    """The names of tags that are put on each record, and of those that are taken off."""

    add = ma.List(Text(60, required=True), load_default=list, validate=validate.Length(max=50))
    remove = ma.List(Text(60, required=True), load_default=list, validate=validate.Length(max=50))


@dataclass(frozen=True, slots=True)
class Change:
    """What to do to each record: ``update``, ``delete`` or ``tags`` (lists ``add`` and ``remove``), or the name of an action, and its data."""

    what: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Records that are named by their ids, or else all that a list's arguments match."""

    ids: tuple[UUID, ...] = ()
    arguments: tuple[tuple[str, str], ...] = ()
    #: It was said that all are meant: arguments need not limit them.
    everything: bool = False


def checked_change(uow: UnitOfWork, record_type: RecordType, change: Change) -> Change:
    """Return a change that makes sense for records of the type and that the actor may make to some.

    Raises:
        InvalidInput: the type has no such action, or the data do not fit, each field named.
        Forbidden: the actor may not do it to any record, or not write one of the fields.
    """
    possible = {verb for verb in (UPDATE, DELETE) if verb in record_type.verbs} | {a.name for a in record_type.actions}
    possible |= {TAGS} if takes_tags(record_type) else set()
    if change.what not in possible:
        known = ", ".join(sorted(possible)) or "–"
        raise InvalidInput(
            {"do": [_("Found %(found)s, expected one of: %(known)s.", found=change.what[:60], known=known)]}
        )
    authorize(uow.actor, record_type.permission(UPDATE if change.what == TAGS else change.what))
    if change.what == TAGS:
        return _tagging(uow, change)
    action = record_type.action(change.what)
    if change.what == UPDATE:
        refuse_locked(uow.actor, record_type.name, payload_names(change.data))
        load(plan_of(record_type), change.data, partial=True)
        if not change.data:
            raise InvalidInput({"set": [_("Missing data for required field.")]})
    elif action is not None and action.schema:
        load_with(action.schema, change.data)
    elif change.data:
        raise InvalidInput({"data": [_("%(action)s takes no data.", action=change.what)]})
    return change


def takes_tags(record_type: RecordType) -> bool:
    """Say whether tags are put on records of a type: who may change one may tag it."""
    return record_type.annotated and UPDATE in record_type.verbs and record_type.action(TAGS) is None


def _tagging(uow: UnitOfWork, change: Change) -> Change:
    authorize(uow.actor, "tag.read")
    found = load_with(TagsSchema, change.data)
    if not found["add"] and not found["remove"]:
        raise InvalidInput({"add": [_("Name a tag to put on or to take off.")]})
    return Change(TAGS, found)


def chosen_rows(uow: UnitOfWork, record_type: RecordType, chosen: Chosen) -> list[sa.ColumnElement[bool]]:
    """Return the predicates of the chosen records, the actor's visibility among them.

    Raises:
        InvalidInput: ids are too many, or name records that are not there for the actor; arguments do not fit, or leave
            no record out though nobody said that all are meant.
        Forbidden: the arguments use a field that he may not see.
    """
    if not chosen.ids:
        arguments = expanded(uow, record_type, chosen.arguments)
        query = parse_query(record_type, arguments, actor=uow.actor)
        if not (chosen.everything or _limits(query)):
            raise InvalidInput({"all": [_("This leaves nothing out: to choose every record, say “all”: true.")]})
        return restrictions(uow, plan_of(record_type), query)
    if len(chosen.ids) > MOST_IDS:
        raise InvalidInput(
            {"ids": [_("Found %(found)s, expected at most %(most)s.", found=len(chosen.ids), most=MOST_IDS)]}
        )
    rows = [visible(uow.actor, record_type), record_type.model.uid.in_(chosen.ids)]
    missing = len(set(chosen.ids)) - count_rows(uow, record_type, rows)
    if missing:
        raise InvalidInput({"ids": [_("%(number)s of these records are not there.", number=missing)]})
    return rows


def count_rows(uow: UnitOfWork, record_type: RecordType, rows: Sequence[sa.ColumnElement[bool]]) -> int:
    """Return how many records the predicates match; one query."""
    statement = sa.select(sa.func.count()).select_from(record_type.model).where(*rows)
    return int(uow.session.execute(statement).scalar_one())


def chosen_in(body: Mapping[str, Any]) -> Chosen:
    """Return the records that a request's body chooses: ``ids``, or ``filter``, ``query``, ``view``, or ``all: true``.

    Raises:
        InvalidInput: it chooses in two ways, or not at all: to change everything has to be said, by ``true`` itself.
    """
    import orjson

    ways = [name for name in ("ids", "filter", "query", "view", "all") if body.get(name)]
    if not ways or (body.get("ids") is not None and ways != ["ids"]):
        raise InvalidInput(
            {"ids": [_("Choose records by “ids”, by “filter”, “query” or “view”, or all by “all”: true.")]}
        )
    if not isinstance(body.get("all"), bool | None):
        raise InvalidInput({"all": [_("Expected true or false, found %(found)s.", found=str(body["all"])[:20])]})
    if "ids" in ways:
        return Chosen(ids=_uids(body["ids"]))
    arguments = _arguments(body["query"]) if "query" in ways else []
    if "view" in ways:
        arguments.append(("view", str(body["view"])))
    if body.get("filter") not in (None, {}):
        arguments.append(("filter", orjson.dumps(body["filter"]).decode()))
    return Chosen(arguments=tuple(arguments), everything="all" in ways)


def _limits(query: ListQuery) -> bool:
    return bool(query.conditions or query.text) or (query.tree is not None and says_something(query.tree))


def _arguments(text: Any) -> list[tuple[str, str]]:
    """Return the arguments of a list's address that choose records; which fields it shows does not matter.

    Raises:
        InvalidInput: it is no such address, or that of one page of a list.
    """
    from urllib.parse import parse_qsl

    try:
        pairs = parse_qsl(str(text), keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise InvalidInput({"query": [_("Expected a list's address after “?”: status=active&sort=name.")]}) from error
    for name, _value in pairs:
        if name in ("cursor", "limit"):
            raise InvalidInput({"query": [_("Found “%(found)s”: a bulk action is not for one page.", found=name)]})
    return [pair for pair in pairs if pair[0] != "fields"]


def _uids(given: Any) -> tuple[UUID, ...]:
    try:
        return tuple(dict.fromkeys(UUID(str(text)) for text in given))
    except (ValueError, TypeError) as error:
        raise InvalidInput({"ids": [_("Expected a list of record ids.")]}) from error
