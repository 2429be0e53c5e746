"""``crm access``: why somebody may or may not do something."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import UUID

import click

from crm_cli.common import Instance, echo_json, echo_table, instance_options, json_option, message

if TYPE_CHECKING:
    from crm_kernel.access.explain import Explanation

_WORDS = {True: "yes", False: "no", None: "-"}


@click.group("access")
def access() -> None:
    """Explain what users may do and see."""


@access.command("explain")
@click.argument("user", metavar="USER")
@click.argument("permission")
@click.argument("record", required=False, type=click.UUID)
@click.option("--token", metavar="PREFIX", help="One of the user's API tokens: what may it?")
@click.option("--field", metavar="NAME", help="A field of the permission's type: may it be seen, or written?")
@json_option
@instance_options
def explain(
    instance: Instance,
    user: str,
    permission: str,
    record: UUID | None,
    token: str | None,
    field: str | None,
    as_json: bool,
) -> None:
    """Say why the USER (an address) has a PERMISSION or lacks it, on the RECORD (an id) of the permission's type if given.

    Listed is every rule that has a say: the account with its lock and second factor, the token's limits, the grants of the roles, the reach over the
    record's owner and team or its author, each rule of visibility, each module's verdict, what the services refuse by themselves,
    and what the roles say of fields.
    """
    from crm_kernel.access.explain import explain as explained
    from crm_kernel.access.services import user_by_email

    with instance.reading() as uow:
        found = explained(uow, user_by_email(uow, user), permission, record, token=token, field=field)
    if as_json:
        echo_json(asdict(found))
    else:
        _show(found)


def _show(found: Explanation) -> None:
    rows = [(step.rule, step.source, _WORDS[step.answer], step.text) for step in found.steps]
    echo_table(("rule", "of", "answer", "why"), rows)
    target = f" on {found.record}" if found.record else ""
    message(f"{found.user} {'has' if found.allowed else 'lacks'} {found.permission}{target}.")
