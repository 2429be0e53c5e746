"""Files are what their content says, seen with their record, downloaded and never shown, kept once and swept when free."""

from __future__ import annotations

import datetime as dt
import io
import os

import pytest

PDF = b"%PDF-1.7\n1 0 obj\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
ONLY_OWN = {"customer.read": "own", "attachment.*": "all"}


@pytest.fixture(autouse=True)
def folder(crm_app, tmp_path):
    """The storage of this test alone."""
    from crm_kernel.collaboration.attachments.storage import Folder

    crm_app.extensions["crm_storage"] = Folder(tmp_path)
    yield tmp_path
    del crm_app.extensions["crm_storage"]


@pytest.fixture
def upload(acme):
    """Attach a file by the API: ``upload(client, b"…", "name.pdf")`` → the answer."""

    def post(client, content=PDF, name="offer.pdf", record=acme, key=None, **other):
        about = {"subject_type": "customer", "subject_id": str(record.uid), **other}
        data = {**about, "file": (io.BytesIO(content), name)}
        headers = {"Idempotency-Key": key} if key else {}
        return client.open("POST", "/api/attachments", data=data, content_type="multipart/form-data", headers=headers)

    return post


def _contents(folder):
    return [path for path in folder.glob("??/*") if path.is_file()]


def test_a_file_is_attached_downloaded_renamed_and_deleted(api, upload):
    rep = api("representative", name="Ada")

    made = upload(rep)
    path = f"/api/attachments/{made.json['id']}"
    content = rep.get(f"{path}/file")
    renamed = rep.patch(path, {"name": "../Offer 2.pdf"})

    assert (made.status_code, made.json["media_type"], made.json["size"]) == (201, "application/pdf", len(PDF))
    assert content.data == PDF
    assert renamed.json["name"] == "Offer 2.pdf"
    assert rep.delete(path).status_code == 204
    assert rep.get(f"{path}/file").status_code == 404


def test_a_download_is_never_shown_in_the_browser(api, upload):
    rep = api("representative")
    made = upload(rep, b"<html><script>alert(1)</script></html>", "page.html")

    answer = rep.get(f"/api/attachments/{made.json['id']}/file")

    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_part_and_an_unchanged_file_are_answered_as_such(api, upload):
    rep = api("representative")
    path = f"/api/attachments/{upload(rep).json['id']}/file"

    part = rep.open("GET", path, headers={"Range": "bytes=1-3"})
    same = rep.open("GET", path, headers={"If-None-Match": rep.get(path).headers["ETag"]})

    assert (part.status_code, part.data) == (206, b"PDF")
    assert (same.status_code, same.data) == (304, b"")


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (PNG, "really.pdf", "image/png"),
        (
            b"PK\x03\x04\x14\x00\x06\x00rest",
            "a.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (b"PK\x03\x04\x14\x00\x06\x00rest", "a.pdf", "application/zip"),
        (b"name;city\nAda;London\n", "list.csv", "text/csv"),
        ("é".encode() * 5000, "odd.txt", "text/plain"),
        (bytes(range(256)), "what.txt", "application/octet-stream"),
    ],
)
def test_what_a_file_is_shows_in_its_content(api, upload, content, name, expected):
    assert upload(api("representative"), content, name).json["media_type"] == expected


@pytest.mark.parametrize("content", [b"MZ\x90\x00", b"\x7fELF\x02", b"#!/bin/sh\n"])
def test_programs_are_not_taken_under_any_name(api, upload, content, folder):
    refused = upload(api("representative"), content, "invoice.pdf")

    assert (refused.status_code, _contents(folder)) == (422, [])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\offer.pdf", "offer.pdf"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\x00b\n.pdf", "ab.pdf"),
        ("...", "file"),
        ("x" * 300 + ".pdf", "x" * 234 + ".pdf"),
    ],
)
def test_a_name_is_only_a_name(given, shown):
    from crm_kernel.collaboration.attachments.sniffing import clean_name

    assert clean_name(given) == shown


def test_who_does_not_see_the_record_sees_no_file_and_attaches_none(api, upload, owned, folder):
    boss, other = api("administrator"), api(grants=ONLY_OWN)
    secret = owned(boss.user)
    made = upload(boss, record=secret).json

    assert other.get(f"/api/attachments/{made['id']}").status_code == 404
    assert other.get(f"/api/attachments/{made['id']}/file").status_code == 404
    assert other.get("/api/attachments", count="true").json["count"] == 0
    assert upload(other, PNG, record=secret).status_code == 404
    assert len(_contents(folder)) == 1
    assert list(folder.glob("incoming/*")) == []


def test_who_may_only_read_attaches_and_deletes_nothing(api, upload):
    made, reader = upload(api("representative")).json, api("reader")

    assert upload(reader).status_code == 403
    assert reader.delete(f"/api/attachments/{made['id']}").status_code == 403
    assert reader.get(f"/api/attachments/{made['id']}/file").status_code == 200


def test_equal_contents_are_kept_once(api, upload, folder):
    rep = api("representative")

    first, second = upload(rep, name="a.pdf"), upload(rep, name="b.pdf")

    assert (first.json["name"], second.json["name"], len(_contents(folder))) == ("a.pdf", "b.pdf", 1)


def test_too_large_a_file_leaves_nothing(api, upload, folder, crm_app, monkeypatch):
    monkeypatch.setattr("crm_kernel.collaboration.attachments.views.most_bytes", lambda: 10)

    refused = upload(api("representative"))

    assert "file" in refused.json["errors"]
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("setting", ["user_files_mb", "files_mb"])
def test_a_quota_is_kept(api, upload, setting, crm_app, monkeypatch):
    from crm_kernel._internal.runtime import runtime_of
    from crm_kernel.collaboration.attachments import services

    rep = api("representative")
    small = runtime_of(crm_app).config.replace(**{setting: 1})
    monkeypatch.setattr(services, "_config", lambda: small)

    assert upload(rep, PDF + bytes(700_000)).status_code == 201
    assert upload(rep, PDF + bytes(700_001)).status_code == 422


@pytest.mark.parametrize(
    "missing", [{"file": None}, {"subject_id": "x"}, {"subject_type": "role"}, {"subject_type": ""}]
)
def test_half_an_upload_is_refused_by_name(api, acme, missing):
    data = {"subject_type": "customer", "subject_id": str(acme.uid), "file": (io.BytesIO(PDF), "a.pdf"), **missing}

    refused = api("administrator").open(
        "POST", "/api/attachments", data={k: v for k, v in data.items() if v}, content_type="multipart/form-data"
    )

    assert refused.status_code == 422
    assert next(iter(missing)) in refused.json["errors"]


def test_the_card_of_a_record_takes_and_shows_files(login, acme):
    rep = login("representative")
    about = {"subject_type": "customer", "subject_id": str(acme.uid)}

    answer = rep.post("/attachments/add", data={**about, "file": (io.BytesIO(PDF), "<b>.pdf")})
    page = rep.get(answer.headers["Location"]).text

    assert "&lt;b&gt;.pdf" in page
    refused = rep.post("/attachments/add", data={**about, "file": (io.BytesIO(b""), "empty.pdf")})
    assert "The file is empty." in rep.get(refused.headers["Location"]).text


def test_a_missing_content_is_said_and_no_error(api, upload, folder):
    rep = api("representative")
    made = upload(rep).json
    _contents(folder)[0].unlink()

    answer = rep.get(f"/api/attachments/{made['id']}/file")

    assert (answer.status_code, "missing from the storage" in answer.json["detail"]) == (404, True)


def _sweep(unit):
    from crm_kernel.collaboration.attachments.services import sweep_files

    payload = {}
    while True:
        with unit() as uow:
            checkpoint = sweep_files(uow, payload)
        if checkpoint is None:
            return
        payload = {"checkpoint": checkpoint}


def _age(unit, folder):
    from crm_kernel.collaboration.attachments.models import StoredFile

    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    with unit() as uow:
        for row in uow.session.query(StoredFile):
            row.created_at = long_ago
    _age_contents(folder)


def _age_contents(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (dt.datetime(2020, 1, 1, tzinfo=dt.UTC).timestamp(),) * 2)


