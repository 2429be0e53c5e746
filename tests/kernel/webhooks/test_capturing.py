"""Whom a message from outside is about: the one that forms, API and imports would name, and nobody on a guess."""

from __future__ import annotations

import csv
import json
import re
from typing import Any

import pytest
import sqlalchemy as sa

from crm_kernel import capture_customer
from crm_kernel.access.actor import SYSTEM, Actor, Scope
from crm_kernel.contributions import InboundMessage
from crm_kernel.customers.duplicates import scanning
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.duplicates.queries import open_candidates
from crm_kernel.customers.duplicates.queue import open_clusters
from crm_kernel.customers.models import Customer
from crm_kernel.errors import Forbidden, InvalidInput
from crm_kernel.events.inbound.customers import take_customer
from crm_kernel.records.importing import Mode, import_folder
from crm_kernel.records.importing.mapping import parse_mapping
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record
from crm_kernel.touchpoints.models import Interaction

ADA = {
    "given_name": "Ada",
    "family_name": "Lovelace",
    "birth_date": "1985-12-10",
    "phone": "+33612345678",
    "street": "12 St James Square",
    "postal_code": "75011",
    "city": "Paris",
}
CALL = {"kind": "note", "channel": "web", "direction": "in", "summary": "Asked for a quote"}
_WHERE = ("street", "postal_code", "city")
_CHANNELS = ("email", "phone")


def payload(kind: str = "person", **flat: str) -> dict[str, Any]:
    """Return one row as a payload of the API."""
    points = [{"channel": name, "value": flat.pop(name)} for name in _CHANNELS if name in flat]
    place = {name: flat.pop(name) for name in _WHERE if name in flat}
    parts = {"contact_points": points, "addresses": [place] if place else []}
    return {"kind": kind, **flat, **{name: value for name, value in parts.items() if value}}


@pytest.fixture
def scanned(unit: Any) -> Any:
    """Let the nightly scan pass."""

    def scan() -> None:
        with unit() as uow:
            point = scanning.scan(uow, {})
            while point is not None:
                point = scanning.scan(uow, {"checkpoint": point})

    return scan


@pytest.fixture
def ada(admin: Any, scanned: Any) -> Any:
    """Ada and a company, known since yesterday; Ada's id."""
    firm = {"display_name": "Babbage Engines Ltd", "street": "1 Dorset Street", "postal_code": "69001", "city": "Lyon"}
    admin.post("/api/customers", payload("organization", **firm, phone="+33478000000"))
    made = admin.post("/api/customers", payload(**ADA)).json["id"]
    scanned()
    return made


@pytest.fixture
def take(unit: Any) -> Any:
    """Handle a message and return what is said of it: ``take({"kind": …}, interaction=CALL)``."""

    def handled(customer: Any, *, actor: Actor = SYSTEM, **more: Any) -> str:
        body = json.dumps({"customer": customer, **more}).encode()
        with unit(actor) as uow:
            from uuid import uuid4

            return take_customer(uow, InboundMessage(uuid4(), "m1", "application/json", body))

    return handled


@pytest.fixture
def customers(unit: Any) -> Any:
    """Count customers."""

    def count() -> int:
        with unit() as uow:
            return uow.session.scalar(sa.select(sa.func.count()).select_from(Customer)) or 0

    return count


def queue(unit: Any) -> list[set[str]]:
    """Return the open pairs, as ids."""
    with unit() as uow:
        return [{str(pair.first.uid), str(pair.second.uid)} for pair in open_candidates(uow)[0]]


