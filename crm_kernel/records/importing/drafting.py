"""Turns the rows of one source into raw input for the schema: transforms, value maps, constants, references to look up.

Everything that depends on the mapping and the file's columns is worked out once; a row then costs a few calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing.blaming import Blamer, Place, text_of
from crm_kernel.records.importing.conventions import Conventions, reader_of
from crm_kernel.records.importing.drafts import Draft, Problem, Wanted
from crm_kernel.records.importing.lookups import Lookups, Resolver
from crm_kernel.records.importing.mapping import Column, Lookup, SourceSpec
from crm_kernel.records.importing.patterns import filled, read_pattern
from crm_kernel.records.importing.rows import Settled
from crm_kernel.records.importing.sources import ERROR_COLUMN, VERDICT_COLUMN, Row, Source
from crm_kernel.records.importing.targets import Target, finish_parts, known_paths, target_of_path
from crm_kernel.records.importing.transforms import transform_of
from crm_kernel.records.plan import Kind, TypePlan

#: Other files' columns: column of the mapping → text → value.
ValueFiles = Mapping[str, Mapping[str, str]]


#: Transforms after which a number or a date is written as the schema reads it.
_NUMBERS = frozenset({"decimal_comma", "decimal_point", "whole_number", "times", "date"})


@dataclass(frozen=True, slots=True)
class _Step:
    column: str
    target: Target
    read: Callable[[str], Any]
    resolver: Resolver | None
    keep_when_empty: bool
    #: Whether the rows of one record must agree in it.
    common: bool = True

    @property
    def repeats(self) -> bool:
        """Whether each row of a record has a part of its own for it."""
        return self.target.group is not None and not self.target.group[0]


class Drafter:
    """Makes drafts from the rows of one source."""

    def __init__(
        self, spec: SourceSpec, source: Source, plan: TypePlan, lookups: Lookups, value_files: ValueFiles
    ) -> None:
        """Work out the steps.

        Raises:
            InvalidInput: a field or a column does not exist, or the file's numbers or dates can be read two ways.
        """
        taken: dict[str, int] = {}
        columns = tuple(_present(spec, source, plan))
        targets = [target_of_path(plan, column.field, taken) for column in columns]
        conventions = Conventions.of(spec, source, zip(columns, targets, strict=True))
        self._steps = [
            _Step(
                column.name,
                target,
                _reader(column, target, conventions, value_files),
                lookups.resolver(target, column.lookup) if _refers(column, target) else None,
                column.empty == "keep" or (target.field is not None and not target.field.field.allow_none),
                column.differing == "refuse",
            )
            for column, target in zip(columns, targets, strict=True)
        ]
        self._constants = [_constant(plan, name, value, spec, lookups, taken) for name, value in spec.constants.items()]
        self._texts = [
            (target_of_path(plan, name, taken), read_pattern(name, text, source)) for name, text in spec.texts.items()
        ]
        self._collections = tuple(found.name for found in plan.collections())
        self._blamer = Blamer([(step.column, step.target) for step in self._steps])
        self.detected = conventions.detected

    def draft(self, row: Row) -> Draft:
        """Return a row's draft; what cannot be read is in its problems."""
        made = _begun(row)
        for target, value, resolver in self._constants:
            if resolver is None:
                target.put(made.payload, value)
            else:
                made.wanted.append(Wanted(target, resolver, value))
        for step in self._steps:
            self._take(step, row.values.get(step.column), made)
        for target, pattern in self._texts:
            try:
                target.put(made.payload, filled(pattern, row.values))
            except ValueError as error:
                made.problems.append(Problem(target.root, "", str(error)))
        if self._collections:
            made.groups = finish_parts(made.payload, self._collections)
        for other in row.more:
            self._add(made, other)
        return made

    def roots(self) -> list[str]:
        """Return the names of the fields that columns, constants and texts give."""
        constants = [target for target, _value, _resolver in self._constants]
        targets = [*(step.target for step in self._steps), *constants, *(target for target, _text in self._texts)]
        return [target.root for target in targets]

    def column_of(self, path: str) -> str:
        """Return the column that gives a field; the path itself if none does."""
        return self._blamer.column_of(path)

    def column_of_target(self, target: Target) -> str:
        """Return the column that is put into a target; empty for a constant."""
        return next((step.column for step in self._steps if step.target is target), "")

    def place(self, draft: Draft, path: str) -> Place:
        """Return the column that an error's path names, and what the row holds there."""
        groups = draft.groups.get(path.partition(".")[0], ())
        return self._blamer.place(self.row_of(draft, path).values, groups, path)

    def row_of(self, draft: Draft, path: str) -> Row:
        """Return the row of a record that an error's path speaks of: that of the part, else the first."""
        name, _dot, rest = path.partition(".")
        number, rows = rest.partition(".")[0], draft.origins.get(name, ())
        return rows[int(number)] if number.isdecimal() and int(number) < len(rows) else draft.row

    def _add(self, made: Draft, row: Row) -> None:
        """Add the parts that a further row of the same record has."""
        own = _begun(row)
        for step in self._steps:
            if step.repeats:
                self._take(step, row.values.get(step.column), own)
            elif step.common and row.values.get(step.column) != made.row.values.get(step.column):
                text = _("what the first row of the same record says, in line %(line)s", line=made.row.number)
                found = str(row.values.get(step.column) or "")
                made.problems.append(Problem(step.target.root, found, text, step.column, row=row.number))
        for name, marks in finish_parts(own.payload, self._collections).items():
            before = made.groups.setdefault(name, [])
            made.origins.setdefault(name, [made.row] * len(before)).extend([row] * len(marks))
            before.extend(marks)
            parts = made.payload.get(name) or []
            if isinstance(parts, list):  # else the schema refuses the record
                made.payload[name] = [*parts, *own.payload[name]]
        made.wanted += own.wanted
        made.problems += [replace(problem, row=row.number) for problem in own.problems]

    def _take(self, step: _Step, raw: Any, made: Draft) -> None:
        try:
            self._put(step, step.read(raw) if isinstance(raw, str) else raw, made)
        except ValueError as error:
            made.problems.append(Problem(step.target.root, text_of(raw), str(error), step.column))

    def _put(self, step: _Step, value: Any, made: Draft) -> None:
        if value is None or value == "":
            if not step.keep_when_empty and not step.target.in_part:
                step.target.put(made.payload, None)
        elif step.resolver is not None and isinstance(value, str):
            part = step.target.part(made.payload) if step.target.part else None
            made.wanted.append(Wanted(step.target, step.resolver, value, made.row.number, part))
        else:
            step.target.put(made.payload, value)


