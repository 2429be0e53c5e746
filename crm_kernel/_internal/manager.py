"""Loads plugins and calls their hooks, one plugin at a time, in dependency order.

pluggy's own call aborts at the first raising implementation and runs last-registered-first; a CRM needs to know WHICH
plugin failed and a stable order, so every call here goes to one plugin's implementation.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pluggy

from crm_kernel import hookspecs
from crm_kernel._internal.discovery import InstalledPlugin
from crm_kernel._internal.markers import PROJECT
from crm_kernel.errors import PluginError, RegistrationError
from crm_kernel.plugin import Plugin

log = logging.getLogger("crm.plugins")


@dataclass(slots=True)
class PluginManager:
    """The loaded plugins of one application, in load order, and the reasons why others failed."""

    loaded: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    _pluggy: pluggy.PluginManager = field(default_factory=lambda: _new_pluggy())
    #: hook → its implementations in load order; made at the first call, because policy hooks are asked per request.
    _ordered: dict[str, tuple[tuple[str, pluggy.HookImpl], ...]] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """The names of the loaded plugins, the kernel's own included."""
        return frozenset(self.loaded)

    def declare(self, name: str, plugin: Any) -> None:
        """Take in the hooks that a plugin asks others; those of all plugins, before any of them is registered.

        Raises:
            RegistrationError: one is no ``@hookspec``, lacks the plugin's prefix, or is declared already.
        """
        found = {}
        for hook in getattr(plugin, "hookspecs", ()):
            called = getattr(hook, "__name__", repr(hook))
            if not hasattr(hook, "crm_spec"):
                raise RegistrationError(name, "hookspecs", found=hook, expected="functions marked with @hookspec")
            if not called.startswith(f"{name}_"):
                raise RegistrationError(name, "hook", found=called, expected=f"a name starting '{name}_'")
            if called in found or called in self.hooks:
                raise RegistrationError(name, "hook", found=called, expected="a name not declared yet")
            found[called] = hook
        if found:
            declared = ModuleType(f"hooks of {name}")
            vars(declared).update(found)
            self._pluggy.add_hookspecs(declared)

    @property
    def hooks(self) -> list[str]:
        """The names of all hooks: the kernel's and those that plugins declared."""
        return sorted(name for name, caller in vars(self._pluggy.hook).items() if caller.has_spec())

    def register(self, name: str, plugin: Any) -> None:
        """Take a plugin in and verify its hooks.

        Raises:
            PluginError: an implementation has an unknown name or argument.
        """
        try:
            self._pluggy.register(plugin, name)
            self._pluggy.check_pending()
        except pluggy.PluginValidationError as error:
            self._forget(name, plugin)
            raise PluginError(name, self._explain(error, plugin)) from error
        self.loaded[name] = plugin
        self._ordered.clear()

    def unregister(self, name: str, reason: str) -> None:
        """Take a plugin out again because it failed; nothing of it stays."""
        self._forget(name, self.loaded.pop(name, None))
        self.failed[name] = reason
        self._ordered.clear()

    def implementations(self, hook: str) -> tuple[tuple[str, pluggy.HookImpl], ...]:
        """Return (plugin name, implementation) of a hook in load order."""
        if hook not in self._ordered:
            found = {impl.plugin_name: impl for impl in getattr(self._pluggy.hook, hook).get_hookimpls()}
            self._ordered[hook] = tuple((name, found[name]) for name in self.loaded if name in found)
        return self._ordered[hook]

    def call(self, hook: str, /, **arguments: Any) -> list[tuple[str, Any]]:
        """Call a hook on every plugin and return (plugin name, result) in load order; an exception passes through."""
        return [(name, invoke(impl, arguments)) for name, impl in self.implementations(hook)]

    def call_isolated(
        self, hook: str, guard: Callable[[], AbstractContextManager[None]] = nullcontext, **arguments: Any
    ) -> list[tuple[str, Any]]:
        """Like ``call``, but a raising plugin is logged and left out: for what may be missing (panels, context).

        ``guard`` is entered around each call; with ``attempt`` a failed query does not poison the transaction.
        """
        results = []
        for name, impl in self.implementations(hook):
            try:
                with guard():
                    results.append((name, invoke(impl, arguments)))
            except Exception:
                log.exception("plugin %s failed in hook %s", name, hook)
        return results

    def _explain(self, error: pluggy.PluginValidationError, plugin: Any) -> str:
        said = f"{' '.join(str(error).split())} (in {type(plugin).__module__})"
        return (
            f"{said}. Hooks of the kernel and the enabled modules: {', '.join(self.hooks)}. "
            "For a hook of a module that may be absent: @hookimpl(optionalhook=True)"
        )

    def _forget(self, name: str, plugin: Any) -> None:
        if plugin is not None and self._pluggy.has_plugin(name):
            self._pluggy.unregister(plugin, name)


def invoke(impl: pluggy.HookImpl, arguments: Mapping[str, Any]) -> Any:
    """Call one implementation with those arguments it asks for."""
    return impl.function(*(arguments[name] for name in impl.argnames))


def import_plugin(installed: InstalledPlugin) -> Plugin:
    """Import a plugin's class and return an instance.

    Raises:
        PluginError: the import fails for any reason, or what the entry point names is no ``Plugin`` of that name.
    """
    module_name, _, attribute = installed.target.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
        if not (isinstance(found, type) and issubclass(found, Plugin)):
            raise PluginError(
                installed.name, f"entry point {installed.target} is {found!r}, expected a Plugin subclass"
            )
        if getattr(found, "name", None) != installed.name:
            raise PluginError(
                installed.name,
                f"{installed.target}.name is {getattr(found, 'name', None)!r}, expected {installed.name!r}",
            )
        for module in found.model_modules:
            importlib.import_module(module if not module.startswith(".") else installed.package + module)
        return found()
    except PluginError:
        raise
    except (Exception, SystemExit) as error:  # a plugin may fail in any way at import; the host must live on
        raise PluginError(installed.name, f"cannot be imported: {type(error).__name__}: {error}") from error


def _new_pluggy() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager
