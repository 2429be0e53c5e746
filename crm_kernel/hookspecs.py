"""Every hook of the kernel: what it is asked, what it returns, when, in which transaction, and what an error means.

``crm_register_*`` hooks are called once, while the app is built, outside any transaction, and return records; an
exception or a refused record marks the whole plugin FAILED. The others are asked at run time, inside the caller's unit
of work. A new hook ships only with a real plugin that uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crm_kernel._internal.markers import hookspec

if TYPE_CHECKING:
    from flask import Blueprint
    from sqlalchemy import ColumnElement

    from crm_kernel import contributions as c
    from crm_kernel.access.actor import Actor
    from crm_kernel.customers.models import Customer
    from crm_kernel.events import Event
    from crm_kernel.records.record_type import Extension, RecordType
    from crm_kernel.unit_of_work import UnitOfWork


@hookspec
def crm_register_settings() -> Sequence[c.Setting]:  # type: ignore[empty-body]
    """Return the plugin's typed settings, each named ``<plugin>.<setting>``.

    Example::

        @hookimpl
        def crm_register_settings(self):
            return [Setting(name="toybank.default_risk", type=int, default=3, label=_l("Risk of an unrated customer"))]
    """


@hookspec
def crm_register_permissions() -> Sequence[c.Permission]:  # type: ignore[empty-body]
    """Return permissions beyond those that record types derive, each named ``<plugin>.<area>.<verb>``."""


@hookspec
def crm_register_record_types() -> Sequence[RecordType]:  # type: ignore[empty-body]
    """Return the plugin's record types: API, pages, import, export, permissions and audit follow from them."""


@hookspec
def crm_register_extensions() -> Sequence[Extension]:  # type: ignore[empty-body]
    """Return 1:1 extensions of other plugins' or the kernel's record types, each named as the plugin."""


@hookspec
def crm_register_blueprints() -> Sequence[Blueprint]:  # type: ignore[empty-body]
    """Return Flask blueprints for pages and endpoints no record type gives.

    A blueprint's name is the plugin's (or starts with ``<plugin>_``). It is mounted under ``/<plugin>``, or under its own
    ``url_prefix``, which is ``/<plugin>`` (pages), ``/api/<plugin>`` (JSON) or below these; any other is refused. Every
    view carries ``@permission("…")``: a route without one refuses to start. Endpoints of flask-smorest's ``Blueprint``
    stand in ``/api/openapi.json``.
    """


@hookspec
def crm_register_nav() -> Sequence[c.NavItem]:  # type: ignore[empty-body]
    """Return entries of the navigation beyond those of the record types' lists."""


@hookspec
def crm_register_panels() -> Sequence[c.Panel]:  # type: ignore[empty-body]
    """Return cards for the customer 360 page or any record page."""


@hookspec
def crm_register_dashboard_tiles() -> Sequence[c.DashboardTile]:  # type: ignore[empty-body]
    """Return cards for the start page."""


@hookspec
def crm_register_events() -> Sequence[type[Event]]:  # type: ignore[empty-body]
    """Return the event classes that the plugin emits; their wire names start with ``<plugin>.``."""


@hookspec
def crm_register_subscribers() -> Sequence[c.Subscriber]:  # type: ignore[empty-body]
    """Return handlers of events, the plugin's own or those of plugins it depends on or ``requires``."""


@hookspec
def crm_register_jobs() -> Sequence[c.Job]:  # type: ignore[empty-body]
    """Return the plugin's background jobs."""


@hookspec
def crm_register_health_checks() -> Sequence[c.HealthCheck]:  # type: ignore[empty-body]
    """Return checks for ``crm doctor``."""


@hookspec
def crm_register_import_mappings() -> Sequence[c.ImportMapping]:  # type: ignore[empty-body]
    """Return mapping files for ``crm import``."""


@hookspec
def crm_register_palette_commands() -> Sequence[c.PaletteCommand]:  # type: ignore[empty-body]
    """Return entries of the command palette, each named ``<plugin>.<command>``."""


@hookspec
def crm_register_demo_data() -> Sequence[c.DemoData]:  # type: ignore[empty-body]
    """Return the plugin's part of the demo company."""


@hookspec
def crm_register_notification_kinds() -> Sequence[c.NotificationKind]:  # type: ignore[empty-body]
    """Return what users can be told with ``notify``, each named ``<plugin>.<what>``.

    Example::

        @hookimpl
        def crm_register_notification_kinds(self):
            text = _l("%(actor)s gave you the opportunity %(title)s")
            return [NotificationKind(name="sfa.assigned", label=_l("I get an opportunity"), text=text)]
    """


@hookspec
def crm_register_contact_rules() -> Sequence[c.ContactRule]:  # type: ignore[empty-body]
    """Return reasons not to contact customers, asked by ``may_contact`` and by ``contactable`` alike.

    Example::

        @hookimpl
        def crm_register_contact_rules(self):
            return [ContactRule(name="bank.fraud", reason="Under investigation", refusals=rules.under_investigation)]
    """


@hookspec
def crm_register_rule_actions() -> Sequence[c.RuleAction]:  # type: ignore[empty-body]
    """Return what automation rules may do with records.

    Example::

        @hookimpl
        def crm_register_rule_actions(self):
            return [RuleAction(name="bank.block_card", label=_l("Block the card"), run=services.block_card)]
    """


@hookspec
def crm_register_inbound_webhooks() -> Sequence[c.InboundWebhook]:  # type: ignore[empty-body]
    """Return kinds of messages that other systems may send, each named ``<plugin>.<kind>``.

    Example::

        @hookimpl
        def crm_register_inbound_webhooks(self):
            return [InboundWebhook(name="shop.order", label="Orders of the shop", handler=orders.take)]
    """


@hookspec
def crm_authorize(actor: Actor, permission: str, subject: Any) -> bool | None:
    """Say whether the actor may use the permission on the subject (None: on the type as a whole).

    Any False denies; else any True grants; else it is denied. Return None for "not my business". An exception denies
    and is logged: a policy hook is never skipped. Called before every write and at the door of every route.
    """


@hookspec
def crm_visibility(actor: Actor, record_type: RecordType) -> ColumnElement[bool] | None:
    """Return a SQL predicate over the record type's model that limits which rows the actor sees, or None.

    The predicates of all plugins are ANDed into every query of every channel. An exception aborts the query.
    """


@hookspec
def crm_validate(
    uow: UnitOfWork, record_type: RecordType, record: Any, changes: Mapping[str, Any]
) -> Mapping[str, Sequence[str]] | None:
    """Check a create (record is None) or an update before it is written; return field → messages to refuse it.

    Called inside the writing unit of work, after the schema and the policy. An exception aborts the write.
    """


@hookspec
def crm_customer_context(uow: UnitOfWork, customer: Customer) -> Sequence[c.InProgress]:  # type: ignore[empty-body]
    """Return what the customer is in the middle of right now, newest first; at most one query per plugin.

    Return only what ``uow.actor`` may see: the kernel shows it as it comes. An exception is logged with the plugin's
    name and counts as nothing in progress. It keeps nobody from being erased by a rule: ``RecordType.in_use`` does.
    """
