"""Records contacts with customers: once each, whoever tells of them and however often."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.rows import add_once
from crm_kernel.customers.models import Customer, new_uid
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.touchpoints.choices import CHANNELS, DIRECTIONS, KINDS, USUAL
from crm_kernel.touchpoints.events import InteractionRecorded
from crm_kernel.touchpoints.models import Interaction

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Source of what users log by hand.
KERNEL = "kernel"
_MOST_SUMMARY = 300


def record_interaction(
    uow: UnitOfWork,
    customer: Customer,
    *,
    kind: str,
    channel: str,
    direction: str,
    summary: str,
    source_plugin: str,
    body: str | None = None,
    occurred_at: dt.datetime | None = None,
    subject_type: str | None = None,
    subject_uid: UUID | None = None,
    external_ref: str | None = None,
) -> Interaction:
    """Record a contact with a customer and return it, flushed; the same one told again is returned as it is.

    Args:
        kind: ``call``, ``note`` … or the plugin's own word (``sfa.opportunity_won``).
        channel, direction: a key of ``CHANNELS`` and of ``DIRECTIONS``.
        summary: one line for the timeline; cut at 300 characters.
        source_plugin, external_ref: who tells, and the key there: the pair is stored once.
        occurred_at: aware; now if not given.
        subject_type, subject_uid: the record it is about; the entry is then seen by those who may see both.

    Raises:
        InvalidInput: channel or direction is unknown, the summary is empty, or half a subject is given.
    """
    row = {
        "customer_id": customer.id,
        "kind": kind,
        "channel": channel,
        "direction": direction,
        "summary": " ".join(summary.split())[:_MOST_SUMMARY],
        "body": body,
        "occurred_at": occurred_at or uow.now,
        "subject_type": subject_type,
        "subject_uid": subject_uid,
        "actor_id": uow.actor.user_id,
        "actor_name": uow.actor.name,
        "source_plugin": source_plugin,
        "external_ref": external_ref,
    }
    _check(row)
    return _store(uow, customer, row)


def log_interaction(uow: UnitOfWork, data: Mapping[str, Any]) -> Interaction:
    """Record what a user logs by a form: a call, a meeting, a note; ``data`` is what ``InteractionSchema`` loaded.

    Raises:
        InvalidInput: as for ``record_interaction``.
    """
    customer = uow.session.get(Customer, data["customer_id"])
    if customer is None:
        raise InvalidInput({"customer": [_("No such customer.")]})
    channel, direction = USUAL.get(data["kind"], ("other", "internal"))
    return record_interaction(
        uow,
        customer,
        kind=data["kind"],
        channel=data.get("channel") or channel,
        direction=data.get("direction") or direction,
        summary=data["summary"],
        source_plugin=KERNEL,
        body=data.get("body"),
        occurred_at=data.get("occurred_at"),
    )


def change_interaction(uow: UnitOfWork, interaction: Interaction, changes: Mapping[str, Any]) -> None:
    """Correct an entry that was logged by hand; what modules recorded stays as it was.

    Raises:
        Conflict: a module recorded it.
        InvalidInput: as for ``record_interaction``; the customer of an entry never changes.
    """
    _refuse_recorded(interaction)
    if changes.get("customer_id", interaction.customer_id) != interaction.customer_id:
        raise InvalidInput({"customer": [_("An entry stays with its customer: log it again there.")]})
    required = {"occurred_at", "channel", "direction"}
    given = {name: value for name, value in changes.items() if value is not None or name not in required}
    _check({name: given.get(name, getattr(interaction, name)) for name in _CHECKED})
    for name, value in given.items():
        if getattr(interaction, name) != value:
            setattr(interaction, name, value)
            interaction.updated_at = uow.now
    uow.session.flush()


def delete_interaction(uow: UnitOfWork, interaction: Interaction) -> None:
    """Delete an entry that was logged by hand.

    Raises:
        Conflict: a module recorded it.
    """
    _refuse_recorded(interaction)
    uow.session.delete(interaction)
    uow.session.flush()


_CHECKED = ("channel", "direction", "summary", "subject_type", "subject_uid")


def _check(row: Mapping[str, Any]) -> None:
    errors = {}
    for name, known in (("channel", CHANNELS), ("direction", DIRECTIONS)):
        if row[name] not in known:
            errors[name] = [_("Found %(found)s, expected one of: %(known)s.", found=row[name], known=", ".join(known))]
    if not row["summary"]:
        errors["summary"] = [_("A summary is needed: what was it about?")]
    if (row["subject_type"] is None) != (row["subject_uid"] is None):
        errors["subject"] = [_("A subject needs its record type and its id.")]
    if errors:
        raise InvalidInput(errors)


def _store(uow: UnitOfWork, customer: Customer, row: Mapping[str, Any]) -> Interaction:
    common = {"uid": new_uid(), "created_at": uow.now, "updated_at": uow.now}
    interaction, new = add_once(uow.session, Interaction(**common, **row), lambda: _known(uow, row))
    if not new:
        return cast(Interaction, interaction)
    uow.record(
        InteractionRecorded(
            interaction_id=interaction.uid,
            customer_id=customer.uid,
            channel=interaction.channel,
            direction=interaction.direction,
            kind=interaction.kind,
            source_plugin=interaction.source_plugin,
        )
    )
    return cast(Interaction, interaction)


def _known(uow: UnitOfWork, row: Mapping[str, Any]) -> Interaction | None:
    if row["external_ref"] is None:
        return None
    table = Interaction
    query = sa.select(table).where(
        table.source_plugin == row["source_plugin"], table.external_ref == row["external_ref"]
    )
    return uow.session.execute(query).scalar_one_or_none()


def _refuse_recorded(interaction: Interaction) -> None:
    if interaction.source_plugin != KERNEL or interaction.kind not in KINDS:
        raise Conflict(
            _("The module %(module)s recorded this entry: it stays as it is.", module=interaction.source_plugin)
        )
