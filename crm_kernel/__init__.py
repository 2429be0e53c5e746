"""The public names of the kernel: what a plugin may build on, documented in docs/reference/public-names.md.

Each name is resolved when it is first used (PEP 562): ``import crm_kernel`` imports neither Flask nor SQLAlchemy, so
that the command line and pytest start fast. What is not in ``__all__`` may change in any release.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm_kernel.access.actor import ANONYMOUS, SYSTEM, Actor, Scope
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
    from crm_kernel.jobs.services import enqueue
    from crm_kernel.outbound import AddressRefused, Answer, OutboundPolicy, Unreachable, policy_of, send
    from crm_kernel.plugin import Plugin, hookimpl, plugin_base
    from crm_kernel.records.fields import MAX_AMOUNT, Choice, Collection, Country, Currency, Money, Reference
    from crm_kernel.records.ownership import with_team, with_teams
    from crm_kernel.records.pages.presenting import money_text, plain_text
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.record_type import Action, Board, BoardColumn, Extension, FormSection, RecordType, Services
    from crm_kernel.records.services import create_record
    from crm_kernel.records.texts import Text
    from crm_kernel.sales.bulk import NewSale, record_sales
    from crm_kernel.sales.models import Product, Sale
    from crm_kernel.sales.money import base_currency, local_day, rates_on
    from crm_kernel.sales.services import Line, in_base, record_sale, refund_sale
    from crm_kernel.settings import setting
    from crm_kernel.touchpoints.models import Interaction
    from crm_kernel.touchpoints.services import record_interaction
    from crm_kernel.unit_of_work import UnitOfWork, attempt, current_uow, reading, writing
    from crm_kernel.web.edge import permission

#: Module → the public names that live there.
_NAMES: dict[str, tuple[str, ...]] = {
    "access.actor": ("ANONYMOUS", "SYSTEM", "Actor", "Scope"),
    "access.models": ("AppUser", "Team"),
    "access.policy": ("allowed", "authorize", "visible"),
    "app": ("create_app",),
    "collaboration.notifications.services": ("notify",),
    "config": ("Config", "load_config"),
    "contributions": (
        "ContactRule",
        "DashboardTile",
        "DemoData",
        "Health",
        "HealthCheck",
        "HealthResult",
        "ImportMapping",
        "InProgress",
        "InboundMessage",
        "InboundWebhook",
        "Job",
        "JobKind",
        "NavItem",
        "NotificationKind",
        "PaletteCommand",
        "Panel",
        "Permission",
        "RuleAction",
        "Setting",
        "Subscriber",
    ),
    "customers.consent.asking": ("ask_for_consent",),
    "customers.consent.gate": ("ContactVerdict", "contactable", "may_contact"),
    "customers.consent.ledger": ("Evidence", "Spoken", "record_consent"),
    "customers.consent.links": ("list_unsubscribe_headers", "preferences_link"),
    "customers.consent.rules": ("refusal",),
    "customers.consent.suppression": ("suppress",),
    "customers.models": ("Customer",),
    "customers.services": ("create_customer", "update_customer"),
    "data_map.references": ("CustomerReference",),
    "database": ("Amount", "OwnedMixin", "Rate", "RecordMixin", "utcnow"),
    "errors": (
        "ConfigError",
        "Conflict",
        "CrmError",
        "DatabaseUnavailable",
        "Forbidden",
        "InvalidInput",
        "NotFound",
        "PluginError",
        "PreconditionRequired",
        "RegistrationError",
        "Replaced",
        "SecondFactorNeeded",
        "StaleVersion",
        "Unauthenticated",
        "UnitOfWorkError",
    ),
    "events.event": ("Event",),
    "jobs.services": ("enqueue",),
    "outbound": ("AddressRefused", "Answer", "OutboundPolicy", "Unreachable", "policy_of", "send"),
    "plugin": ("Plugin", "hookimpl", "plugin_base"),
    "records.fields": ("MAX_AMOUNT", "Choice", "Collection", "Country", "Currency", "Money", "Reference"),
    "records.ownership": ("with_team", "with_teams"),
    "records.pages.presenting": ("money_text", "plain_text"),
    "records.plan": ("record_type",),
    "records.record_type": ("Action", "Board", "BoardColumn", "Extension", "FormSection", "RecordType", "Services"),
    "records.services": ("create_record",),
    "records.texts": ("Text",),
    "settings": ("setting",),
    "sales.bulk": ("NewSale", "record_sales"),
    "sales.models": ("Product", "Sale"),
    "sales.money": ("base_currency", "local_day", "rates_on"),
    "sales.services": ("Line", "in_base", "record_sale", "refund_sale"),
    "touchpoints.models": ("Interaction",),
    "touchpoints.services": ("record_interaction",),
    "unit_of_work": ("UnitOfWork", "attempt", "current_uow", "reading", "writing"),
    "web.edge": ("permission",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [  # noqa: RUF022 - grouped as the reference is
    # the application and its settings
    "create_app",
    "Config",
    "load_config",
    # a plugin
    "Plugin",
    "hookimpl",
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
    "FormSection",
    "Board",
    "BoardColumn",
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
    # requests to addresses that somebody else names
    "send",
    "policy_of",
    "OutboundPolicy",
    "Answer",
    # what all modules share: customers, touch points, sales
    "Customer",
    "create_customer",
    "update_customer",
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
    # who acts, and whether they may
    "Actor",
    "Scope",
    "SYSTEM",
    "ANONYMOUS",
    "permission",
    "authorize",
    "allowed",
    "visible",
    "AppUser",
    "Team",
    "with_team",
    "with_teams",
    # for views and panels
    "record_type",
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
