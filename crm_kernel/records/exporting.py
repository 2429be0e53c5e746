"""Streams records of any type as CSV or JSON lines: constant memory, the actor's visibility, one audit row beforehand.

Rows are read in batches by keyset, each in a reading unit of work of its own, so that a slow reader of the stream holds
no transaction open. A CSV file written here can be imported again and gives the same data: references come as title and
id, extensions as ``bank.iban``, collections by their primary part (``contact_points.email``); JSON lines hold all parts. A
sale has a row for each of its lines.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, cast

import orjson
from flask import Flask, Response, current_app, g

from crm_kernel.access.actor import ANONYMOUS
from crm_kernel.access.audit import record_access
from crm_kernel.access.field_access import hidden_fields
from crm_kernel.access.policy import authorize
from crm_kernel.records.confidential import refuse_hidden, shown_to
from crm_kernel.records.custom_fields.current import learn_fields
from crm_kernel.records.importing.grouping import has_a_row_each
from crm_kernel.records.importing.sheets import write_workbook
from crm_kernel.records.importing.spreadsheets import neutralised
from crm_kernel.records.importing.targets import discriminator, part_fields, references_of
from crm_kernel.records.names import GIVEN_FIRST
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, plan_of, target_of
from crm_kernel.records.projection import json_ready
from crm_kernel.records.reading import ListQuery, page_of, parse_query
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.saved_views.opening import expanded
from crm_kernel.unit_of_work import reading

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

#: Records read, and held in memory, at a time.
BATCH = 1_000

Item = Mapping[str, Any]
Cell = Callable[[Item], Any]


@dataclass(slots=True)
class Export:
    """An export that is allowed and noted in the audit log, ready to be streamed."""

    record_type: RecordType
    query: ListQuery
    actor: Actor
    channel: str
    app: Flask
    #: Records streamed so far.
    records: int = 0

    def csv(self) -> Iterator[str]:
        """Yield the lines of a CSV file with a header, in batches; RFC 4180, comma, CRLF."""
        columns = self._columns()
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow([name for name, _cell in columns])
        for items in self._batches():
            writer.writerows([[csv_text(cell(item)) for _name, cell in columns] for item in self._spread(items)])
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
        if buffer.tell():
            yield buffer.getvalue()

    def xlsx(self, file: IO[bytes]) -> None:
        """Write a workbook of one sheet with the columns of the CSV file; every cell is text.

        Raises:
            InvalidInput: there are more records than a sheet holds, or a longer text than a cell does.
        """
        columns = self._columns()
        batches = (
            [[csv_text(cell(item)) for _name, cell in columns] for item in self._spread(items)]
            for items in self._batches()
        )
        write_workbook(file, [name for name, _cell in columns], batches)

    def _spread(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield a record once for each of the parts that have a row each (the lines of a sale), else as it is."""
        names = [field.name for field in self._whole_plan.collections() if has_a_row_each(field.field)]
        for item in items:
            parts = {name: item[name] for name in names if item.get(name)}
            for place in range(max(map(len, parts.values()), default=1)):
                yield {**item, **{name: found[place : place + 1] for name, found in parts.items()}}

    @property
    def _whole_plan(self) -> TypePlan:
        with self.app.app_context():
            return plan_of(self.record_type)

    def _columns(self) -> list[tuple[str, Cell]]:
        plan = self._whole_plan
        with self.app.app_context():
            hidden = hidden_fields(self.actor, self.record_type.name)
            return [column for column in csv_columns(plan, self.query.fields) if column[0] not in hidden]

    def jsonl(self) -> Iterator[str]:
        """Yield lines of one JSON object each, in batches, as the API shows the records."""
        for items in self._batches():
            yield "".join(orjson.dumps(item, default=json_ready).decode() + "\n" for item in items)

    def _batches(self) -> Iterator[list[dict[str, Any]]]:
        query: ListQuery | None = replace(self.query, limit=BATCH)
        while query is not None:
            with self.app.app_context(), reading(self.actor, channel=self.channel) as uow:
                page = page_of(uow, self.record_type, query)
                _make_portable(uow, self.record_type, page.items)
            self.records += len(page.items)
            yield page.items
            query = None if page.after is None else replace(query, cursor=page.after)


def begin_export(
    actor: Actor,
    record_type: RecordType,
    arguments: Iterable[tuple[str, str]],
    *,
    channel: str,
    request_id: str | None = None,
) -> Export:
    """Check an export, note it in the audit log and return it; call it with no unit of work open.

    Args:
        arguments: filters, ``filter``, ``sort``, ``q`` and ``fields`` as a list's address spells them, without paging. Without
            ``fields`` everything readable is exported.

    Raises:
        Forbidden: the actor may not export records of this type, or not read a field it filters or sorts by.
        InvalidInput: an argument is unknown, names what he may not read, or does not fit.
    """
    authorize(actor, record_type.permission("export"))
    learn_fields(actor)
    with reading(actor, channel=channel) as uow:
        wanted = expanded(uow, record_type, arguments)
    given = [(name, value) for name, value in wanted if name not in ("cursor", "limit", "count")]
    plan = plan_of(record_type)
    if _is_recursive(plan) and not any(name == "sort" for name, _value in given):
        given.append(("sort", "created_at"))  # a sale before what gives it back, as an import needs them
    query = parse_query(record_type, given, default_fields=exported_fields(plan), actor=actor)
    refuse_hidden(actor, plan, query)
    details = {name: value for name, value in given if value}
    record_access(
        actor,
        action="exported",
        record_type=record_type.name,
        channel=channel,
        request_id=request_id,
        details=details or None,
    )
    app = cast(Any, current_app)._get_current_object()
    query = replace(query, verb="export", fields=shown_to(actor, plan, query.fields))
    # Names as they are stored, whatever order pages show the reader: an import finds the records by them.
    plain = replace(actor, name_order=GIVEN_FIRST)
    return Export(record_type, query, plain, channel, app)


