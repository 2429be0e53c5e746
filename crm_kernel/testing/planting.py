"""Plants a value that occurs nowhere else in every field that a role can hide: whoever shows it all the same is found.

Rows are made from columns alone, one per table of every loaded record type, its parts, side tables and extensions.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from babel.dates import format_date
from marshmallow import ValidationError

from crm_kernel.access.services import create_role, grant
from crm_kernel.access.services.field_rules import restrict_field
from crm_kernel.database import Amount, metadata
from crm_kernel.errors import InvalidInput
from crm_kernel.records.fields import Choice, Collection, Currency
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, plan_of, record_types
from crm_kernel.testing.conformance.rows import python_value
from crm_kernel.testing.people import add_user

if TYPE_CHECKING:
    from crm_kernel.access.models import AppUser, Role
    from crm_kernel.unit_of_work import UnitOfWork

#: Those who act, and what they are in: tables that are there already.
_PEOPLE = ("app_user", "team", "role")
#: Columns that name a record without a foreign key.
_POINTERS = ("subject_type", "record_type", "subject_uid", "record_uid")
#: What separates digits in any language.
_BETWEEN = re.compile(r"[\s,.'’\u00a0\u202f]")
_TEXTS = (Kind.TEXT, Kind.EMAIL, Kind.URL)
#: Checks of texts that any word passes.
_ANY_TEXT = ("Length", "Email", "URL", "function")


@dataclass(frozen=True, slots=True)
class Planted:
    """One record of every type, with values that are hidden from ``user``."""

    user: AppUser
    #: Record type → public id.
    uids: dict[str, UUID] = field(default_factory=dict)
    #: Name of a field, ``sfa.opportunity.amount`` → how its value may be written.
    spellings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Names of hidden fields whose values the table of the type refused.
    refused: set[str] = field(default_factory=set)

    def bare(self, record_type: str) -> bool:
        """Say whether a type holds no secret although one was meant for it: looking for it says nothing then."""
        of_type = f"{record_type}."
        meant = any(name.startswith(of_type) for name in self.refused)
        return meant and not any(name.startswith(of_type) for name in self.spellings)

    def shown_in(self, text: str) -> list[str]:
        """Return the names of the fields whose values a text shows."""
        digits = _BETWEEN.sub("", text)
        return [
            name
            for name, ways in self.spellings.items()
            if any(way in (digits if way.isdigit() else text) for way in ways)
        ]


def plant(uow: UnitOfWork) -> Planted:
    """Make a user who may do everything and from whom all is hidden that can be, and a record of every type."""
    role = create_role(uow, name="conformance-blind")
    grant(uow, role, "*")
    user = add_user(uow, role.name, team="Conformance", name="Conformance")
    planted = Planted(user)
    plans = [plan_of(found) for found in record_types().values() if found.model.__tablename__ not in _PEOPLE]
    hidden = {column: place for plan in plans for column, place in _hidden(uow, role, plan)}
    uow.session.flush()
    known: dict[str, Any] = {"app_user": user.id, "team": user.team_id}
    gardener = _Gardener(uow.session.connection(), hidden, planted, known, _meanings())
    gardener.begin(metadata.tables["customer"])
    wanted = {table.name for plan in plans for table in _tables_of(plan)} - gardener.known.keys()
    for table in metadata.sorted_tables:
        if table.name in wanted:
            gardener.fill(table)
    for plan in plans:
        gardener.name(plan.record_type.name, plan.record_type.model.__table__)
    return planted


@dataclass(frozen=True, slots=True)
class _Place:
    """A column whose value a role hides."""

    name: str
    plan: FieldPlan


def _hidden(uow: UnitOfWork, role: Role, plan: TypePlan) -> Iterator[tuple[sa.Column[Any], _Place]]:
    """Hide every field of a type that can be hidden, and yield the columns that then hold what nobody may see."""
    name = plan.record_type.name
    own = {**plan.fields}
    for extension, fields in plan.extension_fields.items():
        own |= {f"{extension}.{key}": found for key, found in fields.items()}
    for path, found in own.items():
        try:
            restrict_field(uow, role, name, path, "hidden")
        except InvalidInput:  # lists of the type cannot do without it
            continue
        for part in _stored(found):
            column = getattr(part.column, "property", None)
            if column is not None and isinstance(column.columns[0], sa.Column):
                yield column.columns[0], _Place(f"{name}.{path}", part)


def _stored(found: FieldPlan) -> Iterable[FieldPlan]:
    from crm_kernel.records.plan import field_plans

    if found.kind is not Kind.COLLECTION:
        return (found,)
    collection = cast(Collection, found.field)
    return field_plans(collection.part_schema, collection.model).values()


def _tables_of(plan: TypePlan) -> Iterator[sa.Table]:
    yield plan.record_type.model.__table__
    for extension in plan.extensions:
        yield extension.model.__table__
    for found in plan.fields.values():
        model: Any = found.side or getattr(found.field, "model", None)
        if model is not None:
            yield model.__table__


@dataclass(slots=True)
class _Gardener:
    connection: sa.Connection
    hidden: Mapping[sa.Column[Any], _Place]
    planted: Planted
    #: Table → key of its row.
    known: dict[str, Any]
    #: Column → a value that its field takes, where a word would not do.
    meanings: Mapping[sa.Column[Any], Any]
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    #: Table → key of another row of it.
    others: dict[str, Any] = field(default_factory=dict)

    def fill(self, table: sa.Table) -> None:
        """Add a row with all secrets; with its texts alone, or with none, where a check of the table refuses them."""
        for kinds in (tuple(Kind), _TEXTS, ()):
            secrets = {c: _secret(c, self.hidden[c].plan, next(self.numbers)) for c in self._planted_in(table)}
            kept = {c: one for c, one in secrets.items() if one is not None and self.hidden[c].plan.kind in kinds}
            if self._add(table, {c.name: one[0] for c, one in kept.items()}):
                for column, (_value, ways) in kept.items():
                    name = self.hidden[column].name
                    self.planted.spellings[name] = (*self.planted.spellings.get(name, ()), *ways)
                self.planted.refused.update(self.hidden[c].name for c, one in secrets.items() if one and c not in kept)
                return
        self.planted.refused.update(self.hidden[c].name for c in self._planted_in(table))

    def _planted_in(self, table: sa.Table) -> list[sa.Column[Any]]:
        return [column for column in table.columns if column in self.hidden and column.name not in _POINTERS]

    def begin(self, customers: sa.Table) -> None:
        """Add the customer that all hangs on, and a plain one for what ties two."""
        self._add(customers, {})
        self.others[customers.name] = self.known[customers.name]
        self.fill(customers)
        self.name("customer", customers)

    def name(self, record_type: str, table: sa.Table) -> None:
        """Note the public id of the row of a record type."""
        if table.name in self.known:
            row = sa.select(table.c.uid).where(table.c.id == self.known[table.name])
            self.planted.uids[record_type] = self.connection.execute(row).scalar_one()

    def _add(self, table: sa.Table, secrets: Mapping[str, Any]) -> bool:
        values = {column.name: self._value(column) for column in table.columns if column.name not in secrets}
        given = {name: value for name, value in values.items() if value is not None} | dict(secrets)
        try:
            with self.connection.begin_nested():
                made = self.connection.execute(sa.insert(table).values(given))
        except (sa.exc.IntegrityError, sa.exc.DataError):
            return False
        self.known[table.name] = made.inserted_primary_key[0] if made.inserted_primary_key else None
        return True

    def _value(self, column: sa.Column[Any]) -> Any:
        if column.name in _POINTERS:
            return "customer" if column.name in _POINTERS[:2] else self.planted.uids.get("customer")
        if column.foreign_keys:
            return self._key(column)
        filled = column.default is not None or column.server_default is not None
        if filled or (column.primary_key and column.autoincrement):
            return None
        if column in self.meanings:
            return self.meanings[column]
        return None if column.nullable else python_value(column)

    def _key(self, column: sa.Column[Any]) -> Any:
        found = next(iter(column.foreign_keys)).column
        target = found.table
        if target is column.table:  # nothing is merged into, or below, anything
            return None
        if target.name not in self.known and not column.nullable:
            self._add(target, {})
        first = next(one for one in column.table.columns if any(key.column is found for key in one.foreign_keys))
        known = self.known if first is column else self.others
        if target.name not in known or found.primary_key:
            return known.get(target.name)
        row = sa.select(found).where(target.c.id == known[target.name])
        return self.connection.execute(row).scalar_one()


def _meanings() -> dict[sa.Column[Any], Any]:
    """Return column → a value for it, of the choices and currencies of all record types."""
    found: dict[sa.Column[Any], Any] = {}
    for record_type in record_types().values():
        plan = plan_of(record_type)
        every = [*plan.fields.values(), *(f for own in plan.extension_fields.values() for f in own.values())]
        for part in (part for one in every for part in _stored(one)):
            column = getattr(part.column, "property", None)
            if isinstance(part.field, Choice) and column is not None:
                found[column.columns[0]] = next(iter(part.field.choices), None)
            if isinstance(part.field, Currency) and column is not None:
                found[column.columns[0]] = "EUR"
    return found


def _secret(column: sa.Column[Any], plan: FieldPlan, number: int) -> tuple[Any, tuple[str, ...]] | None:
    """Return a value for a column and how it may be written; None where any value would mean something."""
    if plan.kind in _TEXTS:
        return _secret_text(column, plan, number)
    if plan.kind in (Kind.DATE, Kind.DATETIME):
        day = dt.date(1907, 1, 1) + dt.timedelta(days=number)
        written = (
            day.isoformat(),
            f"{day.month}/{day.day}/07",
            *(format_date(day, f, "en") for f in ("medium", "long")),
        )
        return (day if plan.kind is Kind.DATE else dt.datetime.combine(day, dt.time(12), dt.UTC)), written
    if isinstance(column.type, Amount):
        return Decimal(7_301_000 + number), (str(7_301_000 + number),)
    if plan.kind is Kind.NUMBER and isinstance(column.type, sa.Integer):
        found = next((one for one in (730_100_000 + number, 731_000 + number) if _passes(plan, one)), None)
        return None if found is None else (found, (str(found),))
    return None


def _passes(plan: FieldPlan, value: Any) -> bool:
    """Say whether a field takes a value: a number that means something to a module must not change what it does."""
    try:
        for check in plan.field.validators:
            check(value)
    except ValidationError:
        return False
    return True


def _secret_text(column: sa.Column[Any], plan: FieldPlan, number: int) -> tuple[str, tuple[str, ...]] | None:
    checks = {type(check).__name__ for check in plan.field.validators}
    room = getattr(column.type, "length", None) or 100
    if (
        not isinstance(column.type, sa.String)
        or room < 12
        or checks - set(_ANY_TEXT)
        or plan.name in ("timezone", "language", "name_order")
        or "options" in plan.field.metadata
    ):
        return None
    word = f"zqhidden{number:04}"
    shapes = {Kind.EMAIL: f"{word}@example.org", Kind.URL: f"https://{word}.example.org"}
    return shapes.get(plan.kind, word)[:room], (word,)
