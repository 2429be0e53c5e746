"""The body of a request is read whole, and measured, before a transaction is opened."""

from __future__ import annotations

import io
from typing import Any

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.database import db
from crm_kernel.web.bodies import MAX_BODY

CUSTOMERS = "/api/customers"


class Slow(io.BytesIO):
    """A body that arrives in pieces; at each one somebody else writes, who must not have to wait."""

    meanwhile: Any = None

    def readinto(self, buffer: Any) -> int:
        self.meanwhile()
        return super().readinto(memoryview(buffer)[:10])


@pytest.fixture
def other_writer(crm_app: Any) -> Any:
    """Write in another connection, without waiting for anybody: ``other_writer.times`` says how often it could."""

    class Writer:
        times = 0

        def __call__(self) -> None:
            with db.engine.connect() as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
                connection.execute(sa.text("UPDATE tag SET name = name"))
                connection.commit()
            self.times += 1

    return Writer()


@pytest.mark.parametrize("keyed", [False, True])
def test_nobody_waits_for_a_body_that_arrives_slowly(client, api, other_writer, keyed):
    body = Slow(b'{"kind": "person", "family_name": "Lovelace"}')
    body.meanwhile = other_writer
    headers = {"Authorization": f"Bearer {api('administrator').token}", **({"Idempotency-Key": "one"} if keyed else {})}

    answer = client.post(CUSTOMERS, input_stream=body, content_type="application/json", headers=headers)

    assert answer.status_code == 201, answer.text
    assert other_writer.times > 1


@pytest.mark.parametrize("path", [CUSTOMERS, "/api/customers/duplicates", "/api/hooks/x"])
@pytest.mark.parametrize("chunked", [True, False])
def test_too_large_a_body_is_refused_whether_or_not_it_says_its_length(client, api, unit, path, chunked):
    body = b'{"kind": "person", "family_name": "' + b"x" * MAX_BODY + b'"}'
    headers = {"Authorization": f"Bearer {api('administrator').token}"}
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    environ = {"wsgi.input_terminated": True}  # the server tells where chunks end

    answer = client.post(path, data=body, content_type="application/json", headers=headers, environ_overrides=environ)

    assert answer.status_code == 413
    assert "1000000" in answer.json["detail"]
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 0
