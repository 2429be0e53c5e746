"""``crm consent``: what customers agreed to, which values must not be used; ``crm customers may-contact`` asks the gate."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from crm_cli.common import (
    Instance,
    dry_run_option,
    echo_json,
    echo_records,
    echo_table,
    instance_options,
    json_option,
    message,
)

if TYPE_CHECKING:
    from crm_kernel.customers.models import Customer
    from crm_kernel.unit_of_work import UnitOfWork

_CUSTOMER = click.argument("customer", type=click.UUID, metavar="CUSTOMER")
_CHANNEL = click.option("--channel", required=True, help="email, sms, phone, letter, fax or social.")
_PURPOSE = click.option("--purpose", required=True, help="Code of a purpose: crm consent purposes lists them.")
_AT = click.option("--at", "at_text", metavar="TIME", help="When, in ISO 8601 with its zone (default: now).")
_SOURCE = "user:cli"


@click.group("consent")
def consent() -> None:
    """Record and list consents, and keep addresses from being used."""


@consent.command("purposes")
@json_option
@instance_options
def purposes(instance: Instance, as_json: bool) -> None:
    """List what customers are contacted for, and what each purpose asks for first."""
    import sqlalchemy as sa

    from crm_kernel.customers.consent.models import Purpose

    columns = ("code", "label", "rule", "double_opt_in", "public", "active")
    with instance.reading() as uow:
        found = uow.session.scalars(sa.select(Purpose).order_by(Purpose.code))
        rows = [{name: getattr(purpose, name) for name in columns} for purpose in found]
    echo_records(as_json, columns, rows)


@consent.command("list")
@_CUSTOMER
@json_option
@instance_options
def list_consents(instance: Instance, customer: UUID, as_json: bool) -> None:
    """List what a customer agreed to and withdrew, the last captured first: of each pair the first row decides."""
    import sqlalchemy as sa

    from crm_kernel.customers.consent.models import Consent

    columns = ("captured_at", "purpose", "channel", "status", "basis", "valid_to", "source", "double_opt_in_at")
    with instance.reading() as uow:
        query = sa.select(Consent).where(Consent.customer_id == _customer(uow, customer).id)
        found = uow.session.scalars(query.order_by(Consent.captured_at.desc(), Consent.id.desc()))
        rows = [{"id": row.uid, **{name: getattr(row, name) for name in columns}} for row in found]
    echo_records(as_json, columns, rows)


@consent.command("record")
@_CUSTOMER
@_CHANNEL
@_PURPOSE
@click.option("--status", required=True, help="given, withdrawn or denied.")
@click.option("--basis", default="consent", show_default=True, help="Lawful basis.")
@click.option("--note", help="A remark: how the customer said so.")
@_AT
@dry_run_option
@json_option
@instance_options
def record(
    instance: Instance,
    customer: UUID,
    channel: str,
    purpose: str,
    status: str,
    basis: str,
    note: str | None,
    at_text: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Record that a customer agreed, withdrew or said no. Facts are added, never changed."""
    from crm_kernel.customers.consent.ledger import create_consent

    with instance.writing(dry_run=dry_run) as uow:
        said = {"channel": channel, "purpose": purpose, "status": status, "basis": basis, "note": note}
        when = {} if at_text is None else {"captured_at": _moment(at_text)}
        key = _customer(uow, customer).id
        made = create_consent(uow, {"customer_id": key, "source": _SOURCE, **said, **when})
        shown = {"id": made.uid, "status": made.status, "captured_at": made.captured_at}
    if as_json:
        echo_json(shown)
    elif not dry_run:
        message(f"{purpose} by {channel}: {status}.")


@consent.command("ask")
@_CUSTOMER
@_PURPOSE
@click.option("--print-link", is_flag=True, help="Print the link, to be handed over, instead of mailing it.")
@dry_run_option
@json_option
@instance_options
def ask(instance: Instance, customer: UUID, purpose: str, print_link: bool, dry_run: bool, as_json: bool) -> None:
    """Ask a customer for a consent by e-mail: it counts once the customer has confirmed it by the link."""
    from crm_kernel.customers.consent.asking import ask_for_consent, refuse_without_mail, request_consent
    from crm_kernel.customers.consent.links import confirmation_link

    with instance.writing(dry_run=dry_run) as uow:
        if not print_link:
            refuse_without_mail()
        ask_now = request_consent if print_link else ask_for_consent
        made = ask_now(uow, _customer(uow, customer), purpose=purpose, source=_SOURCE)
        shown = {"id": made.uid, "status": made.status, "valid_to": made.valid_to}
        if print_link:
            shown["link"] = confirmation_link(made)
    if as_json:
        echo_json(shown)
    elif print_link and not dry_run:
        click.echo(shown["link"])
    elif not dry_run:
        message(f"{purpose}: the question is mailed; the customer can answer until {shown['valid_to']:%Y-%m-%d}.")


