"""The nightly scan: keys of the customers that changed, the pairs they make, and what their patterns teach.

A chunked job in two passes, so that the size of every block is known before pairs are made. The work grows with the
customers changed since the last scan; only the first reads all. Killed at any point, it goes on at its checkpoint.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel._internal.modules import SettingRow
from crm_kernel._internal.rows import insert_rows
from crm_kernel.customers.duplicates.blocking import MAX_BLOCK, is_strong, stored_keys_of
from crm_kernel.customers.duplicates.comparing import Vector, compare
from crm_kernel.customers.duplicates.loading import (
    SETTING,
    among,
    customers_sharing,
    load_profiles,
    stored_state,
    weights_in,
)
from crm_kernel.customers.duplicates.models import DuplicateCandidate, DuplicateKey
from crm_kernel.customers.duplicates.profiles import Profile
from crm_kernel.customers.duplicates.weights import (
    Decided,
    Weights,
    default_weights,
    learn,
    probability_of,
    with_strangers,
)
from crm_kernel.customers.models import Customer, new_uid

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Customers per unit of work.
CHUNK = 2_000
#: Least probability of a pair that is put into the queue.
LEAST = 0.5
#: Transactions may commit this much later than the times they wrote.
_OVERLAP = dt.timedelta(minutes=15)
#: Customers drawn at random to see how often strangers agree, and pairs made of them.
_SAMPLE, _STRANGERS = 1_000, 20_000
#: Fewer candidate pairs than this teach nothing.
_ENOUGH = 200

Checkpoint = dict[str, Any]


def scan(uow: UnitOfWork, payload: Mapping[str, Any]) -> Checkpoint | None:
    """Do one chunk of the scan and return the checkpoint, None at the end; the handler of the chunked job."""
    point: Checkpoint = payload.get("checkpoint") or _begin(uow)
    keys, cursor = _next(uow, point)
    if keys:
        if point["pass"] == "keys":
            _write_keys(uow, keys, anew=point["since"] is None)
        else:
            _find_pairs(uow, keys, complete=point["since"] is not None)
        done = point["progress"]["done"] + len(keys)
        return {**point, "cursor": cursor, "progress": {**point["progress"], "done": done}}
    if point["pass"] == "keys":
        return {**point, "pass": "pairs", "cursor": None}
    _finish(uow, point["until"])
    return None


def _begin(uow: UnitOfWork) -> Checkpoint:
    until = stored_state(uow).get("until")
    since = (dt.datetime.fromisoformat(until) - _OVERLAP).isoformat() if until else None
    changed = sa.select(sa.func.count()).select_from(Customer).where(*_after(since, None))
    total = 2 * (uow.session.scalar(changed) or 0)
    progress = {"done": 0, "total": total}
    return {"pass": "keys", "since": since, "until": uow.now.isoformat(), "cursor": None, "progress": progress}


def _after(since: str | None, cursor: Sequence[Any] | None) -> list[sa.ColumnElement[bool]]:
    if cursor is not None:
        moment = dt.datetime.fromisoformat(cursor[0])
        later = sa.and_(Customer.updated_at == moment, Customer.id > cursor[1])
        return [Customer.updated_at >= moment, sa.or_(Customer.updated_at > moment, later)]
    return [Customer.updated_at >= dt.datetime.fromisoformat(since)] if since else []


def _next(uow: UnitOfWork, point: Checkpoint) -> tuple[list[int], list[Any]]:
    """Return the next changed customers and where to go on; one that changes meanwhile comes again, at its new place."""
    order = (Customer.updated_at, Customer.id)
    query = sa.select(Customer.id, Customer.updated_at).where(*_after(point["since"], point["cursor"]))
    rows = uow.session.execute(query.order_by(*order).limit(CHUNK)).all()
    return [row.id for row in rows], [rows[-1].updated_at.isoformat(), rows[-1].id] if rows else []


def _write_keys(uow: UnitOfWork, keys: list[int], *, anew: bool) -> None:
    profiles = load_profiles(uow, keys)
    table = DuplicateKey
    uow.session.execute(sa.delete(table).where(among(table.customer_id, keys)))
    rows = [{"key": n, "customer_id": key} for key, profile in profiles.items() for n in stored_keys_of(profile)]
    # In the order of the index, which keeps the writes of one chunk near each other.
    insert_rows(uow.session, table.__table__, sorted(rows, key=lambda row: row["key"]))  # type: ignore[arg-type]


def _find_pairs(uow: UnitOfWork, keys: list[int], *, complete: bool) -> None:
    profiles = load_profiles(uow, keys)
    pairs = _candidates(uow, profiles, complete=complete)
    others = {key for pair in pairs for key in pair} - profiles.keys()
    profiles |= load_profiles(uow, others)
    state, total = stored_state(uow), _count(uow)
    weights, bits = weights_in(state, total), dict[Vector, float]()
    patterns: Counter[Vector] = Counter()
    found = {}
    for a, b in pairs:
        if a not in profiles or b not in profiles or profiles[a].kind != profiles[b].kind:
            continue
        vector = compare(profiles[a], profiles[b])
        patterns[vector] += 1
        if vector not in bits:
            bits[vector] = weights.bits(vector)
        if (score := probability_of(bits[vector])) >= LEAST:
            found[a, b] = (score, vector)
    _store(uow, keys, found, complete=complete)
    _remember(uow, state, patterns)


def _candidates(uow: UnitOfWork, profiles: Mapping[int, Profile], *, complete: bool) -> list[tuple[int, int]]:
    """Return the pairs (lower key first) that share a strong key or two weak ones.

    Unless ``complete``, a pair is found from its higher key alone: every customer comes along once.
    """
    numbers = {key: stored_keys_of(profile) for key, profile in profiles.items()}
    blocks = customers_sharing(uow, {n for own in numbers.values() for n in own}, MAX_BLOCK)
    found: set[tuple[int, int]] = set()
    for key, own in numbers.items():
        shared: dict[int, int] = defaultdict(int)
        for number in own:
            worth = 2 if is_strong(number) else 1
            for other in blocks.get(number, ()):
                shared[other] += worth
        found.update(
            _ordered(key, o) for o, worth in shared.items() if worth > 1 and (o < key or (complete and o != key))
        )
    return sorted(found)


def _ordered(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _store(
    uow: UnitOfWork, keys: list[int], found: Mapping[tuple[int, int], tuple[float, Vector]], *, complete: bool
) -> None:
    """Write the pairs found; a decided one stays as it was, and an open one that is no longer found goes."""
    table = DuplicateCandidate
    about = sa.or_(among(table.first_id, keys), among(table.second_id, keys))
    stored = {(row.first_id, row.second_id): row for row in uow.session.scalars(sa.select(table).where(about))}
    for pair, row in stored.items():
        if row.state != "open":
            continue
        if pair in found:
            row.score, row.levels = found[pair][0], list(found[pair][1])
        elif complete:
            uow.session.delete(row)
    new = [
        {
            "uid": new_uid(),
            "first_id": a,
            "second_id": b,
            "score": score,
            "levels": list(vector),
            "state": "open",
            "found_at": uow.now,
        }
        for (a, b), (score, vector) in found.items()
        if (a, b) not in stored
    ]
    insert_rows(uow.session, table.__table__, new)  # type: ignore[arg-type]


def _remember(uow: UnitOfWork, state: Mapping[str, Any], patterns: Counter[Vector]) -> None:
    seen = Counter(state.get("patterns") or {})
    seen.update({",".join(map(str, vector)): count for vector, count in patterns.items()})
    _save(uow, {**state, "patterns": dict(seen)})


def _save(uow: UnitOfWork, value: dict[str, Any]) -> None:
    uow.session.merge(SettingRow(name=SETTING, value=value))
    uow.session.flush()


def _finish(uow: UnitOfWork, until: str) -> None:
    """Learn from all patterns seen so far and from what people decided; score the open pairs anew."""
    state, total = stored_state(uow), _count(uow)
    kept = {**state, "until": until}
    patterns = {tuple(map(int, text.split(","))): n for text, n in (state.get("patterns") or {}).items()}
    if sum(patterns.values()) >= _ENOUGH:
        weights = with_strangers(default_weights(total), _strangers(uow))
        weights = learn(weights, patterns, total * (total - 1) // 2, _decisions(uow))
        kept["weights"] = {"m": weights.m, "u": weights.u, "prior": weights.prior}
        _rescore(uow, weights)
    _save(uow, kept)


def _rescore(uow: UnitOfWork, weights: Weights) -> None:
    for row in uow.session.scalars(sa.select(DuplicateCandidate).where(DuplicateCandidate.state == "open")):
        row.score = probability_of(weights.bits(tuple(row.levels)))
        if row.score < LEAST:
            uow.session.delete(row)


def _decisions(uow: UnitOfWork) -> dict[Vector, Decided]:
    table = DuplicateCandidate
    counts: dict[Vector, Counter[str]] = defaultdict(Counter)
    for levels, state in uow.session.execute(sa.select(table.levels, table.state).where(table.state != "open")):
        counts[tuple(levels)][state] += 1
    return {vector: Decided(found["merged"], found["dismissed"]) for vector, found in counts.items()}


def _strangers(uow: UnitOfWork) -> Iterator[Vector]:
    """Yield vectors of pairs of customers drawn at random: the same ones as long as the customers are."""
    lowest, highest = uow.session.execute(sa.select(sa.func.min(Customer.id), sa.func.max(Customer.id))).one()
    draw = random.Random(1)
    drawn = {draw.randint(lowest or 0, highest or 0) for _number in range(_SAMPLE)}
    profiles = list(load_profiles(uow, drawn).values())
    for _number in range(_STRANGERS if len(profiles) > 1 else 0):
        a, b = draw.sample(profiles, 2)
        if a.kind == b.kind:
            yield compare(a, b)


def _count(uow: UnitOfWork) -> int:
    return uow.session.scalar(sa.select(sa.func.count()).select_from(Customer)) or 0
