"""What a rule is, what it is asked about, and the list of all rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa
    from flask import Flask

    from crm_kernel._internal.discovery import InstalledPlugin
    from crm_kernel._internal.runtime import Runtime
    from crm_kernel.config import Config
    from crm_kernel.testing.apps import Apps

Check = Callable[["Subject"], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: ``check(subject)`` yields one line per violation, nothing if the plugin conforms."""

    id: str
    why: str
    check: Check
    #: Whether it looks at the database, and therefore runs on each kind.
    schema: bool = False


#: Every rule, in the order in which a plugin author wants to hear of them.
RULES: list[Rule] = []


def rule(id: str, why: str, *, schema: bool = False) -> Callable[[Check], Check]:
    """Add a function to the rules."""

    def add(check: Check) -> Check:
        RULES.append(Rule(id, why, check, schema))
        return check

    return add


@dataclass(frozen=True)
class Subject:
    """The plugin that is looked at, and what is needed to look at it; nothing is loaded before it is asked for."""

    plugin: str
    apps: Apps
    #: ``sqlite`` or ``postgresql``.
    kind: str

    @cached_property
    def installed(self) -> InstalledPlugin:
        """What the plugin's wheel says."""
        from crm_kernel._internal.discovery import installed_plugins

        return installed_plugins()[self.plugin]

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """The plugin and what it needs, dependencies first."""
        from crm_kernel._internal.discovery import installed_plugins, kernel_version
        from crm_kernel._internal.resolution import dependencies_of, resolve

        installed, wanted = installed_plugins(), {self.plugin}
        while more := {need for name in wanted for need in dependencies_of(installed[name], installed)} - wanted:
            wanted |= more
        return resolve(wanted, installed, kernel_version()).order or (self.plugin,)

    @cached_property
    def url(self) -> str:
        """A database of this subject's own, migrated, with the plugin enabled."""
        return self.apps.databases.fresh(self.kind, self.modules, f"conformance_{self.plugin}")

    @cached_property
    def config(self) -> Config:
        """Settings of an instance on ``url``."""
        from crm_kernel.testing.apps import config_for

        return config_for(self.url)

    @cached_property
    def app(self) -> Flask:
        """The application with the plugin and what it needs; forms need no CSRF token."""
        app = self.apps.on_fresh_database(self.kind, self.modules)
        app.config["WTF_CSRF_ENABLED"] = False
        return app

    @cached_property
    def runtime(self) -> Runtime:
        """The application's plugins and registry."""
        from crm_kernel._internal.runtime import runtime_of

        return runtime_of(self.app)

    @cached_property
    def records(self) -> dict[str, list[Any]]:
        """What the plugin contributes: kind → records."""
        return self.runtime.registry.of_plugin(self.plugin)

    @cached_property
    def folder(self) -> Path:
        """The plugin's package."""
        import importlib

        return Path(str(importlib.import_module(self.installed.package).__file__)).parent

    @cached_property
    def readme(self) -> str:
        """The README as the wheel carries it."""
        found = metadata.metadata(self.installed.distribution)
        return str(found.get("Description") or found.get_payload() or "")  # type: ignore[attr-defined]

    @cached_property
    def tables(self) -> list[sa.Table]:
        """The plugin's mapped tables, those they point to first."""
        from crm_kernel import database

        self.runtime  # noqa: B018 - building the application imports the models
        return [table for table in database.metadata.sorted_tables if table.name.startswith(f"{self.plugin}_")]

    def owns_endpoint(self, endpoint: str) -> bool:
        """Say whether a route belongs to the plugin: its own blueprints, or what its record types give."""
        parts = [part.removeprefix("api_") for part in endpoint.split(".")]
        return any(part == self.plugin or part.startswith(f"{self.plugin}_") for part in parts)


def declared_permissions(view: Any) -> dict[str, str]:
    """Return what a view asks for: HTTP method or ``default`` → permission."""
    found = getattr(view, "crm_permission", None) or getattr(getattr(view, "view_class", None), "crm_permission", None)
    return dict(found or {})
