"""What the supervisor knows of the database: the generation and set of modules, and where it leaves a failure."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from crm_kernel._internal.lifecycle import store
from crm_kernel._internal.modules import enabled_modules
from crm_kernel.config import Config
from crm_kernel.database import utcnow
from crm_kernel.errors import DatabaseUnavailable

log = logging.getLogger("crm.serve")


@dataclass(frozen=True, slots=True)
class ModuleSet:
    """The enabled modules of one generation."""

    generation: int
    modules: tuple[str, ...]


def current_set(config: Config) -> ModuleSet:
    """Return the generation and its modules; the generation is read first, so that a change in between is seen again.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    generation = current_generation(config)
    return ModuleSet(generation, tuple(enabled_modules(config)))


def current_generation(config: Config) -> int:
    """Return the module generation; one short read.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    with store.reading_rows(config) as connection:
        return store.generation(connection)


def remember_failure(config: Config, found: ModuleSet, reason: str) -> None:
    """Store why a set cannot be served, for ``crm modules list``; a database that cannot take it is logged only."""
    module = reason.partition(":")[0]
    failure = {
        "generation": found.generation,
        "module": module if module in found.modules else "",
        "reason": reason.partition("\n")[0],
        "at": utcnow().isoformat(),
    }
    _write(config, failure)


def forget_failure(config: Config) -> None:
    """Remove a stored failure: the newest set is being served."""
    _write(config, None)


def _write(config: Config, failure: dict[str, object] | None) -> None:
    try:
        with store.reading_rows(config) as connection:
            if store.last_failure(connection) == failure:
                return
        with store.writing_rows(config) as connection:
            store.write_failure(connection, failure)
    except DatabaseUnavailable as error:
        log.warning("the outcome of the start could not be stored: %s", error)
