"""How alike two profiles are, field by field: one small whole number per comparison.

Owns the comparisons, what their levels mean, and how often each level is met among duplicates (``m``) and among
strangers (``u``) before anything is learnt from data. Level 0 says "different", the last level "the same"; a field
that either side lacks is ``MISSING`` and says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA, JaroWinkler

from crm_kernel.customers.duplicates.nicknames import are_forms_of_one_name
from crm_kernel.customers.duplicates.profiles import Profile

#: The level of a comparison whose field one side lacks.
MISSING = -1
#: Levels of all comparisons, in their order.
Vector = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison: its name, its levels, and what they are worth before anything is learnt."""

    name: str
    #: From the most different to the same.
    levels: tuple[str, ...]
    #: Share of each level among duplicates.
    m: tuple[float, ...]
    #: Share of each level among strangers.
    u: tuple[float, ...]
    #: The value whose frequency corrects the last level: to share a rare surname says more. None: no correction.
    term: Callable[[Profile], str] | None = None


COMPARISONS: tuple[Comparison, ...] = (
    Comparison(
        "given_name",
        ("differ", "near", "close", "short_form", "swapped", "same"),
        (0.03, 0.03, 0.08, 0.06, 0.03, 0.77),
        (0.955, 0.025, 0.005, 0.005, 0.002, 0.008),
        lambda p: p.given,
    ),
    Comparison(
        "family_name",
        ("differ", "near", "close", "part", "swapped", "same"),
        (0.04, 0.03, 0.09, 0.02, 0.03, 0.79),
        (0.971, 0.02, 0.004, 0.001, 0.001, 0.003),
        lambda p: p.family,
    ),
    Comparison(
        "name",
        ("differ", "near", "part", "close", "same"),
        (0.03, 0.05, 0.08, 0.12, 0.72),
        (0.985, 0.01, 0.003, 0.001, 0.001),
        lambda p: " ".join(p.words),
    ),
    Comparison(
        "birth_date",
        ("differ", "two_parts", "one_slip", "same"),
        (0.03, 0.05, 0.08, 0.84),
        (0.985, 0.01, 0.0049, 0.0001),
    ),
    Comparison(
        "street",
        ("differ", "near", "close", "same"),
        (0.12, 0.1, 0.15, 0.63),
        (0.98, 0.016, 0.002, 0.002),
        lambda p: " ".join(p.street),
    ),
    Comparison("street_number", ("differ", "one_slip", "same"), (0.12, 0.06, 0.82), (0.93, 0.05, 0.02)),
    Comparison(
        "postal_code",
        ("differ", "one_slip", "same"),
        (0.08, 0.08, 0.84),
        (0.98, 0.015, 0.005),
        lambda p: p.postcode,
    ),
    Comparison(
        "city",
        ("differ", "near", "close", "same"),
        (0.07, 0.03, 0.08, 0.82),
        (0.96, 0.02, 0.005, 0.015),
        lambda p: p.city,
    ),
    Comparison("region", ("differ", "same"), (0.08, 0.92), (0.85, 0.15), lambda p: p.region),
    Comparison("country", ("differ", "same"), (0.02, 0.98), (0.4, 0.6), lambda p: p.country),
    Comparison(
        "email",
        ("differ", "near", "same_name", "close", "same"),
        (0.25, 0.05, 0.1, 0.1, 0.5),
        (0.995, 0.0039, 0.0007, 0.0003, 0.0001),
    ),
    Comparison("phone", ("differ", "one_slip", "same"), (0.25, 0.05, 0.7), (0.9985, 0.001, 0.0005)),
    Comparison("identifier", ("differ", "one_slip", "same"), (0.04, 0.06, 0.9), (0.9998, 0.0001, 0.0001)),
    Comparison("others", ("differ", "some", "same"), (0.2, 0.2, 0.6), (0.9, 0.07, 0.03)),
)


def compare(a: Profile, b: Profile) -> Vector:
    """Return the levels of all ``COMPARISONS`` for a pair; symmetric. Costs about 5 µs."""
    given, family = _names(a, b)
    whole = MISSING
    if given == MISSING and family == MISSING:
        whole = _whole_name(a.words, b.words)
    return (
        given,
        family,
        whole,
        _birth(a.birth, b.birth),
        _street(a.street, b.street),
        _numbers(a.numbers, b.numbers),
        _slips(a.postcode, b.postcode),
        _city(a.city, b.city),
        _equal(a.region, b.region),
        _equal(a.country, b.country),
        _best(_email, a.emails, b.emails),
        _best(_phone, a.phones, b.phones),
        _identifiers(a.identifiers, b.identifiers),
        _others(a.others, b.others),
    )


def _names(a: Profile, b: Profile) -> tuple[int, int]:
    """Return the levels of given and family name; both ``swapped`` when they agree only crosswise."""
    given, family = _given(a.given, b.given), _family(a.family, b.family)
    straight_fails = given in (MISSING, 0, 1) and family in (MISSING, 0, 1)
    if straight_fails and _crosswise(a, b):
        # One of them compares given with family: where only one name is known, nothing is said about the other.
        return (4 if a.given and b.family else MISSING, 4 if a.family and b.given else MISSING)
    return given, family


def _crosswise(a: Profile, b: Profile) -> bool:
    one, other = _likeness(a.given, b.family), _likeness(a.family, b.given)
    if one is None or other is None:
        return (one or other or 0.0) >= 0.99 and (one is None) != (other is None)
    return min(one, other) >= 0.9


