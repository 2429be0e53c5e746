"""The nightly scan: keys of the customers that changed, the pairs they make, and what their patterns teach.

A chunked job in three passes: keys first, so that the size of every block is known before pairs are made; then pairs,
by block, in SQL; then their scores, once everything was learnt. The work grows with the customers changed since the
last scan; only the first reads all. Killed at any point, it goes on at its checkpoint.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel._internal.rows import among, insert_rows
from crm_kernel.customers.duplicates.clusters import group_all
from crm_kernel.customers.duplicates.comparing import Vector, compare
from crm_kernel.customers.duplicates.loading import is_taught, load_profiles, save_state, stored_state, weights_in
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.duplicates.profiles import Profile
from crm_kernel.customers.duplicates.queries import PRIOR
from crm_kernel.customers.duplicates.stored import (
    count_blocks,
    note_big_blocks,
    pairs_of,
    profiles_of,
    write_profiles,
)
from crm_kernel.customers.duplicates.teaching import ENOUGH, Found, taught_weights
from crm_kernel.customers.duplicates.terms import count_terms, frequencies_for
from crm_kernel.customers.duplicates.weights import Weights, probability_of
from crm_kernel.customers.models import Customer, new_uid

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Customers per unit of work, and pairs per unit of work of the last pass.
CHUNK, SCORED = 10_000, 20_000
#: Least probability of a pair that is put into the queue.
LEAST = 0.5
#: The same before anything was learnt here: the last pass, which knows more, decides.
_LEAST_UNTAUGHT = 0.02
#: Pairs whose levels speak against them by so many bits are not worth asking how rare their names are.
_HOPELESS = -20.0
#: Transactions may commit this much later than the times they wrote.
_OVERLAP = dt.timedelta(minutes=15)
#: Fewer candidate pairs than this teach nothing.
_ENOUGH = ENOUGH
#: Names and blocks are counted anew when one customer in so many changed since.
_COUNT_EVERY = 10
#: Number of the way keys and profiles are made: those of another are made anew by a full scan.
FORMAT = 2

_PAIRS: Any = DuplicateCandidate.__table__
Checkpoint = dict[str, Any]


def scan(uow: UnitOfWork, payload: Mapping[str, Any]) -> Checkpoint | None:
    """Do one chunk of the scan and return the checkpoint, None at the end; the handler of the chunked job."""
    point: Checkpoint = payload.get("checkpoint") or _begin(uow)
    uow.session.flush()
    if point["pass"] == "scores":
        return _score(uow, point)
    keys, cursor = _next(uow, point)
    if keys:
        made = _write_keys(uow, keys, point) if point["pass"] == "keys" else _find_pairs(uow, keys, point)
        done = point["progress"]["done"] + len(keys)
        return {**point, **made, "cursor": cursor, "progress": {**point["progress"], "done": done}}
    if point["pass"] == "keys":
        _count_anew(uow, point)
        return {**point, "pass": "pairs", "cursor": None}
    _learn(uow, point)
    return _score(uow, {**point, "pass": "scores", "cursor": 0})


def _begin(uow: UnitOfWork) -> Checkpoint:
    state = stored_state(uow)
    until = state.get("until") if state.get("format") == FORMAT else None
    since = (dt.datetime.fromisoformat(until) - _OVERLAP).isoformat() if until else None
    customers = uow.session.scalar(sa.select(sa.func.count()).select_from(Customer)) or 0
    if since is None:
        save_state(uow, {"format": FORMAT, **({"weights": state["weights"]} if is_taught(state) else {})})
        changed = customers
    else:
        changed = uow.session.scalar(sa.select(sa.func.count()).where(*_after(since, None))) or 0
    return {
        "pass": "keys", "since": since, "until": uow.now.isoformat(), "cursor": None, "customers": customers,
        "compared": 0, "found": 0, "progress": {"done": 0, "total": 2 * changed},
    }  # fmt: skip


def _after(since: str | None, cursor: Sequence[Any] | None) -> list[sa.ColumnElement[bool]]:
    if since is None:
        return [Customer.id > (cursor[0] if cursor else 0)]
    if cursor is None:
        return [Customer.updated_at >= dt.datetime.fromisoformat(since)]
    moment = dt.datetime.fromisoformat(cursor[0])
    later = sa.and_(Customer.updated_at == moment, Customer.id > cursor[1])
    return [Customer.updated_at >= moment, sa.or_(Customer.updated_at > moment, later)]


def _next(uow: UnitOfWork, point: Checkpoint) -> tuple[list[int], list[Any]]:
    """Return the next customers and where to go on.

    A full scan takes them by key. Else those that changed, as they did: one that changes meanwhile comes again.
    """
    order = (Customer.id,) if point["since"] is None else (Customer.updated_at, Customer.id)
    query = sa.select(Customer.id, Customer.updated_at).where(*_after(point["since"], point["cursor"]))
    rows = uow.session.execute(query.order_by(*order).limit(CHUNK)).all()
    if not rows:
        return [], []
    last = rows[-1]
    return [row.id for row in rows], [last.id] if point["since"] is None else [last.updated_at.isoformat(), last.id]


def _write_keys(uow: UnitOfWork, keys: list[int], point: Checkpoint) -> Checkpoint:
    write_profiles(uow, keys, load_profiles(uow, keys))
    if point["since"] is not None:
        note_big_blocks(uow, keys)
    return {}


def _count_anew(uow: UnitOfWork, point: Checkpoint) -> None:
    """Count names and blocks, after a full scan and when enough changed: the work grows with what changed."""
    state = stored_state(uow)
    changed = state.get("changed", 0) + point["progress"]["done"]
    if point["since"] is None or changed * _COUNT_EVERY > point["customers"]:
        count_terms(uow)
        state["passed_over"], changed = count_blocks(uow), 0
    save_state(uow, {**state, "changed": changed})


def _find_pairs(uow: UnitOfWork, keys: list[int], point: Checkpoint) -> Checkpoint:
    complete = point["since"] is not None
    state = stored_state(uow)
    least = LEAST if "weights" in state else _LEAST_UNTAUGHT
    scorer = _Scorer(uow, weights_in(state, point["customers"]), least, _new_among(uow, keys, state.get("until")))
    for pairs in pairs_of(uow, keys, complete=complete):
        scorer.score(pairs)
    about: sa.ColumnElement[bool] = _PAIRS.c.second_id.between(keys[0], keys[-1])
    if complete:
        about = sa.or_(among(uow.session, _PAIRS.c.first_id, keys), among(uow.session, _PAIRS.c.second_id, keys))
    _store(uow, about, scorer.found)
    seen = Counter(state.get("patterns") or {})
    seen.update({",".join(map(str, vector)): count for vector, count in scorer.patterns.items()})
    save_state(uow, {**state, "patterns": dict(seen)})
    return {"compared": point["compared"] + scorer.compared, "found": point["found"] + len(scorer.found)}


def _new_among(uow: UnitOfWork, keys: Sequence[int], until: str | None) -> set[int]:
    """Return those of the customers that no scan has met before: each pair teaches once, with its younger customer."""
    if until is None:
        return set(keys)
    query = sa.select(Customer.id).where(
        among(uow.session, Customer.__table__.c.id, keys), Customer.created_at > dt.datetime.fromisoformat(until)
    )
    return set(uow.session.scalars(query))


class _Scorer:
    """Compares and scores the pairs of one chunk; holds the profiles of one batch at a time."""

    def __init__(self, uow: UnitOfWork, weights: Weights, least: float, new: Collection[int]) -> None:
        self._uow, self._weights, self._least, self._new = uow, weights, least, new
        self._bits: dict[Vector, float] = {}
        self.compared = 0
        #: Of the pairs that no scan has compared before.
        self.patterns: Counter[Vector] = Counter()
        self.found: dict[tuple[int, int], Found] = {}

    def score(self, pairs: Sequence[tuple[int, int]]) -> None:
        profiles = profiles_of(self._uow, {key for pair in pairs for key in pair})
        likely = []
        for pair in pairs:
            one, other = profiles.get(pair[0]), profiles.get(pair[1])
            if one is None or other is None or one.kind != other.kind:
                continue
            vector = compare(one, other)
            self.compared += 1
            self.patterns[vector] += max(pair) in self._new
            if self._worth(vector) > _HOPELESS:
                likely.append((pair, one, vector))
        self._keep(likely)

    def _worth(self, vector: Vector) -> float:
        if (known := self._bits.get(vector)) is None:
            known = self._bits[vector] = self._weights.bits(vector)
        return known

    def _keep(self, likely: list[tuple[tuple[int, int], Profile, Vector]]) -> None:
        common = frequencies_for(self._uow, ((profile, vector) for _pair, profile, vector in likely))
        for pair, profile, vector in likely:
            score = probability_of(self._bits[vector] + common.bits(profile, vector, self._weights))
            if score >= self._least:
                self.found[pair] = (score, vector)


def _store(uow: UnitOfWork, about: sa.ColumnElement[bool], found: Mapping[tuple[int, int], Found]) -> None:
    """Write the pairs found; a decided one stays as it was, and an open one that is no longer found goes.

    Not a captured one, which the keys need not find: of those the last pass decides.
    """
    table, connection = _PAIRS, uow.session.connection()
    columns = (table.c.id, table.c.first_id, table.c.second_id, table.c.state, table.c.captured)
    stored = {(row.first_id, row.second_id): row for row in connection.execute(sa.select(*columns).where(about))}
    still = [row for row in stored.values() if row.state == "open"]
    gone = [row.id for row in still if (row.first_id, row.second_id) not in found and not row.captured]
    connection.execute(sa.delete(table).where(among(uow.session, table.c.id, gone)))
    again = [
        {"the_id": row.id, "score": found[pair][0], "levels": list(found[pair][1])}
        for row in still
        if (pair := (row.first_id, row.second_id)) in found
    ]
    if again:
        change = sa.update(table).where(table.c.id == sa.bindparam("the_id"))
        connection.execute(change.values(score=sa.bindparam("score"), levels=sa.bindparam("levels")), again)
    new = [
        {
            "uid": new_uid(), "first_id": a, "second_id": b, "score": score, "levels": list(vector), "state": "open",
            "found_at": uow.now,
        }
        for (a, b), (score, vector) in found.items()
        if (a, b) not in stored
    ]  # fmt: skip
    insert_rows(uow.session, table, new)


def _learn(uow: UnitOfWork, point: Checkpoint) -> None:
    """Learn from all patterns seen so far and from what people decided, unless the weights were taught from outside."""
    state = stored_state(uow)
    patterns = {tuple(map(int, text.split(","))): n for text, n in (state.get("patterns") or {}).items()}
    if sum(patterns.values()) >= _ENOUGH and not is_taught(state):
        weights = taught_weights(uow, patterns, point["customers"])
        state["weights"] = {"m": weights.m, "u": weights.u, "prior": weights.prior}
    save_state(uow, state)


def _levels_of(row: Any, profiles: Mapping[int, Profile]) -> Vector:
    """Return the levels of an open pair; of a captured one as its customers are now: the pass before may not have met it."""
    one, other = profiles.get(row.first_id), profiles.get(row.second_id)
    return compare(one, other) if row.captured and one and other else tuple(row.levels)


def _score(uow: UnitOfWork, point: Checkpoint) -> Checkpoint | None:
    """Score the next open pairs with what was learnt; those that are not likely enough go."""
    table, state = _PAIRS, stored_state(uow)
    connection, weights = uow.session.connection(), weights_in(state, point["customers"])
    columns = (table.c.id, table.c.first_id, table.c.second_id, table.c.score, table.c.levels, table.c.captured)
    query = sa.select(*columns).where(table.c.state == "open", table.c.id > point["cursor"])
    rows = connection.execute(query.order_by(table.c.id).limit(SCORED)).all()
    profiles = profiles_of(
        uow, {key for row in rows for key in ((row.first_id, row.second_id) if row.captured else (row.first_id,))}
    )
    told = [(profiles.get(row.first_id, Profile()), _levels_of(row, profiles)) for row in rows]
    common = frequencies_for(uow, told)
    usual = weights.with_prior(max(weights.prior, PRIOR))
    scores = {}
    for row, (profile, vector) in zip(rows, told, strict=True):
        own = usual if row.captured else weights
        scores[row.id] = probability_of(own.bits(vector) + common.bits(profile, vector, own))
    connection.execute(
        sa.delete(table).where(among(uow.session, table.c.id, [key for key, p in scores.items() if p < LEAST]))
    )
    moved = [{"the_id": row.id, "score": scores[row.id]} for row in rows if scores[row.id] not in (row.score,)]
    if moved:
        connection.execute(
            sa.update(table).where(table.c.id == sa.bindparam("the_id")).values(score=sa.bindparam("score")), moved
        )
    if len(rows) == SCORED:
        return {**point, "cursor": rows[-1].id}
    group_all(uow)
    uow.session.expire_all()
    save_state(uow, {**state, "until": point["until"]})
    return None
