"""``crm doctor`` finds a folder of files that does not fit the database."""

from __future__ import annotations

import hashlib
import os
import time

import pytest

from crm_kernel._internal.checkup import registered_in
from crm_kernel.collaboration.attachments import health
from crm_kernel.collaboration.attachments.models import StoredFile
from crm_kernel.collaboration.attachments.storage import Folder
from crm_kernel.database import utcnow

CONTENT = b"%PDF-1.7\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def folder(crm_app, tmp_path):
    """The storage of this test alone."""
    crm_app.extensions["crm_storage"] = Folder(tmp_path / "files")
    yield tmp_path / "files"
    del crm_app.extensions["crm_storage"]


@pytest.fixture
def look(crm_app):
    """Run the check as the doctor does → (verdict, message)."""

    def run():
        found = next(finding for finding in registered_in(crm_app) if finding.name == "kernel.files")
        return found.health, found.message

    return run


@pytest.fixture
def put(folder):
    """Put the content into the folder, as old as so many days."""

    def write(days=0):
        path = folder / DIGEST[:2] / DIGEST
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
        then = time.time() - days * 86400
        os.utime(path, (then, then))

    return write


@pytest.fixture
def named(unit):
    """Let the database name the content."""
    with unit() as uow:
        uow.session.add(StoredFile(digest=DIGEST, size=len(CONTENT), media_type="application/pdf", created_at=utcnow()))


def test_a_folder_that_is_not_there_yet_is_fine_while_nothing_is_kept(look):
    assert look()[0] == "ok"


def test_a_whole_folder_is_fine(look, put, named):
    put(days=30)

    assert look()[0] == "ok"


def test_a_content_that_the_database_names_and_the_folder_lacks_is_an_error(look, named):
    verdict, message = look()

    assert verdict == "error"
    assert message.startswith("1 files that the database names are missing")


def test_a_content_that_nobody_names_is_left_over_once_the_sweep_has_had_its_turn(look, put):
    put(days=5)

    assert look() == ("warning", "1 contents that nobody attaches are kept")


def test_a_content_of_today_may_still_be_attached(look, put):
    put()

    assert look()[0] == "ok"


def test_a_full_disk_is_an_error(look, monkeypatch):
    monkeypatch.setattr(health, "_LEAST_BYTES", 10**18)

    assert "MB free" in look()[1]


def test_a_file_in_the_place_of_the_folder_is_an_error(look, folder):
    folder.write_text("")

    assert look()[0] == "error"
