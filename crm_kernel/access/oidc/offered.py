"""Which providers the log-in page offers: in the memory of every process, because anybody may ask for that page.

Read when an application is built. A change raises the module generation, so that servers replace their workers, and
renews the memory of the process that made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask import Flask, current_app

from crm_kernel._internal.lifecycle import store
from crm_kernel._internal.modules import missing_file
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.oidc.models import IdentityProvider

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Key of ``app.extensions``.
_HELD = "crm_offered_providers"


@dataclass(frozen=True, slots=True)
class Offered:
    """A button of the log-in page."""

    uid: str
    name: str


def offered_providers() -> list[Offered]:
    """Return the providers that the log-in page offers, by name; no query."""
    found: list[Offered] = current_app.extensions.get(_HELD, [])
    return found


def load_offered(app: Flask) -> None:
    """Read the providers into the memory of a new application; nothing before the tables exist.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    config = runtime_of(app).config
    if missing_file(config) is not None:
        return
    with store.reading_rows(config) as connection:
        if sa.inspect(connection).has_table(IdentityProvider.__tablename__):
            app.extensions[_HELD] = _read(connection)


def offer_anew(uow: UnitOfWork) -> None:
    """Let every process learn of a change of providers, from this transaction's commit on."""
    uow.session.flush()
    connection, memory = uow.session.connection(), current_app.extensions
    store.lock_modules(connection)
    store.raise_generation(connection)
    found = _read(connection)
    uow.after_commit(lambda: memory.update({_HELD: found}))


def _read(connection: sa.Connection) -> list[Offered]:
    wanted = sa.select(IdentityProvider.uid, IdentityProvider.name).where(IdentityProvider.enabled)
    return [Offered(str(row.uid), row.name) for row in connection.execute(wanted.order_by(IdentityProvider.name))]
