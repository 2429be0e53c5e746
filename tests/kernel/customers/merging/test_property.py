"""Merge, then unmerge: whatever two customers have, every column is as it was but version and updated_at."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from crm_kernel.customers.consent.ledger import Spoken, record_consent
from crm_kernel.customers.merging.services import merge, unmerge
from crm_kernel.customers.models import Address, ContactPoint, Customer
from crm_kernel.customers.services import update_customer

pytest.importorskip("crm_sfa", reason="the module sfa is not installed")
pytestmark = pytest.mark.crm_plugins("sfa", "toybank")
_WORDS = st.sampled_from(["a", "b", "c"])
_MAYBE = st.none() | _WORDS
_WHO = st.sampled_from(["source", "target"])
PARTS = st.fixed_dictionaries(
    {
        "notes": _MAYBE, "language": st.sampled_from([None, "fr", "en"]), "job_title": _MAYBE, "prefix": _MAYBE,
        "contact_points": st.lists(
            st.builds(
                lambda word, primary: {"channel": "email", "value": f"{word}@crm.test", "is_primary": primary},
                _WORDS, st.just(False),
            ),
            max_size=3, unique_by=lambda point: point["value"],
        ),
        "addresses": st.lists(st.builds(lambda city: {"city": city}, _WORDS), max_size=2, unique_by=lambda a: a["city"]),
    }
)  # fmt: skip
#: Side rows stay with the one that went, and so does the decision that the two were one.
_APART = ("person", "organization", "duplicate_candidate")
#: What hangs on a customer: kind, whose, a word.
THINGS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "consent",
                "sale",
                "interaction",
                "tie",
                "identifier",
                "opportunity",
                "profile",
                "account",
                "pair",
                "about",
            ]
        ),
        _WHO,
        _WORDS,
    ),
    max_size=12,
)
#: What is done with the survivor before the merge is taken back: what, and with which of what it has.
EDITS = st.lists(
    st.tuples(st.sampled_from(["primary", "remove", "add", "notes", "custom", "place", "profile"]), st.integers(0, 5)),
    min_size=1, max_size=5,
)  # fmt: skip


class Maker:
    """Makes the things, each once per customer and word."""

    def __init__(self, uow, factories, tie) -> None:
        self.uow, self.factories, self.tie = uow, factories, tie
        self.seen = set()

    def make(self, kind, customer, other, third, word):
        if (kind, customer.id, word) not in self.seen:
            self.seen.add((kind, customer.id, word))
            getattr(self, kind)(customer, other, third, word)
            self.uow.session.flush()

    def consent(self, customer, other, third, word):
        status = {"a": "given", "b": "withdrawn", "c": "denied"}[word]
        when = self.uow.now - dt.timedelta(days=ord(word))
        spoken = Spoken(channel="email", purpose="marketing", status=status, captured_at=when)
        record_consent(self.uow, customer, spoken, source="test")

    def sale(self, customer, other, third, word):
        from crm_kernel.sales.services import record_sale

        record_sale(
            self.uow, customer=customer, title=word, occurred_at=self.uow.now, channel="web", currency="USD",
            amount=Decimal(10), source_plugin="toybank", external_ref=f"{customer.id}{word}",
        )  # fmt: skip

    def interaction(self, customer, other, third, word):
        self._contact(customer, word, None)

    def about(self, customer, other, third, word):
        self._contact(third, word, customer)

    def _contact(self, customer, word, subject):
        from crm_kernel.touchpoints.models import Interaction

        about = {"subject_type": "customer", "subject_uid": subject.uid} if subject else {}
        self.uow.session.add(
            Interaction(
                customer_id=customer.id,
                channel="phone",
                direction="in",
                kind="call",
                summary=word,
                actor_name="x",
                source_plugin="kernel",
                **about,
            )
        )

    def tie(self, customer, other, third, word):
        raise AssertionError("replaced below")

    def identifier(self, customer, other, third, word):
        from crm_kernel.customers.models import CustomerIdentifier

        row = CustomerIdentifier(customer_id=customer.id, type="external", value=f"{customer.id}{word}", issuer="x")
        self.uow.session.add(row)

    def opportunity(self, customer, other, third, word):
        from crm_sfa.opportunities.services import create_opportunity

        create_opportunity(self.uow, {"name": word, "customer_id": customer.id})

    def profile(self, customer, other, third, word):
        from crm_toybank.models import BankProfile

        if self.uow.session.get(BankProfile, customer.id) is None:
            self.uow.session.add(BankProfile(customer_id=customer.id, iban=None if word == "a" else word))

    def account(self, customer, other, third, word):
        from crm_toybank.models import Account

        self.uow.session.add(Account(customer_id=customer.id, name=word))

    def pair(self, customer, other, third, word):
        from crm_kernel.customers.duplicates.models import DuplicateCandidate, DuplicateKey

        first, second = sorted((customer.id, (other if word == "a" else third).id))
        taken = sa.select(DuplicateCandidate.id).where(
            DuplicateCandidate.first_id == first, DuplicateCandidate.second_id == second
        )
        if self.uow.session.scalar(taken) is None:
            state = "dismissed" if word == "b" else "open"
            row = DuplicateCandidate(first_id=first, second_id=second, score=0.9, levels=[1], state=state)
            self.uow.session.add(row)
        self.uow.session.add(DuplicateKey(key=ord(word), customer_id=customer.id))


@settings(max_examples=100, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(one=PARTS, other=PARTS, things=THINGS, choices=st.dictionaries(st.sampled_from(["notes", "job_title"]), _WHO))
def test_unmerging_gives_back_every_column(
    toybank, uow, same_tables, person, tie, factories, snapshot, one, other, things, choices
):
    with taken_back(uow):
        customers = {"source": person(**one), "target": person(**other)}
        third = person(given_name="Third")
        maker = Maker(uow, factories, tie)
        maker.tie = lambda customer, other, third, word: tie(
            customer, {"a": other, "b": third, "c": third}[word], "partner" if word != "c" else "contact"
        )
        for kind, who, word in things:
            mine = customers[who]
            maker.make(kind, mine, customers["target" if who == "source" else "source"], third, word)
        before = snapshot()

        run = merge(uow, customers["source"], customers["target"], choices)
        left = _rows_of(uow, customers["source"])
        unmerge(uow, run)

        assert left == {}
        assert run.since == {}
        assert snapshot() == before


@settings(max_examples=50, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(one=PARTS, other=PARTS, things=THINGS, edits=EDITS)
def test_what_was_changed_since_never_stops_an_unmerge(
    toybank, uow, same_tables, person, factories, one, other, things, edits
):
    with taken_back(uow):
        customers = {"source": person(**one), "target": person(**other)}
        customers["source"].custom, customers["target"].custom = {"cf_0": "s", "cf_1": "s"}, {"cf_1": "t"}
        maker = Maker(uow, factories, None)
        for kind, who, word in things:
            if kind in ("consent", "interaction", "identifier", "account", "profile"):
                maker.make(kind, customers[who], None, None, word)
        before = _owners(uow)

        run = merge(uow, customers["source"], customers["target"])
        editor = Editor(uow, customers["target"])
        for what, number in edits:
            getattr(editor, what)(number)
        unmerge(uow, run)

        after = _owners(uow)
        assert customers["source"].merged_into_id is None
        assert {uid: after[uid] for uid in before if uid in after} == {
            uid: owner for uid, owner in before.items() if uid in after
        }
        assert len(before.keys() - after.keys()) <= editor.removed
        assert customers["target"].custom == {"cf_1": "t"} | editor.fields


class Editor:
    """Edits a survivor as users do; what it has none of is left."""

    def __init__(self, uow, customer) -> None:
        self.uow, self.customer = uow, customer
        self.removed = 0
        self.fields = {}

    def primary(self, number):
        points = self._parts(ContactPoint)
        parts = [{"uid": point.uid, "is_primary": place == number} for place, point in enumerate(points)]
        update_customer(self.uow, self.customer, {"contact_points": parts})

    def remove(self, number):
        points = self._parts(ContactPoint)
        kept = [{"uid": point.uid} for place, point in enumerate(points) if place != number]
        self.removed += 2 * (len(points) - len(kept))  # two of them may have become one
        update_customer(self.uow, self.customer, {"contact_points": kept})

    def add(self, number):
        parts = [{"uid": point.uid} for point in self._parts(ContactPoint)]
        added = {"channel": "email", "value": f"new{number}-{len(parts)}@crm.test", "is_primary": True}
        update_customer(self.uow, self.customer, {"contact_points": [*parts, added]})

    def place(self, number):
        parts = [{"uid": one.uid, "is_primary": place == number} for place, one in enumerate(self._parts(Address))]
        update_customer(self.uow, self.customer, {"addresses": parts})

    def notes(self, number):
        update_customer(self.uow, self.customer, {"notes": f"since {number}"})

    def custom(self, number):
        self.fields[f"cf_{number}"] = "since"
        self.customer.custom = {**(self.customer.custom or {}), f"cf_{number}": "since"}
        self.uow.session.flush()

    def profile(self, number):
        from crm_toybank.models import BankProfile

        found = self.uow.session.get(BankProfile, self.customer.id)
        if found is not None:
            found.iban = f"since {number}"
            self.uow.session.flush()

    def _parts(self, model):
        query = sa.select(model).where(model.customer_id == self.customer.id).order_by(model.id)
        return self.uow.session.scalars(query).all()


def _owners(uow):
    """Return contact point → whose it is and its value."""
    uow.session.flush()
    table = ContactPoint.__table__
    rows = uow.session.execute(sa.select(table.c.uid, table.c.customer_id, table.c.value))
    return {row.uid: (row.customer_id, row.value) for row in rows}


@contextmanager
def taken_back(uow):
    """Take back at the end what one example wrote."""
    nested = uow.session.begin_nested()
    try:
        yield
    finally:
        nested.rollback()
        uow.events.clear()
        uow.touched.clear()
        uow.audited.clear()


def _rows_of(uow, customer: Customer) -> dict[str, int]:
    """Return how many rows of each table still name a merged customer, its own side rows and marks aside."""
    from crm_kernel.data_map.columns import customer_columns

    found = {}
    for column in customer_columns(uow):
        if column.is_foreign_key and column.merge_rule != "stay" and column.table not in _APART:
            table = sa.table(column.table, sa.column(column.column))
            query = sa.select(sa.func.count()).select_from(table).where(table.c[column.column] == customer.id)
            if rows := uow.session.scalar(query):
                found[column.table] = rows
    return found
