"""Brings one chunk of rows into the database: look up, match, validate, compare, write; one verdict per row.

Runs inside the caller's writing unit of work. A row that is wrong is refused by itself; the others are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask_babel import gettext as _

from crm_kernel.access.policy import sees_all
from crm_kernel.errors import Conflict, Forbidden, InvalidInput
from crm_kernel.records.bulk import create_many, update_many
from crm_kernel.records.bulk_rows import attribute_of, current_values
from crm_kernel.records.importing.blaming import given_path, row_error
from crm_kernel.records.importing.drafting import Draft, Drafter, Problem
from crm_kernel.records.importing.ledger import Images, created_rows
from crm_kernel.records.importing.loading import Loader
from crm_kernel.records.importing.lookups import Lookups
from crm_kernel.records.importing.mapping import SourceSpec
from crm_kernel.records.importing.matching import Matcher, changes_of, is_whole, match_of, side_changes_of
from crm_kernel.records.importing.results import RowError, Verdict, Written
from crm_kernel.records.importing.savepoints import all_or_nothing
from crm_kernel.records.importing.sources import Row, Source
from crm_kernel.records.importing.targets import part_fields, references_of
from crm_kernel.records.payloads import resolve_references
from crm_kernel.records.plan import Kind, TypePlan, plan_of, target_of

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(slots=True)
class Outcome:
    """The verdicts and errors of one chunk."""

    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    errors: list[RowError] = field(default_factory=list)
    warnings: list[RowError] = field(default_factory=list)
    #: What was done to which record, in order.
    written: list[Written] = field(default_factory=list)


class SourceRun:
    """One source of a mapping being imported; remembers which records the rows so far were about."""

    def __init__(self, spec: SourceSpec, source: Source, drafter: Drafter, plan: TypePlan, lookups: Lookups) -> None:
        """Work out how rows are matched.

        Raises:
            InvalidInput: a match field does not exist.
        """
        self.spec, self.source, self.plan = spec, source, plan
        self._drafter, self._lookups, self._loader = drafter, lookups, Loader(plan)
        self._matcher = Matcher(plan, match_of(spec, source, plan), lookups)
        self._references = list(references_of(plan))
        self._parted = {
            collection.name: collection
            for collection in plan.collections()
            if any(part.kind is Kind.REFERENCE for part in part_fields(collection).values())
        }
        self._whole = is_whole(spec, source, plan)
        # 64 bits per distinct key, not the keys themselves: a million rows take some 70 MB.
        self._seen: set[int] = set()

    def fields(self) -> list[str]:
        """Return the names of the fields that rows give, of extensions as ``extensions.bank.iban``."""
        return self._drafter.roots()

    def process(self, uow: UnitOfWork, rows: Sequence[Row]) -> Outcome:
        """Import rows and return what became of them."""
        outcome = Outcome()
        drafts = [self._drafter.draft(row) for row in rows]
        self._look_up(uow, drafts)
        for draft in drafts:
            if self._matcher.names and not draft.problems:
                self._matcher.identify(draft)
        outcome.written += [Written(Verdict.CREATED, 0, name, uid) for name, uid in self._lookups.taken()]
        for batch in self._batches(drafts):
            self._import(uow, batch, outcome)
        outcome.warnings += [
            RowError(self.source.name, draft.row.number, left.name, left.found, left.expected, refused=False)
            for draft in drafts
            if not draft.problems
            for left in draft.row.left_out
        ]
        return outcome

    def recall(self, uow: UnitOfWork, rows: Sequence[Row]) -> None:
        """Remember which records rows were about that an interrupted run has imported already; writes nothing."""
        if not self._matcher.names:
            return
        for draft in (self._drafter.draft(row) for row in rows):
            for target, resolver, text in draft.wanted:
                if target.root in self._matcher.names:
                    resolver.recall(uow, [text])
                    with suppress(ValueError):
                        target.put(draft.payload, resolver.found(text))
            if not draft.problems:
                self._matcher.identify(draft)
            if draft.match:
                self._seen.add(hash(draft.match))

    def _look_up(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> None:
        texts: dict[int, tuple[Any, list[str]]] = {}
        for draft in drafts:
            for _target, resolver, text in draft.wanted:
                texts.setdefault(id(resolver), (resolver, []))[1].append(text)
        for resolver, wanted in texts.values():
            resolver.resolve(uow, wanted)
        for draft in drafts:
            for target, resolver, text in draft.wanted:
                try:
                    target.put(draft.payload, resolver.found(text))
                except ValueError as error:
                    draft.problems.append(
                        Problem(target.root, text, str(error), self._drafter.column_of_target(target))
                    )

    def _batches(self, drafts: Sequence[Draft]) -> Iterator[list[Draft]]:
        """Yield the drafts in their order, in batches in which no record is meant twice."""
        batch: list[Draft] = []
        here: set[int] = set()
        for draft in drafts:
            mark = hash(draft.match) if draft.match else None
            if mark in here:
                yield batch
                batch, here = [], set()
            if mark is not None:
                draft.repeated = mark in self._seen
                here.add(mark)
                self._seen.add(mark)
            batch.append(draft)
        yield batch

    def _import(self, uow: UnitOfWork, drafts: list[Draft], outcome: Outcome) -> None:
        if self.spec.distinct:
            outcome.verdicts[Verdict.SKIPPED] += sum(draft.repeated for draft in drafts)
            drafts = [draft for draft in drafts if not draft.repeated]
        if self._matcher.names:
            self._matcher.find(uow, [draft for draft in drafts if not draft.problems])
        keeping = self._keeps_ids(uow)
        wanted = [draft for draft in drafts if draft.problems or self._is_wanted(draft, keeping, outcome)]
        for draft in wanted:
            if not draft.problems:
                self._load(draft)
        self._resolve(uow, [draft for draft in wanted if not draft.problems])
        sound = [draft for draft in wanted if not draft.problems]
        self._refuse([draft for draft in wanted if draft.problems], outcome)
        stored = [draft for draft in sound if draft.key is not None]
        self._create(uow, [draft for draft in sound if draft.key is None], outcome)
        self._update(uow, stored, outcome)

    def _keeps_ids(self, uow: UnitOfWork) -> bool:
        """Say whether an id that is not here makes a new record of that id.

        Only of rows that hold a whole record, and only for who sees all records: to anybody else a refusal would tell
        that a record he may not see is there.
        """
        return self._whole and (uow.actor.kind == "system" or sees_all(uow.actor, self.plan.record_type))

    def _is_wanted(self, draft: Draft, keeping: bool, outcome: Outcome) -> bool:
        if self.spec.mode == ("create" if draft.key is not None else "update"):
            outcome.verdicts[Verdict.SKIPPED] += 1
            return False
        if self._matcher.names == ("id",) and draft.match and draft.key is None:
            if keeping and draft.match[0].int:
                draft.uid = draft.match[0]
                return True
            text = _("the id of a record that is here, or nothing for a new record")
            draft.problems.append(Problem("id", str(draft.match[0]), text))
        return True

    def _load(self, draft: Draft) -> None:
        draft.data, draft.extensions, errors = self._loader.load(draft.payload, partial=draft.key is not None)
        for path, messages in errors.items():
            draft.problems.append(self._refusal(draft, path, messages))

    def _problem(self, draft: Draft, path: str, expected: str) -> Problem:
        place = self._drafter.place(draft, path)
        return Problem(path, place.found, expected, place.column)

    def _refusal(self, draft: Draft, path: str, messages: Sequence[str]) -> Problem:
        return replace(self._problem(draft, path, " ".join(messages)), sentence=True)

    def _resolve(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> None:
        """Replace the public ids in loaded data by keys; one query per type that has unknown ones."""
        for extension, reference in self._references:
            name, target = attribute_of(reference), plan_of(target_of(reference))
            holders = [(draft, draft.extensions.get(extension, {}) if extension else draft.data) for draft in drafts]
            asking = [(draft, values) for draft, values in holders if isinstance(values.get(name), UUID)]
            keys = self._lookups.keys_of(uow, target, {values[name] for _draft, values in asking}) if asking else {}
            for draft, values in asking:
                found = keys.get(values[name])
                if found is None:
                    path = f"extensions.{extension}.{reference.name}" if extension else reference.name
                    text = _("the id of a %(type)s", type=target.record_type.label)
                    draft.problems.append(self._problem(draft, path, text))
                values[name] = found
        for draft in drafts if self._parted else ():
            try:
                resolve_references(uow, self._parted, draft.data)
            except InvalidInput as error:
                draft.problems += [self._refusal(draft, path, texts) for path, texts in error.errors.items()]

    def _create(self, uow: UnitOfWork, drafts: list[Draft], outcome: Outcome) -> None:
        for draft in drafts:
            for collection in self.plan.collections():
                for part in draft.data.get(attribute_of(collection)) or ():
                    part.pop("uid", None)

        def write(some: Sequence[Draft]) -> None:
            sides = [draft.extensions for draft in some] if any(draft.extensions for draft in some) else []
            uids = [draft.uid for draft in some]
            given = [draft.data for draft in some]
            keys = create_many(uow, self.plan.record_type, given, extensions=sides, uids=uids)
            for draft, key in zip(some, keys, strict=True):
                draft.key = key

        outcome.verdicts[Verdict.CREATED] += self._written(uow, drafts, write, outcome)
        outcome.written += created_rows(uow, self.plan, drafts)

    def _update(self, uow: UnitOfWork, drafts: list[Draft], outcome: Outcome) -> None:
        keys = [draft.key for draft in drafts if draft.key is not None]
        names = sorted({name for draft in drafts for name in draft.data})
        sides = {e: sorted({n for d in drafts for n in d.extensions.get(e, ())}) for d in drafts for e in d.extensions}
        stored = current_values(uow, self.plan, keys, names, sides) if keys else {}
        differing = []
        for draft in drafts:
            draft.given = draft.data
            draft.data = changes_of(self.plan, draft, stored[draft.key or 0])
            draft.extensions = side_changes_of(draft, stored[draft.key or 0])
            if draft.repeated and (draft.data or draft.extensions):
                draft.problems.append(self._contradiction(draft))
                self._refuse([draft], outcome)
            elif draft.data or draft.extensions:
                differing.append(draft)
            else:
                outcome.verdicts[Verdict.SKIPPED if draft.repeated else Verdict.UNCHANGED] += 1
        self._matcher.refuse_unchangeable(uow, differing)
        self._refuse([draft for draft in differing if draft.problems], outcome)
        differing = [draft for draft in differing if not draft.problems]
        changed: set[int] = set()
        images = Images(uow, self.plan, differing)

        def write(some: Sequence[Draft]) -> None:
            changes = {draft.key or 0: draft.data for draft in some}
            given = {draft.key or 0: draft.extensions for draft in some if draft.extensions}
            changed.update(update_many(uow, self.plan.record_type, changes, extensions=given))

        written = self._written(uow, differing, write, outcome)
        outcome.verdicts[Verdict.UPDATED] += len(changed)
        outcome.verdicts[Verdict.UNCHANGED] += written - len(changed)
        outcome.written += images.of(changed)

    def _contradiction(self, draft: Draft) -> Problem:
        names = {attribute_of(f): f.name for f in self.plan.fields.values()}
        path = names.get(next(iter(draft.data), ""), next(iter(draft.extensions), ""))
        return self._problem(draft, path, _("what an earlier row of this file says about the same record"))

    def _written(self, uow: UnitOfWork, drafts: Sequence[Draft], write: Any, outcome: Outcome) -> int:
        """Write all of the drafts that the rules allow and return how many; the others are refused."""
        left = list(drafts)
        while left:
            try:
                with all_or_nothing(uow):
                    write(left)
                return len(left)
            except InvalidInput as error:
                left = self._without_refused(left, error, outcome)
            except (Conflict, Forbidden):  # says of none of the rows that it is the one
                return sum(self._written_alone(uow, draft, write, outcome) for draft in left)
        return 0

    def _without_refused(self, drafts: Sequence[Draft], error: InvalidInput, outcome: Outcome) -> list[Draft]:
        refused: dict[int, Draft] = {}
        for path, messages in error.errors.items():
            number, _dot, rest = path.partition(".")
            if not (number.isdecimal() and int(number) < len(drafts)):
                raise error
            draft = refused[int(number)] = drafts[int(number)]
            draft.problems.append(self._refusal(draft, given_path(draft.data, draft.given, rest), messages))
        self._refuse(list(refused.values()), outcome)
        return [draft for place, draft in enumerate(drafts) if place not in refused]

    def _written_alone(self, uow: UnitOfWork, draft: Draft, write: Any, outcome: Outcome) -> int:
        try:
            with all_or_nothing(uow):
                write([draft])
        except InvalidInput as error:
            self._without_refused([draft], error, outcome)
        except (Conflict, Forbidden) as error:
            draft.problems.append(
                Problem(self._matcher.names[0] if self._matcher.names else "", "", str(error), sentence=True)
            )
            self._refuse([draft], outcome)
        return 0 if draft.problems else 1

    def _refuse(self, drafts: Sequence[Draft], outcome: Outcome) -> None:
        outcome.verdicts[Verdict.REFUSED] += len(drafts)
        for draft in drafts:
            for problem in draft.problems:
                column = problem.column or self._drafter.column_of(problem.root)
                outcome.errors.append(row_error(self.source.name, draft.row.number, column, problem))
