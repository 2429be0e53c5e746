"""An import finds, changes and takes back only records that its user may change, whatever a row is matched by.

Every type that files bring in is matched by its id, by its foreign key and by every text of it; what the far record holds
there finds as much as what nothing holds.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from crm_kernel.access.acting import actor_for
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.models import AppUser
from crm_kernel.errors import Forbidden
from crm_kernel.records.importing import import_folder
from crm_kernel.records.importing.mapping import parse_mapping
from crm_kernel.records.importing.models import ImportRow
from crm_kernel.records.importing.results import Verdict
from crm_kernel.records.importing.targets import known_paths
from crm_kernel.records.plan import Kind, plan_of
from crm_kernel.records.record_type import RecordType
from crm_kernel.unit_of_work import reading
from tests.kernel.matrix.asking import NOTHING, digest, types_of
from tests.kernel.matrix.foreign import CANARY, SHARED

pytestmark = pytest.mark.crm_databases("sqlite")

#: Texts without a meaning of their own: what a row would change in the record that it finds.
FREE = ("notes", "body", "description", "region", "role")
MAIL = "far@customers.example.org"


@pytest.fixture
def importer(world: Any, crm_app: Any, login: Any) -> Any:
    """Who may import everything, and change what is his own."""
    return login(grants={"*": "own", "import.read": "all", "import.update": "all"}, team="Near")


def imported_types(app: Any) -> list[RecordType]:
    """Return the types whose records files change, where a far one is nobody's business."""
    return [
        found for found in types_of(app) if found.importing and "update" in found.verbs and found.name not in SHARED
    ]


def matches_of(app: Any, world: Any, unit: Any) -> Iterator[tuple[RecordType, tuple[str, ...], dict[str, str]]]:
    """Yield (type, match fields, what the far record holds there)."""
    with unit() as uow:
        for found in imported_types(app):
            row = uow.session.execute(
                sa.select(found.model).where(found.model.uid == world.foreign.uids[found.name])
            ).scalar_one()
            held = {name: getattr(row, field.field.attribute or name, None) for name, field in texts_of(found).items()}
            yield found, ("id",), {"id": str(row.uid)}
            yield from ((found, (name,), {name: value}) for name, value in held.items() if value)
            if found.external_key and set(found.external_key) <= set(known_paths(plan_of(found))):
                yield found, found.external_key, {name: held.get(name) or "far" for name in found.external_key}
    yield (
        next(t for t in types_of(app) if t.name == "customer"),
        ("contact_points.email",),
        {"contact_points.email": MAIL},
    )


def texts_of(found: RecordType) -> dict[str, Any]:
    """Return the plain texts that a file may write, by which rows can be matched."""
    fields = plan_of(found).fields.items()
    return {
        n: p
        for n, p in fields
        if p.kind in (Kind.TEXT, Kind.EMAIL) and p.writable and p.column is not None and not p.side
    }


def import_one(
    app: Any, actor: Any, folder: Path, found: RecordType, match: tuple[str, ...], row: dict[str, str]
) -> Any:
    """Import a file of one row as a user, and return how many records were changed, and every word about it."""
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    columns = {name: name for name in row}
    source = {"file": "rows.csv", "record_type": found.name, "match": list(match), "mode": "update", "columns": columns}
    mapping = parse_mapping({"source": [source]}, "matrix", "matrix.toml")
    with app.app_context():
        try:
            result = import_folder(mapping, folder, actor=actor).sources[0]
        except Forbidden as error:
            return 0, str(error)
    return result.verdicts[Verdict.UPDATED], [(e.column, e.text) for e in (*result.errors, *result.warnings)]


@pytest.fixture
def far_mail(world: Any, unit: Any, login: Any) -> None:
    """Give the far customer an address to be matched by."""
    admin, page = login("administrator"), f"/api/customers/{world.foreign.uids['customer']}"
    etag = {"If-Match": admin.get(page).headers["ETag"]}
    answer = admin.patch(page, json={"contact_points": [{"channel": "email", "value": MAIL}]}, headers=etag)
    assert answer.status_code == 200, answer.text


def test_a_row_finds_no_record_of_somebody_else_whatever_it_is_matched_by(
    crm_app: Any, world: Any, importer: Any, unit: Any, far_mail: None, tmp_path: Path
) -> None:
    wrong, actor = {}, acting(crm_app, importer)
    before, cases = rows_of_foreign(crm_app, world, unit), list(matches_of(crm_app, world, unit))
    with crm_app.app_context():
        free = {t.name: [t.title, *(n for n in texts_of(t) if n in FREE)] for t in imported_types(crm_app)}

    for found, match, held in cases:
        new = dict.fromkeys([name for name in free[found.name] if name not in match][:1], "Taken over")
        told = []
        for values in (held, {name: unknown(name, value) for name, value in held.items()}):
            changed, said = import_one(crm_app, actor, tmp_path, found, match, new | values)
            told.append((changed, without(str(said), values)))
        if told[0] != told[1] or told[0][0]:
            wrong[f"{found.name} by {', '.join(match)}"] = told

    assert wrong == {}
    assert rows_of_foreign(crm_app, world, unit) == before
    assert len(cases) > 15


def unknown(name: str, value: str) -> str:
    """Return what nothing holds in a field."""
    return str(NOTHING) if name == "id" else "nobody@x.example" if "@" in value else "nothing"


def without(text: str, values: dict[str, str]) -> str:
    """Return what was said of a row, whatever the row held."""
    for value in values.values():
        text = text.replace(value, "?")
    return text


