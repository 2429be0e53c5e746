"""Finds what references name (a title, a key in another system, an e-mail, a SKU): in bulk, each text once per chunk.

Only records the actor may see are found. A text that fits two records is an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from marshmallow import ValidationError

from crm_kernel._internal.rows import among
from crm_kernel.access.policy import visible
from crm_kernel.errors import InvalidInput
from crm_kernel.records.bulk import create_many, uids_of
from crm_kernel.records.importing.loading import Loader
from crm_kernel.records.importing.mapping import Lookup
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, plan_of, side_key, target_of, title_column
from crm_kernel.records.replacements import replacements

if TYPE_CHECKING:
    from crm_kernel.records.importing.targets import Target
    from crm_kernel.unit_of_work import UnitOfWork

#: Texts remembered per reference; more start anew, so that memory stays flat.
REMEMBERED = 20_000
#: Texts in one statement.
_SLICE = 1_000
_SEVERAL = UUID(int=0)


class Lookups:
    """The resolvers of one run, and the keys of everything they found."""

    def __init__(self) -> None:
        self._resolvers: dict[Any, Resolver] = {}
        #: Name of the record type → public id → key.
        self.keys: dict[str, dict[UUID, int]] = {}
        #: Name and public id of every record that was created and not yet taken by ``taken``.
        self._created: list[tuple[str, UUID]] = []

    def resolver(self, target: Target, lookup: Lookup | None) -> Resolver:
        """Return the resolver of a reference; targets that are looked up alike share one.

        Raises:
            InvalidInput: the lookup names a field its target does not have.
        """
        plan = plan_of(target_of(cast(FieldPlan, target.field)))
        wanted = lookup or Lookup()
        identity = (plan.record_type.name, wanted.by, wanted.missing, repr(wanted.where), repr(wanted.create))
        if identity not in self._resolvers:
            keys = self.keys.setdefault(plan.record_type.name, {})
            self._resolvers[identity] = Resolver(plan, wanted, keys, self._created)
        return self._resolvers[identity]

    def taken(self) -> list[tuple[str, UUID]]:
        """Return record type and public id of the records created since the last call."""
        found = list(self._created)
        self._created.clear()
        return found

    def forget(self) -> None:
        """Forget everything found: what a rolled-back transaction created is not there."""
        for resolver in self._resolvers.values():
            resolver.forget()
        for keys in self.keys.values():
            keys.clear()
        self._created.clear()

    def keys_of(self, uow: UnitOfWork, plan: TypePlan, uids: Collection[UUID]) -> dict[UUID, int]:
        """Return public id → key of visible records of a type; one query for those not yet known."""
        keys = self.keys.setdefault(plan.record_type.name, {})
        if len(keys) > REMEMBERED:
            keys.clear()
        model = plan.record_type.model
        unknown = [uid for uid in uids if uid not in keys]
        for start in range(0, len(unknown), _SLICE):
            part = unknown[start : start + _SLICE]
            named = among(uow.session, model.uid, part)
            statement = sa.select(model.uid, model.id).where(named, visible(uow.actor, plan.record_type))
            keys.update({row[0]: row[1] for row in uow.session.execute(statement)})
            gone = [uid for uid in part if uid not in keys]
            keys.update({uid: key for uid, (key, _new) in replacements(uow, plan.record_type, gone).items()})
        return keys


class Resolver:
    """Finds records of one type by the text of one of their fields."""

    def __init__(self, plan: TypePlan, lookup: Lookup, keys: dict[UUID, int], created: list[tuple[str, UUID]]) -> None:
        self.plan, self.lookup, self._keys, self._created = plan, lookup, keys, created
        self.by = lookup.by or plan.record_type.title
        field = plan.fields.get(self.by)
        if field is None or field.column is None:
            known = ", ".join(plan.plain())
            raise InvalidInput(
                {
                    f"lookup.by {self.by}": [
                        _("no field of %(type)s; known: %(known)s.", type=plan.record_type.name, known=known)
                    ]
                }
            )
        self._field = field
        self._where = self._conditions()
        self._memory: dict[str, UUID | None] = {}

    def forget(self) -> None:
        """Forget everything found."""
        self._memory.clear()

    def resolve(self, uow: UnitOfWork, texts: Iterable[str]) -> None:
        """Look the texts up that are not known yet; creates records if the lookup says so."""
        unknown = self.recall(uow, texts)
        if self.lookup.missing == "create":
            self._create(uow, [text for text in unknown if self._memory[text] is None])

    def recall(self, uow: UnitOfWork, texts: Iterable[str]) -> list[str]:
        """Look the texts up that are not known yet, create nothing, and return which these were."""
        if len(self._memory) > REMEMBERED:
            self._memory.clear()
        unknown = [text for text in dict.fromkeys(texts) if text not in self._memory]
        self._memory |= dict.fromkeys(unknown)
        for start in range(0, len(unknown), _SLICE):
            self._find(uow, unknown[start : start + _SLICE])
        return unknown

    def found(self, text: str) -> UUID | None:
        """Return the public id of what a text names, None if that may be missing.

        Raises:
            ValueError: nothing, or more than one record, has it.
        """
        uid = self._memory[text]
        label = self.plan.record_type.label
        if uid == _SEVERAL:
            raise ValueError(_("only one %(type)s with this %(field)s", type=label, field=self.by))
        if uid is None and self.lookup.missing != "null":
            raise ValueError(_("the %(field)s of a %(type)s", type=label, field=self.by))
        return uid

    def _find(self, uow: UnitOfWork, texts: list[str]) -> None:
        model, column = self.plan.record_type.model, self._compared()
        spellings: dict[Any, list[str]] = {}
        for text in texts:
            value = self._value(text)
            if value is not None:
                spellings.setdefault(value, []).append(text)
        statement = sa.select(model.uid, model.id, column).where(
            among(uow.session, column, list(spellings)), visible(uow.actor, self.plan.record_type), *self._where
        )
        asked = [self._field, *(self.plan.fields[name] for name in self.lookup.where)]
        for side in {field.side for field in asked if field.side is not None}:
            statement = statement.join(side, side_key(side) == model.id)
        for uid, key, value in uow.session.execute(statement):
            for text in spellings.get(value, ()):
                self._memory[text] = uid if self._memory.get(text) is None else _SEVERAL
                self._keys[uid] = key

    def _compared(self) -> Any:
        column: Any = self._field.column if self.lookup.by else title_column(self.plan.record_type)
        return sa.func.lower(column) if self._field.kind is Kind.EMAIL else column

    def _value(self, text: str) -> Any:
        try:
            value = self._field.field.deserialize(text)
        except ValidationError:
            return None
        return value.lower() if self._field.kind is Kind.EMAIL else value

    def _conditions(self) -> list[Any]:
        found = []
        for name, value in self.lookup.where.items():
            field = self.plan.fields.get(name)
            if field is None or field.column is None:
                raise InvalidInput(
                    {f"lookup.where {name}": [_("no field of %(type)s.", type=self.plan.record_type.name)]}
                )
            column: Any = field.column
            if field.kind is Kind.REFERENCE:
                target = target_of(field)
                if not isinstance(value, str):
                    expected = _("a text")
                    text = _("%(what)sfound %(found)r, expected %(expected)s.", what="", found=value, expected=expected)
                    raise InvalidInput({f"lookup.where {name}": [text]})
                named = sa.select(target.model.id).where(title_column(target) == value)
                found.append(column.in_(named))
            else:
                found.append(column == self._said(field, value))
        return found

    def _said(self, field: FieldPlan, value: Any) -> Any:
        try:
            return field.field.deserialize(value)
        except ValidationError as error:
            raise InvalidInput({f"lookup.where {field.name}": [str(text) for text in error.messages]}) from error

    def _needs_title(self) -> bool:
        title = self.plan.fields.get(self.plan.record_type.title)
        return title is not None and title.writable and bool(title.field.required)

    def _create(self, uow: UnitOfWork, texts: list[str]) -> None:
        """Create a record per text. No matcher is asked: one value says too little, and the nightly scan compares the rest."""
        loader, rows, created = Loader(self.plan), list[Mapping[str, Any]](), list[str]()
        for text in texts:
            # A record that must have a name gets the text for it, unless the mapping says another.
            named = {self.plan.record_type.title: text} if self._needs_title() else {}
            data, _extensions, errors = loader.load({**named, **self.lookup.create, **self.lookup.where, self.by: text})
            if not errors:
                rows.append(data)
                created.append(text)
        keys = create_many(uow, self.plan.record_type, rows)
        uids = uids_of(uow, self.plan.record_type, keys)
        for text, key in zip(created, keys, strict=True):
            self._memory[text] = uids[key]
            self._keys[uids[key]] = key
        self._created += [(self.plan.record_type.name, uids[key]) for key in keys]
