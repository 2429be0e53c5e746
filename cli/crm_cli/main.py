"""The entry point ``crm``: a group that knows its commands by name and imports one only when it is called.

Plugins add commands by the entry point group ``crm.commands``; ``crm --help`` shows their distribution's summary
without importing them, and a broken one is named when it is called, not before.
"""

from __future__ import annotations

import difflib
import importlib
import os
from importlib import metadata

import click

from crm_cli.common import Instance, clear_errors, config_option
from crm_kernel.errors import CrmError, PluginError

#: Entry point group of plugins' commands.
GROUP = "crm.commands"

#: What a command writes (databases, exports, secrets) holds personal data: for the account that runs it alone.
_UMASK = 0o077

#: The kernel's commands: name → (where it is, what it does).
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("crm_cli.init:init", "Create an instance: settings, database, first admin"),
    "serve": ("crm_cli.serve:serve", "Serve pages and API, with the background worker"),
    "live": ("crm_cli.live:live", "Tell open pages of news at once"),
    "worker": ("crm_cli.worker:worker", "Run background work without serving pages"),
    "modules": ("crm_cli.modules:modules", "List, enable, disable, upgrade, remove modules"),
    "db": ("crm_cli.db:db", "Upgrade and check the database"),
    "users": ("crm_cli.users:users", "Create and manage users, roles, API tokens"),
    "roles": ("crm_cli.roles:roles", "Restrict single fields for a role"),
    "fields": ("crm_cli.fields:fields", "Add and change custom fields"),
    "identity-providers": ("crm_cli.identity_providers:providers", "Connect log-in providers (OpenID Connect)"),
    "teams": ("crm_cli.teams:teams", "List and create teams"),
    "import": ("crm_cli.imports:imports", "Import files; undo, resume and list imports"),
    "export": ("crm_cli.records:export", "Export records as CSV"),
    "records": ("crm_cli.catalogue:records", "Show and change records of any type, one or many"),
    "views": ("crm_cli.views:views", "See and carry over saved views"),
    "sales": ("crm_cli.sales:sales", "See what the ledger of sales holds"),
    "rates": ("crm_cli.rates:rates", "See, set and import exchange rates"),
    "privacy": ("crm_cli.privacy:privacy", "Receipts of erasures, and how long customers are kept"),
    "consent": ("crm_cli.consent:consent", "Record consents, keep addresses from being used"),
    "customers": ("crm_cli.customers:customers", "Find customers that are there twice"),
    "identifiers": ("crm_cli.identifiers:identifiers", "Check phone, account and company numbers"),
    "events": ("crm_cli.events:events", "List events, retry deliveries"),
    "webhooks": ("crm_cli.webhooks:webhooks", "Tell other systems of events"),
    "jobs": ("crm_cli.jobs:jobs", "List background jobs, retry dead ones"),
    "rules": ("crm_cli.rules:rules", "See automation rules, replay past events"),
    "access": ("crm_cli.access:access", "Explain what users may do and see"),
    "audit": ("crm_cli.audit:audit", "Read, seal and verify the audit log"),
    "doctor": ("crm_cli.doctor:doctor", "Check the instance and say what to mend"),
    "openapi": ("crm_cli.openapi:openapi", "Print the OpenAPI description of the API"),
    "demo": ("crm_cli.demo:demo", "Fill the instance with a demo company"),
    "mail": ("crm_cli.mail:mail", "Try whether mails arrive"),
    "settings": ("crm_cli.settings:settings", "Change settings while the system runs"),
    "secrets": ("crm_cli.secrets:secrets", "Encrypt what is kept with another secret_key"),
    "config": ("crm_cli.config:config", "Show the settings of file and environment"),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when called and listed without being imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the kernel's commands in their order, then the plugins' by name."""
        return [*COMMANDS, *sorted(_plugin_commands().keys() - COMMANDS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command.

        Raises:
            PluginError: it belongs to a plugin and cannot be loaded.
        """
        if cmd_name in COMMANDS:
            return _load(COMMANDS[cmd_name][0])
        point = _plugin_commands().get(cmd_name)
        if point is None:
            return None
        ctx.ensure_object(Instance).module = _module_of(point)
        return _load_plugin_command(point)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say what became of the module whose command it was, or suggest the nearest name."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            near = difflib.get_close_matches(args[0], known, 1)
            hint = f"Did you mean {near[0]}?" if near else "See: crm --help"
            ctx.fail(f"No such command {args[0]!r}. {_gone_module(ctx, args[0]) or hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the two lists of commands from names and summaries alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_target, summary) in COMMANDS.items()])
        plugins = {name: point for name, point in sorted(_plugin_commands().items()) if name not in COMMANDS}
        if plugins:
            with formatter.section("Commands of installed modules"):
                formatter.write_dl([(name, _summary(point)) for name, point in plugins.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; every error becomes one clear message and a documented exit code."""
        with clear_errors():
            return super().invoke(ctx)


def _gone_module(ctx: click.Context, name: str) -> str:
    """Return what to do if the name is a module of this instance whose code was taken away, else nothing."""
    try:
        # Only here are the database and its library needed; without an instance there is nothing to say.
        from crm_kernel._internal.lifecycle import module_without_code

        tables = module_without_code(ctx.ensure_object(Instance).config(), name)
    except CrmError:
        return ""
    if tables is None:
        return ""
    rows = "its rows are kept. " if tables else "it left no rows. "
    return (
        f"It came with the module {name}, whose code is no longer installed; {rows}"
        f"Install its wheel again to get it back. See: crm modules explain {name}"
    )


def _plugin_commands() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=GROUP)}


def _summary(point: metadata.EntryPoint) -> str:
    return (point.dist.metadata["Summary"] or "") if point.dist is not None else ""


def _module_of(point: metadata.EntryPoint) -> str:
    """Return the module that the command's distribution provides; a command may have another name than its module."""
    provided = point.dist.entry_points.select(group="crm.plugins") if point.dist is not None else ()
    names = {plugin.name for plugin in provided}
    return point.name if point.name in names or not names else sorted(names)[0]


def _load(target: str) -> click.Command:
    module, _, attribute = target.partition(":")
    found: click.Command = getattr(importlib.import_module(module), attribute)
    return found


def _load_plugin_command(point: metadata.EntryPoint) -> click.Command:
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # a plugin may fail in any way; the others' commands go on working
        reason = f"its command cannot be loaded from {point.value}: {type(error).__name__}: {error}"
        raise PluginError(point.name, reason) from error
    if not isinstance(found, click.Command):
        raise PluginError(point.name, f"{point.value} is {found!r}, expected a click command")
    return found


@click.group("crm", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@config_option
@click.version_option(package_name="crm-kernel", prog_name="crm")
def cli() -> None:
    """Install, enable, serve, import and look after a CRM.

    Data is printed on stdout, messages on stderr. Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 not found,
    4 refused before any change, 5 conflict, 6 findings, 7 some rows refused, 130 interrupted.
    """


def main() -> None:
    """Run the command line."""
    os.umask(_UMASK)
    cli(prog_name="crm")


if __name__ == "__main__":
    main()
