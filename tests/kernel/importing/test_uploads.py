"""Uploaded files stay no longer than the import that needs them."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.records.importing import uploads
from crm_kernel.records.importing.jobs import expire

GOOD = "kind,display_name\norganization,Acme\n"


@pytest.fixture
def folders(crm_app):
    """The folders of uploads that came since the test began."""
    root = Path(runtime_of(crm_app).config.files_dir) / "imports"
    before = set(root.glob("*"))
    return lambda: set(root.glob("*")) - before


@pytest.fixture
def give(api):
    """Give a file to the API and return the status of the answer."""
    client = api("administrator")

    def post(content, **parts):
        data = {"file": (io.BytesIO(content.encode()), "accounts.csv"), "record_type": "customer", **parts}
        return client.open("POST", "/api/imports", data=data, content_type="multipart/form-data").status_code

    return post


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (GOOD, {"mapping": "nonsense = ["}),
        (GOOD, {"mapping": "unknown = 1"}),
        ("Nom\nAda\n", {}),
        ("kind,display_name\norganization\n", {}),
        ("", {}),
    ],
)
def test_a_file_that_is_refused_does_not_stay(give, folders, content, parts):
    assert give(content, **parts) == 422

    assert folders() == set()


def test_a_file_that_is_taken_stays(give, folders):
    assert give(GOOD) == 202

    assert [[file.name for file in folder.iterdir()] for folder in folders()] == [["accounts.csv"]]


def test_a_folder_without_a_run_is_swept_after_a_day_and_no_other(give, folders, unit, crm_app):
    give(GOOD)
    [needed] = folders()
    left, fresh = (needed.parent / uuid7().hex for _folder in range(2))
    for folder in (left, fresh):
        folder.mkdir()
        (folder / "people.csv").write_text("Name\nAda\n")
    long_ago = time.time() - uploads.GRACE - 60
    for folder in (left, needed):
        os.utime(folder, (long_ago, long_ago))

    with unit() as uow:
        assert expire(uow, {}) is None

    assert folders() == {needed, fresh}


def test_a_folder_that_another_worker_removes_meanwhile_stops_no_sweep(give, folders, unit, monkeypatch):
    give(GOOD)
    [needed] = folders()
    left, vanishing = (needed.parent / uuid7().hex for _folder in range(2))
    for folder in (left, vanishing):
        folder.mkdir()
    long_ago = time.time() - uploads.GRACE - 60
    os.utime(left, (long_ago, long_ago))
    is_dir = Path.is_dir

    def removed(path):
        found = is_dir(path)
        if path == vanishing:
            path.rmdir()
        return found

    monkeypatch.setattr(Path, "is_dir", removed)
    with unit() as uow:
        assert expire(uow, {}) is None

    assert folders() == {needed}
