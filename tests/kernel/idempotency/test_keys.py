"""``Idempotency-Key``: what is sent twice is done once, answered twice, and stored by the commit that did it."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from werkzeug.serving import make_server

from crm_kernel.access.models import RolePermission
from crm_kernel.customers.models import Customer
from crm_kernel.web.idempotency.expiry import expire_keys, forget_answers
from crm_kernel.web.idempotency.models import IdempotencyKey

CUSTOMERS = "/api/customers"
ADA = {"kind": "person", "family_name": "Lovelace"}


@pytest.fixture
def admin(api: Any) -> Any:
    """An API client that may do everything."""
    return api("administrator")


@pytest.fixture
def count(unit: Any) -> Any:
    """Count rows: ``count(Customer)``."""

    def counted(model: Any) -> int:
        with unit() as uow:
            return uow.session.scalar(sa.select(sa.func.count()).select_from(model))

    return counted


@pytest.fixture
def set_back(unit: Any) -> Any:
    """Let time pass for the stored keys."""

    def passed(time: dt.timedelta) -> None:
        with unit() as uow:
            uow.session.execute(sa.update(IdempotencyKey).values(expires_at=IdempotencyKey.expires_at))
            for key in uow.session.scalars(sa.select(IdempotencyKey)):
                key.expires_at -= time

    return passed


def test_a_repetition_is_answered_as_the_first_time_and_does_nothing(admin, count):
    first = admin.post(CUSTOMERS, ADA, Idempotency_Key="one")
    again = admin.post(CUSTOMERS, ADA, Idempotency_Key="one")

    assert (first.status_code, again.status_code) == (201, 201), first.text
    assert again.data == first.data
    assert [again.headers[name] for name in ("Location", "ETag", "Content-Type")] == [
        first.headers[name] for name in ("Location", "ETag", "Content-Type")
    ]
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert count(Customer) == 1


def test_quotes_around_a_key_are_not_part_of_it(admin, count):
    admin.post(CUSTOMERS, ADA, Idempotency_Key='"one"')

    assert admin.post(CUSTOMERS, ADA, Idempotency_Key="one").headers["Idempotency-Replayed"] == "true"
    assert count(Customer) == 1


@pytest.mark.parametrize("other", [{**ADA, "family_name": "Byron"}, {**ADA, "notes": "x"}])
def test_a_key_for_another_request_is_refused(admin, count, other):
    admin.post(CUSTOMERS, ADA, Idempotency_Key="one")

    refused = admin.post(CUSTOMERS, other, Idempotency_Key="one")

    assert (refused.status_code, list(refused.json["errors"])) == (422, ["Idempotency-Key"])
    assert count(Customer) == 1


def test_a_key_for_another_address_is_refused(admin):
    admin.post(CUSTOMERS, ADA, Idempotency_Key="one")

    assert admin.post("/api/products", ADA, Idempotency_Key="one").status_code == 422


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", '""'])
def test_what_is_no_key_is_refused(admin, count, key):
    answer = admin.post(CUSTOMERS, ADA, Idempotency_Key=key)

    assert (answer.status_code, list(answer.json["errors"])) == (422, ["Idempotency-Key"])
    assert count(Customer) == 0


def test_what_was_refused_is_not_stored_so_the_corrected_request_may_take_the_same_key(admin, count):
    assert admin.post(CUSTOMERS, {"kind": "alien"}, Idempotency_Key="one").status_code == 422

    assert admin.post(CUSTOMERS, ADA, Idempotency_Key="one").status_code == 201
    assert count(IdempotencyKey) == 1


def test_two_clients_may_use_the_same_key(admin, api, count):
    admin.post(CUSTOMERS, ADA, Idempotency_Key="one")

    assert "Idempotency-Replayed" not in api("administrator").post(CUSTOMERS, ADA, Idempotency_Key="one").headers
    assert count(Customer) == 2


def test_an_action_is_done_once(admin, api):
    colleague = api("representative").user
    address = f"/api/users/{colleague.uid}/deactivate"
    etag = admin.etag(f"/api/users/{colleague.uid}")

    first = admin.post(address, {}, If_Match=etag, Idempotency_Key="one")
    again = admin.post(address, {}, If_Match=etag, Idempotency_Key="one")

    assert (first.status_code, again.status_code, again.data) == (200, 200, first.data), first.text
    # Without the key the second would be refused: the record is at another version by then.
    assert admin.post(address, {}, If_Match=etag).status_code == 412


def test_an_address_that_no_record_type_gives_is_done_once(admin):
    body = {"value": "ada@crm.test", "channel": "email", "reason": "manual"}

    first = admin.post("/api/suppressions/values", body, Idempotency_Key="one")
    again = admin.post("/api/suppressions/values", body, Idempotency_Key="one")

    assert (first.status_code, again.data) == (201, first.data), first.text


def test_a_secret_is_not_kept_for_a_repetition(login, count, unit):
    browser = login("administrator")
    headers = {"Idempotency-Key": "one"}
    with browser.session_transaction() as session:
        session["fs_paa"] = time.time()  # who has just said who he is

    made = browser.post("/api/tokens", json={"name": "script"}, headers=headers)
    again = browser.post("/api/tokens", json={"name": "script"}, headers=headers)

    assert (made.status_code, again.status_code) == (201, 409), made.text
    with unit() as uow:
        stored = uow.session.scalars(sa.select(IdempotencyKey)).one()
        assert stored.body is None


def test_who_lost_the_permission_is_not_told_again(api, unit):
    client = api(grants={"customer.create": "all", "customer.read": "all"})
    client.post(CUSTOMERS, ADA, Idempotency_Key="one")

    with unit() as uow:
        for grant in uow.session.scalars(
            sa.select(RolePermission).where(RolePermission.permission == "customer.create")
        ):
            uow.session.delete(grant)

    assert client.post(CUSTOMERS, ADA, Idempotency_Key="one").status_code == 403


def test_a_key_is_free_again_when_its_time_is_over(admin, count, set_back):
    admin.post(CUSTOMERS, ADA, Idempotency_Key="one")
    set_back(dt.timedelta(hours=25))

    assert "Idempotency-Replayed" not in admin.post(CUSTOMERS, ADA, Idempotency_Key="one").headers
    assert (count(Customer), count(IdempotencyKey)) == (2, 1)


def test_expired_keys_are_deleted(admin, count, set_back, unit):
    admin.post(CUSTOMERS, ADA, Idempotency_Key="old")
    set_back(dt.timedelta(hours=25))
    admin.post(CUSTOMERS, ADA, Idempotency_Key="young")

    with unit() as uow:
        assert expire_keys(uow, {}) is None

    assert count(IdempotencyKey) == 1


def test_an_erased_person_is_in_no_answer_and_a_repetition_does_not_bring_him_back(admin, count, unit):
    made = admin.post(CUSTOMERS, ADA, Idempotency_Key="one")
    admin.post(CUSTOMERS, {**ADA, "family_name": "Byron"}, Idempotency_Key="two")

    with unit() as uow:
        assert forget_answers(uow, [UUID(made.json["id"])]) == 1

    assert admin.post(CUSTOMERS, ADA, Idempotency_Key="one").status_code == 409
    assert count(Customer) == 2
    with unit() as uow:
        bodies = uow.session.scalars(sa.select(IdempotencyKey.body)).all()
    assert not any("Lovelace" in body for body in bodies if body)


def test_a_failure_of_the_server_stores_neither_work_nor_key(admin, count, monkeypatch):
    monkeypatch.setattr("crm_kernel.records.api.read_one", _fails)

    assert admin.post(CUSTOMERS, ADA, Idempotency_Key="one").status_code == 500
    monkeypatch.undo()

    assert (count(Customer), count(IdempotencyKey)) == (0, 0)
    assert admin.post(CUSTOMERS, ADA, Idempotency_Key="one").status_code == 201


def _fails(*_arguments: Any, **_named: Any) -> Any:
    raise ZeroDivisionError


@pytest.fixture
def address(crm_app: Any) -> Iterator[tuple[str, int]]:
    """A server with a thread per request, as processes in production have several."""
    server = make_server("127.0.0.1", 0, crm_app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[:2]
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_same_key_a_hundred_times_at_once_makes_one_row(address, admin, count):
    def send(_number: int) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*address, timeout=120)
        headers = {
            "Authorization": f"Bearer {admin.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": "one",
        }
        connection.request("POST", CUSTOMERS, json.dumps(ADA), headers)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(100)))

    assert count(Customer) == 1
    # Who could not wait for the database is told so, and may send it again.
    assert Counter(status for status, _body in answers).keys() <= {201, 503}
    assert len({body for status, body in answers if status == 201}) == 1
    assert sum(status == 201 for status, _body in answers) >= 90


def test_no_post_of_the_api_goes_past_the_keys(crm_app):
    def has_its_own_unit(endpoint: str) -> bool:
        view = crm_app.view_functions[endpoint]
        return bool(
            getattr(view, "crm_own_unit", None) or getattr(getattr(view, "view_class", None), "crm_own_unit", 0)
        )

    posts = [rule for rule in crm_app.url_map.iter_rules() if "POST" in rule.methods]
    own = {r.rule for r in posts if r.rule.startswith("/api/") and has_its_own_unit(r.endpoint)}

    # The one asks for the key itself when the file is there, the other only reads.
    assert own == {"/api/attachments", "/api/customers/duplicates"}
