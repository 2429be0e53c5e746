"""``crm roles``: what the holders of a role may do, and which fields they neither see nor write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from crm_cli.common import (
    Instance,
    dry_run_option,
    echo_json,
    echo_records,
    instance_options,
    json_option,
    message,
)

if TYPE_CHECKING:
    from crm_kernel.access.models import FieldRule

_ROLE = click.argument("role")
_TYPE = click.argument("record_type", metavar="TYPE")
_FIELD = click.argument("field")


@click.group("roles")
def roles() -> None:
    """Say what the holders of a role may do, and which fields they may not see; crm users roles lists all of it."""


@roles.command("create")
@_ROLE
@click.option("--description", default="", help="A sentence about whom it is for.")
@dry_run_option
@json_option
@instance_options
def create(instance: Instance, role: str, description: str, dry_run: bool, as_json: bool) -> None:
    """Create a role that grants nothing yet."""
    from crm_kernel.access.services import create_role

    with instance.writing(dry_run=dry_run) as uow:
        made = create_role(uow, name=role, description=description)
        described = {"id": made.uid, "name": made.name, "description": made.description}
    if as_json:
        echo_json(described)
    elif not dry_run:
        message(f"There is a role {role} now. Give it something: crm roles grant '{role}' customer.read")


@roles.command("grant")
@_ROLE
@click.argument("permission")
@click.option(
    "--scope", type=click.Choice(["own", "team", "all"]), default="all", show_default=True, help="How far it reaches."
)
@dry_run_option
@json_option
@instance_options
def grant(instance: Instance, role: str, permission: str, scope: str, dry_run: bool, as_json: bool) -> None:
    """Let the holders of ROLE use a PERMISSION or pattern such as customer.read or sfa.*, in place of what it said."""
    from crm_kernel.access import services
    from crm_kernel.access.actor import Scope

    with instance.writing(dry_run=dry_run) as uow:
        services.grant(uow, services.role_named(uow, role), permission, Scope[scope.upper()])
    if as_json:
        echo_json({"role": role, "permission": permission, "scope": scope})
    elif not dry_run:
        message(f"{role} grants {permission} at {scope}.")


@roles.command("revoke")
@_ROLE
@click.argument("permission")
@dry_run_option
@json_option
@instance_options
def revoke(instance: Instance, role: str, permission: str, dry_run: bool, as_json: bool) -> None:
    """Take a PERMISSION or pattern from ROLE; it may still have it through a wider pattern."""
    from crm_kernel.access import services

    with instance.writing(dry_run=dry_run) as uow:
        services.revoke(uow, services.role_named(uow, role), permission)
    if as_json:
        echo_json({"role": role, "permission": permission, "scope": None})
    elif not dry_run:
        message(f"{role} does not grant {permission} any more.")


@roles.group("fields")
def fields() -> None:
    """Hide single fields from a role, or let it read them only."""


@fields.command("list")
@_ROLE
@json_option
@instance_options
def list_rules(instance: Instance, role: str, as_json: bool) -> None:
    """List the fields that a role restricts."""
    from crm_kernel.access.services import role_named
    from crm_kernel.access.services.field_rules import field_rules_of

    with instance.reading() as uow:
        rows = [_described(role, rule) for rule in field_rules_of(uow, role_named(uow, role))]
    echo_records(as_json, ("role", "record_type", "field", "access"), rows)


@fields.command("restrict")
@_ROLE
@_TYPE
@_FIELD
@click.argument("access", type=click.Choice(["hidden", "read"]))
@dry_run_option
@json_option
@instance_options
def restrict(
    instance: Instance, role: str, record_type: str, field: str, access: str, dry_run: bool, as_json: bool
) -> None:
    """Hide a FIELD of the record type TYPE from a role, or let it be read only; an extension's is bank.risk."""
    from crm_kernel.access.services import role_named
    from crm_kernel.access.services.field_rules import restrict_field

    with instance.writing(dry_run=dry_run) as uow:
        restrict_field(uow, role_named(uow, role), record_type=record_type, field=field, access=access)
    _tell({"role": role, "record_type": record_type, "field": field, "access": access}, as_json, dry_run)


@fields.command("free")
@_ROLE
@_TYPE
@_FIELD
@dry_run_option
@json_option
@instance_options
def free(instance: Instance, role: str, record_type: str, field: str, dry_run: bool, as_json: bool) -> None:
    """Take the rule for a FIELD from a role: its grants alone decide again."""
    from crm_kernel.access.services import role_named
    from crm_kernel.access.services.field_rules import free_field

    with instance.writing(dry_run=dry_run) as uow:
        free_field(uow, role_named(uow, role), record_type=record_type, field=field)
    _tell({"role": role, "record_type": record_type, "field": field, "access": None}, as_json, dry_run)


def _described(role: str, rule: FieldRule) -> dict[str, Any]:
    return {"role": role, "record_type": rule.record_type, "field": rule.field, "access": rule.access}


def _tell(rule: dict[str, Any], as_json: bool, dry_run: bool) -> None:
    if as_json:
        echo_json(rule)
    elif not dry_run:
        said = {"hidden": "neither sees nor writes", "read": "only reads", None: "has no rule any more for"}
        message(f"{rule['role']} {said[rule['access']]} {rule['field']} of {rule['record_type']}.")
