"""Profiles of stored customers and of payloads, and the keys and weights of this instance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app

from crm_kernel._internal.modules import SettingRow
from crm_kernel._internal.rows import IN_LIMIT, among
from crm_kernel.customers.choices import PHONE_CHANNELS
from crm_kernel.customers.duplicates.models import DuplicateKey, DuplicateProfile
from crm_kernel.customers.duplicates.profiles import Profile, Profiler, StoredProfiler
from crm_kernel.customers.duplicates.stored import profiles_of
from crm_kernel.customers.duplicates.weights import Weights, default_weights
from crm_kernel.customers.models import Address, ContactPoint, Customer, CustomerIdentifier, Person
from crm_kernel.customers.values.states import ContactState

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Row of ``setting`` with the weights learnt here, the patterns they were learnt from, and how far the scan has come.
SETTING = "customers.duplicates"
#: Slot → texts.
Values = dict[str, list[str]]


def site_profiler() -> Profiler:
    """Return a profiler that reads phone numbers as this instance does."""
    from crm_kernel._internal.runtime import runtime_of

    return Profiler(runtime_of(current_app).config.default_region)


def load_profiles(uow: UnitOfWork, keys: Collection[int]) -> dict[int, Profile]:
    """Return key → profile of the customers that are not merged into others; four queries per 5,000."""
    found: dict[int, Values] = {}
    profiler = StoredProfiler()
    wanted = sorted(keys)
    for start in range(0, len(wanted), IN_LIMIT):
        found |= _values_of(uow, wanted[start : start + IN_LIMIT])
    return {key: profiler.profile(values) for key, values in found.items()}


def profile_of_payload(payload: Mapping[str, Any], profiler: Profiler) -> Profile:
    """Return the profile of a customer as the API and the form submit it; what is not text is passed over."""
    values: Values = defaultdict(list)
    named = bool(payload.get("given_name") or payload.get("family_name"))
    for slot in ("kind", "given_name", "family_name", "birth_date", *(() if named else ("display_name",))):
        _put(values, "name" if slot == "display_name" else slot, payload.get(slot))
    for part in _parts(payload.get("contact_points")):
        _put(values, _channel_slot(part.get("channel")), part.get("value"))
    for part in list(_parts(payload.get("addresses")))[:1]:
        _put_address(values, *(part.get(name) for name in _ADDRESS))
    for part in _parts(payload.get("identifiers")):
        if part.get("value"):
            values["identifier"].append(f"{part.get('type') or ''}:{part['value']}")
    return profiler.profile(values)


def customers_sharing(uow: UnitOfWork, numbers: Collection[int], most: int) -> dict[int, list[int]]:
    """Return key number → the customers that have it; numbers that more than ``most`` have are left out.

    Reads at most ``most`` + 1 index entries per number.
    """
    found: dict[int, list[int]] = defaultdict(list)
    table, other = DuplicateKey, sa.orm.aliased(DuplicateKey)
    further = sa.select(other.key).where(other.key == table.key).limit(1).offset(most).scalar_subquery()
    wanted = sorted(numbers)
    for start in range(0, len(wanted), IN_LIMIT):
        part = wanted[start : start + IN_LIMIT]
        query = sa.select(table.key, table.customer_id).where(among(uow.session, table.key, part), further.is_(None))
        for number, key in uow.session.execute(query):
            found[number].append(key)
    return found


def stored_state(uow: UnitOfWork) -> dict[str, Any]:
    """Return what the last scan left: ``weights``, ``patterns``, ``until``; empty before the first."""
    found = uow.session.scalar(sa.select(SettingRow.value).where(SettingRow.name == SETTING))
    return dict(found or {})


def save_state(uow: UnitOfWork, value: dict[str, Any]) -> None:
    """Keep what the scan knows, flushed."""
    uow.session.merge(SettingRow(name=SETTING, value=value))
    uow.session.flush()


def weights_in(state: Mapping[str, Any], records: int) -> Weights:
    """Return the weights learnt here, else the default ones for this many records."""
    learnt = state.get("weights")
    if not learnt or [len(levels) for levels in learnt["m"]] != [len(m) for m in default_weights(2).m]:
        return default_weights(records)  # none yet, or of a version that compared otherwise
    return Weights(tuple(map(tuple, learnt["m"])), tuple(map(tuple, learnt["u"])), learnt["prior"])


def is_taught(state: Mapping[str, Any]) -> bool:
    """Say whether the weights come from a training of its own, which the nightly scan leaves alone."""
    return "by" in (state.get("weights") or {})


def teach(uow: UnitOfWork, weights: Weights, *, by: str) -> None:
    """Keep weights that were learnt elsewhere: forms, imports and scans use them at once, open pairs from the next scan on."""
    told = {"m": weights.m, "u": weights.u, "prior": weights.prior, "by": by}
    save_state(uow, {**stored_state(uow), "weights": told})


def forget_teaching(uow: UnitOfWork) -> bool:
    """Let the nightly scan learn again, and say whether there was anything to forget."""
    state = stored_state(uow)
    if not is_taught(state):
        return False
    save_state(uow, {name: value for name, value in state.items() if name != "weights"})
    return True


def sample_profiles(uow: UnitOfWork, most: int) -> list[Profile]:
    """Return the stored profiles of customers, those with the highest keys of more than ``most``; two queries."""
    keys = sa.select(DuplicateProfile.customer_id).order_by(DuplicateProfile.customer_id.desc()).limit(most)
    return list(profiles_of(uow, list(uow.session.scalars(keys))).values())


_CUSTOMERS: Any = Customer.__table__
_PEOPLE: Any = Person.__table__
_POINTS: Any = ContactPoint.__table__
_PLACES: Any = Address.__table__
_NUMBERS: Any = CustomerIdentifier.__table__
_ADDRESS = ("street", "postal_code", "city", "region", "country_code")


def _values_of(uow: UnitOfWork, keys: list[int]) -> dict[int, Values]:
    customer, person, number = _CUSTOMERS.c, _PEOPLE.c, _NUMBERS.c
    named = (person.given_name, person.family_name, person.birth_date)
    query = (
        sa.select(customer.id, customer.kind, customer.display_name, *named)
        .select_from(_CUSTOMERS.outerjoin(_PEOPLE, person.customer_id == customer.id))
        .where(among(uow.session, customer.id, keys), customer.merged_into_id.is_(None))
    )
    connection, found = uow.session.connection(), dict[int, Values]()
    for key, kind, name, given, family, birth in connection.execute(query):
        values = found[key] = {"kind": [kind]}
        for slot, value in (("given_name", given), ("family_name", family), ("birth_date", birth)):
            _put(values, slot, value)
        if not given and not family:
            _put(values, "name", name)
    _add_points(uow, found, keys)
    _add_addresses(uow, found, keys)
    numbers = sa.select(number.customer_id, number.type, number.value).where(
        among(uow.session, number.customer_id, keys)
    )
    for key, kind, value in connection.execute(numbers):
        if key in found:
            found[key].setdefault("identifier", []).append(f"{kind}:{value}")
    return found


def _add_points(uow: UnitOfWork, found: Mapping[int, Values], keys: list[int]) -> None:
    c = _POINTS.c
    query = sa.select(c.customer_id, c.channel, c.value_normalized).where(among(uow.session, c.customer_id, keys))
    # What is marked as somebody else's speaks for nobody; what was given up still was the customer's.
    query = query.where(c.state != ContactState.WRONG_PERSON)
    for key, channel, value in uow.session.connection().execute(query):
        if key in found:
            _put(found[key], _channel_slot(channel), value)


def _add_addresses(uow: UnitOfWork, found: Mapping[int, Values], keys: list[int]) -> None:
    c = _PLACES.c
    query = sa.select(c.customer_id, *(c[name] for name in _ADDRESS))
    query = query.where(among(uow.session, c.customer_id, keys), c.is_primary == sa.true())
    for key, *values in uow.session.connection().execute(query):
        if key in found:
            _put_address(found[key], *values)


def _channel_slot(channel: Any) -> str:
    return "phone" if channel in PHONE_CHANNELS else "email" if channel == "email" else ""


def _put_address(values: Values, street: Any, postcode: Any, city: Any, region: Any, country: Any) -> None:
    given = (("street", street), ("postal_code", postcode), ("city", city), ("region", region), ("country", country))
    for slot, value in given:
        if value is not None:
            _put(values, slot, value)


def _put(values: Values, slot: str, value: Any) -> None:
    if slot and value is not None and not isinstance(value, (dict, list)) and (text := str(value).strip()):
        values.setdefault(slot, []).append(text)


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Iterable) and not isinstance(value, str):
        yield from (part for part in value if isinstance(part, Mapping))
