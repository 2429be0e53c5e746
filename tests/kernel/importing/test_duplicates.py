"""Rows that may be customers who are there already: held back, left out or taken for them, as the mapping says."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.customers.models import Customer, Person
from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing import Mode, Verdict
from crm_kernel.records.importing.models import ImportRow
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record

PEOPLE = {
    "file": "people.csv",
    "record_type": "customer",
    "columns": {
        "Given": "given_name",
        "Family": "family_name",
        "Born": "birth_date",
        "Mail": "contact_points.email",
        "Job": "job_title",
    },
    "constants": {"kind": "person"},
}
FILE = (
    "Given,Family,Born,Mail,Job\n"
    "Ada,Lovelase,1915-12-10,ada@example.org,Analyst\n"
    "Grace,Hopper,1906-12-09,grace@example.org,Admiral\n"
)


@pytest.fixture
def ada(unit):
    with unit() as uow:
        payload = {
            "kind": "person",
            "given_name": "Ada",
            "family_name": "Lovelace",
            "birth_date": "1915-12-10",
            "contact_points": [{"channel": "email", "value": "ada@example.org"}],
        }
        return create_record(uow, record_type("customer"), payload).uid


@pytest.fixture
def people(unit):
    """Family names and jobs of all people."""

    def read():
        with unit() as uow:
            rows = uow.session.execute(sa.select(Person.family_name, Person.job_title).order_by(Person.customer_id))
            return [tuple(row) for row in rows]

    return read


def _verdicts(result):
    return {verdict.value: number for verdict, number in result.sources[0].verdicts.items() if number}


@pytest.mark.parametrize(
    ("rule", "verdicts", "stored"),
    [
        ("new", {"created": 2}, [("Lovelace", None), ("Lovelase", "Analyst"), ("Hopper", "Admiral")]),
        ("review", {"created": 1, "review": 1}, [("Lovelace", None), ("Hopper", "Admiral")]),
        ("skip", {"created": 1, "skipped": 1}, [("Lovelace", None), ("Hopper", "Admiral")]),
        ("update", {"created": 1, "updated": 1}, [("Lovelase", "Analyst"), ("Hopper", "Admiral")]),
    ],
)
def test_a_row_that_may_be_a_known_customer_follows_the_rule(run, write, ada, people, rule, verdicts, stored):
    write("people.csv", FILE)

    rehearsed = run({**PEOPLE, "duplicates": rule}, mode=Mode.DRY_RUN)
    result = run({**PEOPLE, "duplicates": rule})

    assert _verdicts(rehearsed) == _verdicts(result) == verdicts, result.to_json()
    assert people() == stored


def test_a_row_held_back_is_kept_with_whom_it_may_be(run, write, ada, unit):
    write("people.csv", FILE)

    result = run({**PEOPLE, "duplicates": "review"})

    (error,) = result.sources[0].errors
    assert (error.row, error.review) == (2, True)
    assert "Ada Lovelace" in error.text
    assert str(ada) in error.text
    with unit() as uow:
        kept = uow.session.execute(sa.select(ImportRow.number).where(ImportRow.verdict == Verdict.REVIEW.value)).all()
        assert [tuple(row) for row in kept] == [(2,)]


def test_the_same_person_twice_in_one_file_is_held_back_the_second_time(run, write, people):
    write("people.csv", FILE + "Ada,Lovelace,1915-12-10,ada@example.org,Countess\n")

    result = run({**PEOPLE, "duplicates": "update"})

    assert _verdicts(result) == {"created": 2, "review": 1}
    assert "line 2" in result.sources[0].errors[0].text
    assert people() == [("Lovelase", "Analyst"), ("Hopper", "Admiral")]


@pytest.mark.parametrize("chunk", [1, 1_000])
@pytest.mark.parametrize(("rule", "verdict"), [("skip", "skipped"), ("review", "review")])
def test_two_rows_that_are_alike_are_found_in_whichever_chunks_they_are(
    run, write, people, monkeypatch, chunk, rule, verdict
):
    monkeypatch.setattr("crm_kernel.records.importing.session.CHUNK", chunk)
    rows = "Jonathan,Smithers,1980-01-02,jon@crm.test,\nJonathon,Smithers,1980-01-02,smithers@crm.test,\n"
    write("people.csv", "Given,Family,Born,Mail,Job\n" + rows)

    result = run({**PEOPLE, "duplicates": rule})

    assert _verdicts(result) == {"created": 1, verdict: 1}, result.to_json()
    assert people() == [("Smithers", None)]


# Each is surely Ada, but the two are not surely the same: what they say beside differs.
TWO_ADAS = (
    "Ada,Lovelace,1915-12-10,,Countess\n",
    ",Lovelace,,ada@example.org,Analyst\n",
)


@pytest.fixture
def sure(monkeypatch):
    """Take every likely record for the row's own, and never another row."""
    from crm_kernel.customers.duplicates import likely

    monkeypatch.setattr(likely, "_among", lambda *given: ())
    monkeypatch.setattr("crm_kernel.records.importing.sifting.SURE", 0)


