"""Profiles of stored customers and of payloads, and the keys and weights of this instance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app

from crm_kernel._internal.modules import SettingRow
from crm_kernel._internal.rows import IN_LIMIT
from crm_kernel.customers.choices import PHONE_CHANNELS
from crm_kernel.customers.duplicates.models import DuplicateKey
from crm_kernel.customers.duplicates.profiles import Profile, Profiler, StoredProfiler
from crm_kernel.customers.duplicates.weights import Weights, default_weights
from crm_kernel.customers.models import Address, ContactPoint, Customer, CustomerIdentifier, Person

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


def among(column: Any, keys: Collection[int]) -> sa.ColumnElement[bool]:
    """Return ``column IN (keys)`` with the whole numbers in the statement: thousands of parameters cost more than rows."""
    numbers = sa.bindparam(None, list(keys), type_=sa.BigInteger(), expanding=True, literal_execute=True)
    found: sa.ColumnElement[bool] = column.in_(numbers)
    return found


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
        query = sa.select(table.key, table.customer_id).where(among(table.key, part), further.is_(None))
        for number, key in uow.session.execute(query):
            found[number].append(key)
    return found


def stored_state(uow: UnitOfWork) -> dict[str, Any]:
    """Return what the last scan left: ``weights``, ``patterns``, ``until``; empty before the first."""
    found = uow.session.scalar(sa.select(SettingRow.value).where(SettingRow.name == SETTING))
    return dict(found or {})


def weights_in(state: Mapping[str, Any], records: int) -> Weights:
    """Return the weights learnt here, else the default ones for this many records."""
    learnt = state.get("weights")
    if not learnt or [len(levels) for levels in learnt["m"]] != [len(m) for m in default_weights(2).m]:
        return default_weights(records)  # none yet, or of a version that compared otherwise
    return Weights(tuple(map(tuple, learnt["m"])), tuple(map(tuple, learnt["u"])), learnt["prior"])


_ADDRESS = ("street", "postal_code", "city", "region", "country_code")


def _values_of(uow: UnitOfWork, keys: list[int]) -> dict[int, Values]:
    query = (
        sa.select(
            Customer.id,
            Customer.kind,
            Customer.display_name,
            Person.given_name,
            Person.family_name,
            Person.birth_date,
        )
        .outerjoin(Person, Person.customer_id == Customer.id)
        .where(among(Customer.id, keys), Customer.merged_into_id.is_(None))
    )
    found: dict[int, Values] = {}
    for key, kind, name, given, family, birth in uow.session.execute(query):
        values = found[key] = defaultdict(list, kind=[kind])
        for slot, value in (("given_name", given), ("family_name", family), ("birth_date", birth)):
            _put(values, slot, value)
        if not given and not family:
            _put(values, "name", name)
    _add_points(uow, found, keys)
    _add_addresses(uow, found, keys)
    numbers = sa.select(CustomerIdentifier.customer_id, CustomerIdentifier.type, CustomerIdentifier.value)
    for key, kind, value in uow.session.execute(numbers.where(among(CustomerIdentifier.customer_id, keys))):
        if key in found:
            found[key]["identifier"].append(f"{kind}:{value}")
    return found


def _add_points(uow: UnitOfWork, found: Mapping[int, Values], keys: list[int]) -> None:
    table = ContactPoint
    query = sa.select(table.customer_id, table.channel, table.value_normalized).where(among(table.customer_id, keys))
    for key, channel, value in uow.session.execute(query):
        if key in found:
            _put(found[key], _channel_slot(channel), value)


def _add_addresses(uow: UnitOfWork, found: Mapping[int, Values], keys: list[int]) -> None:
    columns = [getattr(Address, name) for name in _ADDRESS]
    query = sa.select(Address.customer_id, *columns).where(
        among(Address.customer_id, keys), Address.is_primary == sa.true()
    )
    for key, *values in uow.session.execute(query):
        if key in found:
            _put_address(found[key], *values)


def _channel_slot(channel: Any) -> str:
    return "phone" if channel in PHONE_CHANNELS else "email" if channel == "email" else ""


def _put_address(values: Values, street: Any, postcode: Any, city: Any, region: Any, country: Any) -> None:
    for slot, value in (
        ("street", street),
        ("postal_code", postcode),
        ("city", city),
        ("region", region),
        ("country", country),
    ):
        _put(values, slot, value)


def _put(values: Values, slot: str, value: Any) -> None:
    if slot and value is not None and not isinstance(value, (dict, list)) and (text := str(value).strip()):
        values.setdefault(slot, []).append(text)


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Iterable) and not isinstance(value, str):
        yield from (part for part in value if isinstance(part, Mapping))
