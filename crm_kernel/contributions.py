"""The frozen records that plugins return from their hooks.

A record can be listed, sorted, validated, documented and tested before anything runs; that is why the kernel prefers
records that hold a callable over hooks that are called at run time. ``RecordType`` and ``Extension`` have their own
module, ``crm_kernel.records.record_type``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_kernel.health import Health as Health
from crm_kernel.health import HealthCheck as HealthCheck
from crm_kernel.health import HealthResult as HealthResult

if TYPE_CHECKING:
    import datetime as dt
    from uuid import UUID

    import sqlalchemy as sa
    from marshmallow import Schema

    from crm_kernel.access.actor import Actor
    from crm_kernel.events import Event
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A typed setting: ``toybank.default_risk`` in ``crm.toml`` under ``[toybank]``, or ``CRM_TOYBANK__DEFAULT_RISK``."""

    name: str
    type: type[str] | type[int] | type[bool] | type[float]
    default: Any
    label: str
    help: str = ""
    #: Secret values are never printed, logged or exported; in the database they are encrypted. Texts only.
    secret: bool = False
    #: What may be chosen, empty for any of the type.
    choices: tuple[Any, ...] = ()
    #: ``check(value)`` raises ``ValueError`` with a sentence for people, where type and choices do not say enough.
    check: Callable[[Any], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A permission an admin can give to roles; the permissions of a RecordType are derived and not listed."""

    name: str
    label: str
    #: Whether what it opens shows each user his own reach anyway (a dashboard over visible records): a role whose
    #: grants reach own or team records then holds it too; otherwise only a grant over all gives it.
    limits_itself: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NavItem:
    """An entry of the navigation; shown to those who hold the permission."""

    name: str
    label: str
    #: Of a page that is opened by GET without arguments.
    endpoint: str
    #: Name of a Tabler icon without its prefix: ``chart-bar``; so is every ``icon``.
    icon: str
    permission: str
    #: Further permissions, for a page that asks for several: who lacks one is not led to a refusal.
    also: tuple[str, ...] = ()
    #: ``offered(actor)`` decides further, where one of many permissions is enough. It asks the database nothing.
    offered: Callable[[Actor], bool] | None = None
    #: ``work``, ``insight`` or ``administration``; any other word is a section of its own below these, under that word.
    section: str = "work"
    #: Lower ones come first, equal ones in the order in which their modules load; the kernel's own are 1 to 95.
    order: int = 50
    #: Plugins that must be enabled too: glue for an optional neighbour.
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A card on a record's page, by default the customer 360 page.

    ``load(uow, record)`` returns the template's context, or None for "nothing to show"; one query per panel. A panel
    that raises is logged with its plugin's name and shown as unavailable: the page lives on.
    """

    name: str
    label: str
    template: str
    load: Callable[[UnitOfWork, Any], Mapping[str, Any] | None]
    permission: str
    #: A record type, or ``*`` for every one that takes notes (``RecordType.annotated``).
    host: str = "customer"
    icon: str = "layout-list"
    order: int = 50
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardTile:
    """A card on the start page; isolated like a panel."""

    name: str
    label: str
    template: str
    load: Callable[[UnitOfWork], Mapping[str, Any] | None]
    permission: str
    order: int = 50
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """A handler that runs after the commit of an event, in a unit of work of its own, until it succeeds or is dead.

    ``handler(uow, event)``: database effects happen once (the done mark commits with them), outside effects at least
    once. A handler that must talk to the network enqueues an ``outside`` job instead.
    """

    name: str
    event: type[Event]
    handler: Callable[[UnitOfWork, Any], None]
    #: It is dead after so many failures; the pause between two grows from 5 seconds to an hour.
    max_attempts: int = 10
    requires: tuple[str, ...] = ()
    #: Any word: what stands in one queue is slowed down, paused and served by workers together (``crm jobs queues``).
    queue: str = "default"
    #: Lower numbers run first within a module's queue.
    priority: int = 0


class JobKind(StrEnum):
    """How the runner wraps a job in transactions."""

    #: One unit of work around the handler.
    TRANSACTIONAL = "transactional"
    #: The handler is called again and again, one unit of work each, until it returns None; what else it returns (JSON)
    #: commits with the chunk's rows and is ``payload["checkpoint"]`` of the next call, after a crash too.
    CHUNKED = "chunked"
    #: Claim and commit, call the handler with no transaction open, then commit the result: a handler may return a
    #: function ``(uow) -> None``, which is called in the unit of work that marks the job done.
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that is done in the background: ``handler(uow, payload)``, or ``handler(payload)`` for ``outside``."""

    name: str
    handler: Callable[..., Any]
    kind: JobKind = JobKind.TRANSACTIONAL
    #: As those of ``Subscriber``.
    max_attempts: int = 10
    requires: tuple[str, ...] = ()
    #: As that of ``Subscriber``.
    queue: str = "default"
    #: Lower numbers run first within a module's queue.
    priority: int = 0
    #: When it is enqueued by itself, with an empty payload: a cron expression of five fields (``30 3 * * 1-5``).
    schedule: str | None = None
    #: In which the schedule is read: ``site`` (the instance's) or an IANA name.
    timezone: str = "site"
    #: ``result(payload)`` → the path of the page on which to look at what it does; None while there is none.
    result: Callable[[Mapping[str, Any]], str | None] | None = None
    #: Whose its schedules are, as a record type (``rule``): they follow that record and are changed through it alone.
    scheduled_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportMapping:
    """A mapping file that ships with a plugin: ``crm import FOLDER --mapping <name>``."""

    name: str
    label: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAction:
    """Something that automation rules may do with the record they are about.

    ``run(uow, record, **params)`` gets what ``schema`` loaded; it works as the rule's principal, whose rights it asks as
    any edge does, and raises a ``CrmError`` to refuse. What must talk to the network enqueues an ``outside`` job.
    """

    name: str
    label: str
    run: Callable[..., Any]
    #: The parameters of one use; None for none.
    schema: type[Schema] | None = None
    #: ``check(record_type, params)`` refuses with ``InvalidInput`` what the schema alone cannot, when a rule is written.
    check: Callable[[RecordType, Mapping[str, Any]], None] | None = None
    #: ``applies(record_type)`` says for which records it is offered.
    applies: Callable[[RecordType], bool] = lambda record_type: True
    icon: str = "bolt"
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactRule:
    """A reason not to contact customers, as SQL: one rule serves the check of one customer and the gate of a campaign.

    ``refusals(channel, purpose, at)`` returns the refused customers as a select of ``customer_id``, ``reason`` (a word
    of the plugin's) and ``next_eligible_at`` (aware, or NULL); ``crm_kernel.refusal`` builds its columns. It is called
    without a unit of work and must not query. A rule that raises stops the contact: nobody is contacted without it.
    """

    name: str
    #: Why, in words, where the select's own word is none of the kernel's.
    reason: str
    refusals: Callable[[str, str, dt.datetime], sa.Select[Any]]
    #: The first rule that refuses gives the verdict's reason; the kernel's own are 10 to 50.
    order: int = 60
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationKind:
    """Something users can be told with ``notify``; each user chooses how, or that he is not.

    ``text`` is shown in the reader's language with ``%(actor)s``, ``%(title)s`` of the record as he may see it, and what
    ``notify`` was given as ``data``.
    """

    name: str
    #: As the settings of a user name it.
    label: Any
    text: Any
    icon: str = "bell"
    #: Whether it is shown in the application to users who have chosen nothing.
    in_app: bool = True
    #: When it is mailed to them: ``immediate``, ``hourly``, ``daily`` or ``never``.
    email: str = "daily"
    #: Id of the element on the record's page that it leads to.
    anchor: str | None = None
    #: A record type: new owners of its records are told by this kind instead of ``kernel.assigned``.
    assignment_of: str | None = None
    order: int = 50
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message of another system as it was received: checked, stored, and not looked into."""

    #: Our own id of it.
    uid: UUID
    #: The sender's, by which a repetition is known; ``own:…`` where it gave none.
    message_id: str
    #: As the sender's header says, empty without one.
    content_type: str
    #: The bytes that were signed.
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundWebhook:
    """A kind of messages that sources may take (``POST /api/hooks/<token>``)."""

    name: str
    label: str
    #: ``handler(uow, message)`` runs in a job, in one unit of work with the message's end, as the user of the source, whose
    #: rights hold; it returns a line that says what it did. ``InvalidInput``, ``NotFound``, ``Conflict`` and ``Forbidden``
    #: make a failed message with that reason, and take back what was written; any other exception is tried again.
    handler: Callable[[UnitOfWork, InboundMessage], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaletteCommand:
    """An entry of the command palette (Ctrl-K), shown to those who hold the permission.

    For what has no page of its own, such as a list with conditions: lists, new records and the navigation are in it already.
    """

    name: str
    label: str
    #: Of a page that is opened by GET.
    endpoint: str
    permission: str
    #: Of the address: ``{"owner": "me"}``.
    arguments: Mapping[str, str] = field(default_factory=dict)
    icon: str = "bolt"
    #: Other words it is found by.
    keywords: str = ""
    order: int = 50
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoData:
    """A plugin's part of the demo company."""

    name: str
    #: ``load(uow, random, now)``: ``random`` is a seeded ``random.Random``, ``now`` an aware time. It calls services only; what it
    #: calls inside ``past`` has happened at the time given there, by the user who is named.
    load: Callable[..., None]
    order: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class InProgress:
    """Something a customer is in the middle of (open quote, cart, ticket): any channel can carry on from it."""

    label: str
    title: str
    url: str
    #: Since when, aware; None where nobody knows.
    since: Any = None
    icon: str = "progress"


def active(records: Sequence[Any], enabled: frozenset[str]) -> list[Any]:
    """Return the records whose ``requires`` are all enabled, in their order."""
    return [record for record in records if set(getattr(record, "requires", ())) <= enabled]
