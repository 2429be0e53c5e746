"""The table ``module``: which modules are enabled, and the generation number that tells servers to replace workers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.config import Config
from crm_kernel.database import READ_ONLY, Model, make_engine, utcnow
from crm_kernel.errors import DatabaseUnavailable


class ModuleRow(Model):
    """One module this instance knows: enabled, disabled, or uninstalled with its rows kept."""

    __tablename__ = "module"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    #: ``enabled``, ``disabled`` or ``uninstalled``; loaded, failed and orphaned are computed, never stored.
    state: Mapped[str] = mapped_column(sa.String(20))
    version: Mapped[str] = mapped_column(sa.String(40), default="")
    changed_at: Mapped[dt.datetime] = mapped_column(default=utcnow)


class SettingRow(Model):
    """Values that belong to the instance rather than to a file: the module generation, the last start's failure."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    value: Mapped[dict[str, Any]]


class DataMapRow(Model):
    """One column that points at a customer or holds personal data, of any plugin ever enabled.

    Kept when the plugin's code is gone, so that merge, erasure and export still cover its rows.
    """

    __tablename__ = "data_map"

    id: Mapped[int] = mapped_column(primary_key=True)
    plugin: Mapped[str] = mapped_column(sa.String(40), index=True)
    table_name: Mapped[str] = mapped_column(sa.String(120))
    column_name: Mapped[str] = mapped_column(sa.String(120))
    #: ``customer.id`` or ``customer.uid``.
    points_to: Mapped[str | None] = mapped_column(sa.String(120))
    #: Of a reference beside a type: the column of the same table that says ``customer``.
    type_column: Mapped[str | None] = mapped_column(sa.String(120))
    #: Of a reference inside JSON: the member that holds it.
    json_key: Mapped[str | None] = mapped_column(sa.String(120))
    personal: Mapped[bool] = mapped_column(default=False)
    merge_rule: Mapped[str | None] = mapped_column(sa.String(120))
    retention: Mapped[str | None] = mapped_column(sa.String(120))

    __table_args__ = (sa.UniqueConstraint("table_name", "column_name"),)


#: Row of ``setting`` that holds the generation.
GENERATION = "modules.generation"
#: Row of ``setting`` that holds why the newest generation could not be served, if so.
LAST_FAILURE = "modules.last_failure"


def enabled_modules(config: Config) -> Collection[str]:
    """Return the enabled modules: the table's once the database is initialised, the configuration's before.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    if missing_file(config) is not None:
        return config.modules
    engine = make_engine(config.database_url)
    try:
        with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
            if not sa.inspect(connection).has_table("module"):
                return config.modules
            rows = connection.execute(sa.select(ModuleRow.name).where(ModuleRow.state == "enabled"))
            return sorted(rows.scalars())
    except sa.exc.SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", error)).split())
        raise DatabaseUnavailable(f"{config.place_of('database_url')}: {reason}") from error
    finally:
        engine.dispose()


def missing_file(config: Config) -> Path | None:
    """Return the SQLite file that does not exist yet, else None; connecting would create an empty one."""
    path = config.database_url.removeprefix("sqlite:///")
    if path == config.database_url or path in ("", ":memory:") or Path(path).exists():
        return None
    return Path(path)


def refuse_missing(config: Config) -> None:
    """Refuse a SQLite file that does not exist yet: connecting would create an empty one.

    Raises:
        DatabaseUnavailable: it does not.
    """
    absent = missing_file(config)
    if absent is not None:
        place = config.place_of("database_url")
        raise DatabaseUnavailable(
            f"{place}: {absent} does not exist. Restore it from a backup, or create an empty one: crm db upgrade"
        )
