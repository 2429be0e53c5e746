"""The fact the kernel tells about touch points: ids, channel and kind, never what was said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from flask_babel import lazy_gettext as _l

from crm_kernel.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionRecorded(Event):
    """A contact with a customer was recorded for the first time."""

    name: ClassVar[str] = "kernel.interaction_recorded"
    event_label: ClassVar[Any] = _l("Interaction recorded")

    interaction_id: UUID
    customer_id: UUID
    channel: str
    #: ``in``, ``out`` or ``internal``.
    direction: str
    kind: str
    source_plugin: str


EVENTS = (InteractionRecorded,)
