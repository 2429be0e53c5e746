"""Learns the weights with Splink instead of our own expectation–maximisation: the extra ``crm-kernel[splink]``.

Splink compares in DuckDB; its levels are asked of our ``compare``, so that what it learns is worth the same where the matcher
reads it. It learns how often strangers agree from pairs drawn at random, and how often duplicates do from pairs that share
something, one session per thing shared: what they are drawn by teaches nothing about itself.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from crm_kernel.customers.duplicates.comparing import COMPARISONS, MISSING, Vector, compare
from crm_kernel.customers.duplicates.profiles import Profile
from crm_kernel.customers.duplicates.weights import Shares, Weights, default_weights
from crm_kernel.errors import CrmError

#: Comparison → the columns that it looks at: a session that draws pairs by one of them leaves it out.
_LOOKS_AT: Mapping[str, tuple[str, ...]] = {
    "given_name": ("given", "family"), "family_name": ("given", "family"), "name": ("words",), "birth_date": ("birth",),
    "street": ("street",), "street_number": ("numbers",), "postal_code": ("postcode",), "city": ("city",),
    "region": ("region",), "country": ("country",), "email": ("emails",), "phone": ("phones",),
    "identifier": ("identifiers",), "others": ("others",),
}  # fmt: skip
_COLUMNS = tuple(dict.fromkeys(column for columns in _LOOKS_AT.values() for column in columns))
_CUSTOMERS = sa.Table(
    "customers", sa.MetaData(), sa.Column("unique_id", sa.BigInteger), *(sa.Column(name, sa.Text) for name in _COLUMNS)
)
#: What the pairs of one session share.
_SESSIONS = (("birth",), ("given", "family"), ("emails",), ("phones",), ("words", "city"), ("street", "postcode"))
#: Who shares one of these is taken for one customer, to estimate how many are, and the share of them that is found so.
_CERTAIN = (
    ("given", "family", "birth"), ("family", "birth", "postcode"), ("given", "birth", "postcode"), ("emails", "family"),
    ("phones", "family"), ("words", "street", "postcode"),
)  # fmt: skip
_FOUND = 0.7
#: Pairs drawn at random, and pairs of one session at most.
_STRANGERS, _PAIRS = 50_000, 50_000
#: Fewer pairs than this make no session.
_ENOUGH = 50
#: No level is taken for impossible, and nobody for certain.
_LEAST_SHARE, _LEAST_PRIOR, _MOST_PRIOR = 1e-5, 1e-9, 0.2


class SplinkMissing(CrmError):
    """The extra is not installed."""


class NothingToLearn(CrmError):
    """There are too few pairs that share something."""


def train(profiles: Sequence[Profile]) -> Weights:
    """Return the weights that Splink learns from some profiles without labels; the same ones at every run.

    Raises:
        SplinkMissing: the extra is not installed; the text says how to install it.
        NothingToLearn: too few of them share an address, a name or a day of birth.
    """
    duckdb, splink = _libraries()
    sessions = [names for names in _SESSIONS if _pairs(profiles, names) >= _ENOUGH]
    if not sessions:
        raise NothingToLearn(
            f"splink: found fewer than {_ENOUGH} pairs that share anything among {len(profiles)} customers; "
            "expected some duplicates. The usual weights go on being used"
        )
    with _connection(duckdb, profiles) as connection, _silent():
        model = _trained(splink, connection, sessions)
    return _weights(model, default_weights(len(profiles)))


def _libraries() -> tuple[Any, Any]:
    try:
        import duckdb
        import numpy  # noqa: F401  # DuckDB calls Python functions through it
        import splink
    except ImportError as error:
        raise SplinkMissing(f"{error}. Install it with: pip install 'crm-kernel[splink]'") from error
    return duckdb, splink


@contextmanager
def _connection(duckdb: Any, profiles: Sequence[Profile]) -> Iterator[Any]:
    """Yield a database in memory with the table ``customers`` and one function per comparison."""
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute(str(CreateTable(_CUSTOMERS)))
        rows = [
            (place, *(_text(getattr(profile, name)) for name in _COLUMNS)) for place, profile in enumerate(profiles)
        ]
        connection.executemany(str(sa.insert(_CUSTOMERS).compile(dialect=sqlite.dialect())), rows)
        vector = lru_cache(maxsize=200_000)(lambda a, b: compare(profiles[a], profiles[b]))
        for place, comparison in enumerate(COMPARISONS):
            function = _level(vector, place, 2 * len(_LOOKS_AT[comparison.name]))
            connection.create_function(_function(comparison.name), *function, "INTEGER", null_handling="special")
        try:
            yield connection
        finally:
            for comparison in COMPARISONS:
                connection.remove_function(_function(comparison.name))


def _level(vector: Callable[[int, int], Vector], place: int, texts: int) -> tuple[Callable[..., int], list[str]]:
    """Return the function of two keys and some texts, and the types of its arguments.

    The texts stand in the call for Splink alone, which reads there what a comparison depends on.
    """

    def level(a: int, b: int) -> int:
        return vector(min(a, b), max(a, b))[place]

    takes: dict[int, Callable[..., int]] = {
        2: lambda a, b, _l, _r: level(a, b),
        4: lambda a, b, _l, _r, _other_l, _other_r: level(a, b),
    }
    return takes[texts], ["BIGINT", "BIGINT", *["VARCHAR"] * texts]


def _function(name: str) -> str:
    return f"crm_{name}"


def _text(value: Any) -> str | None:
    return (value if isinstance(value, str) else " ".join(map(str, value))) or None


def _pairs(profiles: Sequence[Profile], names: Sequence[str]) -> int:
    """Return how many pairs share all these columns, where they are known."""
    sizes = Counter(tuple(_text(getattr(profile, name)) for name in names) for profile in profiles)
    return sum(size * (size - 1) // 2 for shared, size in sizes.items() if all(shared))


def _trained(splink: Any, connection: Any, sessions: Sequence[Sequence[str]]) -> dict[str, Any]:
    linker = splink.Linker(
        splink.DuckDBAPI(connection=connection).register(connection.table("customers")),
        {
            "link_type": "dedupe_only",
            "comparisons": [_comparison(comparison.name) for comparison in COMPARISONS],
            "blocking_rules_to_generate_predictions": [splink.block_on(*names) for names in sessions],
        },
    )
    certain = [splink.block_on(*names) for names in _CERTAIN]
    linker.training.estimate_probability_two_random_records_match(certain, recall=_FOUND)
    linker.training.estimate_u_using_random_sampling(max_pairs=_STRANGERS, seed=1)
    for names in sessions:
        linker.training.estimate_parameters_using_expectation_maximisation(splink.block_on(*names), max_pairs=_PAIRS)
    model: dict[str, Any] = linker.misc.save_model_to_json()
    return model


def _comparison(name: str) -> dict[str, Any]:
    texts = ", ".join(f"{column}_{side}" for column in _LOOKS_AT[name] for side in "lr")
    call = f"{_function(name)}(unique_id_l, unique_id_r, {texts})"
    levels = next(comparison.levels for comparison in COMPARISONS if comparison.name == name)
    missing = {"sql_condition": f"{call} = {MISSING}", "label_for_charts": "missing", "is_null_level": True}
    known = [
        {"sql_condition": f"{call} = {number}" if number else "ELSE", "label_for_charts": levels[number]}
        for number in range(len(levels) - 1, -1, -1)
    ]
    return {"output_column_name": name, "comparison_levels": [missing, *known]}


def _weights(model: Mapping[str, Any], usual: Weights) -> Weights:
    found: dict[str, list[tuple[float, ...]]] = {"m": [], "u": []}
    for place, comparison in enumerate(model["comparisons"]):
        levels = comparison["comparison_levels"][:0:-1]  # from the most different to the same, without "missing"
        for kind, before in (("m", usual.m[place]), ("u", usual.u[place])):
            learnt = (level.get(f"{kind}_probability") for level in levels)
            # A level that was never met has no number, and keeps what it was worth before.
            shares = [max(_LEAST_SHARE, value if isinstance(value, float) else share)
                      for value, share in zip(learnt, before, strict=True)]  # fmt: skip
            found[kind].append(tuple(share / sum(shares) for share in shares))
    prior = float(model["probability_two_random_records_match"])
    m, u = (_shares(found[kind]) for kind in "mu")
    return Weights(m, u, min(_MOST_PRIOR, max(_LEAST_PRIOR, prior)))


def _shares(found: Sequence[tuple[float, ...]]) -> Shares:
    return tuple(found)


@contextmanager
def _silent() -> Iterator[None]:
    """Let Splink say on the log only what is wrong: it tells every round."""
    logger = logging.getLogger("splink")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
