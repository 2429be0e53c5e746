"""``crm records show|create|update|delete|act``: one record of any type, as its pages and its API change it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from crm_cli.common import (
    Instance,
    confirm,
    dry_run_option,
    echo_json,
    echo_table,
    instance_options,
    json_option,
    message,
    yes_option,
)
from crm_cli.records import AS, acting, pair

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

_TYPE = click.argument("record_type", metavar="TYPE")
_ID = click.argument("uid", metavar="ID", type=click.UUID)
_SET = click.option(
    "--set", "values", multiple=True, metavar="FIELD=VALUE", help="Give a field; an empty value empties it."
)
_DATA = click.option("--data", metavar="JSON", help="Fields as the API takes them, for lists and objects.")


@click.command("show")
@_TYPE
@_ID
@AS
@json_option
@instance_options
def show(instance: Instance, record_type: str, uid: UUID, email: str | None, as_json: bool) -> None:
    """Print a record of TYPE, a line per field; --json prints it as the API does."""
    from crm_kernel.records.plan import record_type as named
    from crm_kernel.records.reading import read_one
    from crm_kernel.unit_of_work import reading

    with instance.app().app_context():
        actor = acting(email)
        with reading(actor, channel="cli") as uow:
            found = read_one(uow, named(record_type), uid)
    if as_json:
        echo_json(found)
    else:
        echo_table(("field", "value"), found.items())


@click.command("create")
@_TYPE
@_SET
@_DATA
@AS
@dry_run_option
@json_option
@instance_options
def create(
    instance: Instance,
    record_type: str,
    values: tuple[str, ...],
    data: str | None,
    email: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Create a record of TYPE, which is a name such as customer, tag or sfa.pipeline.

    Fields are named as the API names them; crm openapi describes them.
    """
    from crm_kernel.records.services import create_record

    given = _given(values, data)
    with _unit(instance, email, dry_run) as uow:
        kind = _offering(record_type, "create")
        uid = create_record(uow, kind, given).uid
        message(f"{kind.label} {uid}")
        if as_json:
            _print(uow, kind, uid)


@click.command("update")
@_TYPE
@_ID
@_SET
@_DATA
@AS
@dry_run_option
@json_option
@instance_options
def update(
    instance: Instance,
    record_type: str,
    uid: UUID,
    values: tuple[str, ...],
    data: str | None,
    email: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Change fields of a record of TYPE; the others stay."""
    from crm_kernel.records.services import update_record

    given = _given(values, data)
    if not given:
        raise click.UsageError("say what to change: --set FIELD=VALUE, or --data JSON")
    with _unit(instance, email, dry_run) as uow:
        kind = _offering(record_type, "update")
        update_record(uow, kind, uid, given, version=_version(uow, kind, uid))
        if as_json:
            _print(uow, kind, uid)


@click.command("delete")
@_TYPE
@_ID
@AS
@dry_run_option
@yes_option
@json_option
@instance_options
def delete(
    instance: Instance,
    record_type: str,
    uid: UUID,
    email: str | None,
    dry_run: bool,
    assume_yes: bool,
    as_json: bool,
) -> None:
    """Delete a record of TYPE for good; --json prints what it was."""
    from crm_kernel.records.reading import read_one
    from crm_kernel.records.services import delete_record

    if not dry_run:
        confirm(f"Delete {record_type} {uid}?", assume_yes=assume_yes)
    with _unit(instance, email, dry_run) as uow:
        kind = _offering(record_type, "delete")
        found = read_one(uow, kind, uid)
        delete_record(uow, kind, uid, version=_version(uow, kind, uid))
    if as_json:
        echo_json(found)


@click.command("act")
@_TYPE
@_ID
@click.argument("action")
@_SET
@_DATA
@AS
@dry_run_option
@yes_option
@json_option
@instance_options
def act(
    instance: Instance,
    record_type: str,
    uid: UUID,
    action: str,
    values: tuple[str, ...],
    data: str | None,
    email: str | None,
    dry_run: bool,
    assume_yes: bool,
    as_json: bool,
) -> None:
    """Perform an ACTION of its type on a record, such as win on an sfa.opportunity.

    --set and --data give what the action asks for.
    """
    from crm_kernel.records.plan import record_type as named
    from crm_kernel.records.services import find_action, run_action

    given = _given(values, data)
    if not dry_run:
        confirm(f"{action} {record_type} {uid}?", assume_yes=assume_yes)
    with _unit(instance, email, dry_run) as uow:
        kind = named(record_type)
        run_action(uow, kind, uid, find_action(kind, action), given, version=_version(uow, kind, uid))
        if as_json:
            _print(uow, kind, uid)


def json_object(text: str | None) -> dict[str, Any]:
    """Return a JSON object given as an option; an empty one without it."""
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise click.UsageError(f"not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError("expected a JSON object")
    return found


@contextmanager
def _unit(instance: Instance, email: str | None, dry_run: bool) -> Iterator[UnitOfWork]:
    with instance.app().app_context():
        actor = acting(email)
    with instance.writing(dry_run=dry_run, actor=actor) as uow:
        yield uow


def _given(values: tuple[str, ...], data: str | None) -> dict[str, Any]:
    return {**json_object(data), **{name: value or None for name, value in map(pair, values)}}


def _offering(name: str, verb: str) -> RecordType:
    """Return the record type of this name.

    Raises:
        Conflict: its records are made, changed or deleted in another way.
    """
    from crm_kernel.errors import Conflict
    from crm_kernel.records.plan import record_type

    found = record_type(name)
    if verb not in found.verbs:
        known = ", ".join([*found.verbs, *(f"act … {action.name}" for action in found.actions)])
        raise Conflict(f"{name}: found {verb!r}, expected one of what this type offers: {known}")
    return found


def _version(uow: UnitOfWork, record_type: RecordType, uid: UUID) -> int:
    """Return the version a record has now: between two lines of one command nobody else changes it."""
    from crm_kernel.records.reading import record_of

    return int(record_of(uow, record_type, uid).version)


def _print(uow: UnitOfWork, record_type: RecordType, uid: UUID) -> None:
    from crm_kernel.records.reading import read_one

    echo_json(read_one(uow, record_type, uid))


#: What ``crm records`` has for one record.
COMMANDS = (show, create, update, delete, act)
