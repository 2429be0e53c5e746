"""``crm webhooks``: addresses of other systems that are told of events, and what became of each message."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from crm_cli.common import (
    Instance,
    dry_run_option,
    echo_done,
    echo_json,
    echo_records,
    instance_options,
    json_option,
    message,
)

if TYPE_CHECKING:
    from crm_kernel.events.webhooks.models import WebhookEndpoint
    from crm_kernel.unit_of_work import UnitOfWork

_COLUMNS = ("id", "name", "url", "events", "enabled", "disabled_reason", "failing_since", "user")
_DELIVERY_COLUMNS = ("id", "event", "state", "attempts", "status", "milliseconds", "error", "created_at", "next_at")
_WEBHOOK = click.argument("webhook", type=click.UUID)
_STATES = ["waiting", "delivered", "failed", "withheld"]


@click.group("webhooks")
def webhooks() -> None:
    """Tell other systems of events, see what they answered, send again what they missed."""


@webhooks.command("list")
@json_option
@instance_options
def list_webhooks(instance: Instance, as_json: bool) -> None:
    """List webhooks by name."""
    import sqlalchemy as sa

    from crm_kernel.access.models import AppUser
    from crm_kernel.events.webhooks.models import WebhookEndpoint

    query = sa.select(WebhookEndpoint, AppUser.email).join(AppUser, AppUser.id == WebhookEndpoint.user_id)
    with instance.reading() as uow:
        found = uow.session.execute(query.order_by(WebhookEndpoint.name, WebhookEndpoint.id)).all()
        rows = [_described(webhook, email) for webhook, email in found]
    echo_records(as_json, _COLUMNS, rows)


@webhooks.command("add")
@click.argument("url")
@click.option("--user", "email", required=True, metavar="EMAIL", help="With whose eyes it sees: it is told no more.")
@click.option("--event", "events", multiple=True, metavar="NAME", help="An event's name; repeat. Default: every event.")
@click.option("--name", help="What people call it (default: the address).")
@click.option("--filter", "filter_", metavar="JSON", help="Only events about customers that fit this filter.")
@click.option("--with-record", is_flag=True, help="Send the record along, as far as the user may read it.")
@dry_run_option
@json_option
@instance_options
def add(
    instance: Instance,
    url: str,
    email: str,
    events: Sequence[str],
    name: str | None,
    filter_: str | None,
    with_record: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send events to URL from now on, and print the secret that signs them.

    Example: crm webhooks add https://example.com/hook --user ada@example.com --event kernel.customer_created
    """
    from crm_kernel.access.services import user_by_email
    from crm_kernel.events.webhooks.schemas import WebhookSchema
    from crm_kernel.events.webhooks.secrets import current_secrets
    from crm_kernel.events.webhooks.services import create_webhook
    from crm_kernel.records.payloads import load_with

    given = {"name": name or url[:120], "url": url, "events": list(events) or ["*"], "filter": filter_}
    with instance.writing(dry_run=dry_run) as uow:
        data = load_with(WebhookSchema, {**given, "with_record": with_record})
        made = create_webhook(uow, data, user_id=user_by_email(uow, email).id)
        text = None if dry_run else current_secrets(made, uow.now)[0]
        described = {**_described(made, email), "secret": text}
    if as_json:
        echo_json(described)
    elif text is not None:
        click.echo(text)
        message(f"{described['name']} is told of events. The secret above signs them; its id is {described['id']}.")


@webhooks.command("enable")
@_WEBHOOK
@dry_run_option
@json_option
@instance_options
def enable(instance: Instance, webhook: UUID, dry_run: bool, as_json: bool) -> None:
    """Switch a webhook on; send what it missed with ``crm webhooks replay``."""
    from crm_kernel.events.webhooks.services import enable_webhook

    with instance.writing(dry_run=dry_run) as uow:
        found = _found(uow, webhook)
        enable_webhook(uow, found)
        described = _described(found, _email(uow, found))
    echo_done(described, "It is switched on.", as_json=as_json, dry_run=dry_run)


@webhooks.command("disable")
@_WEBHOOK
@dry_run_option
@json_option
@instance_options
def disable(instance: Instance, webhook: UUID, dry_run: bool, as_json: bool) -> None:
    """Switch a webhook off; what waits for it fails."""
    from crm_kernel.events.webhooks.services import disable_webhook

    with instance.writing(dry_run=dry_run) as uow:
        found = _found(uow, webhook)
        disable_webhook(uow, found)
        described = _described(found, _email(uow, found))
    echo_done(described, "It is switched off.", as_json=as_json, dry_run=dry_run)


