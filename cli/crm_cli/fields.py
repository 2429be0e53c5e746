"""``crm fields``: custom fields of record types, declared and changed while the CRM runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from crm_cli.common import (
    Instance,
    confirm,
    dry_run_option,
    echo_json,
    echo_records,
    instance_options,
    json_option,
    message,
    yes_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from crm_kernel.records.custom_fields.models import CustomField
    from crm_kernel.records.custom_fields.services import Way
    from crm_kernel.unit_of_work import UnitOfWork

_KINDS = ["text", "number", "money", "date", "choice", "multichoice", "reference", "boolean", "email", "phone", "url"]
_COLUMNS = ("record_type", "name", "kind", "label", "required", "listed", "searchable", "indexed", "archived_at")
_TYPE = click.argument("record_type", metavar="TYPE")
_NAME = click.argument("name")


@click.group("fields")
def fields() -> None:
    """Add fields to record types without code: they appear in forms, lists, filters, API, import and export at once."""


def _options(command: Any) -> Any:
    """Add the options that a field is declared with and that may change later."""
    for option in reversed(
        [
            click.option("--label", "labels", multiple=True, metavar="LANG=TEXT", help="What people call it; repeat."),
            click.option("--help-text", "help_texts", multiple=True, metavar="LANG=TEXT", help="A sentence below it."),
            click.option(
                "--choice", "choices", multiple=True, metavar="VALUE[=TEXT]", help="A choice, in order; repeat."
            ),
            click.option("--choices-json", metavar="JSON", help='Choices with labels: [{"value": …, "labels": {…}}].'),
            click.option("--required/--optional", default=None, help="Whether new records need a value."),
            click.option("--default", metavar="JSON|TEXT", help="What new records hold when nobody says anything."),
            click.option("--section", metavar="TITLE", help="Section of the form, by its English title or a new one."),
            click.option("--position", type=int, help="Order among the custom fields of the type."),
            click.option("--listed/--unlisted", default=None, help="Whether lists show it as a column."),
            click.option("--searchable/--unsearchable", default=None, help="Whether the search finds its words."),
            click.option("--indexed/--unindexed", default=None, help="Whether the database keeps an index over it."),
        ]
    ):
        command = option(command)
    return command


@fields.command("list")
@click.argument("record_type", metavar="[TYPE]", required=False)
@json_option
@instance_options
def list_fields(instance: Instance, record_type: str | None, as_json: bool) -> None:
    """List custom fields in order, archived ones included."""
    from crm_kernel.records.custom_fields import services

    with instance.reading() as uow:
        rows = [_described(found) for found in services.fields_of(uow, record_type)]
    echo_records(as_json, _COLUMNS, rows)


@fields.command("add")
@_TYPE
@_NAME
@click.option("--kind", type=click.Choice(_KINDS), required=True, help="What it holds; never changes.")
@click.option("--target", metavar="TYPE", help="Of a reference: the record type it points to.")
@click.option("--multiline", is_flag=True, default=None, help="Of a text: several lines.")
@_options
@dry_run_option
@json_option
@instance_options
def add(
    instance: Instance, record_type: str, name: str, kind: str, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Add the field cf_NAME to the record type TYPE.

    Example: crm fields add customer tier --kind choice --choice gold=Gold --choice silver=Silver --label en=Tier
    """
    from crm_kernel.records.custom_fields import services

    with instance.writing(dry_run=dry_run) as uow:
        made = services.add_field(uow, record_type, name, kind, **_given(options, new=True))
        described = _described(made)
    _tell(described, as_json, dry_run, f"{described['record_type']} has a field {described['name']} now.")


