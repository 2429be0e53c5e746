"""Where contents are kept: a small protocol, and the folder of the instance that implements it.

A content's name is its SHA-256, so equal ones are stored once and a stored one never changes. It is received into a file
of its own and synced before any transaction begins; keeping it is a rename. What a crash or a rollback leaves behind is
a content that no row names, which the nightly sweep deletes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from flask import current_app
from flask_babel import gettext as _

from crm_kernel.errors import CrmError, InvalidInput, NotFound

_BLOCK = 256 * 1024
_HEAD = 8 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_EXTENSION = "crm_storage"


class StorageFailed(CrmError):
    """The storage cannot be written: no room, no right, not there."""

    status = 503


@dataclass(frozen=True, slots=True)
class Received:
    """A content that has arrived whole and is not kept yet."""

    digest: str
    #: Bytes.
    size: int
    #: Its first bytes: what it is shows there.
    head: bytes
    path: Path

    def discard(self) -> None:
        """Delete it unless it was kept."""
        self.path.unlink(missing_ok=True)


class Storage(Protocol):
    """Keeps contents by their SHA-256."""

    def receive(self, stream: BinaryIO, *, most: int) -> Received:
        """Read a stream to its end, at most so many bytes, and return what arrived, safely on disk."""

    def keep(self, received: Received) -> None:
        """Make a received content a kept one; one that is there already stays and counts as new for the sweep."""

    def path_of(self, digest: str) -> Path:
        """Return the file of a kept content."""

    def delete(self, digest: str) -> None:
        """Delete a content; one that is gone is no error."""

    def kept_before(self, moment: dt.datetime) -> Iterator[str]:
        """Yield the digests of the contents that were kept, or kept again, before a time."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on this machine, or one that all machines of the instance share."""

    root: Path

    def receive(self, stream: BinaryIO, *, most: int) -> Received:
        """Read a stream into a file of its own and sync it.

        Raises:
            InvalidInput: it is longer than ``most`` bytes, or empty.
            StorageFailed: the folder cannot be written.
        """
        try:
            incoming = self.root / "incoming"
            incoming.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=incoming, delete=False) as file:
                path = Path(file.name)
                try:
                    return _copied(stream, file, path, most)
                except BaseException:
                    path.unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise StorageFailed(_("The file cannot be stored: %(error)s.", error=error.strerror or error)) from error

    def keep(self, received: Received) -> None:
        """Rename the content to its digest and sync the folder's entry.

        Raises:
            StorageFailed: the folder cannot be written.
        """
        target = self._place(received.digest)
        try:
            if target.exists():
                os.utime(target)
                received.discard()
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            received.path.replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            raise StorageFailed(_("The file cannot be stored: %(error)s.", error=error.strerror or error)) from error

    def path_of(self, digest: str) -> Path:
        """Return the file of a content.

        Raises:
            NotFound: it is not there: the folder was not restored with the database.
        """
        found = self._place(digest)
        if not found.is_file():
            raise NotFound(_("The content of this file is missing from the storage: tell your administrator."))
        return found

    def delete(self, digest: str) -> None:
        """Delete a content."""
        self._place(digest).unlink(missing_ok=True)

    def kept_before(self, moment: dt.datetime) -> Iterator[str]:
        """Yield the digests of old contents; deletes what was received before and never kept."""
        limit = moment.timestamp()
        for path in sorted(self.root.glob("incoming/*")):
            if path.stat().st_mtime < limit:
                path.unlink(missing_ok=True)
        for path in sorted(self.root.glob("??/*")):
            if _DIGEST.match(path.name) and path.stat().st_mtime < limit:
                yield path.name

    def _place(self, digest: str) -> Path:
        if not _DIGEST.match(digest):
            raise NotFound(f"{digest!r} is no SHA-256 digest")
        return self.root / digest[:2] / digest


def storage() -> Storage:
    """Return the storage of the current application: the folder of the setting ``files_dir`` unless one was put in."""
    from crm_kernel._internal.runtime import runtime_of

    found: Storage | None = current_app.extensions.get(_EXTENSION)
    return found or Folder(Path(runtime_of(current_app).config.files_dir))


def _copied(stream: BinaryIO, file: IO[bytes], path: Path, most: int) -> Received:
    digest, size, head = hashlib.sha256(), 0, b""
    while block := stream.read(_BLOCK):
        size += len(block)
        if size > most:
            message = _("Larger than %(most)s MB, the most that is taken.", most=most // 1_000_000)
            raise InvalidInput({"file": [message]})
        head = head or block[:_HEAD]
        digest.update(block)
        file.write(block)
    if not size:
        raise InvalidInput({"file": [_("The file is empty.")]})
    file.flush()
    os.fsync(file.fileno())
    # The age of a content is that of its arrival here, whatever clock wrote it.
    os.utime(path, (time.time(), time.time()))
    return Received(digest.hexdigest(), size, head, path)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
