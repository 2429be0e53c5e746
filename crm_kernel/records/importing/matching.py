"""Finds the stored records that rows are about, in bulk by their key, and what the rows would change in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from marshmallow import ValidationError

from crm_kernel._internal.rows import among
from crm_kernel.access.policy import sees_all, visible
from crm_kernel.errors import InvalidInput
from crm_kernel.records.bulk_rows import attribute_of
from crm_kernel.records.importing.drafts import Draft, Problem
from crm_kernel.records.importing.targets import discriminator, part_fields
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, side_key, target_of

if TYPE_CHECKING:
    from crm_kernel.records.importing.lookups import Lookups
    from crm_kernel.records.importing.mapping import SourceSpec
    from crm_kernel.records.importing.sources import Source
    from crm_kernel.unit_of_work import UnitOfWork

_SLICE = 1_000


class Matcher:
    """Finds records of one type by the match fields of a source."""

    def __init__(self, plan: TypePlan, match: Sequence[str], lookups: Lookups) -> None:
        """Work out the columns to compare.

        Raises:
            InvalidInput: a match field does not exist or is not stored.
        """
        self._plan, self._lookups, self.names = plan, lookups, tuple(match)
        self._fields: list[FieldPlan | None] = [None if name == "id" else self._field(name) for name in self.names]

    def identify(self, draft: Draft) -> None:
        """Set the values of a draft's match fields; a missing or wrong one becomes a problem of the row."""
        if self.names == ("id",):
            self._identify_by_id(draft)
            return
        values = []
        for name, field in zip(self.names, self._fields, strict=True):
            try:
                values.append(self._value(name, field, draft))
            except _Missing:
                text = _("a value: rows are matched by %(fields)s", fields=", ".join(self.names))
                draft.problems.append(Problem(name, "", text))
                return
            except ValidationError as error:
                text = " ".join(str(text) for text in error.messages)
                draft.problems.append(Problem(name, "", text, sentence=True))
                return
        draft.match = tuple(values)

    def find(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> None:
        """Set the key of every draft whose record is stored and visible; one query per 1,000."""
        wanted: dict[tuple[Any, ...], list[Draft]] = {}
        for draft in drafts:
            if draft.match:
                wanted.setdefault(draft.match, []).append(draft)
        for rows in self._found(uow, list(wanted)):
            for row in rows:
                for draft in wanted.get(tuple(row[1:]), ()):
                    if draft.key not in (None, row[0]):
                        text = _("only one record with this %(fields)s", fields=", ".join(self.names))
                        draft.problems.append(Problem(self.names[0], str(draft.match[0]), text))
                    draft.key = row[0]

    def _found(self, uow: UnitOfWork, values: list[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield the keys and match values of stored records; those of replaced ones with the key of the one in place."""
        for start in range(0, len(values), _SLICE):
            part = values[start : start + _SLICE]
            yield uow.session.execute(self._statement(uow, part))
            replaced_by = self._plan.record_type.replaced_by
            if replaced_by is not None and self._by_own_key():
                yield uow.session.execute(self._statement(uow, part, key=replaced_by))

    def _by_own_key(self) -> bool:
        """Say whether the match is by what a replaced record keeps: its id, or its key in a foreign system."""
        return set(self.names) <= {"id", *self._plan.record_type.external_key}

    def refuse_unchangeable(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> None:
        """Note as a problem of its row every stored record that the actor sees but may not change; one query per 1,000."""
        record_type = self._plan.record_type
        if sees_all(uow.actor, record_type, "update"):
            return
        model, keys = record_type.model, sorted({draft.key for draft in drafts if draft.key is not None})
        reached: set[int] = set()
        for start in range(0, len(keys), _SLICE):
            part = among(uow.session, model.id, keys[start : start + _SLICE])
            reached |= set(
                uow.session.scalars(sa.select(model.id).where(part, visible(uow.actor, record_type, "update")))
            )
        for draft in drafts:
            if draft.key is not None and draft.key not in reached:
                draft.problems.append(self._unchangeable(draft, uow.actor.name))

    def _unchangeable(self, draft: Draft, who: str) -> Problem:
        if not draft.match:  # found by its likeness, not by a key
            text = _("%(who)s may not change the record that this row seems to be about.", who=who)
            return Problem("", "", text, sentence=True)
        return Problem(self.names[0], str(draft.match[0]), _("a record that %(who)s may change", who=who))

    def _statement(self, uow: UnitOfWork, values: Sequence[tuple[Any, ...]], *, key: str = "id") -> sa.Select[Any]:
        """Return the statement for key and match values: of visible rows, or of those whose ``key`` is a visible row's."""
        model, seen = self._plan.record_type.model, visible(uow.actor, self._plan.record_type)
        columns = [self._column(name, field) for name, field in zip(self.names, self._fields, strict=True)]
        if key != "id":
            seen = getattr(model, key).in_(sa.select(model.id).where(seen).correlate(None))
        statement = sa.select(getattr(model, key), *columns).where(seen)
        for side in {f.side for f in self._fields if f is not None and f.side is not None}:
            statement = statement.join(side, side_key(side) == model.id)
        for name, field in zip(self.names, self._fields, strict=True):
            if field is not None and field.kind is Kind.COLLECTION:
                statement = self._with_parts(statement, name, field)
        return statement.where(*_any_of(uow, columns, values))

    def _with_parts(self, statement: sa.Select[Any], name: str, field: FieldPlan) -> sa.Select[Any]:
        part: Any = field.field
        told: Any = discriminator(part_fields(field))
        kind = name.partition(".")[2]
        host = getattr(part.model, part.key) == self._plan.record_type.model.id
        return statement.join(part.model, sa.and_(host, told.column == kind)).distinct()

    def _column(self, name: str, field: FieldPlan | None) -> Any:
        if field is None:
            return self._plan.record_type.model.uid
        if field.kind is Kind.COLLECTION:
            model = field.field.model  # type: ignore[attr-defined]
            return getattr(model, "value_normalized", model.value)
        return sa.func.lower(field.column) if field.kind is Kind.EMAIL else field.column

    def _field(self, name: str) -> FieldPlan:
        head, _dot, kind = name.partition(".")
        field = self._plan.fields.get(head)
        parted = field is not None and field.kind is Kind.COLLECTION and bool(kind)
        if field is None or (field.column is None and not parted) or field.kind in (Kind.MULTICHOICE, Kind.JSON):
            known = ", ".join(("id", *self._plan.plain()))
            raise InvalidInput({f"match {name}": [_("cannot be matched by; known: %(known)s.", known=known)]})
        return field

    def _value(self, name: str, field: FieldPlan | None, draft: Draft) -> Any:
        if field is None:
            raise _Missing
        if field.kind is Kind.COLLECTION:
            return self._part_value(name, field, draft)
        raw = draft.payload.get(field.name)
        value = None if raw is None else field.field.deserialize(raw)
        if value is None:
            raise _Missing
        if field.kind is Kind.REFERENCE and isinstance(value, UUID):
            return self._lookups.keys.get(target_of(field).name, {}).get(value, -1)
        return value.lower() if field.kind is Kind.EMAIL else value

    def _part_value(self, name: str, field: FieldPlan, draft: Draft) -> Any:
        """Return the value of the first part of the kind, as it is stored to be compared."""
        fields = part_fields(field)
        told: Any = discriminator(fields)
        kind = name.partition(".")[2]
        identity = field.field.metadata.get("identity")
        parts = draft.payload.get(field.name)
        for part in parts if isinstance(parts, list) else ():  # of a JSON line it may be anything
            if isinstance(part, Mapping) and part.get(told.name) == kind and part.get("value"):
                value = fields["value"].field.deserialize(part["value"])
                return identity({**part, "value": value})[1] if identity else value
        raise _Missing

    def _identify_by_id(self, draft: Draft) -> None:
        raw = draft.payload.pop("id", None)
        if raw is None:
            return
        try:
            draft.match = (raw if isinstance(raw, UUID) else UUID(str(raw)),)
        except ValueError:
            draft.problems.append(Problem("id", str(raw), _("a record id, or nothing for a new record")))


class _Missing(Exception):
    """A row has no value of a match field."""


def match_of(spec: SourceSpec, source: Source, plan: TypePlan) -> tuple[str, ...]:
    """Return the fields rows are matched by: the mapping's; else the id, else the type's external key, if mapped."""
    if spec.match:
        return spec.match
    columns = source.columns if spec.columns is None else tuple(column.field for column in spec.columns)
    mapped = {*columns, *spec.constants}
    key = plan.record_type.external_key
    return ("id",) if "id" in mapped else key if key and set(key) <= mapped else ()


def is_whole(spec: SourceSpec, source: Source, plan: TypePlan) -> bool:
    """Say whether rows hold whole records as ``crm export`` writes them: the fields' own names, no required one amiss."""
    given = {name.partition(".")[0] for name in source.columns}
    required = {name for name, field in plan.fields.items() if field.writable and field.field.required}
    return spec.columns is None and required <= given


def changes_of(plan: TypePlan, draft: Draft, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return attribute → new value of what a draft says otherwise than its stored record."""
    collections = {attribute_of(field): field for field in plan.collections()}
    changes = {}
    for attribute, value in draft.data.items():
        if attribute in collections:
            merged = merged_parts(collections[attribute], stored.get(attribute, ()), value or ())
            if merged is not None:
                changes[attribute] = merged
        elif attribute not in stored or stored[attribute] != value:
            changes[attribute] = value
    return changes


def side_changes_of(draft: Draft, stored: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return extension → attribute → new value of what a draft says otherwise than what is stored."""
    found: dict[str, dict[str, Any]] = {}
    for extension, values in draft.extensions.items():
        for name, value in values.items():
            if stored.get(f"extensions.{extension}.{name}") != value:
                found.setdefault(extension, {})[name] = value
    return found


def merged_parts(
    field: FieldPlan, stored: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]] | None:
    """Return the whole list of parts once the wanted ones are in it, or None if they are there already.

    A part that is named by its id, or means the same as a stored one (the number spelt otherwise), is that one, changed
    if it says more; others are added. An import never removes parts.
    """
    attributes = {attribute_of(part): name for name, part in part_fields(field).items()}
    known = _Known(stored, field.field.metadata.get("identity"))
    kept: dict[Any, dict[str, Any]] = {part["id"]: {"uid": part["id"]} for part in stored}
    added, changed = [], False
    for part in wanted:
        given = {name: value for name, value in part.items() if name != "uid"}
        named = known.named(part)
        same = named or known.meant(part)
        if same is not None:
            # One that means the same may have its value spelt otherwise: an export writes numbers with their country.
            alike = same is known.meant(part)
            said = {name: value for name, value in given.items() if name != "value"} if alike else given
            if not _says(same, said, attributes):
                kept[same["id"]], changed = {**kept[same["id"]], **said}, True
        elif not any(_says(other, given, attributes) for other in stored):
            added.append(given)
    return [*kept.values(), *added] if changed or added else None


class _Known:
    """The stored parts of one record, by their id and by what makes two parts one."""

    def __init__(
        self, stored: Sequence[Mapping[str, Any]], identity: Callable[[Mapping[str, Any]], Any] | None
    ) -> None:
        self._by_uid = {part["id"]: part for part in stored}
        self._identity = identity
        self._by_identity = {found: part for part in stored if (found := self._meaning(part)) is not None}

    def named(self, part: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return self._by_uid.get(part.get("uid"))

    def meant(self, part: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return self._by_identity.get(self._meaning(part))

    def _meaning(self, part: Mapping[str, Any]) -> Any:
        """Return what makes the part one with others; None if that is not known, or cannot be read."""
        try:
            return self._identity(part) if self._identity else None
        except ValidationError:
            return None


def _says(stored: Mapping[str, Any], given: Mapping[str, Any], attributes: Mapping[str, str]) -> bool:
    return all(stored.get(attributes.get(name, name)) == value for name, value in given.items())


def _any_of(uow: UnitOfWork, columns: Sequence[Any], values: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return conditions that leave rows with one of the tuples of values; a column with one value is compared to it."""
    varying = [place for place in range(len(columns)) if len({value[place] for value in values}) > 1]
    fixed = [columns[place] == values[0][place] for place in range(len(columns)) if place not in varying]
    if not varying:
        return fixed
    if len(varying) == 1:
        return [*fixed, among(uow.session, columns[varying[0]], [value[varying[0]] for value in values])]
    several = sa.tuple_(*(columns[place] for place in varying))
    return [*fixed, several.in_([tuple(value[place] for place in varying) for value in values])]
