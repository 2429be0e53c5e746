"""Turns vCards into rows whose columns are named as the fields of a customer."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from marshmallow import ValidationError

from crm_kernel.records.calendar import birthday
from crm_kernel.records.importing.rows import LeftOut, Row
from crm_kernel.records.importing.transforms import family_name, given_name

#: The columns of every vCard file.
COLUMNS = (
    "kind", "display_name", "prefix", "given_name", "family_name", "suffix", "job_title", "birth_date", "language",
    "notes", "contact_points", "addresses", "source", "external_ref",
)  # fmt: skip
#: What ``source`` says of customers that come from a card.
SOURCE = "vcard"

#: Property of a card by the channel it becomes.
_PROPERTIES = {"phone": "TEL", "mobile": "TEL", "fax": "TEL", "email": "EMAIL", "web": "URL"}
_PERSONAL = ("prefix", "given_name", "family_name", "suffix", "job_title")
_LABELLED_CHANNELS = {"mobile": "mobile", "fax": "fax"}
_POINT_PURPOSES = ("work", "home")
_ADDRESS_PURPOSES = ("work", "home")


def read_cards(cards: Iterable[str], ignored: set[str]) -> Iterator[Row]:
    """Yield a row per card; names of properties that a customer has no field for are added to ``ignored``.

    A broken card gives a row without values whose ``problem`` says why.
    """
    from crm_kernel.customers.problems import said
    from crm_kernel.customers.values.errors import ValueProblem
    from crm_kernel.customers.vcards import read_vcards

    for number, card in enumerate(cards, 1):
        for found in read_vcards(card):
            ignored.update(found.ignored)
            if found.problem is not None:
                yield Row(number, {}, problem=said(ValueProblem(found.problem.template, position=number)))
            elif found.customer is not None:
                yield Row(number, _values(found.customer))


def settled_cards(cards: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of ``read_cards`` as they can be stored; inside an app context.

    A number or an address that is none, or a birthday that is none (phones write 1604 for "no year"), is left out and
    told in ``Row.left_out``: one mistyped number is no reason to lose the person. The same one twice comes once.
    """
    for row in read_cards(cards, set()):
        if row.problem:
            yield row
            continue
        points, left_out = _sound(row.values.get("contact_points") or ())
        born, implausible = _born(row.values.get("birth_date"))
        yield Row(row.number, {**row.values, "birth_date": born, "contact_points": points}, left_out + implausible)


def _sound(points: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], tuple[LeftOut, ...]]:
    from crm_kernel.customers.normalising import contact_values
    from crm_kernel.customers.problems import said
    from crm_kernel.customers.values.errors import ValueProblem

    kept: dict[tuple[str, str], dict[str, Any]] = {}
    left_out = []
    for point in points:
        channel, value = point["channel"], point["value"]
        try:
            kept.setdefault((channel, contact_values().normalise(channel, value)[1]), point)
        except ValueProblem as problem:
            left_out.append(LeftOut(_PROPERTIES[channel], value, said(problem)))
    return list(kept.values()), tuple(left_out)


def _born(text: str | None) -> tuple[str | None, tuple[LeftOut, ...]]:
    if text is None:
        return None, ()
    try:
        birthday(dt.date.fromisoformat(text))
    except ValidationError as error:
        return None, (LeftOut("BDAY", text, " ".join(error.messages)),)
    return text, ()


def _values(draft: Mapping[str, Any]) -> dict[str, Any]:
    person = draft.get("kind", "person") == "person"
    found: dict[str, Any] = {name: draft.get(name) for name in COLUMNS}
    found |= {name: draft.get(name) if person else None for name in _PERSONAL}
    birth_date = draft.get("birth_date")
    if person and not (found["given_name"] or found["family_name"]):
        # A card may say FN alone; a person of ours has names.
        found["given_name"], found["family_name"] = (
            given_name(found["display_name"]),
            family_name(found["display_name"]),
        )
    found["birth_date"] = birth_date.isoformat() if birth_date and person else None
    found["language"] = next(iter(draft.get("languages") or ()), None)
    found["contact_points"] = [_point(point) for point in draft.get("contact_points") or ()]
    found["addresses"] = [_address(address) for address in draft.get("addresses") or ()]
    return {**found, "source": SOURCE, "external_ref": draft.get("external_ref") or _fingerprint(draft)}


def _point(point: Mapping[str, Any]) -> dict[str, Any]:
    label = point.get("label") or ""
    channel = {"url": "web"}.get(point["channel"], point["channel"])
    if channel == "phone":
        channel = _LABELLED_CHANNELS.get(label, channel)
    made = {"channel": channel, "value": point["value"]}
    if label in _POINT_PURPOSES:
        return {**made, "purpose": label}
    return {**made, "label": label} if label and label != channel else made


def _address(address: Mapping[str, Any]) -> dict[str, Any]:
    purpose = address.get("purpose") if address.get("purpose") in _ADDRESS_PURPOSES else "postal"
    return {name: value for name, value in {**address, "purpose": purpose}.items() if value}


def _fingerprint(draft: Mapping[str, Any]) -> str:
    """Return a key for a card without UID, from what it says: the same card is the same customer again."""
    values = sorted(str(point["value"]) for point in draft.get("contact_points") or ())
    return hashlib.sha256("\0".join([str(draft["display_name"]), *values]).encode()).hexdigest()[:32]