@pytest.mark.parametrize("chunk", [1, 1000])
def test_two_rows_that_may_be_one_customer_never_overwrite_each_other(
    run, write, ada, people, sure, monkeypatch, chunk
):
    monkeypatch.setattr("crm_kernel.records.importing.session.CHUNK", chunk)
    write("people.csv", "Given,Family,Born,Mail,Job\n" + "".join(TWO_ADAS))

    result = run({**PEOPLE, "duplicates": "update"})

    assert _verdicts(result) == {"updated": 1, "review": 1}, result.to_json()
    (error,) = result.sources[0].errors
    assert (error.row, error.review) == (3, True)
    assert "another row of this file" in error.text
    assert people() == [("Lovelace", "Countess")]


@pytest.mark.parametrize("chunk", [1, 1000])
def test_a_likely_row_is_held_back_where_the_record_of_another_row_is_meant(
    run, write, ada, people, sure, monkeypatch, chunk
):
    monkeypatch.setattr("crm_kernel.records.importing.session.CHUNK", chunk)
    head = "id,given_name,family_name,birth_date,job_title,kind\n"
    write("people.csv", f"{head}{ada},Ada,Lovelace,1915-12-10,Analyst,person\n,Ada,Lovelace,1915-12-10,Cook,person\n")

    result = run({"file": "people.csv", "record_type": "customer", "duplicates": "update"})

    assert _verdicts(result) == {"updated": 1, "review": 1}, result.to_json()
    assert people() == [("Lovelace", "Analyst")]


def test_a_row_with_a_key_may_not_contradict_one_that_was_taken_for_its_record(
    run, write, ada, people, sure, monkeypatch
):
    monkeypatch.setattr("crm_kernel.records.importing.session.CHUNK", 1)
    head = "id,given_name,family_name,birth_date,job_title,kind\n"
    write("people.csv", f"{head},Ada,Lovelace,1915-12-10,Cook,person\n{ada},Ada,Lovelace,1915-12-10,Analyst,person\n")

    result = run({"file": "people.csv", "record_type": "customer", "duplicates": "update"})

    assert _verdicts(result) == {"updated": 1, "refused": 1}, result.to_json()
    assert "earlier row" in result.sources[0].errors[0].text
    assert people() == [("Lovelace", "Cook")]


def test_an_import_taken_up_again_remembers_for_whom_its_rows_were_taken(
    crm_app, run, write, ada, people, unit, sure, monkeypatch
):
    from uuid import UUID

    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.importing import chunks
    from crm_kernel.records.importing.continuing import resume

    monkeypatch.setattr("crm_kernel.records.importing.session.CHUNK", 1)
    write("people.csv", "Given,Family,Born,Mail,Job\n" + "".join(TWO_ADAS))
    whole = chunks.SourceRun.process

    def once(self, uow, rows):
        if rows[0].number == 3:
            raise InvalidInput({"file": ["no more"]})
        return whole(self, uow, rows)

    with monkeypatch.context() as patch:
        patch.setattr(chunks.SourceRun, "process", once)
        stopped = run({**PEOPLE, "duplicates": "update"})
    with crm_app.app_context():
        result = resume(UUID(stopped.run_id), actor=SYSTEM)

    assert stopped.failure
    assert _verdicts(result) == {"updated": 1, "review": 1}, result.to_json()
    assert people() == [("Lovelace", "Countess")]