@fields.command("change")
@_TYPE
@_NAME
@_options
@dry_run_option
@json_option
@instance_options
def change(instance: Instance, record_type: str, name: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Change labels, choices and behaviour of a field; name and kind never change."""
    from crm_kernel.records.custom_fields import services

    with instance.writing(dry_run=dry_run) as uow:
        field = services.field_named(uow, record_type, name)
        changes = _given(options, new=False)
        if "labels" in changes:
            changes["labels"] = {**field.labels, **changes["labels"]}
        services.change_field(uow, field, changes)
        described = _described(field)
    _tell(described, as_json, dry_run, f"{described['name']} is changed.")


@fields.command("move")
@_TYPE
@_NAME
@click.argument("way", type=click.Choice(["up", "down"]))
@dry_run_option
@json_option
@instance_options
def move(instance: Instance, record_type: str, name: str, way: Way, dry_run: bool, as_json: bool) -> None:
    """Move a field before (up) or behind (down) its neighbour in the same section of the form."""
    from crm_kernel.records.custom_fields import services

    with instance.writing(dry_run=dry_run) as uow:
        field = services.field_named(uow, record_type, name)
        moved = services.move_field(uow, field, way)
        described = _described(field)
    said = "is moved" if moved else "is at the end already"
    _tell(described, as_json, dry_run, f"{described['name']} {said}.")


@fields.command("archive")
@_TYPE
@_NAME
@dry_run_option
@json_option
@instance_options
def archive(instance: Instance, record_type: str, name: str, dry_run: bool, as_json: bool) -> None:
    """Take a field out of use; its values are kept."""
    from crm_kernel.records.custom_fields import services

    described = _switched(instance, record_type, name, dry_run, services.archive_field)
    _tell(described, as_json, dry_run, f"{described['name']} is archived. Take it back: crm fields restore …")


@fields.command("restore")
@_TYPE
@_NAME
@dry_run_option
@json_option
@instance_options
def restore(instance: Instance, record_type: str, name: str, dry_run: bool, as_json: bool) -> None:
    """Take an archived field into use again, with the values it had."""
    from crm_kernel.records.custom_fields import services

    described = _switched(instance, record_type, name, dry_run, services.restore_field)
    _tell(described, as_json, dry_run, f"{described['name']} is in use again.")


@fields.command("remove")
@_TYPE
@_NAME
@yes_option
@dry_run_option
@json_option
@instance_options
def remove(instance: Instance, record_type: str, name: str, assume_yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete an archived field with all its values."""
    from crm_kernel.records.custom_fields import services

    if not dry_run:
        confirm(f"Delete {name} of {record_type} with all its values?", assume_yes=assume_yes)
    with instance.writing(dry_run=dry_run) as uow:
        field = services.field_named(uow, record_type, name)
        described = _described(field)
        described["rows"] = services.remove_field(uow, field)
    _tell(described, as_json, dry_run, f"{described['name']} is gone, with {described['rows']} values.")


def _switched(
    instance: Instance,
    record_type: str,
    name: str,
    dry_run: bool,
    switch: Callable[[UnitOfWork, CustomField], None],
) -> dict[str, Any]:
    from crm_kernel.records.custom_fields import services

    with instance.writing(dry_run=dry_run) as uow:
        field = services.field_named(uow, record_type, name)
        switch(uow, field)
        return _described(field)


def _given(options: dict[str, Any], *, new: bool) -> dict[str, Any]:
    """Return the options of a command as those of the service; what was not given is left out."""
    given = {
        name: options[name]
        for name in ("required", "section", "position", "listed", "searchable", "indexed", "target", "multiline")
        if options.get(name) is not None
    }
    if given.get("section") == "":
        given["section"] = None  # back to the section at the end
    if options["labels"]:
        given["labels"] = _by_language(options["labels"], "--label")
    if options["help_texts"]:
        given["help"] = _by_language(options["help_texts"], "--help-text")
    if options["choices_json"]:
        given["choices"] = _json(options["choices_json"], "--choices-json")
    elif options["choices"]:
        given["choices"] = [_choice(text) for text in options["choices"]]
    if options["default"] is not None:
        given["default"] = _value(options["default"])
    if not new and not given:
        raise click.UsageError("nothing to change was given: see crm fields change --help")
    return given


def _by_language(texts: Sequence[str], option: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for language, equals, _text in pairs:
        if not equals:
            raise click.BadParameter(f"found {language!r}, expected for example en=Tier", param_hint=option)
    return {language.strip(): text.strip() for language, _equals, text in pairs}


def _choice(text: str) -> dict[str, Any]:
    value, _equals, label = text.partition("=")
    return {"value": value.strip(), "labels": {"en": label.strip() or value.strip()}}


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint=option) from error


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _described(field: CustomField) -> dict[str, Any]:
    labels = dict(field.labels)
    return {
        "id": field.uid,
        "record_type": field.record_type,
        "name": field.name,
        "kind": field.kind,
        "label": labels.get("en") or next(iter(labels.values()), ""),
        "labels": labels,
        "help": field.help,
        "choices": field.choices,
        "target": field.target,
        "multiline": bool(field.multiline),
        "required": bool(field.required),
        "default": field.default,
        "section": field.section,
        "position": field.position,
        "listed": bool(field.listed),
        "searchable": bool(field.searchable),
        "indexed": bool(field.indexed),
        "archived_at": field.archived_at,
    }


def _tell(described: dict[str, Any], as_json: bool, dry_run: bool, text: str) -> None:
    if as_json:
        echo_json(described)
    elif not dry_run:
        message(text)
