"""What the command line and the lifecycle ask of migrations: upgrade, status, plan, check, revision.

Nothing here runs at start-up. A plugin's code is imported only to compare or generate (``check``, ``revision``);
upgrading reads its revision files alone, so that it works while the plugin itself is broken.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from crm_kernel._internal.discovery import installed_plugins, kernel_version
from crm_kernel._internal.manager import import_plugin
from crm_kernel._internal.modules import enabled_modules, missing_file, refuse_missing
from crm_kernel._internal.resolution import resolve
from crm_kernel.config import Config
from crm_kernel.database import READ_ONLY
from crm_kernel.errors import NotFound, PluginError
from crm_kernel.migrations.autogenerate import drift, import_kernel_models
from crm_kernel.migrations.branches import (
    KERNEL,
    Branch,
    current_of,
    head_of,
    kernel_branch,
    package_folder,
    pending_of,
    plugin_branch,
    stored_branches,
)
from crm_kernel.migrations.running import (
    Applied,
    MigrationFailed,
    apply_next,
    migration_connection,
    refuse_impossible,
    rehearse,
    revert_all,
)
from crm_kernel.migrations.writing import write_revision

__all__ = [
    "Applied",
    "BranchStatus",
    "MigrationFailed",
    "check",
    "check_all",
    "downgrade",
    "plan",
    "rehearsal",
    "revision",
    "revision_text",
    "status",
    "upgrade",
]


@dataclass(frozen=True, slots=True)
class BranchStatus:
    """Where one branch stands.

    ``state`` is ``current``, ``behind``, ``ahead`` (of the installed code), ``empty`` (no revisions), ``unused`` (its
    module was never enabled here), ``broken`` (its revisions cannot be read) or ``orphaned`` (its code is gone).
    """

    branch: str
    state: str
    current: str | None
    head: str | None
    #: Revisions to apply, oldest first.
    pending: tuple[str, ...]
    #: What to do about it, if anything.
    hint: str = ""


def upgrade(
    config: Config, modules: Collection[str] | None = None, *, report: Callable[[Applied], None] = lambda applied: None
) -> list[Applied]:
    """Apply what is pending for the kernel, then for the modules in dependency order; return what this call applied.

    Args:
        modules: the modules to upgrade (``kernel`` alone for none); those enabled if not given.
        report: called after each revision has been committed.

    Raises:
        PluginError: refused before the first statement: database ahead of the code, or the kernel too old.
        MigrationFailed: a revision failed and was rolled back; a second run goes on there.
        DatabaseUnavailable: it cannot be reached, is locked or read-only.
    """
    branches = ordered_branches(config, modules)
    applied = []
    with migration_connection(config) as connection:
        refuse_impossible(connection, branches)
        for branch in branches:
            while step := apply_next(connection, branch):
                applied.append(step)
                report(step)
    return applied


def rehearsal(config: Config, modules: Collection[str] | None = None) -> tuple[list[Applied], list[str]]:
    """Return what ``upgrade`` would apply, and its SQL, by doing it in a transaction that is rolled back."""
    branches = ordered_branches(config, modules)
    with tempfile.TemporaryDirectory() as folder:
        if missing_file(config) is not None:  # a rehearsal must not create it
            config = config.replace(database_url=f"sqlite:///{folder}/rehearsal.db")
        with migration_connection(config) as connection:
            refuse_impossible(connection, branches)
            return rehearse(connection, branches)


def plan(config: Config, name: str) -> list[str]:
    """Return the SQL that upgrading one module would run, the kernel's own pending revisions left out."""
    branch = find_branch(name)
    with migration_connection(config) as connection:
        refuse_impossible(connection, [branch])
        return rehearse(connection, [branch])[1]


def downgrade(config: Config, name: str) -> None:
    """Undo every revision of one branch; its rows are lost. For the conformance tests of plugins."""
    with migration_connection(config) as connection:
        revert_all(connection, find_branch(name))


def status(config: Config) -> list[BranchStatus]:
    """Return where every branch stands, the kernel first: installed plugins, and those with a version table only."""
    refuse_missing(config)
    installed, enabled = installed_plugins(), {KERNEL, *enabled_modules(config)}
    with migration_connection(config) as connection:
        reader = connection.execution_options(**{READ_ONLY: True})
        with reader.begin():
            stored = stored_branches(reader)
            names = sorted((installed.keys() | set(stored)) - {KERNEL})
            branches = [kernel_branch(), *(plugin_branch(name, installed.get(name)) for name in names)]
            found = [_status(branch, current_of(reader, branch), branch.name in installed) for branch in branches]
    return [
        _unused(branch)
        if branch.state == "behind" and branch.current is None and branch.branch not in enabled
        else branch
        for branch in found
    ]


def check(config: Config, name: str) -> list[str]:
    """Return how the tables of a branch differ from its models, one line each; imports the plugin.

    Raises:
        PluginError: the plugin cannot be imported.
        NotFound: no such plugin is installed.
    """
    refuse_missing(config)
    branch = find_branch(name)
    _import_models(name)
    with migration_connection(config) as connection, connection.begin():
        return drift(connection, branch)


