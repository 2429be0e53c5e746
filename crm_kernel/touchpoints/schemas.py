"""What can be read and written of a touch point."""

from __future__ import annotations

from typing import Any

from flask_babel import lazy_gettext as _l
from marshmallow import Schema, fields

from crm_kernel.records.fields import Choice, Reference
from crm_kernel.records.plan import record_types
from crm_kernel.records.texts import Text
from crm_kernel.touchpoints.choices import CHANNELS, DIRECTIONS, KINDS


class InteractionKind(Choice):
    """What happened: one of the fixed kinds, or a module's own, which is shown as the record type it begins with."""

    #: Read by the API's document: what modules record is none of the choices that a person has.
    open_when_read = True

    def label_of(self, value: str) -> Any:
        """Return the label of a kind: what its record type's ``timeline`` calls it, else what the record is called."""
        known = [found for name, found in record_types().items() if value.startswith(f"{name}_")]
        subject = max(known, key=lambda found: len(found.name), default=None)
        return super().label_of(value) if subject is None else subject.timeline.get(value, subject.label)


class InteractionSchema(Schema):
    """A contact with a customer."""

    customer = Reference("customer", attribute="customer_id", required=True, metadata={"label": _l("Customer")})
    kind = InteractionKind(KINDS, required=True, metadata={"label": _l("Kind")})
    summary = Text(300, required=True, metadata={"label": _l("Summary")})
    body = Text(metadata={"label": _l("Details")})
    occurred_at = fields.AwareDateTime(allow_none=True, metadata={"label": _l("When"), "help": _l("Left empty: now.")})
    channel = Choice(CHANNELS, allow_none=True, metadata={"label": _l("Channel")})
    direction = Choice(DIRECTIONS, allow_none=True, metadata={"label": _l("Direction")})
    actor_name = Text(120, dump_only=True, metadata={"label": _l("By"), "computed": True})
    source_plugin = Text(40, dump_only=True, metadata={"label": _l("Module"), "computed": True, "show_as": "module"})
    external_ref = Text(
        255, dump_only=True, metadata={"label": _l("Reference in the source"), "computed": True, "show_as": "outside"}
    )
    subject_type = Text(80, dump_only=True, metadata={"label": _l("About"), "computed": True, "show_as": "record_type"})
    subject_id = fields.UUID(
        attribute="subject_uid",
        dump_only=True,
        metadata={"label": _l("Id of what it is about"), "computed": True, "show_as": "subject"},
    )
