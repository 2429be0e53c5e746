"""Uploads that are killed at random: no row without its content, what is left over is swept, quotas count what is there."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm_kernel.collaboration.attachments import services
from crm_kernel.collaboration.attachments.models import Attachment, StoredFile
from crm_kernel.collaboration.attachments.storage import Folder, Received
from crm_kernel.errors import InvalidInput

pytestmark = pytest.mark.slow

#: The full proof is CRM_TEST_KILLS=100.
KILLS = int(os.environ.get("CRM_TEST_KILLS", "8"))
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def folder(crm_app, tmp_path):
    """The storage that test and uploaders share."""
    crm_app.extensions["crm_storage"] = Folder(tmp_path)
    yield tmp_path
    del crm_app.extensions["crm_storage"]


@pytest.fixture
def client(api):
    return api("administrator")


@pytest.fixture
def customer(factories):
    return factories.organization(display_name="Acme")


@pytest.fixture
def upload(crm_app, folder, client, customer):
    """Upload in a process of its own: ``upload("content", point)`` → [id, steps]; None when it was killed there."""
    script = str(Path(__file__).with_name("uploader.py"))
    url = str(crm_app.config["SQLALCHEMY_DATABASE_URI"])
    parent = subprocess.Popen(
        [sys.executable, script, url, str(folder), client.token, str(customer.uid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout.readline() == "ready\n"

    def run(content, point=0):
        parent.stdin.write(f"{point} {content}\n")
        parent.stdin.flush()
        done = None
        while (line := parent.stdout.readline()) != "ended\n":
            word, *done = line.split()
            assert word == "done", line
        return done

    yield run
    parent.stdin.close()
    parent.wait(timeout=60)


@pytest.fixture
def attached(unit):
    """Read id → digest and size of all that is attached."""

    def read():
        query = sa.select(Attachment.uid, StoredFile.digest, StoredFile.size).join(
            StoredFile, StoredFile.id == Attachment.file_id
        )
        with unit() as uow:
            return {str(uid): (digest, size) for uid, digest, size in uow.session.execute(query)}

    return read


def _kept(folder):
    return {path.name: path.read_bytes() for path in folder.glob("??/*")}


def _sweep(unit, folder):
    """Sweep as if all of this had been long ago."""
    with unit() as uow:
        uow.session.execute(sa.update(StoredFile).values(created_at=LONG_AGO))
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (LONG_AGO.timestamp(),) * 2)
    checkpoint: dict | None = {}
    while checkpoint is not None:
        with unit() as uow:
            checkpoint = services.sweep_files(uow, {"checkpoint": checkpoint} if checkpoint else {})


@pytest.fixture
def room(unit, crm_app, client, monkeypatch):
    """Say whether the client's user finds room for so many bytes within a quota: ``room(5, files_mb=100)``, in bytes too."""
    from crm_kernel._internal.runtime import runtime_of
    from crm_kernel.access.acting import actor_of

    def ask(size, **quota):
        config = runtime_of(crm_app).config.replace(**quota)
        with monkeypatch.context() as patch, unit() as uow:
            patch.setattr(services, "_MB", 1)
            patch.setattr(services, "_config", lambda: config)
            uow.actor = actor_of(uow, client.user.id)
            try:
                services._check_quotas(uow, Received("0" * 64, size, b"", Path()))
            except InvalidInput:
                return False
            return True

    return ask


def test_killed_uploads_leave_no_row_without_content_and_nothing_that_is_not_swept(
    upload, attached, folder, unit, room
):
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    upload("the-first")  # imports and compiles what later ones need no more
    steps = int(upload("the-second")[1])
    answered = set(attached())

    for _kill in range(KILLS):  # a quarter survives; contents come again, after a kill or beside one attached
        done = upload(f"content-{dice.randrange(KILLS)}", dice.randrange(1, steps * 4 // 3))
        answered |= {done[0]} if done else set()

    rows, kept = attached(), _kept(folder)
    named = {digest for digest, _size in rows.values()}
    assert answered <= set(rows), f"seed {seed}"
    assert named <= set(kept), f"seed {seed}"
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in kept.items()), f"seed {seed}"
    with unit() as uow:
        assert set(uow.session.scalars(sa.select(StoredFile.digest))) == named, f"seed {seed}"

    whole, own = sum(dict(rows.values()).values()), sum(size for _digest, size in rows.values())
    assert [room(5, files_mb=whole + most) for most in (4, 5)] == [False, True], f"seed {seed}"
    assert [room(5, user_files_mb=own + most) for most in (4, 5)] == [False, True], f"seed {seed}"

    _sweep(unit, folder)

    assert (set(_kept(folder)), list(folder.glob("incoming/*")), attached()) == (named, [], rows), f"seed {seed}"
    assert upload("content-0")[0] in attached(), f"seed {seed}"
