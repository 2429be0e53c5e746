"""What enabling or upgrading a module would change, without changing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crm_kernel._internal import migrations
from crm_kernel._internal.discovery import installed_plugins
from crm_kernel._internal.lifecycle import store
from crm_kernel._internal.lifecycle.inspection import inspect_modules
from crm_kernel._internal.modules import missing_file
from crm_kernel._internal.resolution import dependants_of, dependencies_of
from crm_kernel.config import Config
from crm_kernel.errors import NotFound, PluginError


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one module brings, and what stands in its way."""

    module: str
    version: str
    state: str
    #: Modules it needs, and whether they are enabled.
    needs: Mapping[str, bool]
    #: Enabled modules that need it.
    dependants: Sequence[str]
    #: Module → reason, for every module of the set that could not be loaded with it.
    conflicts: Mapping[str, str]
    #: The schema change as SQL of this instance's database.
    sql: Sequence[str]
    #: Why the SQL cannot be told, if so.
    sql_problem: str
    routes: Sequence[str]
    permissions: Sequence[str]
    #: Kind (``events``, ``nav``, ``settings``, ``panels``, …) → names.
    contributions: Mapping[str, Sequence[str]]
    #: Columns with personal data or a customer's key: ``table.column``.
    personal_columns: Sequence[str]


def plan_module(config: Config, name: str) -> Plan:
    """Return what enabling (or upgrading) a module would change: schema, routes, permissions, events, conflicts.

    The schema change runs in a transaction that is rolled back, so it is the SQL of this database with its rows.

    Raises:
        NotFound: it is not installed.
        DatabaseUnavailable: the database exists but cannot be reached.
    """
    installed = installed_plugins()
    if name not in installed:
        raise NotFound(
            f"module {name}: no installed distribution provides it: install its wheel first. "
            f"Installed: {', '.join(installed) or 'none'}. See: crm modules list"
        )
    rows = _rows(config)
    enabled = {other for other, row in rows.items() if row.state == "enabled"}
    inspection = inspect_modules(config, enabled | {name})
    sql, problem = _sql(config, name)
    return Plan(
        module=name,
        version=installed[name].version,
        state=rows[name].state if name in rows else "installed",
        needs={other: other in enabled for other in sorted(dependencies_of(installed[name], installed))},
        dependants=dependants_of(name, enabled, installed),
        conflicts=dict(inspection.failed),
        sql=sql,
        sql_problem=problem,
        routes=inspection.routes.get(name, ()),
        permissions=inspection.permissions.get(name, ()),
        contributions=inspection.contributions.get(name, {}),
        personal_columns=[f"{row['table_name']}.{row['column_name']}" for row in inspection.data_map.get(name, ())],
    )


def _rows(config: Config) -> dict[str, store.StoredModule]:
    if missing_file(config) is not None:
        return {}
    with store.reading_rows(config) as connection:
        return store.stored_modules(connection)


def _sql(config: Config, name: str) -> tuple[list[str], str]:
    if missing_file(config) is not None:
        return [], "there is no database yet: crm db upgrade"
    try:
        return migrations.plan(config, name), ""
    except (PluginError, migrations.MigrationFailed) as error:
        return [], str(error)
