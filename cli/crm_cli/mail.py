"""``crm mail``: a look at whether the system can send mails; its settings: ``crm settings``."""

from __future__ import annotations

import click

from crm_cli.common import Instance, echo_json, instance_options, json_option, message


@click.group("mail")
def mail() -> None:
    """Try whether mails arrive."""


@mail.command("test")
@click.argument("address")
@json_option
@instance_options
def send_test(instance: Instance, address: str, as_json: bool) -> None:
    """Send a test message to ADDRESS by the settings in force, and print what the mail server answered."""
    from crm_kernel.mail.transport import hang_up
    from crm_kernel.mail.trial import send_trial

    with instance.app().app_context():
        try:
            answer = send_trial(address)
        finally:
            hang_up(instance.app())
    if as_json:
        echo_json({"address": address, "answer": answer})
        return
    click.echo(answer)
    message(f"The mail server took a test message to {address}; whether it arrives is for the mailbox to show.")
