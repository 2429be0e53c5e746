"""Builds the plugin manager and the registry of one application from the list of enabled modules.

Every failure is collected per plugin with its reason; whether to start without the failed ones is the caller's decision.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from crm_kernel._internal.data_map_checks import check_tables
from crm_kernel._internal.discovery import InstalledPlugin, installed_plugins, kernel_version
from crm_kernel._internal.manager import PluginManager, import_plugin
from crm_kernel._internal.registry import KERNEL, Registry, gather
from crm_kernel._internal.resolution import dependencies_of, resolve
from crm_kernel.errors import PluginError
from crm_kernel.plugin import Plugin


@dataclass(frozen=True, slots=True)
class Loaded:
    """The outcome of loading: what is there, and why the rest is not (``manager.failed``)."""

    manager: PluginManager
    registry: Registry


def load_plugins(
    enabled: Collection[str], *, installed: Mapping[str, InstalledPlugin] | None = None, version: str | None = None
) -> Loaded:
    """Load the enabled plugins in dependency order on top of the kernel's own contributions.

    Imports the plugins' code; touches no database. A plugin whose dependency failed fails too, and says through whom.
    """
    from crm_kernel.builtin import KernelPlugin

    installed = installed_plugins() if installed is None else installed
    loaded = Loaded(PluginManager(), Registry())
    _take_in(loaded, KERNEL, KernelPlugin())
    resolution = resolve(enabled, installed, version or kernel_version())
    loaded.manager.failed.update(resolution.problems)
    plugins: dict[str, Plugin] = {}

    def declare(name: str) -> None:
        plugin = import_plugin(installed[name])
        loaded.manager.declare(name, plugin)
        plugins[name] = plugin

    # All hooks first: who implements one of a neighbour that is no dependency may come before it.
    _with_each(resolution.order, loaded, installed, declare)
    _with_each(tuple(plugins), loaded, installed, lambda name: _take_in(loaded, name, plugins[name]))
    return loaded


def _with_each(
    names: Sequence[str], loaded: Loaded, installed: Mapping[str, InstalledPlugin], step: Callable[[str], None]
) -> None:
    """Take one step with each plugin; why one fails, and why those that need it do, is kept."""
    for name in names:
        blocked = sorted(dependencies_of(installed[name], installed) & loaded.manager.failed.keys())
        if blocked:
            loaded.manager.failed[name] = f"needs the module {blocked[0]}, which cannot be loaded"
            continue
        try:
            step(name)
        except PluginError as error:
            loaded.manager.unregister(name, error.reason)


def _take_in(loaded: Loaded, name: str, plugin: Any) -> None:
    loaded.manager.register(name, plugin)
    _configure_models(name, plugin)
    loaded.registry.accept(gather(loaded.manager, name))


def _configure_models(name: str, plugin: Any) -> None:
    """Resolve the plugin's relationships now: a wrong one then names the plugin instead of failing its first query."""
    package = type(plugin).__module__.partition(".")[0]
    for base in DeclarativeBase.__subclasses__():
        if getattr(base, "plugin_name", None) == name and _belongs(base, package):
            try:
                base.registry.configure()
            except sa.exc.SQLAlchemyError as error:
                raise PluginError(name, f"its models cannot be configured: {error}") from error
            check_tables(name, _tables_of(base))


def _tables_of(base: Any) -> list[sa.Table]:
    tables = {table for mapper in base.registry.mappers for table in mapper.tables}
    return [table for table in tables if isinstance(table, sa.Table)]


def _belongs(base: Any, package: str) -> bool:
    return any(mapper.class_.__module__.partition(".")[0] == package for mapper in base.registry.mappers)
