"""What there is room for is counted once per content, and one upload after the other."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.collaboration.attachments import services
from crm_kernel.collaboration.attachments.storage import Folder, storage
from crm_kernel.errors import InvalidInput


@pytest.fixture(autouse=True)
def _one_megabyte(crm_app, tmp_path, monkeypatch):
    """Keep the files of this test alone, and at most 1 MB of them."""
    monkeypatch.setitem(crm_app.extensions, "crm_storage", Folder(tmp_path))
    small = runtime_of(crm_app).config.replace(files_mb=1)
    monkeypatch.setattr(services, "_config", lambda: small)


@pytest.fixture
def attach(acme):
    """Attach a text to a customer: ``attach(uow, b"…")``."""

    def made(uow, content):
        received = storage().receive(io.BytesIO(content), most=1_000_000)
        return services.attach(uow, received, name="a.txt", subject_type="customer", subject_uid=acme.uid)

    return made


def test_of_two_uploads_at_once_only_the_one_there_is_room_for_is_kept(unit, attach):
    done = Event()

    def second():
        try:
            with unit() as uow:
                attach(uow, b"b" * 700_000)
        except InvalidInput as error:
            return error.errors["file"]
        finally:
            done.set()

    with ThreadPoolExecutor(1) as pool:
        with unit() as uow:
            attach(uow, b"a" * 700_000)
            refused = pool.submit(second)
            waited = not done.wait(0.7)

        assert (waited, refused.result(30)) == (True, ["No room: this installation keeps 1 MB of files."])


def test_a_content_that_is_kept_already_takes_no_more_room(unit, attach):
    with unit() as uow:
        attach(uow, b"a" * 700_000)

    with unit() as uow:
        assert attach(uow, b"a" * 700_000).size == 700_000