def test_two_addresses_of_one_customer_change_it_one_after_the_other(run, write, unit, people):
    with unit() as uow:
        points = [{"channel": "email", "value": f"{name}@example.org"} for name in ("ada", "countess")]
        data = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace", "contact_points": points}
        create_record(uow, record_type("customer"), data)
    write("people.csv", "Mail,Family,Job\nada@example.org,King,Clerk\ncountess@example.org,King,Analyst\n")
    columns = {"Mail": "contact_points.email", "Family": "family_name", "Job": "job_title"}

    result = run({**PEOPLE, "columns": columns, "match": ["contact_points.email"], "mode": "update"})

    assert _verdicts(result) == {"updated": 2}, result.to_json()
    assert people() == [("King", "Analyst")]


@pytest.mark.parametrize("mode", [Mode.DRY_RUN, Mode.CHUNKS])
@pytest.mark.parametrize("key", ["", "id,"])
def test_a_likely_customer_that_one_may_only_read_refuses_the_row(run, write, ada, people, key, mode):
    from crm_kernel.access.actor import Actor, Scope

    head = f"{key}given_name,family_name,birth_date,job_title,kind,contact_points.email\n"
    row = "Ada,Lovelase,1915-12-10,Analyst,person,ada@example.org\n"
    write("people.csv", head + ("," if key else "") + row)
    grants = {"customer.read": Scope.ALL, "customer.create": Scope.ALL, "customer.update": Scope.OWN}

    result = run(
        {"file": "people.csv", "record_type": "customer", "duplicates": "update"},
        actor=Actor(kind="user", name="Rep", grants=grants),
        mode=mode,
    )

    assert (result.failure, _verdicts(result)) == (None, {"refused": 1}), result.to_json()
    assert "Rep may not change" in result.sources[0].errors[0].text
    assert people() == [("Lovelace", None)]


def test_a_stranger_of_the_same_name_is_no_duplicate(run, write, ada, people):
    write("people.csv", "Given,Family,Born,Mail,Job\nAda,Lovelace,1988-01-31,other@example.net,Cook\n")

    result = run({**PEOPLE, "duplicates": "skip"})

    assert _verdicts(result) == {"created": 1}


def test_a_customer_the_importer_may_not_see_is_not_told_of(run, write, ada, unit):
    from crm_kernel.access.actor import Actor, Scope

    write("people.csv", FILE)
    grants = {"customer.read": Scope.OWN, "customer.create": Scope.OWN, "customer.update": Scope.OWN}

    result = run({**PEOPLE, "duplicates": "review"}, actor=Actor(kind="user", name="Rep", grants=grants))

    assert _verdicts(result) == {"created": 2}, result.to_json()


def test_a_row_with_a_key_is_not_asked_about(run, write, ada, unit):
    write("people.csv", f"id,given_name,family_name,kind\n{ada},Ada,King,person\n")

    result = run({"file": "people.csv", "record_type": "customer", "duplicates": "review"})

    assert _verdicts(result) == {"updated": 1}
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 1


def test_a_type_without_a_matcher_refuses_the_rule(run, write):
    write("products.csv", "sku,name\nA,Apple\n")

    with pytest.raises(InvalidInput, match="not looked for"):
        run({"file": "products.csv", "record_type": "product", "duplicates": "skip"})


