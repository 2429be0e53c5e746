"""The declaration of a record type and of its extensions: everything else about a record is derived from these.

A plugin says once what a record is; API, pages, filters, board, import, export, permissions and audit follow.
This module holds only the declaration and its own consistency; ``crm_kernel._internal.registry`` checks it against
the other plugins'.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marshmallow import Schema
    from sqlalchemy import ColumnElement

    from crm_kernel.access.actor import Actor
    from crm_kernel.events import Event
    from crm_kernel.records.calendars.dates import CalendarDates
    from crm_kernel.records.likely import Likely
    from crm_kernel.records.valued import Valued
    from crm_kernel.unit_of_work import UnitOfWork

#: The verbs every record type has; permissions are ``<record type>.<verb>``.
VERBS = ("read", "create", "update", "delete", "export")


@dataclass(frozen=True, slots=True, kw_only=True)
class FormSection:
    """A titled group of fields on the form and the detail page."""

    title: str
    fields: tuple[str, ...]
    #: ``(field, value)``: the section concerns only records with that value (a person's fields are not asked of a firm).
    when: tuple[str, str] | None = None
    #: ``words(values)`` → what the form of an existing record says beside the fields, from a template; None for nothing.
    words: Callable[[Mapping[str, Any]], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A kanban view: one column per value of a reference or choice field.

    ``columns(uow, arguments)`` lists the columns in order; ``arguments`` are the page's URL arguments, or
    ``{"record": <public id>}`` for the columns of the board that one record is on. A drop is an ordinary update of the
    field; a column with a ``dialog`` opens that action's form instead when the update is refused.
    """

    #: The reference or choice field whose values are the columns; one of the record type's filters.
    field: str
    columns: Callable[[UnitOfWork, Mapping[str, str]], Sequence[BoardColumn]]
    #: Field names shown on a card, below its title.
    card: tuple[str, ...] = ()
    #: An amount field to total per column and currency.
    total: str | None = None
    #: ``choices(uow)`` lists the boards there are as ``(label, URL arguments)``, the usual one first; None for one.
    choices: Callable[[UnitOfWork], Sequence[tuple[str, Mapping[str, str]]]] | None = None


