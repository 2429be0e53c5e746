"""Brings one chunk of rows into the database: look up, match, validate, compare, write; one verdict per row.

Runs inside the caller's writing unit of work. A row that is wrong is refused by itself; the others are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _

from crm_kernel.access.policy import sees_all
from crm_kernel.errors import Conflict, Forbidden, InvalidInput
from crm_kernel.records.bulk import create_many, update_many
from crm_kernel.records.bulk_rows import attribute_of
from crm_kernel.records.importing.blaming import given_path, row_error
from crm_kernel.records.importing.comparing import stored_values
from crm_kernel.records.importing.drafting import Drafter
from crm_kernel.records.importing.drafts import Draft, Problem, rounds
from crm_kernel.records.importing.ledger import Images, created_rows
from crm_kernel.records.importing.loading import Loader
from crm_kernel.records.importing.lookups import Lookups
from crm_kernel.records.importing.mapping import SourceSpec
from crm_kernel.records.importing.matching import Matcher, changes_of, is_whole, match_of, side_changes_of
from crm_kernel.records.importing.referring import References
from crm_kernel.records.importing.rehearsing import Earlier
from crm_kernel.records.importing.results import Outcome, RowError, Verdict, Written
from crm_kernel.records.importing.savepoints import all_or_nothing
from crm_kernel.records.importing.sifting import Sifter
from crm_kernel.records.importing.sources import Row, Source
from crm_kernel.records.importing.telling import further_problems
from crm_kernel.records.plan import TypePlan

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


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
        self._references = References(plan, drafter, lookups)
        self._sifter = Sifter(plan, "new" if spec.mode == "update" else spec.duplicates)
        self._whole = is_whole(spec, source, plan)
        # 64 bits per distinct key, not the keys themselves: a million rows take some 70 MB.
        self._seen: set[int] = set()
        #: In a rehearsal: what the chunks before this one said, which are taken back.
        self.earlier: Earlier | None = None
        #: Outcomes tell the verdict of every row.
        self.tells_every = False

    def fields(self) -> list[str]:
        """Return the names of the fields that rows give, of extensions as ``extensions.bank.iban``."""
        return self._drafter.roots()

    def process(self, uow: UnitOfWork, rows: Sequence[Row]) -> Outcome:
        """Import rows and return what became of them."""
        outcome = Outcome(tells_every=self.tells_every)
        if self.earlier is not None:
            self.earlier.turn()
        drafts = [self._drafter.draft(row) for row in rows if self._is_needed(row)]
        outcome.settle(Verdict.SKIPPED, [row for row in rows if not self._is_needed(row)])
        self._references.look_up(uow, drafts)
        for draft in drafts:
            if self._matcher.names and not draft.problems:
                self._matcher.identify(draft)
        outcome.written += [Written(Verdict.CREATED, 0, name, uid) for name, uid in self._lookups.taken()]
        for batch in self._batches(drafts, outcome):
            self._import(uow, batch, outcome)
        outcome.warnings += [
            RowError(self.source.name, draft.row.number, left.name, left.found, left.expected, refused=False)
            for draft in drafts
            if not draft.problems
            for left in draft.row.left_out
        ]
        return outcome

    def _is_needed(self, row: Row) -> bool:
        return all(row.values.get(column) for column in self.spec.needs)

    def recall(self, uow: UnitOfWork, rows: Sequence[Row]) -> None:
        """Remember which records rows were about that an interrupted run has imported already; writes nothing."""
        if not self._matcher.names and not self._sifter.remembers:
            return
        if self.earlier is not None:
            self.earlier.turn()
        drafts = [self._drafter.draft(row) for row in rows if self._is_needed(row)]
        for draft in drafts:
            for wanted in draft.wanted:
                if wanted.target.root in self._matcher.names:
                    wanted.resolver.recall(uow, [wanted.text])
                    with suppress(ValueError):
                        wanted.put(draft.payload, wanted.resolver.found(wanted.text))
            if self._matcher.names and not draft.problems:
                self._matcher.identify(draft)
            if draft.match:
                self._seen.add(hash(draft.match))
        if self.earlier is not None:
            self.earlier.note(drafts)
        if self._sifter.remembers:
            self._find(uow, drafts)
            self._sifter.recall(uow, drafts)

    def _batches(self, drafts: Sequence[Draft], outcome: Outcome) -> Iterator[list[Draft]]:
        """Yield the drafts in their order, in batches in which no record is meant twice, or points at another.

        Where only the first row of a key counts, the others are skipped here.
        """
        batch: list[Draft] = []
        here: set[int] = set()
        for draft in drafts:
            mark = hash(draft.match) if draft.match else None
            if self.spec.distinct and mark is not None and mark in self._seen:
                outcome.settle(Verdict.SKIPPED, [draft.row])
                continue
            if mark in here or not here.isdisjoint(self._references.pointed_at(draft)):
                yield batch
                batch, here = [], set()
            if mark is not None:
                draft.repeated = mark in self._seen
                here.add(mark)
                self._seen.add(mark)
            batch.append(draft)
        yield batch

    def _find(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> None:
        if self._matcher.names:
            self._matcher.find(uow, [draft for draft in drafts if not draft.problems])

    def _import(self, uow: UnitOfWork, drafts: list[Draft], outcome: Outcome) -> None:
        self._find(uow, drafts)
        drafts, held = self._sifter.sift(uow, drafts)
        outcome.settle(Verdict.SKIPPED, [draft.row for draft in held if not draft.problems])
        self._refuse([draft for draft in held if draft.problems], outcome, Verdict.REVIEW)
        keeping = self._keeps_ids(uow)
        wanted = [draft for draft in drafts if draft.problems or self._is_wanted(draft, keeping, outcome)]
        # Of others it is not known whether they are about a stored record, which need not hold what this row lacks.
        new = [draft for draft in wanted if draft.key is None and not (draft.problems and self._matcher.names)]
        for draft in wanted:
            if not draft.problems:
                self._load(draft)
        self._references.resolve(uow, [draft for draft in wanted if not draft.problems])
        sound = [draft for draft in wanted if not draft.problems]
        for draft in (draft for draft in new if draft.problems):
            for path, messages in further_problems(self.plan.record_type, self._loader, draft):
                draft.problems.append(self._refusal(draft, path, messages))
        self._refuse([draft for draft in wanted if draft.problems], outcome)
        if self.earlier is not None:
            sound = self._unknown(self.earlier, sound, outcome)
        stored = [draft for draft in sound if draft.key is not None]
        new = [draft for draft in sound if draft.key is None]
        self._create(uow, new, outcome)
        self._sifter.made(uow, new)
        for part in rounds(stored):
            self._update(uow, part, outcome)
        if self.earlier is not None:
            self.earlier.note(sound)

    def _unknown(self, earlier: Earlier, drafts: Sequence[Draft], outcome: Outcome) -> list[Draft]:
        """Return the drafts of records that no chunk before this one wrote; of the others tell what the import would."""
        known = [draft for draft in drafts if earlier.knows(draft)]
        for draft in known if self.spec.mode != "create" else ():
            differing = earlier.differing(draft)
            if differing is not None:
                draft.problems.append(self._contradiction(draft, differing))
        outcome.settle(Verdict.SKIPPED, [draft.row for draft in known if not draft.problems])
        self._refuse([draft for draft in known if draft.problems], outcome)
        return [draft for draft in drafts if not earlier.knows(draft)]

    def _keeps_ids(self, uow: UnitOfWork) -> bool:
        """Say whether an id that is not here makes a new record of that id.

        Only of rows that hold a whole record, and only for who sees all records: to anybody else a refusal would tell
        that a record he may not see is there.
        """
        return self._whole and (uow.actor.kind == "system" or sees_all(uow.actor, self.plan.record_type))

    def _is_wanted(self, draft: Draft, keeping: bool, outcome: Outcome) -> bool:
        if self.spec.mode == ("create" if draft.key is not None else "update"):
            outcome.settle(Verdict.SKIPPED, [draft.row])
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
        return Problem(path, place.found, expected, place.column, row=self._drafter.row_of(draft, path).number)

    def _refusal(self, draft: Draft, path: str, messages: Sequence[str]) -> Problem:
        return replace(self._problem(draft, path, " ".join(messages)), sentence=True)

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

        outcome.settle(Verdict.CREATED, [draft.row for draft in self._written(uow, drafts, write, outcome)])
        outcome.written += created_rows(uow, self.plan, drafts)

    def _update(self, uow: UnitOfWork, drafts: list[Draft], outcome: Outcome) -> None:
        stored = stored_values(uow, self.plan, self._references, drafts)
        differing = []
        for draft in drafts:
            draft.given = draft.data
            draft.data = changes_of(self.plan, draft, stored[draft.key or 0])
            draft.extensions = side_changes_of(draft, stored[draft.key or 0])
            if draft.repeated and (draft.data or draft.extensions):
                draft.problems.append(self._contradiction(draft, self._differing(draft)))
                self._refuse([draft], outcome)
            elif draft.data and "update" not in self.plan.record_type.verbs:
                draft.problems.append(self._recorded(draft))
                self._refuse([draft], outcome)
            elif draft.data or draft.extensions:
                differing.append(draft)
            else:
                outcome.settle(Verdict.SKIPPED if draft.repeated else Verdict.UNCHANGED, [draft.row])
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
        outcome.settle(Verdict.UPDATED, [draft.row for draft in written if draft.key in changed])
        outcome.settle(Verdict.UNCHANGED, [draft.row for draft in written if draft.key not in changed])
        outcome.written += images.of(changed)

    def _contradiction(self, draft: Draft, name: str) -> Problem:
        return self._problem(draft, name, _("what an earlier row of this file says about the same record"))

    def _recorded(self, draft: Draft) -> Problem:
        text = _("what is recorded already: a %(type)s is never changed", type=self.plan.record_type.label)
        return self._problem(draft, self._differing(draft), text)

    def _differing(self, draft: Draft) -> str:
        names = {attribute_of(f): f.name for f in self.plan.fields.values()}
        return names.get(next(iter(draft.data), ""), next(iter(draft.extensions), ""))

    def _written(self, uow: UnitOfWork, drafts: Sequence[Draft], write: Any, outcome: Outcome) -> list[Draft]:
        """Write all of the drafts that the rules allow and return them; the others are refused."""
        left = list(drafts)
        while left:
            try:
                with all_or_nothing(uow):
                    write(left)
                break
            except InvalidInput as error:
                left = self._without_refused(left, error, outcome)
            except (Conflict, Forbidden):  # says of none of the rows that it is the one
                for draft in left:
                    self._write_alone(uow, draft, write, outcome)
                break
        return [draft for draft in drafts if not draft.problems]

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

    def _write_alone(self, uow: UnitOfWork, draft: Draft, write: Any, outcome: Outcome) -> None:
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

    def _refuse(self, drafts: Sequence[Draft], outcome: Outcome, verdict: Verdict = Verdict.REFUSED) -> None:
        outcome.settle(verdict, [draft.row for draft in drafts])
        for draft in drafts:
            for problem in draft.problems:
                column = problem.column or self._drafter.column_of(problem.root)
                outcome.errors.append(row_error(self.source.name, problem.row or draft.row.number, column, problem))
