"""Which pairs are worth comparing: records that share at least one of several keys.

Owns the keys of a profile and the pairing in memory. Recall is bounded by the keys, so every field that can identify
somebody gives at least two of them, and no single mistake breaks them all. A key shared by too many tells nothing and
is passed over: the work grows with the records, not with their square.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from crm_kernel.customers.duplicates.profiles import Profile

#: Records that share one key; of larger blocks no pair is made by this key.
MAX_BLOCK = 150


#: The keys stored customers are found by: selective ones, of which a million customers are not too many for a table.
#: Kind → what a stored number ends in. Odd ones are strong: one shared is enough, of the others it takes two.
CODES = {"i": 1, "e": 3, "t": 5, "bn": 7, "s": 9, "m": 0, "n": 2, "bm": 4, "by": 6, "np": 8, "w": 10}
_CODE_BITS = 15


def keys_of(profile: Profile) -> set[str]:
    """Return the blocking keys of a profile: texts whose prefix tells which fields they are made of."""
    keys = {f"i:{kind}:{value}" for kind, value in profile.identifiers}
    keys |= {f"e:{email}" for email in profile.emails}
    keys |= {f"m:{name}" for name in (email.partition("@")[0] for email in profile.emails) if len(name) > 5}
    keys |= {f"t:{phone[-9:]}" for phone in profile.phones}
    keys.update(_name_keys(profile), _birth_keys(profile), _place_keys(profile))
    return keys


def _name_keys(p: Profile) -> Iterator[str]:
    words = " ".join(p.words)
    if words:
        yield f"n:{words}"
    if not p.given and not p.family:
        yield from (f"w:{word}:{p.postcode or p.city}" for word in p.words if len(word) > 3)
        yield f"wp:{words[:8]}"
        return
    first, second = sorted((p.given, p.family))
    if first:
        yield f"p:{first[:3]}:{second[:3]}"
        yield f"q:{first[-3:]}:{second[-3:]}"
    for name in (p.given, p.family):
        if name and p.postcode:
            yield f"np:{name[:4]}:{p.postcode}"
        if name and p.city:
            yield f"nc:{name[:4]}:{p.city}"


def _birth_keys(p: Profile) -> Iterator[str]:
    if not p.birth:
        return
    yield f"b:{p.birth}"
    yield f"bs:{''.join(sorted(p.birth))}:{p.postcode}"
    for name in (p.given, p.family):
        if name:
            yield f"bn:{p.birth}:{name[:2]}"
            yield f"by:{p.birth[:4]}:{name[:3]}"
            yield f"bm:{p.birth[4:]}:{name[:3]}"


def _place_keys(p: Profile) -> Iterator[str]:
    if not p.street:
        return
    longest = max(p.street, key=len)
    number = p.numbers[0] if p.numbers else ""
    yield f"s:{longest[:5]}:{number}:{p.postcode}"
    yield f"sc:{longest[:5]}:{p.city[:4]}"
    yield f"sn:{p.street[0]}:{number}"
    yield f"ss:{' '.join(sorted(p.street))}"


def pairs_within(profiles: Sequence[Profile]) -> Iterator[tuple[int, int]]:
    """Yield every pair of places (lower first) that shares a key, once."""
    blocks = _blocks(profiles)
    seen: set[tuple[int, int]] = set()
    for block in blocks.values():
        if 1 < len(block) <= MAX_BLOCK:
            for number, first in enumerate(block):
                for second in block[number + 1 :]:
                    if (first, second) not in seen:
                        seen.add((first, second))
                        yield first, second


def pairs_between(left: Sequence[Profile], right: Sequence[Profile]) -> Iterator[tuple[int, int]]:
    """Yield every pair (place in ``left``, place in ``right``) that shares a key, once."""
    blocks = _blocks(right)
    for first, profile in enumerate(left):
        seen: set[int] = set()
        for key in keys_of(profile):
            block = blocks.get(key, ())
            if len(block) <= MAX_BLOCK:
                seen.update(block)
        yield from ((first, second) for second in sorted(seen))


def _blocks(profiles: Sequence[Profile]) -> dict[str, list[int]]:
    blocks: dict[str, list[int]] = defaultdict(list)
    for place, profile in enumerate(profiles):
        for key in keys_of(profile):
            blocks[key].append(place)
    return blocks


def stored_keys_of(profile: Profile) -> set[int]:
    """Return the keys of a profile as whole numbers for the database, which end in their kind's code."""
    keys = ((CODES.get(key.partition(":")[0]), key) for key in keys_of(profile))
    return {_number(key, code) for code, key in keys if code is not None}


def kind_of(number: int) -> str:
    """Return the kind of a stored key."""
    return _KINDS[number & _CODE_BITS]


def _number(key: str, code: int) -> int:
    digest = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)
    return digest & ~_CODE_BITS | code


_KINDS = {code: kind for kind, code in CODES.items()}