def test_the_sweep_deletes_what_nobody_attaches_any_more(api, upload, unit, folder):
    from crm_kernel.collaboration.attachments.models import StoredFile

    rep = api("representative")
    upload(rep, PNG, "kept.png")
    made = upload(rep).json
    rep.delete(f"/api/attachments/{made['id']}")
    (folder / "incoming" / "torn").write_bytes(b"half")
    _age(unit, folder)

    _sweep(unit)

    with unit() as uow:
        assert [row.media_type for row in uow.session.query(StoredFile)] == ["image/png"]
    assert [path.read_bytes() for path in folder.rglob("*") if path.is_file()] == [PNG]


def test_the_sweep_leaves_what_is_new(api, upload, unit, folder):
    rep = api("representative")
    rep.delete(f"/api/attachments/{upload(rep).json['id']}")

    _sweep(unit)

    assert len(_contents(folder)) == 1


def test_a_refused_upload_of_a_known_content_does_not_take_it_away(api, upload, owned, folder):
    boss, other = api("administrator"), api(grants=ONLY_OWN)
    made = upload(boss, record=owned(boss.user)).json

    upload(other, record=owned(boss.user))

    assert boss.get(f"/api/attachments/{made['id']}/file").data == PDF


def test_what_is_about_a_deleted_record_goes_at_night(api, upload, write, unit, factories, told):
    from crm_kernel.collaboration.jobs import tidy
    from crm_kernel.collaboration.models import Note
    from crm_kernel.collaboration.notifications.models import Notification

    boss, _rep = api("administrator"), api("representative", name="Rep")
    gone = factories.organization()
    upload(boss, record=gone)
    write(boss, "@Rep", gone)
    kept = write(boss, "stays").json["note"]["id"]
    boss.delete(f"/api/customers/{gone.uid}")

    payload = {}
    while payload is not None:
        with unit() as uow:
            checkpoint = tidy(uow, payload)
        payload = None if checkpoint is None else {"checkpoint": checkpoint}

    with unit() as uow:
        assert [str(note.uid) for note in uow.session.query(Note)] == [kept]
        assert uow.session.query(Notification).count() == 0
    assert boss.get("/api/attachments", count="true").json["count"] == 0


def test_a_file_sent_twice_under_one_key_is_attached_once(api, upload):
    rep = api("representative")

    answers = [upload(rep, key="one") for _ in range(2)]
    other = upload(rep, PNG, "other.png", key="one")

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].data == answers[1].data
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, list(other.json["errors"])) == (422, ["Idempotency-Key"])
    assert len(rep.get("/api/attachments").json["items"]) == 1


def test_the_sweep_waits_for_a_content_that_is_being_attached(api, unit, folder, acme):
    from concurrent.futures import ThreadPoolExecutor
    from concurrent.futures import wait as wait_for

    from crm_kernel.collaboration.attachments.services import attach, sweep_files
    from crm_kernel.collaboration.attachments.storage import storage

    def sweep():
        with unit() as uow:
            return sweep_files(uow, {"checkpoint": {"step": "contents", "after": "", "deleted": 0}})

    with ThreadPoolExecutor(1) as pool:
        with unit() as uow:
            received = storage().receive(io.BytesIO(PDF), most=1_000)
            uid = attach(uow, received, name="again.pdf", subject_type="customer", subject_uid=acme.uid).uid
            _age_contents(folder)  # as the sweep saw it before
            swept = pool.submit(sweep)
            assert not wait_for([swept], timeout=1).done
        assert swept.result()["deleted"] == 0

    assert api("representative").get(f"/api/attachments/{uid}/file").data == PDF


@pytest.mark.parametrize(
    ("size", "english", "french"),
    [(999, "999 B", "999 o"), (1_000, "1 kB", "1 ko"), (1_250_000, "1.2 MB", "1,2 Mo"), (25_000_000, "25 MB", "25 Mo")],
)
def test_a_size_is_said_as_people_read_it(crm_app, size, english, french):
    from flask_babel import force_locale

    from crm_kernel.collaboration.attachments.record import size_text

    with crm_app.test_request_context():
        for locale, expected in (("en", english), ("fr", french)):
            with force_locale(locale):
                assert size_text(size) == expected