def csv_response(record_type: RecordType, arguments: Iterable[tuple[str, str]]) -> Response:
    """Return a streamed CSV download of a list with its filters; for views that open their units of work themselves."""
    from crm_kernel.web.edge import channel, request_id

    actor = g.get("crm_actor", ANONYMOUS)
    export = begin_export(actor, record_type, arguments, channel=channel(), request_id=request_id())
    name = record_type.slug.replace("/", "-")
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "X-Accel-Buffering": "no"}
    # The mark makes spreadsheets read the file as UTF-8; the importer knows it.
    lines = (text.encode() for text in export.csv())
    return Response(_with_mark(lines), mimetype="text/csv", headers=headers)


def _is_recursive(plan: TypePlan) -> bool:
    """Say whether records of a type point at others of it, and can be listed oldest first."""
    pointing = any(target_of(field).name == plan.record_type.name for _side, field in references_of(plan))
    return pointing and "created_at" in plan.record_type.sorts


def exported_fields(plan: TypePlan) -> tuple[str, ...]:
    """Return the names of all readable fields, collections and extensions."""
    collections = tuple(field.name for field in plan.collections() if field.readable)
    return (*plan.plain(), *collections, *(("extensions",) if plan.extensions else ()))


def csv_columns(plan: TypePlan, fields: Sequence[str]) -> list[tuple[str, Cell]]:
    """Return the columns of an export: header → what takes its value out of a record as ``page_of`` gives it."""
    columns: list[tuple[str, Cell]] = [("id", lambda item: item["id"])]
    for name in fields:
        if name == "extensions":
            columns += _extension_columns(plan)
        elif plan.fields[name].kind is Kind.COLLECTION:
            columns += _part_columns(plan.fields[name])
        else:
            columns += _plain_columns(plan.fields[name])
    return columns


def csv_text(value: Any) -> str:
    """Return a value as a cell: text that no spreadsheet runs as a formula, numbers with a point, ISO 8601 dates."""
    if value is None:
        return ""
    if isinstance(value, str):
        return neutralised(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, Mapping | list):
        return neutralised(orjson.dumps(value, default=json_ready).decode())
    return f"{value:f}" if hasattr(value, "as_tuple") else str(value)


def _make_portable(uow: UnitOfWork, record_type: RecordType, items: Sequence[Item]) -> None:
    """Let collections write their parts as another instance reads them alike: ``exported`` of a field's metadata."""
    for field in plan_of(record_type).collections():
        rewrite = field.field.metadata.get("exported")
        if rewrite is not None:
            rewrite(uow, [part for item in items for part in item.get(field.name) or ()])


def _with_mark(lines: Iterator[bytes]) -> Iterator[bytes]:
    yield b"\xef\xbb\xbf"
    yield from lines


def _value(name: str) -> Cell:
    return lambda item: item.get(name)


def _inside(name: str, key: str) -> Cell:
    return lambda item: (item.get(name) or {}).get(key)


def _extension_columns(plan: TypePlan) -> list[tuple[str, Cell]]:
    return [
        (f"{extension}.{name}", _of_extension(extension, cell))
        for extension, fields in plan.extension_fields.items()
        for field in fields.values()
        if field.readable and field.column is not None
        for name, cell in _plain_columns(field)
    ]


def _of_extension(extension: str, cell: Cell) -> Cell:
    return lambda item: cell(item.get("extensions", {}).get(extension, {}))


def _plain_columns(field: FieldPlan) -> list[tuple[str, Cell]]:
    """Return the columns of a field that one row holds: of a reference its title and its id."""
    if field.kind is not Kind.REFERENCE:
        return [(field.name, _value(field.name))]
    return [(field.name, _inside(field.name, "title")), (f"{field.name}.id", _inside(field.name, "id"))]


def _part_columns(field: FieldPlan) -> list[tuple[str, Cell]]:
    """Return one column per kind of part (``contact_points.email``), else one per field of the first part."""
    parts = part_fields(field)
    told = discriminator(parts)
    if told is not None and "value" in parts:
        choices: Mapping[str, Any] = told.field.choices  # type: ignore[attr-defined]
        return [(f"{field.name}.{kind}", _of_part(field.name, "value", told.name, kind)) for kind in choices]
    names = [name for name, part in parts.items() if part.readable and part.writable and part.column is not None]
    return [(f"{field.name}.{_header(parts[name])}", _of_part(field.name, name)) for name in names]


def _header(part: FieldPlan) -> str:
    return f"{part.name}.id" if part.kind is Kind.REFERENCE else part.name


def _of_part(collection: str, name: str, told: str = "", kind: str = "") -> Cell:
    def value(item: Item) -> Any:
        parts = [part for part in item.get(collection) or () if not told or part.get(told) == kind]
        primary = next((part for part in parts if part.get("is_primary")), parts[0] if parts else {})
        found = primary.get(name)
        return found.get("id") if isinstance(found, Mapping) else found

    return value
