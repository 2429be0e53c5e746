"""Finds the pairs of records that are one customer: blocks, compares, learns and scores.

Owns the one configuration: the threshold and the order of steps. Knows neither files nor databases.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crm_kernel.customers.duplicates.blocking import pairs_between, pairs_within
from crm_kernel.customers.duplicates.comparing import Vector, compare
from crm_kernel.customers.duplicates.profiles import Profile
from crm_kernel.customers.duplicates.weights import (
    Frequencies,
    default_weights,
    learn,
    probability_of,
    with_strangers,
)

#: Pairs at least as probable as this are reported.
THRESHOLD = 0.8
#: Pairs drawn at random to learn how often strangers agree.
_STRANGERS = 20_000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records, by their places, that are one customer with this probability."""

    a: int
    b: int
    probability: float
    vector: Vector


def match_within(profiles: Sequence[Profile], *, threshold: float = THRESHOLD) -> list[Pair]:
    """Return the duplicates within one list, the lower place first, in the order of the places."""
    total = len(profiles) * (len(profiles) - 1) // 2
    return _scored(profiles, profiles, pairs_within(profiles), total, threshold)


def match_between(left: Sequence[Profile], right: Sequence[Profile], *, threshold: float = THRESHOLD) -> list[Pair]:
    """Return the pairs of a record of ``left`` and one of ``right`` that are one customer."""
    return _scored(left, right, pairs_between(left, right), len(left) * len(right), threshold)


def _scored(
    left: Sequence[Profile],
    right: Sequence[Profile],
    candidates: Iterator[tuple[int, int]],
    total: int,
    threshold: float,
) -> list[Pair]:
    if not left or not right:
        return []
    found = [(a, b, compare(left[a], right[b])) for a, b in candidates if _may_be_one(left[a], right[b])]
    weights = with_strangers(default_weights(len(right)), _strangers(left, right))
    weights = learn(weights, Counter(vector for _a, _b, vector in found), total)
    common = Frequencies.among(left if left is right else (*left, *right))
    bits = {vector: weights.bits(vector) for vector in {vector for _a, _b, vector in found}}
    pairs = []
    for a, b, vector in found:
        probability = probability_of(bits[vector] + common.bits(left[a], vector, weights))
        if probability >= threshold:
            pairs.append(Pair(a, b, probability, vector))
    return sorted(pairs, key=lambda pair: (pair.a, pair.b))


def _may_be_one(a: Profile, b: Profile) -> bool:
    """Say whether their kinds allow it: a person is never an organization."""
    return not a.kind or not b.kind or a.kind == b.kind


def _strangers(left: Sequence[Profile], right: Sequence[Profile]) -> Iterator[Vector]:
    """Yield vectors of pairs drawn at random; the same ones at every run."""
    draw = random.Random(1)
    for _number in range(min(_STRANGERS, len(left) * len(right))):
        a, b = draw.randrange(len(left)), draw.randrange(len(right))
        if left is not right or a != b:
            yield compare(left[a], right[b])
