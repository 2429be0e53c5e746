"""Finds what the rows of a chunk refer to: texts by lookups, ids as keys; what is not there is a problem of its row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask_babel import gettext as _

from crm_kernel.records.bulk_rows import attribute_of
from crm_kernel.records.importing.drafting import Drafter
from crm_kernel.records.importing.drafts import Draft, Problem
from crm_kernel.records.importing.lookups import Lookups
from crm_kernel.records.importing.targets import part_fields, references_of
from crm_kernel.records.plan import FieldPlan, Kind, TypePlan, plan_of, target_of

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: The values that hold a reference, and the path of its field among those of the row.
_Holder = tuple[Draft, MutableMapping[str, Any], str]


class References:
    """The references of one source: of the record itself, of its extensions and of the parts of its collections."""

    def __init__(self, plan: TypePlan, drafter: Drafter, lookups: Lookups) -> None:
        self._drafter, self._lookups = drafter, lookups
        self._plain = list(references_of(plan))
        self._parted = [
            (collection, part)
            for collection in plan.collections()
            for part in part_fields(collection).values()
            if part.kind is Kind.REFERENCE
        ]
        self._to_itself = [
            field.name for side, field in self._plain if not side and target_of(field).name == plan.record_type.name
        ]

    def look_up(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> None:
        """Put the ids of what texts name into the drafts; a few queries per lookup."""
        texts: dict[int, tuple[Any, list[str]]] = {}
        for draft in drafts:
            for wanted in draft.wanted:
                texts.setdefault(id(wanted.resolver), (wanted.resolver, []))[1].append(wanted.text)
        for resolver, asked in texts.values():
            resolver.resolve(uow, asked)
        for draft in drafts:
            for wanted in draft.wanted:
                try:
                    wanted.put(draft.payload, wanted.resolver.found(wanted.text))
                except ValueError as error:
                    column = self._drafter.column_of_target(wanted.target)
                    draft.problems.append(Problem(wanted.target.root, wanted.text, str(error), column, row=wanted.row))

    def pointed_at(self, draft: Draft) -> Iterator[int]:
        """Yield the marks of the records of its own type that a draft points at: of a refund, the sale."""
        for name in self._to_itself:
            found = draft.payload.get(name)
            found = found.get("id") if isinstance(found, Mapping) else found
            if isinstance(found, str | UUID):
                try:
                    yield hash((UUID(str(found)),))
                except ValueError:
                    continue

    def resolve(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> None:
        """Replace the public ids in loaded data by keys; one query per type that has unknown ones."""
        for extension, reference in self._plain:
            prefix = f"extensions.{extension}." if extension else ""
            holders: list[_Holder] = [
                (draft, draft.extensions.get(extension, {}) if extension else draft.data, f"{prefix}{reference.name}")
                for draft in drafts
            ]
            self._replace(uow, reference, holders)
        for collection, part in self._parted:
            holders = [
                (draft, values, f"{collection.name}.{number}.{part.name}")
                for draft in drafts
                for number, values in enumerate(draft.data.get(attribute_of(collection)) or ())
            ]
            self._replace(uow, part, holders)

    def as_keys(self, uow: UnitOfWork, stored: Mapping[int, Mapping[str, Any]]) -> None:
        """Write the references in the parts of stored records as keys, as loaded rows have them."""
        for collection, part in self._parted:
            attribute, name = attribute_of(collection), part.name
            parts = [found for values in stored.values() for found in values.get(attribute, ())]
            shown = {found[name]["id"] for found in parts if isinstance(found.get(name), Mapping)}
            keys = self._lookups.keys_of(uow, plan_of(target_of(part)), shown) if shown else {}
            for values in parts:
                if isinstance(values.get(name), Mapping):
                    values[name] = keys.get(values[name]["id"])

    def _replace(self, uow: UnitOfWork, reference: FieldPlan, holders: Sequence[_Holder]) -> None:
        name, target = attribute_of(reference), plan_of(target_of(reference))
        asking = [holder for holder in holders if isinstance(holder[1].get(name), UUID)]
        keys = self._lookups.keys_of(uow, target, {values[name] for _draft, values, _path in asking}) if asking else {}
        for draft, values, path in asking:
            found = keys.get(values[name])
            if found is None:
                place, row = self._drafter.place(draft, path), self._drafter.row_of(draft, path)
                text = _("the id of a %(type)s", type=target.record_type.label)
                draft.problems.append(Problem(path, place.found, text, place.column, row=row.number))
            values[name] = found
