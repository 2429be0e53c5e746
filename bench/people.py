"""Made-up customers as they are met in a database: names by Zipf's law, gaps, and second records with mistakes.

The mistakes are those of the Febrl generator: letters left out, added, replaced or swapped, names swapped, short forms,
values missing, people moved. Everything is a function of the number alone, so that any part can be made again.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import Any

#: Every twentieth customer is an earlier one once more.
EVERY = 20
_SYLLABLES = [
    "ba",
    "cor",
    "dan",
    "el",
    "fen",
    "gar",
    "hol",
    "in",
    "ker",
    "lu",
    "mar",
    "nor",
    "ol",
    "pet",
    "ros",
    "ten",
    "vi",
    "sa",
    "mon",
    "der",
    "lam",
    "bert",
    "ier",
    "au",
    "dou",
    "che",
]
_FORMS = {"Robert": "Bob", "William": "Bill", "Elizabeth": "Liz", "Katherine": "Kate", "Michael": "Mike"}
_EPOCH = dt.date(1935, 1, 1)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_MISTAKEN = ("given_name", "family_name", "street", "email", "birth_date", "phone", "postal_code", "moved", "swapped")

Person = dict[str, Any]


def person(number: int) -> Person:
    """Return the customer of a number from 1; ``copy_of`` is the number of the one it is, if it is one again."""
    original = original_of(number)
    found = _new(random.Random(original), original)
    if original == number:
        return found
    chance = random.Random(f"{number} again")
    for mistake in chance.sample(_MISTAKEN, chance.choice((1, 1, 2, 2, 3))):
        _mistake(found, mistake, chance)
    return found


def original_of(number: int) -> int:
    """Return the number itself, or of the earlier customer that this one is once more."""
    if number % EVERY:
        return number
    drawn = random.Random(number).randrange(1, number)
    return drawn if drawn % EVERY else drawn - 1


def true_pairs(rows: int) -> Iterator[tuple[int, int]]:
    """Yield every pair (lower first) of numbers up to ``rows`` that are one customer."""
    same: dict[int, list[int]] = {}
    for number in range(EVERY, rows + 1, EVERY):
        group = same.setdefault(original_of(number), [original_of(number)])
        yield from ((other, number) for other in group)
        group.append(number)


def _new(chance: random.Random, number: int) -> Person:
    given, family = _drawn(chance, _given_names()), _drawn(chance, _family_names())
    town = _drawn(chance, _towns())
    domain = chance.choice(("example.com", "example.org", "mail.example"))
    name = f"{given}.{family}{number}".lower()
    return {
        "given_name": given,
        "family_name": family,
        "birth_date": _EPOCH + dt.timedelta(days=chance.randrange(25_000)) if chance.random() < 0.7 else None,
        "email": f"{name}@{domain}" if chance.random() < 0.6 else None,
        "phone": f"+336{chance.randrange(10**8):08}" if chance.random() < 0.5 else None,
        "street": f"{chance.randrange(1, 120)} rue {_drawn(chance, _streets())}" if chance.random() < 0.8 else None,
        "postal_code": town[0],
        "city": town[1],
    }


def _mistake(person: Person, mistake: str, chance: random.Random) -> None:
    if mistake == "swapped":
        person["given_name"], person["family_name"] = person["family_name"], person["given_name"]
    elif mistake == "moved":
        person["street"] = f"{chance.randrange(1, 120)} rue {_drawn(chance, _streets())}"
        person["postal_code"], person["city"] = _drawn(chance, _towns())
    elif mistake == "birth_date" and person["birth_date"] and chance.random() < 0.5:
        person["birth_date"] += dt.timedelta(days=chance.choice((-1, 1, 10, -10)))
    elif mistake in ("birth_date", "email", "phone"):
        person[mistake] = None
    elif mistake == "given_name" and person[mistake] in _FORMS:
        person[mistake] = _FORMS[person[mistake]]
    elif person[mistake]:
        person[mistake] = _mistyped(person[mistake], chance)


def _mistyped(text: str, chance: random.Random) -> str:
    place, how = chance.randrange(len(text) - 1), chance.randrange(4)
    head, one, two, tail = text[:place], text[place], text[place + 1], text[place + 2 :]
    other = str(chance.randrange(10)) if one.isdigit() else chance.choice(_LETTERS)
    return head + (two + one, one, other + two, one + other + two)[how] + tail


def _drawn(chance: random.Random, known: tuple[list[Any], list[float]]) -> Any:
    return chance.choices(known[0], cum_weights=known[1])[0]


def _by_zipf(values: list[Any]) -> tuple[list[Any], list[float]]:
    return values, list(accumulate(1 / (rank + 5) ** 0.9 for rank in range(len(values))))


def _words(seed: int, count: int, lengths: tuple[int, ...]) -> list[str]:
    chance, found = random.Random(seed), dict[str, None]()
    while len(found) < count:
        found["".join(chance.choices(_SYLLABLES, k=chance.choice(lengths))).capitalize()] = None
    return list(found)


@cache
def _given_names() -> tuple[list[Any], list[float]]:
    return _by_zipf([*_FORMS, "Anne", "Jean", "Marie", "Léa", "Émile", "Jürgen", *_words(1, 1_500, (2, 2, 3))])


@cache
def _family_names() -> tuple[list[Any], list[float]]:
    return _by_zipf(["Martin", "Smith", "Bernard", "Durand", *_words(2, 60_000, (2, 3, 3, 4))])


@cache
def _streets() -> tuple[list[Any], list[float]]:
    return _by_zipf(_words(3, 8_000, (2, 3, 3)))


@cache
def _towns() -> tuple[list[Any], list[float]]:
    chance = random.Random(4)
    return _by_zipf([(f"{chance.randrange(1_000, 96_000):05}", name) for name in _words(5, 6_000, (2, 3))])