@dataclass(frozen=True, slots=True)
class BoardColumn:
    """One column of a board: the public id of the value, what people call it, and a Tabler color name."""

    id: str
    label: str
    color: str = "secondary"
    #: Name of the action whose dialog a drop here opens first (``lose`` needs a reason); None moves at once.
    dialog: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A named verb beyond the usual ones: ``POST /api/<type>/{id}/<name>`` and a button on the page.

    ``service(uow, record, **data)`` gets what ``schema`` loaded as keyword arguments. ``available(record)`` says
    whether the button is offered; the service refuses by itself with ``Conflict``.
    """

    name: str
    label: str
    service: Callable[..., Any]
    schema: type[Schema] | None = None
    icon: str = "bolt"
    #: ``danger`` marks the button of what one regrets; any other is an ordinary one.
    color: str = "primary"
    available: Callable[[Any], bool] = lambda record: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The functions that write records of a type; every channel goes through them.

    ``create(uow, data) → record`` · ``update(uow, record, changes)`` · ``delete(uow, record)`` ·
    ``create_many(uow, rows) → sequence of ids`` · ``update_many(uow, changes)`` with ``changes`` a mapping of key →
    changes. ``data`` is what the schema loaded, with references resolved to keys. None means the generic service.
    ``check(data) → messages by path`` tells what creating would refuse of the fields that are given, as far as it shows without
    a query; an import asks it about rows that are refused already, to tell all at once. None: nothing more is told of them.
    """

    create: Callable[[UnitOfWork, dict[str, Any]], Any] | None = None
    update: Callable[[UnitOfWork, Any, dict[str, Any]], None] | None = None
    delete: Callable[[UnitOfWork, Any], None] | None = None
    create_many: Callable[[UnitOfWork, Sequence[dict[str, Any]]], Sequence[int]] | None = None
    update_many: Callable[[UnitOfWork, Mapping[int, dict[str, Any]]], None] | None = None
    check: Callable[[Mapping[str, Any]], Mapping[str, list[str]]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordType:
    """One kind of record: ``customer``, ``sfa.opportunity``.

    Field names in ``columns``, ``filters``, ``sorts``, ``search`` and ``form`` are names of schema fields; each must
    exist, or the registration is refused.
    """

    #: ``<plugin>.<type>``; the kernel's own types have no prefix.
    name: str
    #: Mapped class with the columns of ``RecordMixin``.
    model: type[Any]
    #: Marshmallow schema: the only description of what can be read and written.
    schema: type[Schema]
    label: str
    label_plural: str
    #: Path segment of pages and API, without the plugin: ``opportunities``.
    slug: str
    icon: str = "file"
    #: Schema field that names a record to people.
    title: str = "name"
    #: Expression over the model that names a record as the reader wants it (``crm_kernel.said_name``), for results only;
    #: None for the title's own column.
    said_title: Any = None
    #: Fields that a list shows until a reader or a view chooses others, in this order.
    columns: tuple[str, ...] = ()
    #: Fields that addresses, the API, saved views, rules and segments may compare; no other field is.
    filters: tuple[str, ...] = ()
    #: Fields that lists may be sorted by; a long list is fast where an index begins with them.
    sorts: tuple[str, ...] = ()
    #: Field to sort by when the request names none; ``-`` for descending.
    default_sort: str = "-created_at"
    #: Fields whose words the full-text search finds, most important first.
    search: tuple[str, ...] = ()
    form: tuple[FormSection, ...] = ()
    board: Board | None = None
    #: What its calendar goes by, the usual one first. Every other date that an index begins with can be chosen as well,
    #: so that a type with such a field has a calendar without saying anything.
    calendar: tuple[CalendarDates, ...] = ()
    actions: tuple[Action, ...] = ()
    services: Services = field(default_factory=Services)
    #: Attribute of the model with the customer's key: the record then appears on the 360 page and follows the customer's
    #: merge and erasure; without an owner and a ``visibility`` of its own it is seen by whoever sees the customer.
    customer: str | None = None
    #: ``in_use(at)`` → predicate over the model: the rows whose customer is in the middle of something at that moment (an
    #: open deal, a running loan). No retention rule erases or anonymises that customer, however long nothing happened.
    in_use: Callable[[dt.datetime], ColumnElement[bool]] | None = None
    #: Kind of a touch point its module records → what happened, a lazy label. The summary then names the record alone:
    #: timelines show both in the reader's language ("Won: Forty chairs").
    timeline: Mapping[str, Any] = field(default_factory=dict)
    #: Attribute of the model with the key of the user who wrote a row, for types without an owner: whoever holds a verb
    #: for his own records or his team's has it for the rows he wrote. Reading is not narrowed by it.
    author: str | None = None
    #: ``visibility(actor)`` → predicate over the model, ANDed to own/team/all everywhere, for rows that are seen by those
    #: who may see what they are about (``visible_interactions``).
    visibility: Callable[[Actor], ColumnElement[bool]] | None = None
    #: ``limit(uow, verb, record)`` raises ``Forbidden`` where its services refuse ``uow.actor`` one record although the policy
    #: lets him (the account of somebody who may do more): what ``access explain`` asks beside the policy, for verbs that
    #: change something. None: its services refuse nobody by themselves.
    limit: Callable[[UnitOfWork, str, Any], None] | None = None
    #: ``updated(record, names)`` → the event that tells of changed fields which the type's own service does not see: custom
    #: fields (``cf_tier``) and extensions' (``extensions.bank.risk``). None: nobody is told of these.
    updated: Callable[[Any, Sequence[str]], Event] | None = None
    #: Verb without which ``visibility`` shows nobody a row: the navigation then leaves the list out, and the list, where
    #: somebody opens it all the same, says what is missing. None: whoever reads the type sees some.
    seen_with: str | None = None
    #: Whether its rows are about records of other types (``subject_type``, ``subject_uid``) and are seen with them: nothing
    #: is about such a row itself.
    about_others: bool = False
    #: Schema fields that identify a record of a foreign system, for imports: ``("source", "external_ref")``.
    external_key: tuple[str, ...] = ()
    #: Attribute of the model with the key of the record that took a row's place when the two were merged: such rows are in
    #: no list, and their ids lead to the other.
    replaced_by: str | None = None
    #: Verbs offered by API and pages; a type that only actions create leaves out ``create``.
    verbs: tuple[str, ...] = VERBS
    #: Whether files bring in its records all the same, where ``verbs`` has no ``create``: with the permission
    #: ``<type>.import``, by ``services.create_many``. What an import recorded, undoing it withdraws by ``services.delete``.
    imported: bool = False
    #: Section of its list in the navigation, as ``NavItem.section``; None keeps it out.
    nav_section: str | None = "work"
    #: Its place there, lower ones first: among ``NavItem.order``.
    nav_order: int = 50
    #: Template of its detail page, and what that template gets beside the generic context.
    detail_template: str = "records/detail.html"
    detail_context: Callable[[UnitOfWork, Any], Mapping[str, Any]] | None = None
    #: The amount of open records that is valued anew at the rates of a day.
    valued: Valued | None = None
    #: Endpoint that is posted what the form of a new record holds so far, and answers with a fragment about records that
    #: may be the same; the form shows it and goes on.
    similar: str | None = None
    #: ``likely(uow, payloads)`` → for each the records that it may be, the likeliest first: what imports ask about rows that no
    #: key has found.
    likely: Callable[[UnitOfWork, Sequence[Mapping[str, Any]]], Sequence[Sequence[Likely]]] | None = None
    #: ``note_likely(uow, keys)`` lets ``likely`` find new records at once, where it else learns of them later. An import calls
    #: it for every chunk whose rows it asks about, so that rows of the next chunk are compared with them.
    note_likely: Callable[[UnitOfWork, Sequence[int]], None] | None = None

    @property
    def plugin(self) -> str:
        """The plugin that owns it; ``kernel`` for unprefixed types."""
        return self.name.partition(".")[0] if "." in self.name else "kernel"

    @property
    def path(self) -> str:
        """Path of its pages below ``/`` and of its API below ``/api/``: ``sfa/opportunities``, ``customers``."""
        return self.slug if self.plugin == "kernel" else f"{self.plugin}/{self.slug}"

    @property
    def endpoint(self) -> str:
        """Endpoint prefix of its pages: ``records.sfa_opportunity``; add ``_list``, ``_detail``, …"""
        return "records." + self.name.replace(".", "_")

    @property
    def owned(self) -> bool:
        """Whether rows have an owner and a team, hence own/team/all visibility."""
        return hasattr(self.model, "owner_id") and hasattr(self.model, "team_id")

    @property
    def annotated(self) -> bool:
        """Whether notes, files and tags are put on its records: on what people work with, not on what admins set up."""
        return not self.about_others and self.nav_section not in (None, "administration")

    def permission(self, verb: str) -> str:
        """Return the permission for a verb or an action: ``sfa.opportunity.win``."""
        return f"{self.name}.{verb}"

    @property
    def importing(self) -> str | None:
        """The verb it takes to bring in new records from files, None where nobody does."""
        return "create" if "create" in self.verbs else "import" if self.imported else None

    @property
    def granted(self) -> tuple[str, ...]:
        """The verbs that roles may be granted: those of API and pages, ``import`` and the actions."""
        importing = (self.importing,) if self.importing and self.importing not in self.verbs else ()
        return (*self.verbs, *importing, *(action.name for action in self.actions))

    def listed_for(self, actor: Actor) -> bool:
        """Say whether the navigation offers the list: the actor reads the type and may see rows of it."""
        return all(actor.may(self.permission(verb)) for verb in ("read", self.seen_with or "read"))

    def action(self, name: str) -> Action | None:
        """Return the action of that name, or None."""
        return next((action for action in self.actions if action.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """A 1:1 side table that a plugin adds to somebody else's record type, in one declaration.

    The model's primary key is a foreign key to the host with ``ON DELETE CASCADE``; the host gets no column, attribute
    or backref. API object ``extensions.<name>``, form section, list filters (``bank.risk__lt=5``), detail facts,
    import and export columns follow. One query per extension and page, never one per row.
    """

    #: Record type that is extended.
    host: str
    #: The plugin's name.
    name: str
    label: str
    model: type[Any]
    schema: type[Schema]
    form: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    #: Fields that lists may be sorted by, as ``bank.risk``. PostgreSQL walks an index over (field, primary key) for it,
    #: SQLite one over the field alone.
    sorts: tuple[str, ...] = ()
    order: int = 50
    requires: tuple[str, ...] = ()
