"""Merge, then unmerge: whatever two customers have, every column is as it was but version and updated_at."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from crm_kernel.customers.consent.ledger import Spoken, record_consent
from crm_kernel.customers.merging.services import merge, unmerge
from crm_kernel.customers.models import Customer

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
    nested = uow.session.begin_nested()
    try:
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
