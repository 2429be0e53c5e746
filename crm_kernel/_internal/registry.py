"""What the loaded plugins contribute: gathered per plugin, checked before anything is accepted, sorted for all time.

All records of a plugin are accepted or none: a plugin that fails half-way leaves no route, permission or panel behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from flask import Blueprint

from crm_kernel import contributions as c
from crm_kernel._internal.checks import check_address, check_extension, check_record_type
from crm_kernel._internal.manager import PluginManager
from crm_kernel.errors import PluginError, RegistrationError
from crm_kernel.events import Event
from crm_kernel.jobs.cron import InvalidSchedule, checked_cron, checked_zone
from crm_kernel.records.calendar import keep_to_calendar
from crm_kernel.records.record_type import VERBS, Extension, RecordType

if TYPE_CHECKING:
    from marshmallow import Schema


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of record: the hook that returns it, its type, and how its name must start."""

    hook: str
    type: type[Any]
    #: Whether names start with ``<plugin>.`` (blueprints and extensions have their own rule).
    prefixed: bool = True
    #: Whether the hook returns classes instead of instances.
    is_class: bool = False


KINDS: Mapping[str, Kind] = {
    "settings": Kind("crm_register_settings", c.Setting),
    "permissions": Kind("crm_register_permissions", c.Permission),
    "events": Kind("crm_register_events", Event, is_class=True),
    "record_types": Kind("crm_register_record_types", RecordType),
    "extensions": Kind("crm_register_extensions", Extension, prefixed=False),
    "blueprints": Kind("crm_register_blueprints", Blueprint, prefixed=False),
    "nav": Kind("crm_register_nav", c.NavItem),
    "panels": Kind("crm_register_panels", c.Panel),
    "dashboard_tiles": Kind("crm_register_dashboard_tiles", c.DashboardTile),
    "subscribers": Kind("crm_register_subscribers", c.Subscriber),
    "jobs": Kind("crm_register_jobs", c.Job),
    "health_checks": Kind("crm_register_health_checks", c.HealthCheck),
    "import_mappings": Kind("crm_register_import_mappings", c.ImportMapping, prefixed=False),
    "rule_actions": Kind("crm_register_rule_actions", c.RuleAction),
    "contact_rules": Kind("crm_register_contact_rules", c.ContactRule),
    "notification_kinds": Kind("crm_register_notification_kinds", c.NotificationKind),
    "inbound_webhooks": Kind("crm_register_inbound_webhooks", c.InboundWebhook),
    "palette_commands": Kind("crm_register_palette_commands", c.PaletteCommand),
    "demo_data": Kind("crm_register_demo_data", c.DemoData),
}

#: The kernel's own contributions come under this name; its record types carry no prefix.
KERNEL = "kernel"


