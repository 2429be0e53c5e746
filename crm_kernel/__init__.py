"""The public names of the kernel: what a plugin may build on, documented in docs/reference/public-names.md.

Each name is resolved when it is first used (PEP 562): ``import crm_kernel`` imports neither Flask nor SQLAlchemy, so
that the command line and pytest start fast. What is not in ``__all__`` may change in any release.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from crm_kernel._internal.public_names import NAMES

if TYPE_CHECKING:
    from crm_kernel.access.acting import actor_for
    from crm_kernel.access.actor import ANONYMOUS, SYSTEM, Actor, Scope
    from crm_kernel.access.field_access import hidden_fields, seen_record
    from crm_kernel.access.models import AppUser, Team
    from crm_kernel.access.policy import allowed, authorize, visible
    from crm_kernel.app import create_app
    from crm_kernel.collaboration.notifications.services import notify
    from crm_kernel.config import Config, load_config
    from crm_kernel.contributions import (
        ContactRule,
        DashboardTile,
        DemoData,
        Health,
        HealthCheck,
        HealthResult,
        ImportMapping,
        InboundMessage,
        InboundWebhook,
        InProgress,
        Job,
        JobKind,
        NavItem,
        NotificationKind,
        PaletteCommand,
        Panel,
        Permission,
        RuleAction,
        Setting,
        Subscriber,
    )
    from crm_kernel.customers.capturing import Captured, capture_customer
    from crm_kernel.customers.consent.asking import ask_for_consent
    from crm_kernel.customers.consent.gate import ContactVerdict, contactable, may_contact
    from crm_kernel.customers.consent.ledger import Evidence, Spoken, record_consent
    from crm_kernel.customers.consent.links import list_unsubscribe_headers, preferences_link
    from crm_kernel.customers.consent.rules import refusal
    from crm_kernel.customers.consent.suppression import suppress
    from crm_kernel.customers.models import Customer
    from crm_kernel.customers.services import create_customer, update_customer
    from crm_kernel.data_map.references import CustomerReference
    from crm_kernel.database import Amount, OwnedMixin, Rate, RecordMixin, utcnow
    from crm_kernel.demo.past import past
    from crm_kernel.errors import (
        ConfigError,
        Conflict,
        CrmError,
        DatabaseUnavailable,
        Forbidden,
        InvalidInput,
        NotFound,
        PluginError,
        PreconditionRequired,
        RegistrationError,
        Replaced,
        SecondFactorNeeded,
        StaleVersion,
        Unauthenticated,
        UnitOfWorkError,
    )
    from crm_kernel.events.event import Event
    from crm_kernel.hooks import ask
    from crm_kernel.jobs.schedules import schedule_job
    from crm_kernel.jobs.services import enqueue
    from crm_kernel.outbound import AddressRefused, Answer, OutboundPolicy, Unreachable, policy_of, send
    from crm_kernel.plugin import Plugin, hookimpl, hookspec, plugin_base
    from crm_kernel.records.calendars.dates import CalendarDates
    from crm_kernel.records.fields import MAX_AMOUNT, Choice, Collection, Country, Currency, Money, Reference
    from crm_kernel.records.filter_tree import compile_tree, parse_tree
    from crm_kernel.records.names import said_name
    from crm_kernel.records.ownership import with_team, with_teams
    from crm_kernel.records.pages.presenting import money_text, plain_text
    from crm_kernel.records.plan import plan_of, record_type
    from crm_kernel.records.record_type import Action, Board, BoardColumn, Extension, FormSection, RecordType, Services
    from crm_kernel.records.services import create_record
    from crm_kernel.records.texts import Text
    from crm_kernel.records.valued import Valued
    from crm_kernel.sales.bulk import NewSale, record_sales
    from crm_kernel.sales.models import Product, Sale
    from crm_kernel.sales.money import base_currency, base_quotes_on, local_day, rates_on
    from crm_kernel.sales.services import Line, in_base, record_sale, refund_sale
    from crm_kernel.settings import setting
    from crm_kernel.touchpoints.models import Interaction
    from crm_kernel.touchpoints.services import record_interaction
    from crm_kernel.unit_of_work import UnitOfWork, attempt, current_uow, reading, writing
    from crm_kernel.web.edge import permission

_HOMES = {name: module for module, names in NAMES.items() for name in names}

__all__ = [  # noqa: RUF022 - grouped as the reference is
    # the application and its settings
    "create_app",
    "Config",
    "load_config",
    # a plugin
    "Plugin",
    "hookimpl",
    "hookspec",
    "ask",
    "plugin_base",
    # tables
    "RecordMixin",
    "OwnedMixin",
    "Amount",
    "Rate",
    "utcnow",
    "CustomerReference",
    # what a record is
    "RecordType",
    "Extension",
    "Valued",
    "FormSection",
    "Board",
    "BoardColumn",
    "CalendarDates",
    "Action",
    "Services",
    # fields of its schema
    "Reference",
    "Money",
    "MAX_AMOUNT",
    "Choice",
    "Currency",
    "Country",
    "Collection",
    "Text",
    # what else a plugin contributes
    "Setting",
    "Permission",
    "NavItem",
    "NotificationKind",
    "PaletteCommand",
    "Panel",
    "DashboardTile",
    "Subscriber",
    "Job",
    "JobKind",
    "HealthCheck",
    "HealthResult",
    "Health",
    "ImportMapping",
    "InboundWebhook",
    "InboundMessage",
    "DemoData",
    "past",
    "InProgress",
    "ContactRule",
    "RuleAction",
    # transactions, facts and work
    "UnitOfWork",
    "reading",
    "writing",
    "current_uow",
    "attempt",
    "Event",
    "enqueue",
    "schedule_job",
    # requests to addresses that somebody else names
    "send",
    "policy_of",
    "OutboundPolicy",
    "Answer",
    # what all modules share: customers, touch points, sales
    "Customer",
    "create_customer",
    "update_customer",
    "capture_customer",
    "Captured",
    "may_contact",
    "ContactVerdict",
    "contactable",
    "refusal",
    "record_consent",
    "Spoken",
    "Evidence",
    "ask_for_consent",
    "preferences_link",
    "list_unsubscribe_headers",
    "suppress",
    "Interaction",
    "record_interaction",
    "Product",
    "Sale",
    "Line",
    "record_sale",
    "refund_sale",
    "NewSale",
    "record_sales",
    "base_currency",
    "in_base",
    "local_day",
    "rates_on",
    "base_quotes_on",
    # who acts, and whether they may
    "Actor",
    "Scope",
    "SYSTEM",
    "ANONYMOUS",
    "actor_for",
    "permission",
    "authorize",
    "allowed",
    "visible",
    "hidden_fields",
    "seen_record",
    "AppUser",
    "Team",
    "with_team",
    "with_teams",
    # for views and panels
    "record_type",
    "plan_of",
    "parse_tree",
    "compile_tree",
    "said_name",
    "create_record",
    "setting",
    "money_text",
    "plain_text",
    "notify",
    # errors
    "CrmError",
    "ConfigError",
    "DatabaseUnavailable",
    "UnitOfWorkError",
    "PluginError",
    "RegistrationError",
    "Forbidden",
    "Unauthenticated",
    "NotFound",
    "Conflict",
    "StaleVersion",
    "PreconditionRequired",
    "Replaced",
    "SecondFactorNeeded",
    "InvalidInput",
    "AddressRefused",
    "Unreachable",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"crm_kernel has no public name {name!r}; see docs/reference/public-names.md")
    found = getattr(importlib.import_module(f"crm_kernel.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
