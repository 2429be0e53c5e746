"""The action of rules that sends a record to a webhook: signed, tried again and logged as every other message of webhooks.

The rule only says that the webhook is to be told. What is sent is written when it is sent, as the webhook's user may read
the record then; so nobody is sent by a rule what he could not have asked for himself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from marshmallow import Schema, fields

from crm_kernel.access.policy import visible
from crm_kernel.contributions import RuleAction
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.events.webhooks.events import RecordSignalled
from crm_kernel.events.webhooks.models import WebhookEndpoint
from crm_kernel.records.plan import record_type
from crm_kernel.records.reading import record_of
from crm_kernel.rules.kernel_actions import customer_of, type_of
from crm_kernel.unit_of_work import current_uow

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


class SendWebhookSchema(Schema):
    """Which webhook is told."""

    webhook = fields.UUID(
        required=True,
        metadata={
            "label": _l("Webhook"),
            "reference": "webhook",
            "help": _l(
                "It must be switched on. It is told which record it is; the values only if the webhook sends the record"
                " along, and then what the user may read whose eyes it sees with, whoever wrote the rule."
            ),
        },
    )


def webhook_actions() -> list[RuleAction]:
    """Return the action."""
    return [
        RuleAction(
            name="kernel.send_webhook",
            label=_l("Send to a webhook"),
            run=send_to_webhook,
            schema=SendWebhookSchema,
            check=_check,
            icon="webhook",
        )
    ]


def send_to_webhook(uow: UnitOfWork, record: Any, *, webhook: UUID) -> None:
    """Tell one webhook of a record, after the commit.

    Raises:
        NotFound: the webhook is gone, or the rule's principal does not see it.
        Conflict: it is switched off.
    """
    endpoint: WebhookEndpoint = record_of(uow, record_type("webhook"), webhook)
    if not endpoint.enabled:
        raise Conflict(_("The webhook is switched off: switch it on first."))
    uow.record(
        RecordSignalled(
            webhook=webhook,
            record_type=type_of(record).name,
            record_id=record.uid,
            customer_id=customer_of(uow, record),
        )
    )


def _check(_found: RecordType, params: Mapping[str, Any]) -> None:
    uow = current_uow()
    wanted = sa.select(sa.literal(1)).where(
        WebhookEndpoint.uid == params["webhook"], visible(uow.actor, record_type("webhook"))
    )
    if uow.session.execute(wanted).first() is None:
        raise InvalidInput({"webhook": [_("There is no webhook with the id %(id)s.", id=params["webhook"])]})