@consent.command("link")
@_CUSTOMER
@json_option
@instance_options
def link(instance: Instance, customer: UUID, as_json: bool) -> None:
    """Print the link to a customer's own preference page. Send it to the customer only: it works without a log-in."""
    from crm_kernel.customers.consent.links import preferences_link

    with instance.reading() as uow:
        found = preferences_link(_customer(uow, customer))
    echo_json({"link": found}) if as_json else click.echo(found)


@consent.command("suppress")
@click.argument("value")
@click.option("--channel", default="any", show_default=True, help="any, email, sms, phone, fax or social.")
@click.option(
    "--reason", default="manual", show_default=True, help="manual, legal, complaint, unsubscribed, bounce or erased."
)
@click.option(
    "--until", "until_text", metavar="TIME", help="First moment at which it no longer holds (default: never)."
)
@click.option("--note", help="A remark.")
@dry_run_option
@json_option
@instance_options
def suppress(
    instance: Instance,
    value: str,
    channel: str,
    reason: str,
    until_text: str | None,
    note: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Keep an address or a number from being used, whoever it belongs to now or later. Only its digest is stored."""
    from crm_kernel.customers.consent import suppression

    until = _moment(until_text) if until_text else None
    with instance.writing(dry_run=dry_run) as uow:
        made = suppression.suppress(uow, value, channel=channel, reason=reason, source=_SOURCE, until=until, note=note)
        shown = {"id": made.uid, "channel": made.channel, "reason": made.reason, "until": made.until}
    if as_json:
        echo_json(shown)
    elif not dry_run:
        message(f"It will not be used any more. To lift it: crm consent lift {shown['id']}")


@consent.command("lift")
@click.argument("suppression_id", type=click.UUID, metavar="SUPPRESSION")
@click.option("--note", required=True, help="Why it may be used again; kept with the suppression.")
@dry_run_option
@json_option
@instance_options
def lift(instance: Instance, suppression_id: UUID, note: str, dry_run: bool, as_json: bool) -> None:
    """Let a suppressed address or number be used again. SUPPRESSION is the id that suppress prints."""
    from crm_kernel.customers.consent.models import Suppression
    from crm_kernel.customers.consent.suppression import lift_suppression
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import record_of

    with instance.writing(dry_run=dry_run) as uow:
        found: Suppression = record_of(uow, record_type("suppression"), suppression_id)
        lift_suppression(uow, found, note=note)
        shown = {"id": found.uid, "until": found.until}
    if as_json:
        echo_json(shown)
    elif not dry_run:
        message("It may be used again.")


@click.command("may-contact")
@_CUSTOMER
@_CHANNEL
@_PURPOSE
@_AT
@json_option
@instance_options
def may_contact(
    instance: Instance, customer: UUID, channel: str, purpose: str, at_text: str | None, as_json: bool
) -> None:
    """Say whether a customer may be contacted, why, and by which stored fact."""
    from crm_kernel.customers.consent import gate
    from crm_kernel.customers.consent.api import described

    at = _moment(at_text) if at_text else None
    with instance.reading() as uow:
        shown = described(gate.may_contact(uow, customer, channel=channel, purpose=purpose, at=at))
    if as_json:
        echo_json(shown)
        return
    click.echo(f"{'yes' if shown['allowed'] else 'no'}: {shown['text']}")
    facts: list[tuple[str, Any]] = [(refusal["rule"], refusal["reason"]) for refusal in shown["refusals"]]
    if shown["proof"]:
        proof = shown["proof"]
        facts.append((f"{proof['kind']} {proof['id']}", f"{proof['says']} {proof['at']} {proof['source']}"))
    if facts:
        echo_table(("what", "says"), facts)


def _customer(uow: UnitOfWork, uid: UUID) -> Customer:
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import record_of

    found: Customer = record_of(uow, record_type("customer"), uid)
    return found


def _moment(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"{text!r} is no time: expected such as 2027-01-31T09:30+01:00") from error
    if found.tzinfo is None:
        raise click.UsageError(f"{text!r} has no zone: expected such as 2027-01-31T09:30+01:00 or …Z")
    return found
