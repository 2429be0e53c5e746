"""``crm doctor``'s look at the folder of files: there, writable, with room, and holding what the database names.

A database that was restored without its folder, or the other way round, is found here and not by the user who opens a file.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import sqlalchemy as sa
from flask_babel import lazy_gettext as _l

from crm_kernel.access.actor import SYSTEM
from crm_kernel.collaboration.attachments.models import StoredFile
from crm_kernel.collaboration.attachments.storage import Folder, storage
from crm_kernel.contributions import Health, HealthCheck, HealthResult
from crm_kernel.unit_of_work import UnitOfWork, reading

#: Least free space, as for the database.
_LEAST_BYTES = 500 * 1024 * 1024
#: Most contents looked at, the newest rows and any files: a check must end.
_MOST = 20_000
_CHUNK = 500
#: Of a SHA-256 in hexadecimal, which names a content.
_DIGEST_LENGTH = 64
#: After this time the nightly sweep has had its turn with a content that nobody names.
_SWEPT_SECONDS = 3 * 24 * 3600


def health_checks() -> list[HealthCheck]:
    """Return the check of the folder of files."""
    return [HealthCheck(name="kernel.files", label=_l("Files"), run=check_files)]


def check_files() -> HealthResult:
    """Say whether attached files can be kept and read: a query per 500 of at most 20,000 contents."""
    kept = storage()
    if not isinstance(kept, Folder):
        return HealthResult(Health.OK, "kept by a storage of the site's own")
    with reading(SYSTEM) as uow:
        return _unusable(kept.root) or _incomplete(uow, kept) or _left_over(uow, kept) or _fine(kept.root)


def _unusable(root: Path) -> HealthResult | None:
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return HealthResult(
            Health.ERROR, f"{root} cannot be written", "give the server's user the right to write there"
        )
    free = shutil.disk_usage(there).free
    if free < _LEAST_BYTES:
        return HealthResult(Health.ERROR, f"{free // 1024**2} MB free in {root}", "free some space")
    return None


def _incomplete(uow: UnitOfWork, kept: Folder) -> HealthResult | None:
    newest = sa.select(StoredFile.digest).order_by(StoredFile.id.desc()).limit(_MOST)
    missing = sum(not (kept.root / digest[:2] / digest).is_file() for digest in uow.session.scalars(newest))
    if not missing:
        return None
    return HealthResult(
        Health.ERROR,
        f"{missing} files that the database names are missing in {kept.root}",
        "restore the folder from the backup of the same time as the database",
    )


def _left_over(uow: UnitOfWork, kept: Folder) -> HealthResult | None:
    old = list(islice(_old_contents(kept.root), _MOST))
    found = sum(len(some) - _named(uow, some) for some in (old[at : at + _CHUNK] for at in range(0, len(old), _CHUNK)))
    if not found:
        return None
    return HealthResult(
        Health.WARNING, f"{found} contents that nobody attaches are kept", "crm jobs run kernel.sweep_files"
    )


def _named(uow: UnitOfWork, digests: Sequence[str]) -> int:
    query = sa.select(sa.func.count()).select_from(StoredFile).where(StoredFile.digest.in_(digests))
    return int(uow.session.scalar(query) or 0)


def _old_contents(root: Path) -> Iterator[str]:
    limit = time.time() - _SWEPT_SECONDS
    for path in root.glob("??/*"):
        if len(path.name) == _DIGEST_LENGTH and path.stat().st_mtime < limit:
            yield path.name


def _fine(root: Path) -> HealthResult:
    return HealthResult(Health.OK, f"{root} is whole")
