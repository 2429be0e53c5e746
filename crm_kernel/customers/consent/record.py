"""The record types of consent, and its card on the customer page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel.access.field_access import seen_record
from crm_kernel.access.policy import allowed
from crm_kernel.contributions import Panel
from crm_kernel.customers.consent.choices import CONTACT_CHANNELS, STATUS_COLORS, STATUSES
from crm_kernel.customers.consent.ledger import create_consent
from crm_kernel.customers.consent.models import Consent, Purpose, Suppression
from crm_kernel.customers.consent.purposes import create_purpose, update_purpose
from crm_kernel.customers.consent.schemas import ConsentSchema, LiftSchema, PurposeSchema, SuppressionSchema
from crm_kernel.customers.consent.suppression import lift_suppression
from crm_kernel.database import utcnow
from crm_kernel.errors import Conflict
from crm_kernel.records.record_type import Action, FormSection, RecordType, Services

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Facts shown on the customer page; the list has them all.
_SHOWN = 30


def record_types() -> list[RecordType]:
    """Return the record types ``purpose``, ``consent`` and ``suppression``."""
    return [_purpose(), _consent(), _suppression()]


def panels() -> list[Panel]:
    """Return the card "consents"."""
    return [
        Panel(
            name="kernel.consents",
            label=_l("Consents"),
            template="customers/consents.html",
            load=_load_consents,
            permission="consent.read",
            icon="shield-check",
            order=25,
        )
    ]


def _load_consents(uow: UnitOfWork, record: Any) -> Mapping[str, Any] | None:
    may_record = allowed(uow.actor, "consent.create")
    rows = _history(uow, record)
    if not rows and not may_record:
        return None
    return {
        "facts": [_fact(seen_record(uow.actor, "consent", consent), label) for consent, label in rows],
        "record_url": url_for("records.consent_new", customer=record.uid) if may_record else None,
        "ask_url": url_for("consent_requests.page", uid=record.uid) if may_record else None,
    }


def _history(uow: UnitOfWork, customer: Any) -> list[Any]:
    table = Consent
    query = (
        sa.select(table, Purpose.label)
        .join(Purpose, Purpose.code == table.purpose)
        .where(table.customer_id == customer.id)
        .order_by(table.captured_at.desc(), table.id.desc())
        .limit(_SHOWN)
    )
    return list(uow.session.execute(query))


def _fact(consent: Any, purpose: str) -> dict[str, Any]:
    return {
        "url": url_for("records.consent_detail", uid=consent.uid),
        "purpose": purpose if consent.purpose else _("Consent"),
        "channel": CONTACT_CHANNELS.get(consent.channel, consent.channel),
        "status": STATUSES.get(consent.status),
        "color": STATUS_COLORS.get(consent.status),
        "at": consent.captured_at,
        "until": consent.valid_to,
        "confirmed": consent.double_opt_in_at,
        "source": consent.source,
    }


def _never(uow: UnitOfWork, *_arguments: Any) -> Any:
    """Refuse to change or delete a fact, whichever way the change comes: form, API, bulk, import."""
    raise Conflict(_("The ledger of consents is added to, never changed: record a withdrawal instead."))


def _lift(uow: UnitOfWork, record: Suppression, *, note: str) -> None:
    lift_suppression(uow, record, note=note)


def _liftable(record: Suppression) -> bool:
    return record.until is None or record.until > utcnow()


def _purpose() -> RecordType:
    return RecordType(
        name="purpose",
        model=Purpose,
        schema=PurposeSchema,
        label=_l("Purpose of contact"),
        label_plural=_l("Purposes of contact"),
        slug="purposes",
        icon="target",
        title="label",
        columns=("label", "code", "rule", "double_opt_in", "public", "active"),
        filters=("code", "label", "rule", "public", "active"),
        sorts=("label", "code"),
        default_sort="label",
        form=(
            FormSection(title=_l("Purpose"), fields=("code", "label", "description", "active")),
            FormSection(
                title=_l("Consent"), fields=("rule", "double_opt_in", "public", "statement", "statement_version")
            ),
        ),
        services=Services(create=create_purpose, update=update_purpose),
        external_key=("code",),
        nav_section="administration",
        nav_order=75,
    )


def _consent() -> RecordType:
    return RecordType(
        name="consent",
        model=Consent,
        schema=ConsentSchema,
        label=_l("Consent"),
        label_plural=_l("Consents"),
        slug="consents",
        icon="shield-check",
        title="purpose",
        columns=("purpose", "customer", "channel", "status", "captured_at", "valid_to", "source"),
        filters=("customer", "channel", "purpose", "status", "basis", "source", "captured_at", "valid_to"),
        sorts=("captured_at", "created_at"),
        default_sort="-captured_at",
        form=(
            FormSection(
                title=_l("Consent"),
                fields=("customer", "purpose", "channel", "status", "basis", "captured_at", "valid_from", "valid_to"),
            ),
            FormSection(
                title=_l("Proof"),
                fields=(
                    "source", "external_ref", "double_opt_in_at", "statement", "form", "form_version", "ip",
                    "user_agent", "note",
                ),
            ),
        ),
        services=Services(create=create_consent, update=_never, delete=_never, update_many=_never),
        customer="customer_id",
        verbs=("read", "create", "export"),
        nav_section=None,
    )  # fmt: skip


def _suppression() -> RecordType:
    return RecordType(
        name="suppression",
        model=Suppression,
        schema=SuppressionSchema,
        label=_l("Suppression"),
        label_plural=_l("Suppressions"),
        slug="suppressions",
        icon="circle-x",
        title="reason",
        columns=("reason", "channel", "since", "until", "source", "recorded_by"),
        filters=("channel", "reason", "since", "until", "source"),
        sorts=("since", "created_at"),
        default_sort="-since",
        services=Services(create=_never, update=_never, delete=_never, update_many=_never),
        actions=(
            Action(
                name="lift",
                label=_l("Lift"),
                service=_lift,
                schema=LiftSchema,
                icon="lock-open",
                color="warning",
                available=_liftable,
            ),
        ),
        verbs=("read", "export"),
        nav_section="administration",
        nav_order=76,
    )
