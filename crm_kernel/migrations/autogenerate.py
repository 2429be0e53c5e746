"""What belongs to a branch, how its types are written in a revision, and how models and tables are compared."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import crm_kernel
from crm_kernel import database
from crm_kernel.migrations.branches import KERNEL, Branch


def options(branch: Branch) -> dict[str, Any]:
    """Return the arguments of Alembic's ``configure`` for a branch."""
    return {
        "version_table": branch.version_table,
        "target_metadata": database.metadata,
        "render_as_batch": True,
        "transactional_ddl": True,
        "compare_type": True,
        "include_name": _name_filter(branch),
        "include_object": _object_filter(branch),
        "render_item": render_item,
    }


def import_kernel_models() -> None:
    """Import every module with tables of the kernel, so that the MetaData is complete."""
    home = Path(crm_kernel.__file__).parent
    for path in sorted([*home.rglob("models.py"), *home.rglob("models/*.py"), home / "_internal" / "modules.py"]):
        dotted = ".".join(path.relative_to(home.parent).with_suffix("").parts)
        importlib.import_module(dotted.removesuffix(".__init__"))


def drift(connection: sa.Connection, branch: Branch) -> list[str]:
    """Return how the branch's tables differ from its models, one line per difference; the models must be imported."""
    context = MigrationContext.configure(connection, opts=options(branch))
    return [text for entry in compare_metadata(context, database.metadata) for text in _described(entry)]


def owned_tables(branch: Branch) -> set[str]:
    """Return the names of the imported tables that belong to a branch."""
    if branch.name == KERNEL:
        return {table.name for mapper in database.Model.registry.mappers for table in mapper.tables}
    return {name for name in database.metadata.tables if name.startswith(f"{branch.name}_")}


def render_item(kind: str, item: Any, context: Any) -> str | Literal[False]:
    """Write the project's column types by their own names instead of what they look like on one database."""
    if kind == "server_default" and isinstance(getattr(item, "arg", None), sa.True_ | sa.False_):
        return f"sa.{'true' if isinstance(item.arg, sa.True_) else 'false'}()"  # SQLite's "1" is no boolean elsewhere
    if kind != "type":
        return False
    if type(item).__module__ == database.__name__:
        return f"database.{type(item).__name__}()"
    for name in ("Key", "Json"):
        shared = getattr(database, name)
        if type(item) is type(shared) and item._variant_mapping.keys() == shared._variant_mapping.keys() != set():
            return f"database.{name}"
    return False


def _name_filter(branch: Branch) -> Any:
    def include(name: str | None, kind: str, parents: Any) -> bool:
        if kind != "table" or name is None:
            return True
        if _is_full_text(name):
            return False
        # A plugin sees what the database holds under its prefix, so that dropped models are noticed; the kernel
        # has no prefix and sees only what it still declares.
        return name in owned_tables(branch) or (branch.name != KERNEL and name.startswith(f"{branch.name}_"))

    return include


def _object_filter(branch: Branch) -> Any:
    def include(item: Any, name: str | None, kind: str, reflected: bool, compared_to: Any) -> bool:
        if kind == "table":
            return bool(include_name(name, "table", None))
        return kind != "index" or not (name in BY_HAND or _has_expression(item))

    include_name = _name_filter(branch)
    return include


#: Indexes that revisions write by hand although they hold columns alone on one of the databases.
BY_HAND = frozenset({"ix_search_entry_start"})


def _is_full_text(table: str) -> bool:
    """Say whether it is a full-text table or one of its shadows, which no model describes."""
    return table.endswith("_fts") or "_fts_" in table


def _has_expression(index: Any) -> bool:
    # Neither database reflects expressions in a way that compares equal: they are written by hand in revisions.
    return any(not isinstance(part, sa.Column) for part in index.expressions)


def _described(entry: Any) -> list[str]:
    if isinstance(entry, list):  # changes of one column come as a list of tuples
        return [text for part in entry for text in _described(part)]
    kind = entry[0].replace("_", " ")
    if kind.startswith("modify"):
        return [f"{kind}: {entry[2]}.{entry[3]} is {entry[5]!r} in the database, {entry[6]!r} in the models"]
    item = entry[-1]
    owner = f"{entry[2]}." if kind.endswith("column") else f"{item.table.name}: " if hasattr(item, "table") else ""
    return [f"{kind}: {owner}{getattr(item, 'name', item)}"]
