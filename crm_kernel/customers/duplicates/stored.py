"""What the scan keeps of every customer: its profile, folded once, and its keys; and the keys that too many share.

Owns reading and writing these tables, by Core and in few statements. They are derived: a full scan makes them anew.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_kernel._internal.rows import among, insert_tuples
from crm_kernel.customers.duplicates.blocking import MAX_BLOCK, kind_of, stored_keys_of
from crm_kernel.customers.duplicates.models import DuplicateBlock, DuplicateKey, DuplicateProfile
from crm_kernel.customers.duplicates.profiles import Profile
from crm_kernel.customers.models import Customer

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_KEYS: Any = DuplicateKey.__table__
_PROFILES: Any = DuplicateProfile.__table__
_BLOCKS: Any = DuplicateBlock.__table__
_COLUMNS = tuple(column.name for column in _PROFILES.columns)
#: Pairs read at a time.
_BATCH = 20_000
#: Records whose keys are looked up at a time.
_RECORDS = 1_000


def write_profiles(uow: UnitOfWork, keys: Collection[int], profiles: Mapping[int, Profile]) -> None:
    """Write profiles and keys of customers anew; those of ``keys`` without a profile lose theirs."""
    connection = uow.session.connection()
    for table in (_KEYS, _PROFILES):
        connection.execute(sa.delete(table).where(among(uow.session, table.c.customer_id, keys)))
    insert_tuples(uow.session, _PROFILES, _COLUMNS, [_packed(key, profiles[key]) for key in sorted(profiles)])
    # In the order of the index, which keeps the writes of one chunk near each other.
    numbers = sorted((number, key) for key, profile in profiles.items() for number in stored_keys_of(profile))
    insert_tuples(uow.session, _KEYS, ("key", "customer_id"), numbers)


def profiles_of(uow: UnitOfWork, keys: Collection[int]) -> dict[int, Profile]:
    """Return key → stored profile, of those that have one; one query."""
    rows = uow.session.connection().execute(
        sa.select(_PROFILES).where(among(uow.session, _PROFILES.c.customer_id, keys))
    )
    return {row[0]: _unpacked(*row) for row in rows}


def note_big_blocks(uow: UnitOfWork, keys: Collection[int]) -> None:
    """Write down the keys of these customers that too many share; reads at most ``MAX_BLOCK`` + 1 entries per key."""
    other = sa.alias(_KEYS)
    further = sa.select(other.c.key).where(other.c.key == _KEYS.c.key).limit(1).offset(MAX_BLOCK).scalar_subquery()
    known = sa.select(_BLOCKS.c.key).where(_BLOCKS.c.key == _KEYS.c.key).exists()
    own = among(uow.session, _KEYS.c.customer_id, keys)
    big = (
        sa.select(_KEYS.c.key, sa.literal(MAX_BLOCK + 1, sa.Integer))
        .where(own, ~known, further.is_not(None))
        .distinct()
    )
    uow.session.connection().execute(sa.insert(_BLOCKS).from_select(["key", "customers"], big))


def count_blocks(uow: UnitOfWork) -> dict[str, dict[str, int]]:
    """Count all keys anew and return what makes no pairs: kind of key → ``{"blocks", "largest"}``."""
    connection = uow.session.connection()
    connection.execute(sa.delete(_BLOCKS))
    size = sa.func.count()
    big = sa.select(_KEYS.c.key, size).group_by(_KEYS.c.key).having(size > MAX_BLOCK)
    connection.execute(sa.insert(_BLOCKS).from_select(["key", "customers"], big))
    found: dict[str, dict[str, int]] = {}
    for key, customers in connection.execute(sa.select(_BLOCKS)):
        told = found.setdefault(kind_of(key), {"blocks": 0, "largest": 0})
        told["blocks"] += 1
        told["largest"] = max(told["largest"], customers)
    return found


def pairs_of(uow: UnitOfWork, keys: list[int], *, complete: bool) -> Iterator[list[tuple[int, int]]]:
    """Yield the pairs (lower key first) that share a strong key or two weak ones with these customers, some at a time.

    Unless ``complete``, ``keys`` are all there are between the first and the last, and a pair is found from its higher
    one alone: every customer comes along once.
    """
    one, other = sa.alias(_KEYS, "one"), sa.alias(_KEYS, "other")
    big = sa.select(_BLOCKS.c.key).where(_BLOCKS.c.key == one.c.key).exists()
    mine = among(uow.session, one.c.customer_id, keys) if complete else one.c.customer_id.between(keys[0], keys[-1])
    joined = other.c.customer_id != one.c.customer_id if complete else other.c.customer_id < one.c.customer_id
    worth = sa.func.sum(1 + one.c.key.bitwise_and(1))
    pairs = (
        sa.select(one.c.customer_id, other.c.customer_id)
        .select_from(one.join(other, sa.and_(other.c.key == one.c.key, joined)))
        .where(mine, ~big)
        .group_by(one.c.customer_id, other.c.customer_id)
        .having(worth > 1)
        .execution_options(yield_per=_BATCH)
    )
    for part in uow.session.connection().execute(pairs).partitions():
        # From both of its ends when both changed: the same pair, and only one of them is lower first.
        yield _once(part, set(keys)) if complete else [(second, first) for first, second in part]


def sharers_of(
    uow: UnitOfWork, keys: Sequence[Collection[int]], seen: sa.ColumnElement[bool], *, most: int
) -> set[int]:
    """Return the customers worth comparing with records that have these keys: they share a strong one or two weak ones.

    Of each record the ``most`` that share most with it and fit ``seen``. Keys that too many have tell nothing; reads at
    most ``MAX_BLOCK`` entries per key. One query per 1,000 records.
    """
    found: set[int] = set()
    for start in range(0, len(keys), _RECORDS):
        part = [(place, key) for place, some in enumerate(keys[start : start + _RECORDS]) for key in some]
        found |= set(uow.session.scalars(_sharers(*_wanted(uow, part), seen, most)))
    return found


def _sharers(place: Any, number: Any, seen: sa.ColumnElement[bool], most: int) -> sa.Select[Any]:
    other = sa.alias(_KEYS)
    further = sa.select(other.c.key).where(other.c.key == number).limit(1).offset(MAX_BLOCK).scalar_subquery()
    worth = sa.func.sum(1 + _KEYS.c.key.bitwise_and(1))
    pairs = (
        sa.select(place.label("place"), _KEYS.c.customer_id, worth.label("worth"))
        .where(_KEYS.c.key == number, further.is_(None))
        .group_by(place, _KEYS.c.customer_id)
        .having(worth > 1)
        .subquery()
    )
    order = (pairs.c.worth.desc(), pairs.c.customer_id)
    rank = sa.func.row_number().over(partition_by=pairs.c.place, order_by=order).label("rank")
    ranked = sa.select(Customer.id, rank).join(pairs, pairs.c.customer_id == Customer.id).where(seen).subquery()
    return sa.select(ranked.c.id).where(ranked.c.rank <= most).distinct()


def _wanted(uow: UnitOfWork, pairs: Sequence[tuple[int, int]]) -> tuple[Any, Any]:
    """Return the columns of a table of whole numbers, two in a row, that is one parameter or two."""
    if uow.session.get_bind().dialect.name == "sqlite":
        listed = sa.literal(json.dumps(pairs), sa.Text)
        rows = sa.func.json_each(listed).table_valued("value", name="wanted")
        first, second = (sa.func.json_extract(rows.c.value, f"$[{place}]", type_=sa.BigInteger) for place in (0, 1))
        return first, second
    columns = [sa.literal([pair[place] for pair in pairs], ARRAY(sa.BigInteger)) for place in (0, 1)]
    names = (sa.column("place", sa.BigInteger), sa.column("number", sa.BigInteger))
    told = sa.func.unnest(*columns).table_valued(*names, name="wanted").render_derived()
    return told.c.place, told.c.number


def _once(part: Iterable[Any], changed: set[int]) -> list[tuple[int, int]]:
    return [
        (min(first, second), max(first, second)) for first, second in part if second not in changed or first > second
    ]


def _packed(key: int, p: Profile) -> tuple[Any, ...]:
    """Return the row of a profile, in the order of ``_COLUMNS``."""
    return (
        key, p.kind, p.given, p.family, " ".join(p.words), p.birth, " ".join(p.street), " ".join(p.numbers), p.postcode,
        p.city, p.region, p.country, "\n".join(p.emails), "\n".join(p.phones),
        "\n".join(f"{kind}:{value}" for kind, value in p.identifiers),
    )  # fmt: skip


def _unpacked(
    _key: int, kind: str, given: str, family: str, words: str, birth: str, street: str, numbers: str, postcode: str,
    city: str, region: str, country: str, emails: str, phones: str, identifiers: str,
) -> Profile:  # fmt: skip
    return Profile(
        given, family, tuple(words.split()), birth, tuple(street.split()), tuple(numbers.split()), postcode, city,
        region, country, tuple(emails.splitlines()), tuple(phones.splitlines()),
        tuple(_identifier(text) for text in identifiers.splitlines()), (), kind,
    )  # fmt: skip


def _identifier(text: str) -> tuple[str, str]:
    kind, _colon, value = text.partition(":")
    return kind, value
