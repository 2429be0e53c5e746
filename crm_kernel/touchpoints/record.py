"""The record type of touch points: logged by a form, recorded by modules, listed like any record."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

from crm_kernel.records.record_type import FormSection, RecordType, Services
from crm_kernel.touchpoints.models import Interaction
from crm_kernel.touchpoints.queries import visible_interactions
from crm_kernel.touchpoints.schemas import InteractionSchema
from crm_kernel.touchpoints.services import change_interaction, delete_interaction, log_interaction


def record_types() -> list[RecordType]:
    """Return the record type ``interaction``."""
    return [
        RecordType(
            name="interaction",
            model=Interaction,
            schema=InteractionSchema,
            label=_l("Interaction"),
            label_plural=_l("Interactions"),
            slug="interactions",
            icon="messages",
            title="summary",
            columns=("summary", "customer", "kind", "channel", "direction", "occurred_at", "actor_name"),
            filters=("customer", "kind", "channel", "direction", "occurred_at", "source_plugin"),
            sorts=("occurred_at", "created_at"),
            default_sort="-occurred_at",
            search=("summary",),
            form=(
                FormSection(
                    title=_l("What happened"),
                    fields=("customer", "kind", "summary", "occurred_at", "channel", "direction", "body"),
                ),
            ),
            services=Services(create=log_interaction, update=change_interaction, delete=delete_interaction),
            customer="customer_id",
            author="actor_id",
            visibility=visible_interactions,
            external_key=("source_plugin", "external_ref"),
            nav_order=30,
        )
    ]