#: What somebody typed → what becomes of it everywhere; slips as in the files of febrl.
SAID = {
    "exactly the same": (ADA, "sure"),
    "two letters swapped": ({**ADA, "family_name": "Lovelcae"}, "sure"),
    "a slip in name and birth date": ({**ADA, "given_name": "Adda", "birth_date": "1985-12-01"}, "sure"),
    "names in each other's field": ({**ADA, "given_name": "Lovelace", "family_name": "Ada"}, "sure"),
    "another street and a slip": ({**ADA, "street": "7 Ockham Road", "family_name": "Lovelase"}, "sure"),
    "name and birth date alone": (
        {"given_name": "Ada", "family_name": "Lovelace", "birth_date": "1985-12-10"}, "sure",
    ),
    "name and telephone": ({"given_name": "Ada", "family_name": "Lovelaec", "phone": "06 12 34 56 78"}, "sure"),
    "the name alone": ({"given_name": "Ada", "family_name": "Lovelace"}, "maybe"),
    "the name and the town": ({"given_name": "Ada", "family_name": "Lovelace", "city": "Paris"}, "maybe"),
    "who shares her telephone": (
        {"given_name": "William", "family_name": "Lovelace", "phone": "+33612345678"}, "maybe",
    ),
    "the telephone and no name of hers": (
        {"given_name": "Grace", "family_name": "Hopper", "phone": "+33612345678"}, "nobody",
    ),
    "a namesake born elsewhere at another time": (
        {"given_name": "Ada", "family_name": "Lovelace", "birth_date": "1951-03-02", "phone": "+33698765432",
         "city": "Nantes", "postal_code": "44000"}, "nobody",
    ),
    "a stranger": ({"given_name": "Grace", "family_name": "Hopper", "phone": "+33698765432"}, "nobody"),
}  # fmt: skip
FIRM = {"display_name": "Babbage Engine", "phone": "+33478000000"}
CASES = [("person", *case) for case in SAID.values()] + [
    ("organization", FIRM, "sure"),
    ("organization", {"display_name": "Babbage Engines Ltd", "city": "Lyon"}, "maybe"),
    ("organization", {"display_name": "Analytical Society"}, "nobody"),
]


@pytest.mark.parametrize(("kind", "said", "verdict"), CASES, ids=[*SAID, "firm", "firm in its town", "another firm"])
def test_form_api_import_and_capture_say_the_same_of_the_same_person(
    kind, said, verdict, ada, admin, login, crm_app, tmp_path, take, configure
):
    configure(default_region="FR")
    given = payload(kind, **said)

    warned = "May already exist" in _form(login("administrator"), given)
    told = {
        "api": _api(admin, given),
        "import": _import(crm_app, tmp_path, kind, said),
        "capture": take(given).split(":")[0],
    }

    assert told == {"api": verdict, "import": _IMPORT[verdict], "capture": _CAPTURE[verdict]}
    assert warned == (verdict != "nobody")


_IMPORT = {"sure": "updated", "maybe": "review", "nobody": "created"}
_CAPTURE = {"sure": "customer found", "maybe": "customer created, possible duplicates", "nobody": "customer created"}


def _api(admin: Any, given: dict[str, Any]) -> str:
    found = admin.post("/api/customers/duplicates", given).json["items"]
    if not found:
        return "nobody"
    return "sure" if found[0]["probability"] >= 0.9 and not found[0]["doubtful"] else "maybe"


def _form(browser: Any, given: dict[str, Any]) -> str:
    fields = {name: value for name, value in given.items() if isinstance(value, str)}
    for name in ("contact_points", "addresses"):
        for number, part in enumerate(given.get(name, ())):
            fields |= {f"{name}-{number}-{key}": value for key, value in part.items()}
    token = re.search(r'name="csrf-token" content="([^"]+)"', browser.get("/customers").text)[1]
    answer = browser.post("/customers/duplicates/check", data={"csrf_token": token, **fields})
    assert answer.status_code == 200
    return answer.text


def _import(crm_app: Any, folder: Any, kind: str, said: dict[str, str]) -> str:
    # One more column, so that a row which is surely hers changes something.
    row = {**said, "notes": "asked by telephone"}
    with (folder / "people.csv").open("w", newline="") as file:
        csv.writer(file).writerows([list(row), list(row.values())])
    paths = {**{name: f"contact_points.{name}" for name in _CHANNELS}, **{name: f"addresses.{name}" for name in _WHERE}}
    source = {
        "file": "people.csv",
        "record_type": "customer",
        "columns": {name: paths.get(name, name) for name in row},
        "constants": {"kind": kind},
        "duplicates": "update",
    }
    with crm_app.app_context():
        mapping = parse_mapping({"source": [source]}, "test", "test.toml")
        result = import_folder(mapping, folder, actor=SYSTEM, mode=Mode.DRY_RUN)
    (verdict,) = [verdict.value for verdict, number in result.sources[0].verdicts.items() if number]
    return verdict