def check_all(config: Config, names: Collection[str] | None = None) -> dict[str, list[str]]:
    """Return branch → differences for the kernel and the enabled modules (or the named branches).

    A module that cannot be imported or migrated is a finding of its own, not an end.

    Raises:
        NotFound: a branch that was named is not installed.
        DatabaseUnavailable: it cannot be reached.
    """
    for name in names or ():
        find_branch(name)
    findings: dict[str, list[str]] = {}
    wanted = names or [KERNEL, *enabled_modules(config)]
    standing = {branch.branch: branch for branch in status(config)}
    for name in wanted:
        branch = standing.get(name)
        if branch is None:
            findings[name] = ["its code is not installed"]
        elif branch.state not in ("current", "empty"):
            findings[name] = [f"its tables are {branch.state}: {branch.hint}"]
        else:
            findings[name] = _checked(config, name)
    return findings


def _checked(config: Config, name: str) -> list[str]:
    try:
        return check(config, name)
    except PluginError as error:
        return [error.reason]


def revision(name: str, message: str, *, now: dt.datetime) -> Path:
    """Write the next revision of a branch from the difference between its models and its revisions; return the file.

    Needs no instance: the revisions so far are applied to an empty SQLite database of its own.

    Raises:
        Conflict: nothing differs.
        PluginError: the plugin cannot be imported.
    """
    _import_models(name)
    versions = _versions_of(name)
    versions.mkdir(parents=True, exist_ok=True)
    return _write(Branch(name, versions), message, now)


def revision_text(name: str, message: str, *, now: dt.datetime) -> str:
    """Return what ``revision`` would write, from a copy of the branch's revisions; nothing is written beside them.

    Raises:
        Conflict: nothing differs.
        PluginError: the plugin cannot be imported.
    """
    _import_models(name)
    with tempfile.TemporaryDirectory() as folder:
        copy, versions = Path(folder) / "versions", _versions_of(name)
        if versions.is_dir():
            shutil.copytree(versions, copy)
        copy.mkdir(exist_ok=True)
        return _write(Branch(name, copy), message, now).read_text(encoding="utf-8")


def _write(branch: Branch, message: str, now: dt.datetime) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Config(database_url=f"sqlite:///{folder}/scratch.db", source="scratch")
        with migration_connection(scratch) as connection:
            while apply_next(connection, branch):
                pass
            with connection.begin():
                return write_revision(connection, branch, message, now=now)


def ordered_branches(config: Config, modules: Collection[str] | None) -> list[Branch]:
    """Return the kernel's branch and the modules' in dependency order; modules without code are left out.

    Raises:
        NotFound: a module that was named is not installed.
    """
    installed = installed_plugins()
    if modules is None:
        wanted = {name for name in enabled_modules(config) if name in installed}
    else:
        wanted = set(modules) - {KERNEL}
        for name in sorted(wanted - installed.keys()):
            raise NotFound(f"module {name}: no installed distribution provides it. Installed: {_listed(installed)}")
    order = resolve(wanted, installed, kernel_version()).order
    rest = sorted(wanted - set(order))  # unloadable ones still migrate: their tables must not fall behind
    return [kernel_branch(), *(plugin_branch(name, installed[name]) for name in (*order, *rest))]


def find_branch(name: str) -> Branch:
    """Return the branch of the kernel or of an installed plugin.

    Raises:
        NotFound: no such plugin is installed.
    """
    installed = installed_plugins()
    if name == KERNEL:
        return kernel_branch()
    if name not in installed:
        raise NotFound(f"module {name}: no installed distribution provides it. Installed: {_listed(installed)}")
    return plugin_branch(name, installed[name])


def _listed(installed: Collection[str]) -> str:
    return ", ".join(sorted(installed)) or "none"


def _status(branch: Branch, current: str | None, is_installed: bool) -> BranchStatus:
    if branch.name != KERNEL and not is_installed:
        hint = f"its code is gone: install it again, or crm modules purge {branch.name}"
        return BranchStatus(branch.name, "orphaned", current, None, (), hint)
    try:
        head = head_of(branch)
        pending = tuple(script.revision for script in pending_of(branch, current))
    except PluginError as error:
        return BranchStatus(
            branch.name, "ahead" if "does not know" in error.reason else "broken", current, None, (), error.reason
        )
    state = "behind" if pending else "current" if head else "empty"
    return BranchStatus(branch.name, state, current, head, pending, "crm db upgrade" if pending else "")


def _unused(branch: BranchStatus) -> BranchStatus:
    return replace(branch, state="unused", hint=f"crm modules enable {branch.branch}")


def _import_models(name: str) -> None:
    import_kernel_models()
    if name != KERNEL:
        find_branch(name)
        import_plugin(installed_plugins()[name])


def _versions_of(name: str) -> Path:
    folder = kernel_branch().versions
    if name != KERNEL:
        folder = package_folder(installed_plugins()[name]) / "migrations" / "versions"
    assert folder is not None
    return folder
