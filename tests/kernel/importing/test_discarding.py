"""What nobody imports is deleted by whoever uploaded it: drafts with their files, and mappings that are kept."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from crm_kernel.access.actor import SYSTEM
from crm_kernel.database import db
from crm_kernel.errors import NotFound
from crm_kernel.records.importing import continuing, preparing
from crm_kernel.records.importing.models import ImportMapping, ImportRow, ImportRun
from crm_kernel.unit_of_work import writing

FILE = "kind,display_name\norganization,Acme\norganization,\n"
MAPPING = '[columns]\nkind = "kind"\ndisplay_name = "display_name"\n'
CHECKED = {"dry_run": "true"}


@pytest.fixture
def give():
    """Send a file to the API and return the address of its import."""

    def send(client, **parts):
        data = {"file": (io.BytesIO(FILE.encode()), "file.csv"), "record_type": "customer", **parts}
        answer = client.open("POST", "/api/imports", data=data, content_type="multipart/form-data")
        assert answer.status_code == 202, answer.text
        return answer.headers["Location"]

    return send


def left(unit):
    """Return the folders of imports, and how many runs and rows there are."""
    with unit() as uow:
        counts = [uow.session.scalar(sa.select(sa.func.count(model.id))) for model in (ImportRun, ImportRow)]
        return [Path(folder).is_dir() for folder in uow.session.scalars(sa.select(ImportRun.folder))], *counts


def test_a_draft_is_discarded_with_its_file_and_its_rows(api, give, deliver_events, unit, crm_app):
    client = api("administrator")
    path = give(client, **CHECKED)
    deliver_events()
    assert left(unit) == ([True], 1, 2)
    with unit() as uow:
        folder = Path(uow.session.scalars(sa.select(ImportRun.folder)).one())

    assert client.delete(path).status_code == 204

    assert (left(unit), folder.exists(), client.get(path).status_code) == (([], 0, 0), False, 404)
    with crm_app.app_context():  # a turn that was still due finds nothing to do
        assert continuing.take_turn(UUID(path.rpartition("/")[2])) is False


@pytest.mark.crm_databases("postgresql")
@pytest.mark.parametrize("late", [preparing.discard, preparing.start, preparing.stop], ids=lambda act: act.__name__)
def test_what_waits_for_a_draft_that_is_being_discarded_finds_none(api, give, deliver_events, crm_app, late):
    uid = UUID(give(api("administrator"), mapping=MAPPING, **CHECKED).rpartition("/")[2])
    deliver_events()

    def act() -> None:
        with crm_app.app_context(), writing(SYSTEM) as uow:
            late(uow, uid)

    with ThreadPoolExecutor(1) as pool:
        with crm_app.app_context(), writing(SYSTEM) as uow:
            preparing.discard(uow, uid)
            other = pool.submit(act)
            ends = time.monotonic() + 20
            while not _waits(crm_app):
                assert time.monotonic() < ends
                time.sleep(0.02)
        with pytest.raises(NotFound):
            other.result()


def _waits(app) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with app.app_context(), db.engine.connect() as connection:
        return bool(connection.scalar(sa.text(waiting)))


def test_only_a_draft_of_ones_own_is_discarded(api, give, deliver_events, unit):
    client = api("administrator")
    path = give(client)
    assert client.delete(path).status_code == 409
    deliver_events()
    assert client.delete(path).status_code == 409
    draft = give(client, **CHECKED)
    deliver_events()

    reader = api(grants={"customer.*": "all", "import.read": "all"})
    assert [api(grants={"customer.*": "all"}).delete(draft).status_code, reader.delete(draft).status_code] == [404, 403]

    assert left(unit)[1] == 2


def test_the_page_of_a_draft_discards_it(login, api, give, deliver_events, unit):
    client, browser = api("administrator"), login("administrator")
    uid = give(client, **CHECKED).rpartition("/")[2]
    deliver_events()
    assert f"/imports/{uid}/discard" in browser.get(f"/imports/{uid}").text

    answer = browser.post(f"/imports/{uid}/discard", follow_redirects=True)

    assert "The draft and its file are deleted." in answer.text
    assert left(unit) == ([], 0, 0)


def test_mappings_are_shown_with_who_keeps_them_and_deleted_by_him(login, api, give, unit):
    client, browser = api("administrator"), login(grants={"customer.*": "all"})
    give(client, mapping=MAPPING, save_as="Fair", share="true", **CHECKED)
    [kept] = client.get("/api/imports/mappings/customer").json["items"]
    assert (kept["name"], kept["by"], kept["shared"]) == ("Fair", client.user.name, True)

    page = browser.get("/imports").text
    assert "Fair" in page
    assert f"/imports/mappings/{kept['id']}/delete" not in page
    assert browser.post(f"/imports/mappings/{kept['id']}/delete").status_code == 403

    assert client.delete(f"/api/imports/mappings/team/{kept['id']}").status_code == 404
    assert client.delete(f"/api/imports/mappings/customer/{kept['id']}").status_code == 204
    assert client.delete(f"/api/imports/mappings/customer/{kept['id']}").status_code == 404
    with unit() as uow:
        assert uow.session.scalars(sa.select(ImportMapping)).all() == []


def test_the_list_of_imports_deletes_a_mapping(login, api, give, unit):
    client, browser = api("administrator"), login("administrator")
    give(client, mapping=MAPPING, save_as="Fair", share="true", **CHECKED)
    with unit() as uow:
        address = f"/imports/mappings/{uow.session.scalars(sa.select(ImportMapping.uid)).one()}/delete"
    assert address in browser.get("/imports").text

    assert "The mapping is deleted." in browser.post(address, follow_redirects=True).text

    assert "Fair" not in browser.get("/imports").text