def test_who_is_surely_known_is_found_and_stays_as_he_is(ada, admin, take, customers, unit):
    told = take(payload(**{**ADA, "family_name": "Lovelcae"}), interaction=CALL)

    assert told == f"customer found, contact recorded: {ada}"
    assert (admin.get(f"/api/customers/{ada}").json["family_name"], customers()) == ("Lovelace", 2)
    with unit() as uow:
        assert [str(one.uid) for one in uow.session.scalars(sa.select(Customer).join(Interaction))] == [ada]


def test_who_is_surely_known_is_changed_where_the_message_says_so(ada, admin, take):
    assert take(payload(**ADA, job_title="Analyst"), update=True) == f"customer updated: {ada}"
    assert admin.get(f"/api/customers/{ada}").json["job_title"] == "Analyst"


def test_who_may_be_known_is_created_and_waits_in_the_queue_with_his_contact(ada, take, unit):
    told = take(payload(given_name="Ada", family_name="Lovelace"), interaction=CALL)

    new = told.rpartition(" ")[2]
    assert told == f"customer created, possible duplicates: 1, contact recorded: {new}"
    assert queue(unit) == [{ada, new}]
    with unit() as uow:
        (cluster,) = open_clusters(uow)[0]
        assert {"given_name:same", "family_name:same"} <= set(cluster.pairs[0].reasons)


def test_the_nightly_scan_keeps_the_pair_and_a_decision_about_it(ada, take, unit, scanned, admin):
    new = take(payload(given_name="Ada", family_name="Lovelace")).rpartition(" ")[2]
    scanned()
    assert queue(unit) == [{ada, new}]
    with unit() as uow:
        pair = uow.session.scalars(sa.select(DuplicateCandidate.uid)).one()

    assert admin.post(f"/api/customers/duplicates/{pair}/dismiss").status_code == 200
    scanned()

    assert queue(unit) == []


def test_a_pair_that_no_longer_looks_alike_leaves_the_queue_though_a_message_made_it(ada, take, unit, scanned, admin):
    new = take(payload(given_name="Ada", family_name="Lovelace")).rpartition(" ")[2]
    path = f"/api/customers/{new}"

    assert (
        admin.patch(path, {"given_name": "Grace", "family_name": "Hopper"}, If_Match=admin.etag(path)).status_code
        == 200
    )
    scanned()

    assert queue(unit) == []


def test_who_writes_again_before_anybody_has_decided_is_created_once(ada, take, customers):
    about = payload(given_name="William", family_name="Lovelace", phone="+33612345678")

    told = [take(about).split(":")[0] for _time in range(3)]

    assert told == ["customer created, possible duplicates", "customer found", "customer found"]
    assert customers() == 3


def test_of_several_who_are_surely_meant_none_is_guessed(ada, admin, take, customers, unit):
    twin = admin.post("/api/customers", payload(**ADA)).json["id"]

    told = [take(payload(**ADA)) for _time in range(3)]

    new = told[0].rpartition(" ")[2]
    assert told[0].startswith("customer created, possible duplicates: 2")
    assert {frozenset(pair) for pair in queue(unit)} == {frozenset({ada, new}), frozenset({twin, new})}
    # From then on the queue holds the three for one, and a merge takes along what is recorded of any of them.
    assert [text.partition(":")[0] for text in told[1:]] == ["customer found"] * 2
    assert customers() == 4


def test_of_several_who_come_into_question_none_is_changed(ada, admin, take, customers):
    admin.post("/api/customers", payload(given_name="William", family_name="Lovelace", phone="+33612345678"))

    with pytest.raises(InvalidInput, match="2 customers"):
        take(payload(given_name="Ada", family_name="Lovelace", phone="+33612345678"), update=True)

    assert customers() == 3


def test_of_two_with_one_address_the_one_is_found_who_is_surely_meant(admin, take):
    family = [
        admin.post("/api/customers", payload(**who, family_name="Lovelace", email="home@crm.test")).json["id"]
        for who in (
            {"given_name": "Ada", "birth_date": "1985-12-10"},
            {"given_name": "William", "birth_date": "1981-02-21"},
        )
    ]

    told = take(payload(given_name="Ada", family_name="Lovelace", birth_date="1985-12-10", email="home@crm.test"))

    assert told == f"customer found: {family[0]}"
    with pytest.raises(InvalidInput, match="2 customers fit"):
        take(payload(family_name="Lovelace", email="home@crm.test"))