def test_the_rows_of_ones_own_records_are_changed(
    crm_app: Any, world: Any, importer: Any, factories: Any, tmp_path: Path
) -> None:
    own = factories.organization(owner=str(importer.user.uid))
    customers = next(found for found in types_of(crm_app) if found.name == "customer")
    row = {"id": str(own.uid), "notes": "Taken over"}

    changed, told = import_one(crm_app, acting(crm_app, importer), tmp_path, customers, ("id",), row)

    assert (changed, told) == (1, [])


def acting(app: Any, client: Any) -> Any:
    """Return who acts for a browser."""
    with app.app_context(), reading(SYSTEM) as uow:
        return actor_for(uow, uow.session.get(AppUser, client.user.id))


def rows_of_foreign(app: Any, world: Any, unit: Any) -> list[Any]:
    """Return the far records of the types that files change, as they are stored."""
    with unit() as uow:
        tables = [(found.model.__table__, world.foreign.uids[found.name]) for found in imported_types(app)]
        return [tuple(uow.session.execute(sa.select(table).where(table.c.uid == uid)).one()) for table, uid in tables]


def test_undoing_an_import_of_others_changes_nothing_of_records_out_of_reach(
    crm_app: Any, world: Any, importer: Any, login: Any, deliver_events: Any
) -> None:
    admin, far = login("administrator"), world.foreign.uids["customer"]
    file = BytesIO(f"id,notes\n{far},{CANARY} of an import\n".encode())
    mapping = 'match = ["id"]\nmode = "update"\n[columns]\nid = "id"\nnotes = "notes"\n'
    run = admin.post("/api/imports", data={"file": (file, "one.csv"), "record_type": "customer", "mapping": mapping})
    assert run.status_code == 202, run.text
    deliver_events()
    assert admin.get(f"/api/imports/{run.json['id']}").json["updated"] == 1

    asked = importer.post(f"/imports/{run.json['id']}/undo")
    deliver_events()

    page = importer.get(f"/imports/{run.json['id']}").text
    assert asked.status_code == 303
    assert admin.get(f"/api/imports/{run.json['id']}").json["undo"] == {"deleted": 0, "restored": 0, "kept": 1}
    assert admin.get(f"/api/customers/{far}").json["notes"] == f"{CANARY} of an import"
    assert (CANARY in page, str(far) in page) == (False, False)
    assert "not yours to change" in page


def likeness(name: str) -> dict[str, Any]:
    """Return an import of a row that is like the far customer, held back where somebody has to say."""
    mapping = 'duplicates = "review"\n[columns]\nkind = "kind"\nname = "display_name"\nmail = "contact_points.email"\n'
    file = BytesIO(f"kind,name,mail\norganization,{name},{MAIL}\n".encode())
    return {"file": (file, "one.csv"), "record_type": "customer", "mapping": mapping}


def test_what_a_row_may_be_is_told_to_nobody_who_does_not_see_it(
    crm_app: Any, world: Any, importer: Any, login: Any, far_mail: None, deliver_events: Any
) -> None:
    admin, far = login("administrator"), world.foreign.uids["customer"]
    name = admin.get(f"/api/customers/{far}").json["display_name"]
    sent = likeness(name)
    run = admin.post("/api/imports", data=sent)
    deliver_events()
    pages = [f"/imports/{run.json['id']}", f"/imports/{run.json['id']}/errors", f"/api/imports/{run.json['id']}"]

    seen, told = ([client.get(page).text for page in pages] for client in (admin, importer))

    assert str(far) in seen[0]
    assert [CANARY in text or str(far) in text for text in told] == [False] * 3


def test_a_row_that_is_like_a_far_record_is_a_new_one(
    crm_app: Any, world: Any, importer: Any, login: Any, far_mail: None, deliver_events: Any
) -> None:
    name = login("administrator").get(f"/api/customers/{world.foreign.uids['customer']}").json["display_name"]
    sent = likeness(name)

    run = importer.post("/api/imports", data=sent)
    deliver_events()

    done = importer.get(f"/api/imports/{run.json['id']}").json
    assert (done["created"], done["updated"], done["review"], done["problems"]) == (1, 0, 0, [])


def test_a_draft_of_others_is_neither_mapped_nor_started(crm_app: Any, world: Any, login: Any) -> None:
    admin, file = login("administrator"), BytesIO(b"kind,display_name\norganization,Acme\n")
    sent = admin.post("/imports", data={"file": (file, "one.csv"), "record_type": "customer"})
    page = sent.headers["Location"].removesuffix("/mapping")
    reader, before = login(grants={"*": "own"}, team="Near"), digest(crm_app)

    answers = {verb: reader.post(f"{page}/{verb}").status_code for verb in ("mapping", "start", "stop", "undo")}

    assert set(answers.values()) <= {403, 404}
    assert digest(crm_app) == before


def test_what_an_undo_kept_is_told_where_the_module_of_the_record_is_gone(
    crm_app: Any, world: Any, unit: Any, login: Any
) -> None:
    uid = world.foreign.uids["import_run"]
    with unit() as uow:
        run = world.foreign.keys["import_run"]
        why = {"column": "", "found": "", "expected": "Its module is not loaded.", "sentence": True}
        kept = {"verdict": "kept", "record_type": "gone.thing", "record_uid": NOTHING, "problems": [why]}
        uow.session.add(ImportRow(run_id=run, source=0, number=1, **kept))
        uow.session.execute(sa.text('UPDATE import_run SET undo = \'{"deleted": 0, "restored": 0, "kept": 1}\''))

    answer = login("administrator").get(f"/imports/{uid}")

    assert answer.status_code == 200
    assert "gone.thing" in answer.text