@dataclass(slots=True)
class Contributions:
    """Everything one plugin contributes, gathered before anything is accepted: all of it or nothing."""

    plugin: str
    by_kind: dict[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Registry:
    """All accepted records by kind and name; iteration is by (order, plugin in load order, name)."""

    records: dict[str, dict[str, Any]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    #: (kind, name) → plugin that contributed it.
    owners: dict[tuple[str, str], str] = field(default_factory=dict)
    _sorted: dict[str, list[Any]] = field(default_factory=dict)

    def all(self, kind: str) -> list[Any]:
        """Return the records of a kind in their lasting order; a list of the caller's own."""
        if kind not in self._sorted:
            self._sorted[kind] = sorted(self.records[kind].values(), key=lambda record: getattr(record, "order", 50))
        return list(self._sorted[kind])

    def get(self, kind: str, name: str) -> Any | None:
        """Return the record of that name, or None."""
        return self.records[kind].get(name)

    def owner(self, kind: str, name: str) -> str:
        """Return the plugin that contributed a record."""
        return self.owners[kind, name]

    def of_plugin(self, plugin: str) -> dict[str, list[Any]]:
        """Return what one plugin contributes: kind → records."""
        return {
            kind: [record for name, record in records.items() if self.owners[kind, name] == plugin]
            for kind, records in self.records.items()
        }

    def permissions(self) -> dict[str, str]:
        """Return every permission an admin can grant → its label: the listed ones and those of the record types."""
        found = {permission.name: permission.label for permission in self.all("permissions")}
        for record_type in self.all("record_types"):
            for verb in dict.fromkeys((*VERBS, *record_type.granted)):
                found.setdefault(record_type.permission(verb), f"{record_type.label_plural}: {verb}")
        return found

    def extensions_of(self, host: str) -> list[Extension]:
        """Return the extensions of a record type, in order."""
        return [extension for extension in self.all("extensions") if extension.host == host]

    def accept(self, contributed: Contributions) -> None:
        """Check one plugin's records against the rules and each other, then take them all in.

        Raises:
            RegistrationError: a record has the wrong type, a name without prefix or one that is taken, or is inconsistent.
        """
        staged = {
            kind: [self._checked(contributed.plugin, kind, record) for record in records]
            for kind, records in contributed.by_kind.items()
        }
        self._refuse_duplicates(contributed.plugin, staged)
        self._refuse_inconsistent(contributed.plugin, staged)
        self._sorted.clear()
        for schema in _schemas(staged):
            keep_to_calendar(schema)
        for kind, records in staged.items():
            for record in records:
                self.records[kind][_name(record)] = record
                self.owners[kind, _name(record)] = contributed.plugin

    def _checked(self, plugin: str, kind: str, record: Any) -> Any:
        rule = KINDS[kind]
        if rule.is_class:
            fits = isinstance(record, type) and issubclass(record, rule.type)
        else:
            fits = isinstance(record, rule.type)
        if not fits:
            raise RegistrationError(plugin, rule.hook, found=record, expected=f"records of type {rule.type.__name__}")
        name = _name(record)
        if kind == "blueprints" and name != plugin and not name.startswith(f"{plugin}_") and plugin != KERNEL:
            raise RegistrationError(
                plugin, "blueprint", found=name, expected=f"'{plugin}' or a name starting '{plugin}_'"
            )
        if kind == "blueprints" and plugin != KERNEL:
            check_address(plugin, record)
        if kind == "extensions" and name.partition("@")[0] != plugin:
            raise RegistrationError(plugin, "extension", found=record.name, expected=f"the plugin's name {plugin!r}")
        if rule.prefixed and plugin != KERNEL and not name.startswith(f"{plugin}."):
            raise RegistrationError(
                plugin, f"{rule.type.__name__} name", found=name, expected=f"a name starting '{plugin}.'"
            )
        return record

    def _refuse_duplicates(self, plugin: str, staged: Mapping[str, list[Any]]) -> None:
        for kind, records in staged.items():
            taken = {name: self.owners[kind, name] for name in self.records[kind]}
            for record in records:
                name = _name(record)
                if name in taken:
                    raise RegistrationError(
                        plugin, KINDS[kind].hook, found=name, expected=f"a name not yet taken (by {taken[name]})"
                    )
                taken[name] = plugin

    def _refuse_inconsistent(self, plugin: str, staged: Mapping[str, list[Any]]) -> None:
        for record_type in staged.get("record_types", []):
            check_record_type(plugin, record_type)
        for job in staged.get("jobs", []):
            _refuse_bad_schedule(plugin, job)
        hosts = {**self.records["record_types"], **{r.name: r for r in staged.get("record_types", [])}}
        for extension in staged.get("extensions", []):
            check_extension(plugin, extension, hosts)


def _refuse_bad_schedule(plugin: str, job: c.Job) -> None:
    if job.schedule is None:
        return
    try:
        checked_cron(job.schedule)
        if job.timezone != "site":
            checked_zone(job.timezone)
    except InvalidSchedule as error:
        raise RegistrationError(plugin, f"job {job.name}", found=job.schedule, expected=str(error)) from error


def gather(manager: PluginManager, plugin: str) -> Contributions:
    """Ask one plugin all its ``crm_register_*`` hooks.

    Raises:
        PluginError: a hook raised, or returned something that is no sequence.
    """
    found = Contributions(plugin)
    for kind, rule in KINDS.items():
        for name, impl in manager.implementations(rule.hook):
            if name == plugin:
                found.by_kind[kind] = list(
                    _asked(plugin, rule.hook, cast("Callable[[], Iterable[Any]]", impl.function))
                )
    return found


def _asked(plugin: str, hook: str, ask: Callable[[], Iterable[Any]]) -> Iterable[Any]:
    try:
        answer = ask()
    except Exception as error:
        raise PluginError(plugin, f"{hook} raised {type(error).__name__}: {error}") from error
    if not isinstance(answer, list | tuple):
        raise RegistrationError(plugin, hook, found=answer, expected="a list of records")
    return answer


def _schemas(staged: Mapping[str, list[Any]]) -> Iterator[type[Schema]]:
    for record in (*staged.get("record_types", []), *staged.get("extensions", [])):
        yield record.schema
        yield from (action.schema for action in getattr(record, "actions", ()) if action.schema is not None)


def _name(record: Any) -> str:
    # One plugin may extend several hosts: the host is part of an extension's identity.
    return f"{record.name}@{record.host}" if isinstance(record, Extension) else str(record.name)
