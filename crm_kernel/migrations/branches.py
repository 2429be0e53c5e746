"""A branch: the chain of revisions of the kernel or of one plugin, with a version table of its own.

A version table per branch is what lets the kernel go on migrating when a plugin's code is gone: one shared table makes
every Alembic command die with "Can't locate revision" after a plain ``pip uninstall``.
"""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError

from crm_kernel._internal.discovery import InstalledPlugin
from crm_kernel.errors import PluginError

KERNEL = "kernel"
#: Start of every branch's version table.
VERSION_TABLE_PREFIX = "alembic_version_"
_HOME = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Branch:
    """The revisions of the kernel or of one plugin."""

    #: ``kernel`` or the plugin's name; also the Alembic branch label.
    name: str
    #: Folder of the revisions; None when the plugin's code is gone or it ships none.
    versions: Path | None

    @property
    def version_table(self) -> str:
        """Name of the table that holds the branch's current revision."""
        return f"{VERSION_TABLE_PREFIX}{self.name}"


def kernel_branch() -> Branch:
    """Return the kernel's own branch."""
    return Branch(KERNEL, _HOME / "versions")


def plugin_branch(name: str, installed: InstalledPlugin | None) -> Branch:
    """Return a plugin's branch, found without importing the plugin; without revisions when its code is gone."""
    folder = _package_folder(installed.package) if installed else None
    versions = folder / "migrations" / "versions" if folder else None
    return Branch(name, versions if versions and versions.is_dir() else None)


def package_folder(installed: InstalledPlugin) -> Path:
    """Return the folder of a plugin's package.

    Raises:
        PluginError: the distribution names a package that is not there.
    """
    folder = _package_folder(installed.package)
    if folder is None:
        raise PluginError(installed.name, f"its package {installed.package} cannot be found: reinstall it")
    return folder


def alembic_config(branch: Branch, **attributes: object) -> AlembicConfig:
    """Return Alembic's configuration for one branch; ``attributes`` reach ``env.py``."""
    config = AlembicConfig(cmd_opts=Namespace(quiet=True))  # Alembic's own messages would go to stdout
    config.set_main_option("script_location", _escaped(_HOME))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", _escaped(branch.versions) if branch.versions else "")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes.update(branch=branch, **attributes)
    return config


def scripts_of(branch: Branch) -> ScriptDirectory:
    """Return the revisions of a branch."""
    return ScriptDirectory.from_config(alembic_config(branch))


def head_of(branch: Branch) -> str | None:
    """Return the newest revision the installed code knows, or None without any.

    Raises:
        PluginError: two heads, a broken chain or a revision file that cannot be imported.
    """
    if branch.versions is None:
        return None
    try:
        heads = scripts_of(branch).get_heads()
    except (CommandError, Exception) as error:  # a revision file is a plugin's code: it may fail in any way
        raise PluginError(branch.name, f"its migrations cannot be read: {type(error).__name__}: {error}") from error
    if len(heads) > 1:
        raise PluginError(branch.name, f"its migrations have {len(heads)} heads ({', '.join(heads)}), expected one")
    return heads[0] if heads else None


def current_of(connection: sa.Connection, branch: Branch) -> str | None:
    """Return the revision the database is at, or None before the first one.

    Raises:
        PluginError: the version table names several.
    """
    found = MigrationContext.configure(connection, opts={"version_table": branch.version_table}).get_current_heads()
    if len(found) > 1:
        raise PluginError(branch.name, f"{branch.version_table} holds {len(found)} revisions, expected one")
    return found[0] if found else None


def chain_of(branch: Branch) -> list[Script]:
    """Return all revisions of a branch, oldest first."""
    return list(reversed(list(scripts_of(branch).walk_revisions()))) if branch.versions else []


def pending_of(branch: Branch, current: str | None) -> list[Script]:
    """Return the revisions after ``current``, oldest first.

    Raises:
        PluginError: the code does not know ``current``: the database was upgraded by a newer version.
    """
    chain = chain_of(branch)
    if current is None:
        return chain
    known = [script.revision for script in chain]
    if current not in known:
        raise PluginError(
            branch.name,
            f"the database is at its revision {current}, which the installed version does not know "
            f"(it ends at {known[-1] if known else 'none'}). Install the newer version again",
        )
    return chain[known.index(current) + 1 :]


def stored_branches(connection: sa.Connection) -> list[str]:
    """Return the names of the branches that have a version table in the database, sorted, the kernel's included."""
    tables = sa.inspect(connection).get_table_names()
    return sorted(t.removeprefix(VERSION_TABLE_PREFIX) for t in tables if t.startswith(VERSION_TABLE_PREFIX))


def _package_folder(package: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(package)  # of a top-level package: finds it without running it
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")
