"""What agreement is worth: Fellegi–Sunter weights, learnt without labels by expectation–maximisation.

Owns the model ``probability = λ·Πm / (λ·Πm + (1-λ)·Πu)`` over levels, the frequency correction of agreements, and the
learning. Works on distinct patterns, of which there are a few thousand however many pairs there are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from crm_kernel.customers.duplicates.comparing import COMPARISONS, MISSING, Vector
from crm_kernel.customers.duplicates.profiles import Profile

#: How many observations the values before learning count for, among duplicates and among strangers: rare agreements
#: of strangers are hardly met in a sample, and must not pass for impossible.
_PRIOR = 40.0
_PRIOR_STRANGERS = 4_000.0
#: How many pairs that nobody has looked at one decision counts for.
_DECISION = 10.0
_ROUNDS = 40
_ENOUGH = 1e-4
#: A term is never taken for rarer than this, nor worth more bits than this beyond the level's own weight.
_RAREST = 1e-6
_MOST_BITS = 8.0

#: Comparisons whose agreement is corrected by how common the value is: place and how to take the value.
TERMS = tuple((place, c.term) for place, c in enumerate(COMPARISONS) if c.term is not None)
#: The last level of every comparison.
LAST = tuple(len(c.levels) - 1 for c in COMPARISONS)

Shares = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """How often people said of pairs with one vector that they are one customer, and that they are two."""

    merged: int = 0
    dismissed: int = 0

    def blend(self, count: int, probability: float) -> float:
        """Return the probability for ``count`` pairs, drawn to what people decided."""
        said = _DECISION * (self.merged + self.dismissed)
        return (count * probability + _DECISION * self.merged) / (count + said)


_UNDECIDED = Decided()


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of all comparisons: ``m`` and ``u`` by comparison and level, and the odds of a random pair."""

    m: Shares
    u: Shares
    #: Chance that two records taken at random are one.
    prior: float

    def bits(self, vector: Vector) -> float:
        """Return log2 of the odds that a pair with these levels is one customer, without frequencies."""
        total = math.log2(self.prior / (1 - self.prior))
        for level, m, u in zip(vector, self.m, self.u, strict=True):
            if level != MISSING:
                total += math.log2(m[level] / u[level])
        return total

    def with_prior(self, prior: float) -> Weights:
        """Return the same weights for pairs of which this share is one customer."""
        return replace(self, prior=prior)


def default_weights(records: int) -> Weights:
    """Return the weights before anything is learnt; ``records`` is how many a record is compared with."""
    m, u = tuple(c.m for c in COMPARISONS), tuple(c.u for c in COMPARISONS)
    return Weights(m, u, min(0.2, 0.3 / max(records, 2)))


def with_strangers(weights: Weights, vectors: Iterable[Vector]) -> Weights:
    """Return the weights with ``u`` taken from pairs drawn at random; those that look like one customer are left out."""
    seen = {vector: n for vector, n in Counter(vectors).items() if probability_of(weights.bits(vector)) < 0.5}
    return replace(weights, u=_shares(seen, weights.u, _PRIOR_STRANGERS))


def learn(
    weights: Weights,
    patterns: Mapping[Vector, int],
    pairs: int,
    decisions: Mapping[Vector, Decided] | None = None,
) -> Weights:
    """Return the weights with ``m`` and ``prior`` learnt from candidate pairs.

    Candidates are not drawn at random, so their strangers say nothing about ``u``, which stays; all pairs that are no
    candidates count as strangers.

    Args:
        patterns: mapping of vector → number of candidate pairs with it.
        pairs: how many pairs there are, candidates or not.
        decisions: what people decided about pairs with a vector; one decision counts for ten unseen pairs.
    """
    decided = decisions or {}
    for _round in range(_ROUNDS):
        duplicates = {
            vector: count * decided.get(vector, _UNDECIDED).blend(count, probability_of(weights.bits(vector)))
            for vector, count in patterns.items()
        }
        prior = min(0.2, max(sum(duplicates.values()) + 0.5, 1.0) / max(pairs, 10))
        learnt = replace(weights, m=_shares(duplicates, tuple(c.m for c in COMPARISONS), _PRIOR), prior=prior)
        settled = _difference(learnt.m, weights.m) < _ENOUGH
        weights = learnt
        if settled:
            break
    return weights