def test_a_person_is_never_an_organization_of_the_same_address(admin, take, customers):
    admin.post("/api/customers", payload("organization", display_name="Lovelace", email="info@crm.test"))

    told = take(payload(family_name="Lovelace", email="info@crm.test"))

    assert (told.startswith("customer created"), customers()) == (True, 2)


@pytest.fixture
def limited() -> Any:
    """Somebody who sees and changes what the scopes say: ``limited(read=Scope.OWN)``."""

    def make(**scopes: Scope) -> Actor:
        grants = {f"customer.{verb}": scope for verb, scope in {"create": Scope.ALL, **scopes}.items()}
        return Actor(kind="user", name="Rep", grants=grants)

    return make


def test_a_customer_whom_the_sources_user_does_not_see_is_neither_found_nor_told_of(ada, take, limited, unit):
    told = take(payload(**ADA), actor=limited(read=Scope.OWN, update=Scope.OWN))

    assert re.fullmatch(r"customer created: [0-9a-f-]+", told)
    assert queue(unit) == []


def test_a_customer_whom_the_sources_user_may_only_read_is_not_changed(ada, take, limited, admin):
    with pytest.raises(Forbidden):
        take(payload(**ADA, job_title="Analyst"), actor=limited(read=Scope.ALL, update=Scope.OWN), update=True)

    assert admin.get(f"/api/customers/{ada}").json["job_title"] is None


def test_fields_that_the_sources_user_may_not_see_find_nobody(ada, take, unit, admin, api):
    known = admin.post("/api/customers", payload(family_name="Byron", email="byron@crm.test")).json["id"]
    assert take(payload(family_name="Byron", email="byron@crm.test")) == f"customer found: {known}"
    hiding = Actor(
        kind="user", name="Rep", grants={"customer.read": Scope.ALL, "customer.create": Scope.ALL},
        field_rules={"customer": {"contact_points": "hidden"}},
    )  # fmt: skip

    with pytest.raises((Forbidden, InvalidInput)):
        take(payload(family_name="Byron", email="byron@crm.test"), actor=hiding)


@pytest.mark.parametrize("name", ["given_name", "source", "external_ref"])
def test_a_text_that_no_database_takes_is_refused_by_its_name(name, take):
    about = {"kind": "person", "family_name": "Lovelace", "source": "shop", "external_ref": "1", name: "A\x00da"}

    with pytest.raises(InvalidInput) as caught:
        take(about)

    assert list(caught.value.errors) == [name]


def test_what_is_nested_without_end_is_refused_by_its_name(unit):
    nested: list[Any] = []
    for _level in range(5_000):
        nested = [nested]

    with unit() as uow, pytest.raises(InvalidInput) as caught:
        capture_customer(uow, {"kind": "person", "family_name": "Lovelace", "contact_points": nested})

    assert caught.value.errors == {"contact_points": ["Nested too deeply."]}


@pytest.mark.parametrize(
    ("passed", "done"), [(False, "customer created, possible duplicates"), (True, "customer found")]
)
def test_to_recognise_somebody_costs_no_query_per_customer_who_looks_alike(
    passed, done, take, scanned, count_queries, unit
):
    counts = []
    for family, number in (("Lovelace", 2), ("Byron", 40)):
        own = {"birth_date": f"19{number + 10}-02-03", "phone": f"+336123400{number:02}"}
        about = payload(**{**ADA, "family_name": family, **own})
        with unit() as uow:
            for _time in range(number):
                create_record(uow, record_type("customer"), about)
        if passed:
            scanned()
        with count_queries() as queries:
            told = take(about)
        assert told.partition(":")[0] == done
        counts.append(len(queries))
        queries.at_most(60)

    assert counts[0] == counts[1]


def test_a_module_captures_customers_as_the_kernel_does(ada, unit):
    with unit() as uow:
        found = capture_customer(uow, payload(**ADA))
        again = capture_customer(uow, payload(**ADA, job_title="Analyst"), known="update")
        new = capture_customer(uow, payload(given_name="Ada", family_name="Lovelace"))

        assert (str(found.customer.uid), found.outcome, found.proposed) == (ada, "found", 0)
        assert (new.outcome, new.proposed) == ("created", 1)
        assert (str(again.customer.uid), again.outcome) == (ada, "updated")
