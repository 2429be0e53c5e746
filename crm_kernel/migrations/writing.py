"""Writes a branch's next revision file from the difference between its models and a database at its head."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command

from crm_kernel.errors import Conflict
from crm_kernel.migrations.branches import KERNEL, Branch, alembic_config, chain_of, head_of, kernel_branch


def write_revision(connection: sa.Connection, branch: Branch, message: str, *, now: dt.datetime) -> Path:
    """Write the difference between the imported models and the database as the branch's next revision; return the file.

    Raises:
        Conflict: nothing differs.
    """
    chain = [script.revision for script in chain_of(branch)]
    config = alembic_config(
        branch,
        connection=connection,
        needs_kernel=None if branch.name == KERNEL else head_of(kernel_branch()),
    )
    written: Any = command.revision(
        config,
        message=message,
        autogenerate=True,
        head=f"{branch.name}@head" if chain else "base",
        branch_label=None if chain else branch.name,
        version_path=str(branch.versions),
        rev_id=_free_id(chain, now),
        process_revision_directives=_refuse_empty(branch),
    )
    path = Path(written.path)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.lstrip().startswith("# ###")), encoding="utf-8")
    return path


def _free_id(taken: Collection[str], now: dt.datetime) -> str:
    while (found := f"{now:%Y%m%d_%H%M}") in taken:
        now += dt.timedelta(minutes=1)
    return found


def _refuse_empty(branch: Branch) -> Callable[..., None]:
    def refuse(_context: Any, _revision: Any, directives: list[Any]) -> None:
        if directives[0].upgrade_ops.is_empty():
            raise Conflict(f"{branch.name}: its models and its revisions agree; there is nothing to write")

    return refuse