def _likeness(a: str, b: str) -> float | None:
    return JaroWinkler.similarity(a, b) if a and b else None


def _given(a: str, b: str) -> int:
    if not a or not b:
        return MISSING
    if a == b:
        return 5
    if are_forms_of_one_name(a, b) or _initial(a, b) or _first_of(a, b):
        return 3
    return _close_or_near(a, b)


def _initial(a: str, b: str) -> bool:
    return (len(a) == 1 or len(b) == 1) and a[0] == b[0]


def _first_of(a: str, b: str) -> bool:
    """Say whether one has a second given name and the other not: ``anna maria`` and ``anna``."""
    shorter, longer = sorted((a, b), key=len)
    return longer.startswith(f"{shorter} ")


def _family(a: str, b: str) -> int:
    if not a or not b:
        return MISSING
    if a == b:
        return 5
    first, second = a.split(), b.split()
    if (len(first) > 1 or len(second) > 1) and (set(first) <= set(second) or set(second) <= set(first)):
        return 3
    return _close_or_near(a, b)


def _close_or_near(a: str, b: str) -> int:
    longest = max(len(a), len(b))
    slips = OSA.distance(a, b, score_cutoff=2)
    if slips <= (1 if longest < 7 else 2) and longest > 2:
        return 2
    likeness = JaroWinkler.similarity(a, b)
    if likeness >= 0.92:
        return 2
    return 1 if likeness >= 0.82 else 0


def _whole_name(a: Sequence[str], b: Sequence[str]) -> int:
    if not a or not b:
        return MISSING
    if a == b:
        return 4
    ratio = fuzz.ratio(" ".join(a), " ".join(b))
    if ratio >= 90:
        return 3
    shared = len(set(a) & set(b))
    if shared == min(len(a), len(b)) and (shared > 1 or max(len(a), len(b)) <= 2):
        return 2
    return 1 if ratio >= 75 else 0


def _birth(a: str, b: str) -> int:
    if not a or not b:
        return MISSING
    if a == b:
        return 3
    if OSA.distance(a, b, score_cutoff=1) <= 1:
        return 2
    if len(a) == 8 and a[:4] == b[:4] and a[4:6] == b[6:] and a[6:] == b[4:6]:
        return 2
    parts = (a[:4] == b[:4]) + (a[4:6] == b[4:6]) + (a[6:] == b[6:])
    return 1 if parts >= 2 or OSA.distance(a, b, score_cutoff=2) <= 2 else 0


def _street(a: Sequence[str], b: Sequence[str]) -> int:
    if not a or not b:
        return MISSING
    if a == b or sorted(a) == sorted(b):
        return 3
    first, second = " ".join(a), " ".join(b)
    ratio = fuzz.ratio(first, second)
    if ratio >= 85:
        return 2
    return 1 if ratio >= 70 or _shares_word(a, b) else 0


def _shares_word(a: Sequence[str], b: Sequence[str]) -> bool:
    return any(
        len(x) > 3 and (x == y or OSA.distance(x, y, score_cutoff=1) <= 1)
        for x, y in product(a, b)
        if abs(len(x) - len(y)) < 2
    )


def _numbers(a: Sequence[str], b: Sequence[str]) -> int:
    if not a or not b:
        return MISSING
    if a == b or sorted(a) == sorted(b):
        return 2
    return 1 if set(a) & set(b) or OSA.distance(a[0], b[0], score_cutoff=1) <= 1 else 0


def _slips(a: str, b: str) -> int:
    if not a or not b:
        return MISSING
    if a == b:
        return 2
    return 1 if OSA.distance(a, b, score_cutoff=1) <= 1 else 0


def _city(a: str, b: str) -> int:
    if not a or not b:
        return MISSING
    if a == b:
        return 3
    found = _close_or_near(a, b)
    return 1 if found == 0 and (a in b or b in a) else found


def _equal(a: str, b: str) -> int:
    return MISSING if not a or not b else int(a == b)


def _best(level: Callable[[str, str], int], a: Sequence[str], b: Sequence[str]) -> int:
    return max((level(x, y) for x, y in product(a, b)), default=MISSING)


def _email(a: str, b: str) -> int:
    if a == b:
        return 4
    if OSA.distance(a, b, score_cutoff=2) <= 2:
        return 3
    name, other = a.partition("@")[0], b.partition("@")[0]
    if name == other:
        return 2
    return 1 if JaroWinkler.similarity(name, other) >= 0.9 else 0


def _phone(a: str, b: str) -> int:
    """Compare what is dialled inside the country: the last nine digits."""
    if a[-9:] == b[-9:]:
        return 2
    return 1 if len(a) > 6 and OSA.distance(a[-9:], b[-9:], score_cutoff=1) <= 1 else 0


def _identifiers(a: Sequence[tuple[str, str]], b: Sequence[tuple[str, str]]) -> int:
    return max((_slips(x[1], y[1]) for x, y in product(a, b) if x[0] == y[0]), default=MISSING)


def _others(a: Sequence[tuple[str, str]], b: Sequence[tuple[str, str]]) -> int:
    second = dict(b)
    both = [(value, second[name]) for name, value in a if name in second]
    if not both:
        return MISSING
    alike = sum(x == y or fuzz.ratio(x, y) >= 85 for x, y in both)
    return 2 if alike == len(both) else 1 if alike else 0
