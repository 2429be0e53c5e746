"""Records for tests, made the way every channel makes them: schema, policy, plugins' rules, service.

A factory works in the unit of work that is open, or else in one of its own, which commits; then what it returns is
detached: its columns can be read, nothing more can be loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from flask import g, has_app_context

from crm_kernel.access.actor import SYSTEM
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record
from crm_kernel.unit_of_work import UnitOfWork, writing

if TYPE_CHECKING:
    from flask import Flask

_GIVEN = ("Ada", "Grace", "Émilie", "Katherine", "Maryam", "Sofia", "Chien", "Hedy")
_FAMILY = ("Lovelace", "Hopper", "du Châtelet", "Johnson", "Mirzakhani", "Kovalevskaya", "Wu", "Lamarr")


@dataclass(frozen=True, slots=True)
class Factory:
    """Makes records of one application; names are numbered, so that no two are equal."""

    app: Flask
    _number: Iterator[int] = field(default_factory=lambda: count(1))

    def record(self, type_name: str, **values: Any) -> Any:
        """Make a record of any type from what its API would be sent; a record as value stands for its id.

        Raises:
            NotFound: no loaded module has the type.
            InvalidInput: the values are refused.
        """
        payload = {name: _public(value) for name, value in values.items()}
        opened = g.get("crm_uow") if has_app_context() else None
        if opened is not None:
            return create_record(opened, record_type(type_name), payload)
        with self.app.app_context(), writing(SYSTEM) as uow:
            return detached(uow, create_record(uow, record_type(type_name), payload))

    def customer(self, **values: Any) -> Any:
        """Make a customer, a person unless ``kind`` says otherwise."""
        makers = {"organization": self.organization, "household": self.household}
        return makers.get(values.get("kind", "person"), self.person)(**values)

    def person(self, **values: Any) -> Any:
        """Make a person with a name of his own."""
        number = next(self._number)
        if "display_name" not in values:
            values.setdefault("given_name", _GIVEN[number % len(_GIVEN)])
            values.setdefault("family_name", f"{_FAMILY[number % len(_FAMILY)]} {number}")
        return self.record("customer", **{"kind": "person", **values})

    def organization(self, **values: Any) -> Any:
        """Make an organization."""
        name = f"Company {next(self._number)}"
        return self.record("customer", **{"kind": "organization", "display_name": name, **values})

    def household(self, **values: Any) -> Any:
        """Make a household."""
        name = f"Household {next(self._number)}"
        return self.record("customer", **{"kind": "household", "display_name": name, **values})


def detached(uow: UnitOfWork, record: Any) -> Any:
    """Take a record out of the session with its columns loaded, so that it can be read after the commit."""
    uow.session.flush()
    uow.session.refresh(record)
    uow.session.expunge(record)
    return record


def _public(value: Any) -> Any:
    return str(value.uid) if hasattr(value, "uid") else value