def probability_of(bits: float) -> float:
    """Return the probability for log2 odds."""
    return float(1 / (1 + 2.0 ** -max(min(bits, 60.0), -60.0)))


class Frequencies:
    """How common names, streets and places are among the records at hand.

    Args:
        counts: place of the comparison → term → records that have it.
        totals: place of the comparison → records that have any term.
        unseen: records that nobody has counted and that agree as often as strangers do.
    """

    def __init__(self, counts: Mapping[int, Counter[str]], totals: Mapping[int, int], *, unseen: int = 0) -> None:
        self._counts, self._totals, self._unseen = counts, totals, unseen

    @classmethod
    def among(cls, profiles: Iterable[Profile]) -> Frequencies:
        """Count the terms of these records."""
        counts: dict[int, Counter[str]] = {place: Counter() for place, _term in TERMS}
        for profile in profiles:
            for place, term in TERMS:
                counts[place][term(profile)] += 1
        for found in counts.values():
            found.pop("", None)
        return cls(counts, {place: found.total() for place, found in counts.items()})

    def bits(self, profile: Profile, vector: Vector, weights: Weights) -> float:
        """Return what to add to a pair's bits: agreement on a rare value says more, on a common one less.

        Nothing for a comparison of which no terms were counted: there is nothing to tell rare from common by.
        """
        added = 0.0
        for place, term in TERMS:
            if vector[place] == LAST[place] and self._totals[place]:
                usual = weights.u[place][-1]
                seen = (self._counts[place][term(profile)] or 1) + self._unseen * usual
                bits = math.log2(usual / max(seen / ((self._totals[place] + self._unseen) or 1), _RAREST))
                added += max(-_MOST_BITS, min(_MOST_BITS, bits))
        return added


def _shares(counts: Mapping[Vector, float], before: Shares, worth: float) -> Shares:
    """Return the share of each level among the counted vectors, drawn towards the values before."""
    found = []
    for place, shares in enumerate(before):
        seen = [worth * share for share in shares]
        for vector, count in counts.items():
            if vector[place] != MISSING:
                seen[vector[place]] += count
        total = sum(seen)
        found.append(tuple(value / total for value in seen))
    return tuple(found)


def _difference(first: Shares, second: Shares) -> float:
    return max(abs(a - b) for one, two in zip(first, second, strict=True) for a, b in zip(one, two, strict=True))


def reasons(vector: Vector) -> Sequence[str]:
    """Return what two records agree on, as ``comparison:level``; nothing if they were compared otherwise than today."""
    if len(vector) != len(COMPARISONS):
        return []
    return [
        f"{comparison.name}:{comparison.levels[level]}"
        for comparison, level in zip(COMPARISONS, vector, strict=True)
        if level > 0
    ]


#: Comparisons that tell of many people at once: all of them together identify nobody.
_SHARED = frozenset({"given_name", "family_name", "name", "city", "region", "country", "others"})
_GIVEN = next(place for place, comparison in enumerate(COMPARISONS) if comparison.name == "given_name")


def is_doubtful(vector: Vector) -> bool:
    """Say whether two records are not to be taken for one unasked, however probable it is.

    Nothing agrees but names and places, as of namesakes in one town; or the given names differ, as of two people of one household
    who share telephone, address and family name.
    """
    told = (level for level, comparison in zip(vector, COMPARISONS, strict=True) if comparison.name not in _SHARED)
    return vector[_GIVEN] == 0 or not any(level > 0 for level in told)