def _begun(row: Row) -> Draft:
    problems = [Problem("", "", row.problem, sentence=True)] if row.problem else []
    return Draft(row, {}, problems)


def _present(spec: SourceSpec, source: Source, plan: TypePlan) -> Iterable[Column]:
    if spec.columns is None:
        known = set(known_paths(plan))
        for name in source.columns:
            # References come out of an export twice, as title and as id: the id is the one that is read.
            if (
                name not in ("version", ERROR_COLUMN, VERDICT_COLUMN)
                and f"{name}.id" not in source.columns
                and _is_known(name, known, plan)
            ):
                yield Column(name=name, field=name)
        return
    for column in spec.columns:
        if column.name in source.columns or not source.columns:  # JSON lines without a row have no columns
            yield column
        elif not column.optional:
            found = ", ".join(source.columns)
            message = _("has no column %(column)r; found: %(found)s.", column=column.name, found=found)
            raise InvalidInput({source.name: [message]})


def _is_known(name: str, known: set[str], plan: TypePlan) -> bool:
    """Say whether a column named as a field is imported; what is only ever read is left out.

    Raises:
        InvalidInput: there is no such field.
    """
    head, _dot, rest = name.partition(".")
    field = plan.fields.get(head)
    if name in known or name.removesuffix(".id") in known or name == "extensions":
        return True
    if field is not None and (not rest or not field.writable):
        return field.writable
    extension = plan.extension_fields.get(head, {})
    if rest in extension:
        return extension[rest].writable
    listed = ", ".join(sorted(known))
    raise InvalidInput({name: [_("no field of %(type)s; known: %(known)s.", type=plan.record_type.name, known=listed)]})


def _refers(column: Column, target: Target) -> bool:
    return target.field is not None and target.field.kind is Kind.REFERENCE and not column.field.endswith(".id")


def _constant(
    plan: TypePlan, name: str, value: Any, spec: SourceSpec, lookups: Lookups, taken: dict[str, int]
) -> tuple[Target, Any, Resolver | None]:
    target = target_of_path(plan, name, taken)
    refers = target.field is not None and target.field.kind is Kind.REFERENCE
    try:
        target.put({}, value)
        if refers and isinstance(value, list | dict):
            raise ValueError(_("a text"))
    except ValueError as error:
        message = _("%(what)sfound %(found)r, expected %(expected)s.", what="", found=value, expected=error)
        raise InvalidInput({f"constants.{name}": [message]}) from error
    resolver = lookups.resolver(target, spec.lookups.get(name, Lookup())) if refers and not _is_uuid(value) else None
    return target, value, resolver


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, UUID) or bool(UUID(str(value)))
    except ValueError:
        return False


def _reader(column: Column, target: Target, conventions: Conventions, value_files: ValueFiles) -> Callable[[str], Any]:
    transforms = [transform_of(name) for name in column.transform]
    values = column.values
    others = value_files.get(column.name, {}) if column.values_from else None
    settled = bool(column.lookup or values) or any(name.partition(":")[0] in _NUMBERS for name in column.transform)
    convention = None if settled else reader_of(target.field, conventions)
    numeric = target.field is not None and target.field.kind in (Kind.NUMBER, Kind.MONEY)

    def read(text: str) -> Any:
        found: str | None = text.strip()
        for transform in transforms:
            if not found:
                return None
            found = transform(found)
        if not found:
            return None
        if values:
            return _mapped(values, found)
        if others is not None:
            found = others.get(found)
        return convention(found) if convention and found and not (numeric and isinstance(text, Settled)) else found

    return read


def _mapped(values: Mapping[str, Any], text: str) -> Any:
    if text not in values:
        raise ValueError(_("one of: %(known)s", known=", ".join(values)))
    return values[text]