@webhooks.command("test")
@_WEBHOOK
@dry_run_option
@json_option
@instance_options
def test(instance: Instance, webhook: UUID, dry_run: bool, as_json: bool) -> None:
    """Send a message that says nothing; a worker sends it."""
    from crm_kernel.events.webhooks.services import ping

    with instance.writing(dry_run=dry_run) as uow:
        shown = _shown(ping(uow, _found(uow, webhook)))
    text = f"On its way. What came of it: crm webhooks deliveries {webhook}"
    echo_done(shown, text, as_json=as_json, dry_run=dry_run)


@webhooks.command("secret")
@_WEBHOOK
@click.option("--replace", is_flag=True, help="Make a new one; the old one signs beside it for 24 hours.")
@dry_run_option
@json_option
@instance_options
def secret(instance: Instance, webhook: UUID, replace: bool, dry_run: bool, as_json: bool) -> None:
    """Print the secret that signs a webhook's messages."""
    from crm_kernel.events.webhooks.secrets import opened
    from crm_kernel.events.webhooks.services import rotate_secret

    with instance.writing(dry_run=dry_run) as uow:
        found = _found(uow, webhook)
        text = rotate_secret(uow, found) if replace else opened(found.uid, found.secret)
        # The new secret of a dry run is nobody's: whoever noted it would sign with nothing.
        told = None if replace and dry_run else text
        described = {**_described(found, _email(uow, found)), "secret": told}
    if as_json:
        echo_json(described)
    elif told is not None:
        click.echo(told)


@webhooks.command("replay")
@_WEBHOOK
@click.option("--since", type=click.DateTime(), help="What it has not been told since this time, UTC.")
@click.option("--delivery", type=click.UUID, help="Only this delivery, under the same id.")
@dry_run_option
@json_option
@instance_options
def replay(
    instance: Instance,
    webhook: UUID,
    since: dt.datetime | None,
    delivery: UUID | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send again what a webhook has missed; what it has taken is left out."""
    from crm_kernel.events.webhooks.replaying import replay_since
    from crm_kernel.events.webhooks.services import replay_delivery

    if (since is None) == (delivery is None):
        raise click.UsageError("say either --since or --delivery")
    with instance.writing(dry_run=dry_run) as uow:
        found = _found(uow, webhook)
        if since is not None:
            replay_since(uow, found, since.replace(tzinfo=dt.UTC))
        elif delivery is not None:
            replay_delivery(uow, _delivery(uow, found, delivery))
        described = _described(found, _email(uow, found))
    text = f"On its way. What came of it: crm webhooks deliveries {webhook}"
    echo_done(described, text, as_json=as_json, dry_run=dry_run)


@webhooks.command("deliveries")
@_WEBHOOK
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@json_option
@instance_options
def deliveries(instance: Instance, webhook: UUID, state: str | None, limit: int, as_json: bool) -> None:
    """List what a webhook was sent and what came of it, newest first."""
    import sqlalchemy as sa

    from crm_kernel.events.webhooks.models import WebhookDelivery

    with instance.reading() as uow:
        query = sa.select(WebhookDelivery).where(WebhookDelivery.webhook_id == _found(uow, webhook).id)
        if state is not None:
            query = query.where(WebhookDelivery.state == state)
        found = uow.session.scalars(query.order_by(WebhookDelivery.id.desc()).limit(limit)).all()
        rows = [_shown(delivery) for delivery in found]
    echo_records(as_json, _DELIVERY_COLUMNS, rows)


def _found(uow: UnitOfWork, uid: UUID) -> WebhookEndpoint:
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import record_of

    found: WebhookEndpoint = record_of(uow, record_type("webhook"), uid)
    return found


def _email(uow: UnitOfWork, webhook: WebhookEndpoint) -> str:
    from crm_kernel.access.models import AppUser

    return uow.session.get_one(AppUser, webhook.user_id).email


def _delivery(uow: UnitOfWork, webhook: WebhookEndpoint, uid: UUID) -> Any:
    from crm_kernel.errors import NotFound
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import record_of

    found = record_of(uow, record_type("webhook_delivery"), uid)
    if found.webhook_id != webhook.id:
        raise NotFound(f"{webhook.name} has no delivery {uid}.")
    return found


def _described(webhook: WebhookEndpoint, email: str) -> dict[str, Any]:
    return {
        "id": str(webhook.uid),
        **{name: getattr(webhook, name) for name in _COLUMNS if name not in ("id", "user", "events")},
        "events": ", ".join(webhook.events),
        "user": email,
    }


def _shown(delivery: Any) -> dict[str, Any]:
    names = [name for name in _DELIVERY_COLUMNS if name not in ("id", "event")]
    return {
        "id": str(delivery.uid),
        "event": delivery.event_name,
        **{name: getattr(delivery, name) for name in names},
    }
