"""Keeps uploaded files below ``files_dir`` while an import needs them: each in a folder of its own, never served.

A folder lives with its run. One whose run never came to be (the file or its mapping was refused, the process was killed)
holds personal data that neither erasure nor expiry would find: it is removed at once, or by the nightly sweep.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _
from uuid_utils.compat import uuid7

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing.models import ImportRun
from crm_kernel.records.importing.sources import format_of

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Seconds that a folder may be without a run: its request may still be under way.
GRACE = 86_400
_BLOCK = 1 << 20
_UNSAFE = re.compile(r"[^\w.-]+")


@contextmanager
def kept_upload(stream: IO[bytes], filename: str) -> Iterator[Path]:
    """Write an uploaded file into a folder of its own and give its path; if the block raises, it is removed again.

    Raises:
        InvalidInput: it is empty, larger than ``max_upload_mb``, or of no known kind.
    """
    name = _UNSAFE.sub("_", Path(filename.replace("\\", "/")).name)[-120:].lstrip(".") or "file"
    format_of(Path(name))
    folder = _root() / uuid7().hex
    folder.mkdir(parents=True)
    try:
        _copy(stream, folder / name, runtime_of(current_app).config.max_upload_mb * 1_000_000)
        yield folder / name
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def drop_upload(uow: UnitOfWork, run: ImportRun) -> None:
    """Remove the folder of a run's file after the commit; what was not uploaded is not the run's own and stays."""
    if run.uploaded:
        folder = Path(run.folder)
        uow.after_commit(lambda: shutil.rmtree(folder, ignore_errors=True))


def sweep(uow: UnitOfWork) -> None:
    """Remove the folders of a day and more that no run needs (any more), after the commit; one query."""
    long_ago = time.time() - GRACE
    old = [folder for folder in _root().glob("*") if _is_older(folder, long_ago)]
    needing = sa.select(ImportRun.folder).where(ImportRun.uploaded, ImportRun.expired_at.is_(None))
    needed = {Path(folder).name for folder in uow.session.scalars(needing)} if old else set()  # names outlive a move
    for folder in old:
        if folder.name not in needed:
            uow.after_commit(lambda folder=folder: shutil.rmtree(folder, ignore_errors=True))  # type: ignore[misc]


def _is_older(folder: Path, moment: float) -> bool:
    with suppress(FileNotFoundError):  # its import expired meanwhile, or another worker sweeps
        return folder.is_dir() and folder.stat().st_mtime < moment
    return False


def _root() -> Path:
    return Path(runtime_of(current_app).config.files_dir) / "imports"


def _copy(stream: IO[bytes], path: Path, most: int) -> None:
    size = 0
    with path.open("xb") as file:
        while block := stream.read(_BLOCK):
            size += len(block)
            if size > most:
                message = _("Larger than %(most)s MB, the most that is taken.", most=most // 1_000_000)
                raise InvalidInput({"file": [message]})
            file.write(block)
    if not size:
        raise InvalidInput({"file": [_("The file is empty.")]})
