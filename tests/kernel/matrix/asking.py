"""Every request that the application answers, with somebody else's object in its path, and what counts as a refusal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.setup import FOREIGN_PERMISSIONS
from crm_kernel.database import db
from crm_kernel.records.record_type import RecordType
from crm_kernel.testing.conformance.rule import declared_permissions
from tests.kernel.matrix.foreign import REACH, Foreign

#: An id that nothing has.
NOTHING = UUID("01990000-0000-7000-8000-0000000000ff")
#: Answers of a refusal; a log-in page is a redirect.
REFUSED = (401, 403, 404)
#: Addresses that end what they are asked with: not part of the matrix.
LEFT_OUT = {"security.logout": "ends the session of the role", "web.choose_language": "asks nothing"}
#: Endpoint → argument of its path beside ``uid`` → record type or table of the object that it names.
SECOND = {
    "access.end_users_session": {"session_uid": "user_session"},
    "consent_requests.take_back": {"request_id": "consent"},
}
_CONVERTED = {"UUIDConverter": NOTHING, "IntegerConverter": 1}


@dataclass(frozen=True, slots=True)
class Request:
    """One method of one address; ``about`` names the type or table of the object in its path."""

    endpoint: str
    method: str
    path: str
    needed: str
    about: str | None
    has_uid: bool


def requests_of(app: Any, uids: dict[str, UUID]) -> Iterator[Request]:
    """Yield every request there is, with the id of the object of its type in the path."""
    adapter = app.url_map.bind("localhost")
    for route in sorted(app.url_map.iter_rules(), key=lambda found: (found.rule, found.endpoint)):
        if route.endpoint.endswith("static") or route.endpoint in LEFT_OUT:
            continue
        about = about_of(app, route.endpoint, route.rule)
        values = {name: _argument(name, converter) for name, converter in route._converters.items()}
        if "uid" in values and about in uids:
            values["uid"] = uids[about]
        values |= {name: uids[named] for name, named in SECOND.get(route.endpoint, {}).items() if named in uids}
        declared = declared_permissions(app.view_functions[route.endpoint])
        for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"}):
            needed = declared.get(method, declared.get("default", FOREIGN_PERMISSIONS.get(route.endpoint, "")))
            path = adapter.build(route.endpoint, values, method=method)
            yield Request(route.endpoint, method, path, needed, about, "uid" in values)


def _argument(name: str, converter: Any) -> Any:
    items = getattr(converter, "items", None)
    if isinstance(items, set):
        return sorted(items)[0]
    return _CONVERTED.get(type(converter).__name__, "customer" if "type" in name else "x")


def about_of(app: Any, endpoint: str, rule: str) -> str | None:
    """Return the record type, or the table, of the object in a path: ``/customers/<uid>/…`` is a customer's."""
    for found in types_of(app):
        if rule.removeprefix("/api").startswith(f"/{found.path}/<uuid:uid>"):
            return str(found.name)
    blueprint, _dot, rest = endpoint.partition(".")
    table = REACH.get(endpoint, REACH.get(blueprint))
    if table is not None:
        return str(table.__tablename__)
    names = {found.name.replace(".", "_"): found.name for found in types_of(app)}
    if blueprint.startswith("api_"):
        return names.get(blueprint.removeprefix("api_"))
    if blueprint == "records":
        fitting = [name for name in names if rest.startswith(f"{name}_")]
        return names[max(fitting, key=len)] if fitting else None
    return None


def send(client: Any, request: Request) -> Any:
    """Send a request with a body that asks for nothing in particular."""
    return client.open(request.path, method=request.method, **_body(request))


def as_unknown(client: Any, request: Request, foreign: Foreign, answer: Any) -> bool:
    """Say whether the API names arguments that are wrong, before it looks for the record, and the same of an id that nothing has.

    That is all that is owed beside 401, 403 and 404: a page never answers a refusal with a redirect, which would look like
    success, but for the log-in page.
    """
    if answer.status_code != 422 or not request.path.startswith("/api/"):
        return False
    path = request.path.replace(str(foreign.uids[str(request.about)]), str(NOTHING))
    other = client.open(path, method=request.method, **_body(request))
    errors = [(told.json or {}).get("errors") for told in (answer, other)]
    return other.status_code == 422 and bool(errors[0]) and errors[0] == errors[1]


def _body(request: Request) -> dict[str, Any]:
    if request.method == "PATCH" or (request.path.startswith("/api/") and request.method != "GET"):
        return {"json": {}, "headers": {"If-Match": '"1"'}}
    return {"data": {"version": "1"}} if request.method != "GET" else {}


@contextmanager
def written() -> Iterator[list[str]]:
    """Collect the statements that write a table other than the audit log's, whether or not they are committed."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        words = statement.split(None, 3)
        if words[0] in ("INSERT", "UPDATE", "DELETE") and not any(word.startswith("audit_") for word in words[1:3]):
            found.append(statement)

    sa.event.listen(sa.Engine, "after_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", note)


def digest(app: Any) -> str:
    """Return a digest of every table but the audit log's own, which notes refusals."""
    found = hashlib.sha256()
    with app.app_context(), db.engine.connect() as connection:
        # Modules that another test imported are in the metadata, and not in this database.
        there = set(sa.inspect(connection).get_table_names())
        for table in sorted(db.metadatas[None].tables.values(), key=lambda t: t.name):
            if table.name in there and not table.name.startswith("audit_"):
                rows = connection.execute(sa.select(table).order_by(*table.primary_key.columns))
                found.update(table.name.encode() + repr([tuple(row) for row in rows]).encode())
    return found.hexdigest()


def refused(answer: Any) -> bool:
    """Say whether an answer refuses: by its status, or by the log-in page."""
    return answer.status_code in REFUSED or (
        answer.status_code in (302, 303) and "/auth/login" in answer.headers["Location"]
    )


def types_of(app: Any) -> list[RecordType]:
    """Return the record types of the application."""
    return list(runtime_of(app).registry.all("record_types"))