def test_asking_about_many_rows_costs_no_query_per_row(ada, crm_app, count_queries):
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.customers.duplicates.likely import likely_customers
    from crm_kernel.unit_of_work import reading

    counts = []
    for number in (5, 100):
        payloads = [{"kind": "person", "given_name": f"A{n}", "family_name": f"B{n}"} for n in range(number)]
        with crm_app.app_context(), reading(SYSTEM) as uow, count_queries() as queries:
            likely_customers(uow, payloads)
        counts.append(len(queries.statements))

    assert counts[0] == counts[1] > 0


@pytest.fixture
def compared(monkeypatch, crm_app):
    """Ask about one person and return the given names of the stored customers that he is compared with."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.customers.duplicates import likely
    from crm_kernel.unit_of_work import reading

    loaded = []
    load = likely.load_profiles

    def spied(uow, keys):
        loaded.append(load(uow, keys))
        return loaded[-1]

    def ask(actor=SYSTEM, **person):
        monkeypatch.setattr(likely, "load_profiles", spied)
        with crm_app.app_context(), reading(actor) as uow:
            likely.likely_customers(uow, [{"kind": "person", **person}])
        return sorted(profile.given for profile in loaded.pop().values())

    return ask


@pytest.fixture
def known(unit):
    """Store people by given name, family name and birth date, with the keys that the scan gives them."""
    from crm_kernel.customers.duplicates.likely import note_customers

    def store(*people, **common):
        with unit() as uow:
            names = ("given_name", "family_name", "birth_date")
            made = [
                create_record(
                    uow, record_type("customer"), {"kind": "person", **dict(zip(names, one, strict=True)), **common}
                )
                for one in people
            ]
            note_customers(uow, [one.id for one in made])

    return store


def test_a_row_is_compared_with_whom_it_shares_a_strong_key_or_two_weak_ones(known, compared):
    known(
        ("Jonathan", "Weak", "1980-05-06"),  # the year and the beginning of a name: one weak key
        ("Joe", "Strong", "1980-01-02"),  # the whole day and the beginning of a name
        ("Jonas", "Twice", "1980-01-02"),
        ("Mary", "None", "1980-01-02"),
    )

    assert compared(given_name="Jonny", family_name="Smithers", birth_date="1980-01-02") == ["joe", "jonas"]


def test_a_row_is_compared_with_the_few_that_share_most(known, compared, monkeypatch):
    monkeypatch.setattr("crm_kernel.customers.duplicates.likely.SHARERS", 2)
    others = [(f"Jo{letter}n", "Other", "1980-01-02") for letter in "abcd"]
    known(*others, ("Jonas", "Smythe", "1980-01-02"), *others)

    found = compared(given_name="Jonny", family_name="Smithers", birth_date="1980-01-02")

    assert len(found) == 2
    assert "jonas" in found


def test_whom_one_may_not_see_does_not_take_the_place_of_whom_one_may(known, compared, api, monkeypatch, unit):
    from crm_kernel.access.acting import actor_of

    monkeypatch.setattr("crm_kernel.customers.duplicates.likely.SHARERS", 1)
    monkeypatch.setattr("crm_kernel.customers.duplicates.likely.MAX_BLOCK", 1)
    seller = api(grants={"customer.*": "own"}).user
    known(("Jonas", "Smithers", "1980-01-02"), owner=str(seller.uid))
    known(("Jonny", "Smithers", "1980-01-02"), ("Jonny", "Smithers", "1980-01-02"))
    with unit() as uow:
        actor = actor_of(uow, seller.id)

    assert compared(actor, given_name="Jonny", family_name="Smithers", birth_date="1980-01-02") == ["jonas"]


def test_of_a_name_that_many_have_the_newest_are_compared(known, compared, monkeypatch):
    monkeypatch.setattr("crm_kernel.customers.duplicates.likely.MAX_BLOCK", 2)
    known(*((("Ada", "Lovelace", f"19{year}-01-02")) for year in (50, 60, 70, 80)))

    assert compared(given_name="Ada", family_name="Lovelace") == ["ada", "ada"]
