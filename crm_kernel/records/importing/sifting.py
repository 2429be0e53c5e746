"""What an import does with rows that may be about a record that is there, though no key says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing.drafts import Draft, Problem
from crm_kernel.records.likely import SURE, Likely
from crm_kernel.records.plan import TypePlan

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


class Sifter:
    """Asks the record type's matcher about rows that no key has found, and decides by the mapping's rule."""

    def __init__(self, plan: TypePlan, rule: str) -> None:
        """Keep the rule: ``new``, ``review``, ``skip`` or ``update``.

        Raises:
            InvalidInput: the type has no matcher.
        """
        self.rule, self._ask, self._index = rule, plan.record_type.likely, plan.record_type.note_likely
        #: With ``update``: the keys of the records that rows so far were about, and which of them were only likely.
        self._taken: set[int] = set()
        self._guessed: set[int] = set()
        if rule != "new" and self._ask is None:
            text = _("duplicates of %(type)s are not looked for: leave it out.", type=plan.record_type.label_plural)
            raise InvalidInput({"duplicates": [text]})

    def sift(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> tuple[list[Draft], list[Draft]]:
        """Return the drafts to go on with, and those that are not imported because they may be duplicates.

        A draft of the latter has a problem if somebody has to look at it, none if it is skipped. One that is likely to be
        about the record of another row is held back too: which of the two is right, nobody here can say.
        """
        if self._ask is None or self.rule == "new":
            return list(drafts), []
        for draft in drafts:
            draft.repeated = draft.repeated or draft.key in self._guessed
        self.note(drafts)
        asked = [draft for draft in drafts if draft.key is None and not draft.problems]
        answers = self._ask(uow, [draft.payload for draft in asked])
        held = [
            draft for draft, found in zip(asked, answers, strict=True) if found and self._is_held(draft, found, asked)
        ]
        kept = {id(draft) for draft in held}
        return [draft for draft in drafts if id(draft) not in kept], held

    @property
    def remembers(self) -> bool:
        """Say whether what becomes of a row depends on which records earlier rows were about."""
        return self._ask is not None and self.rule == "update"

    def note(self, drafts: Sequence[Draft]) -> None:
        """Remember which records rows are about, new ones included."""
        if self.remembers:
            self._taken |= {draft.key for draft in drafts if draft.key is not None and not draft.problems}

    def made(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> None:
        """Remember the records that were made of rows, and let the rows of later chunks be compared with them."""
        self.note(drafts)
        keys = [draft.key for draft in drafts if draft.key is not None and not draft.problems]
        if keys and self._index is not None and self.rule != "new":
            self._index(uow, keys)

    def recall(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> None:
        """Remember which records rows were about that an interrupted run has imported already; writes nothing."""
        self.note(drafts)
        asked = [draft for draft in drafts if draft.key is None and not draft.problems]
        for found in self._ask(uow, [draft.payload for draft in asked]) if self._ask else ():
            keys = {likely.key for likely in found[:1] if likely.key is not None and _is_sure(likely)}
            self._guessed |= keys
            self._taken |= keys

    def _is_held(self, draft: Draft, found: Sequence[Likely], asked: Sequence[Draft]) -> bool:
        if self.rule == "skip":
            return True
        best, others = found[0], found[1:]
        if self.rule == "update" and best.key is not None and _is_sure(best) and not others:
            if best.key in self._taken:
                draft.problems.append(_taken(best))
                return True
            draft.key = best.key
            self._taken.add(best.key)
            self._guessed.add(best.key)
            return False
        draft.problems.append(_problem(best, asked))
        return True


def _is_sure(likely: Likely) -> bool:
    return likely.probability >= SURE and not likely.doubtful


def _problem(likely: Likely, asked: Sequence[Draft]) -> Problem:
    percent = round(likely.probability * 100)
    if likely.place is None:
        text = _(
            "May be %(title)s, who is there already (%(percent)s %%, id %(id)s): nothing was written.",
            title=likely.title,
            percent=percent,
            id=likely.uid,
        )
    else:
        row = asked[likely.place].row.number
        text = _("May be the one of line %(row)s (%(percent)s %%): nothing was written.", row=row, percent=percent)
    return Problem("", "", text, sentence=True, review=True)


def _taken(likely: Likely) -> Problem:
    text = _(
        "May be %(title)s, whom another row of this file is about (%(percent)s %%, id %(id)s): nothing was written.",
        title=likely.title,
        percent=round(likely.probability * 100),
        id=likely.uid,
    )
    return Problem("", "", text, sentence=True, review=True)
