"""The record types of privacy, their permissions, and the cards on the pages of customers and receipts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import url_for
from flask_babel import format_date
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.access.policy import allowed
from crm_kernel.contributions import Panel, Permission
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.choices import FATE_COLORS, FATES, WHY
from crm_kernel.customers.privacy.holds import hold_customer, in_force, release_hold
from crm_kernel.customers.privacy.models import AnonymisedCustomer, Erasure, LegalHold, RetentionRule
from crm_kernel.customers.privacy.retention import create_rule, update_rule
from crm_kernel.customers.privacy.retention_pages import rule_context
from crm_kernel.customers.privacy.schemas import ErasureSchema, LegalHoldSchema, RetentionRuleSchema
from crm_kernel.errors import Conflict
from crm_kernel.records.plan import record_types as known_types
from crm_kernel.records.record_type import Action, FormSection, RecordType, Services

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

EXPORT, ERASE = "customer.export_subject", "customer.erase"


def permissions() -> list[Permission]:
    """Return what may be granted beside the record types' own."""
    return [
        Permission(name=EXPORT, label=_l("Customers: export everything about one")),
        Permission(name=ERASE, label=_l("Customers: erase for good")),
    ]


def record_types() -> list[RecordType]:
    """Return the record types ``legal_hold``, ``erasure`` and ``retention_rule``."""
    return [_legal_hold(), _erasure(), _retention_rule()]


def panels() -> list[Panel]:
    """Return the card "privacy" of customers and the lines of a receipt."""
    return [
        Panel(
            name="kernel.privacy",
            label=_l("Privacy"),
            template="customers/privacy_card.html",
            load=_load_privacy,
            permission="customer.read",
            icon="lock",
            order=90,
        ),
        Panel(
            name="kernel.receipt",
            label=_l("Receipt"),
            template="customers/receipt.html",
            load=_load_receipt,
            permission="erasure.read",
            host="erasure",
            icon="receipt",
        ),
    ]


def in_words(entries: Any) -> list[dict[str, Any]]:
    """Return the lines of a plan or a receipt for people.

    Each has ``table``, ``label`` (None for a table that is no record type's), ``module``, ``fate``, ``color``, ``rows``, ``why``.
    """
    labels = {found.model.__tablename__: found.label_plural for found in known_types().values()}
    return [
        {
            **entry,
            "label": labels.get(entry["table"]),
            "fate": FATES.get(entry["fate"], entry["fate"]),
            "color": FATE_COLORS.get(entry["fate"], "secondary"),
            "why": WHY.get(entry["why"], entry["why"]),
        }
        for entry in entries
    ]


def _load_privacy(uow: UnitOfWork, record: Any) -> Mapping[str, Any] | None:
    may_export, may_erase = allowed(uow.actor, EXPORT, record), allowed(uow.actor, ERASE, record)
    if not (may_export or may_erase):
        return None
    holds, anonymised_at = _holds_and_anonymising(uow, record.id)
    return {
        "url": url_for("privacy.page", uid=record.uid),
        "holds": holds,
        "anonymised_on": format_date(anonymised_at) if anonymised_at else "",
    }


def _holds_and_anonymising(uow: UnitOfWork, customer_id: int) -> tuple[list[LegalHold], dt.datetime | None]:
    """Return the holds in force on a customer, oldest first, and since when it is anonymous; one query for both."""
    query = (
        sa.select(LegalHold, AnonymisedCustomer.anonymised_at)
        .select_from(Customer)
        .outerjoin(LegalHold, sa.and_(LegalHold.customer_id == Customer.id, in_force(uow.now)))
        .outerjoin(AnonymisedCustomer, AnonymisedCustomer.customer_id == Customer.id)
        .where(Customer.id == customer_id)
    )
    rows = uow.session.execute(query.order_by(LegalHold.id)).all()
    return [hold for hold, _at in rows if hold is not None], rows[0][1] if rows else None


def _load_receipt(uow: UnitOfWork, record: Erasure) -> Mapping[str, Any]:
    return {"entries": in_words(record.entries)}


def _release(uow: UnitOfWork, record: LegalHold) -> None:
    release_hold(uow, record)


def _never(uow: UnitOfWork, *_arguments: Any) -> Any:
    raise Conflict(_("This stays as it was written."))


def _legal_hold() -> RecordType:
    return RecordType(
        name="legal_hold",
        model=LegalHold,
        schema=LegalHoldSchema,
        label=_l("Legal hold"),
        label_plural=_l("Legal holds"),
        slug="legal-holds",
        icon="lock",
        title="reason",
        columns=("reason", "customer", "since", "until", "recorded_by"),
        filters=("customer", "since", "until"),
        sorts=("since", "created_at"),
        default_sort="-created_at",
        form=(FormSection(title=_l("Legal hold"), fields=("customer", "reason")),),
        services=Services(create=hold_customer, update=_never, delete=_never, update_many=_never),
        actions=(
            Action(
                name="release",
                label=_l("Release"),
                service=_release,
                icon="lock-open",
                color="warning",
                available=lambda hold: hold.until is None,
            ),
        ),
        customer="customer_id",
        verbs=("read", "create", "export"),
        nav_section="administration",
        nav_order=78,
    )


def _erasure() -> RecordType:
    return RecordType(
        name="erasure",
        model=Erasure,
        schema=ErasureSchema,
        label=_l("Receipt of an erasure"),
        label_plural=_l("Receipts of erasures"),
        slug="erasures",
        icon="receipt",
        title="reason",
        columns=("reason", "action", "customers", "rule", "created_at", "recorded_by"),
        filters=("reason", "action", "rule", "created_at"),
        sorts=("created_at",),
        default_sort="-created_at",
        services=Services(create=_never, update=_never, delete=_never, update_many=_never),
        verbs=("read", "export"),
        nav_section="administration",
        nav_order=79,
    )


def _retention_rule() -> RecordType:
    return RecordType(
        name="retention_rule",
        model=RetentionRule,
        schema=RetentionRuleSchema,
        label=_l("Retention rule"),
        label_plural=_l("Retention rules"),
        slug="retention-rules",
        icon="clock",
        title="name",
        columns=("name", "action", "months", "active", "last_run_at", "last_erased"),
        filters=("name", "action", "active"),
        sorts=("name", "created_at"),
        default_sort="name",
        form=(FormSection(title=_l("Retention rule"), fields=("name", "months", "action", "active")),),
        services=Services(create=create_rule, update=update_rule),
        detail_template="customers/retention_rule.html",
        detail_context=rule_context,
        external_key=("name",),
        nav_section="administration",
        nav_order=77,
    )
