"""The gate of one customer, the gate of an audience and a plain reading of the rules agree on random histories."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import count, product

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from crm_kernel.customers.consent.choices import ABSOLUTE_REASONS, POINTS_OF, SUPPRESSION_REASONS
from crm_kernel.customers.consent.gate import contactable, may_contact, refusals
from crm_kernel.customers.consent.ledger import Spoken, record_consent
from crm_kernel.customers.consent.suppression import suppress
from crm_kernel.customers.models import ContactPoint
from crm_kernel.customers.values.states import ContactState, can_use

DAY = dt.timedelta(days=1)
CHANNELS = ("email", "sms", "phone")
#: Code → (rule, double opt-in, active).
PURPOSES = {
    "in": ("opt_in", False, True),
    "twice": ("opt_in", True, True),
    "out": ("opt_out", False, True),
    "law": ("always", False, True),
    "past": ("opt_in", False, False),
}
number = count(1)


@dataclass(frozen=True)
class Said:
    channel: str
    purpose: str
    status: str
    captured: int
    begins: int
    lasts: int | None
    confirmed: bool


@dataclass(frozen=True)
class Stop:
    channel: str
    reason: str
    since: int
    lasts: int | None


@dataclass(frozen=True)
class Point:
    kind: str
    state: str
    stops: tuple[Stop, ...]


@dataclass(frozen=True)
class History:
    archived: bool
    points: tuple[Point, ...]
    said: tuple[Said, ...]


lasting = st.one_of(st.none(), st.integers(1, 4))
said = st.builds(
    Said, st.sampled_from(CHANNELS), st.sampled_from(["in", "twice", "out", "law"]),
    st.sampled_from(["given", "given", "withdrawn", "denied", "pending"]), st.integers(-4, 0), st.integers(0, 3),
    lasting, st.booleans(),
)  # fmt: skip
stop = st.builds(
    Stop, st.sampled_from(["any", *CHANNELS]), st.sampled_from(list(SUPPRESSION_REASONS)), st.integers(-3, 1), lasting
)
point = st.builds(
    Point, st.sampled_from(["email", "mobile", "phone"]), st.sampled_from([*["valid"] * 4, *map(str, ContactState)]),
    st.lists(stop, max_size=2).map(tuple),
)  # fmt: skip
history = st.builds(
    History,
    st.sampled_from([False, False, False, True]),
    st.lists(point, min_size=0, max_size=3).map(tuple),
    st.lists(said, max_size=6).map(tuple),
)


def fits(kind, channel):
    """A suppression is asked for over a channel that the value can be used for, or over all."""
    return channel == "any" or kind in POINTS_OF[channel] or (kind != "email" and channel in ("sms", "phone"))


def expected(past: History, channel: str, purpose: str, at: int) -> str | None:
    """Return the reason of the refusal, read off the history; None when the contact is allowed."""
    rule, _double, active = PURPOSES[purpose]
    if not active:
        return "unknown_purpose"
    if past.archived:
        return "archived"
    points = [p for p in past.points if p.kind in POINTS_OF[channel]]
    live = [p for p in points if can_use(p.state)]
    if not live:
        return "address_unusable" if points else "no_address"
    if all(any(stops(s, p, channel, rule, at) for s in p.stops) for p in live):
        return "suppressed"
    return word_against(past, channel, purpose, at) if rule != "always" else None


def stops(s: Stop, p: Point, channel: str, rule: str, at: int) -> bool:
    counts = rule != "always" or s.reason in ABSOLUTE_REASONS
    running = s.since <= at and (s.lasts is None or at < s.since + s.lasts)
    return fits(p.kind, s.channel) and s.channel in (channel, "any") and counts and running


def word_against(past: History, channel: str, purpose: str, at: int) -> str | None:
    rule, double, _active = PURPOSES[purpose]
    known = [
        (s.captured, place, s)
        for place, s in enumerate(past.said)
        if (s.channel, s.purpose) == (channel, purpose) and s.captured <= at and s.captured + s.begins <= at
    ]
    words = [item for item in known if item[2].status != "pending"]
    last = max(words)[2] if words else None
    holds = last is not None and (last.lasts is None or at < last.captured + last.begins + last.lasts)
    if holds and last.status != "given":
        return last.status
    if rule == "opt_out" or (holds and (last.confirmed or not double)):
        return None
    if holds:
        return "unconfirmed"
    if any(item[2].status == "pending" for item in known):
        return "pending"
    return "lapsed" if last is not None and last.status == "given" else "no_consent"


@pytest.fixture
def live_through(uow, person):
    """Store a history and return its customer."""

    def live(past: History):
        customer = person(status="archived" if past.archived else "active")
        for item in past.points:
            store_point(uow, customer, item)
        for item in past.said:
            store_word(uow, customer, item)
        return customer

    return live


def store_point(uow, customer, item: Point) -> None:
    place = next(number)
    value = f"p{place}@crm.test" if item.kind == "email" else f"+336{place:08}"
    uow.session.add(
        ContactPoint(customer_id=customer.id, channel=item.kind, value=value, value_normalized=value, state=item.state)
    )
    uow.session.flush()
    for s in item.stops:
        if fits(item.kind, s.channel):
            row = suppress(uow, value, channel=s.channel, reason=s.reason, source=f"test{next(number)}")
            row = duplicate(uow, row) if row.since != uow.now or row.until is not None else row
            row.since = uow.now + s.since * DAY
            row.until = None if s.lasts is None else row.since + s.lasts * DAY
            uow.session.flush()


def duplicate(uow, row):
    """Return a second row for the same value: the service would have returned the first."""
    from crm_kernel.customers.consent.models import Suppression, SuppressionMatch

    copy = Suppression(
        channel=row.channel, value_digest=row.value_digest, reason=row.reason, source="test", recorded_by="test"
    )
    uow.session.add(copy)
    uow.session.flush()
    points = sa.select(SuppressionMatch.contact_point_id).where(SuppressionMatch.suppression_id == row.id)
    for key in uow.session.scalars(points).all():
        uow.session.add(SuppressionMatch(contact_point_id=key, suppression_id=copy.id))
    return copy


def store_word(uow, customer, item: Said) -> None:
    captured = uow.now + item.captured * DAY
    begins = captured + item.begins * DAY
    spoken = Spoken(
        channel=item.channel,
        purpose=item.purpose,
        status=item.status,
        captured_at=captured,
        valid_from=begins,
        valid_to=None if item.lasts is None else begins + item.lasts * DAY,
        double_opt_in_at=captured if item.confirmed else None,
    )
    record_consent(uow, customer, spoken, source="test")


def test_both_gates_agree_with_a_plain_reading_of_the_rules(uow, purpose, live_through):
    for code, (rule, double, active) in PURPOSES.items():
        made = purpose(code, rule=rule, double_opt_in=double)
        made.active = active
    uow.session.flush()
    questions = st.lists(st.sampled_from(list(product(CHANNELS, PURPOSES, (-3, 0, 2)))), min_size=5, max_size=5)

    # A counterexample is small as it is: making it smaller takes minutes.
    @settings(
        max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.reuse, Phase.generate)
    )
    @given(pasts=st.lists(history, min_size=3, max_size=3), asked=questions)
    def agree(pasts, asked):
        with uow.session.begin_nested() as savepoint:
            people = {live_through(past): past for past in pasts}
            for question in asked:
                wanted = {customer.id: expected(past, *question) for customer, past in people.items()}
                reasons, audience, refused = answers(uow, people, *question)
                assert reasons == wanted, question
                assert audience == {key for key, reason in wanted.items() if reason is None}, question
                assert refused == wanted.keys() - audience, question
            savepoint.rollback()
        uow.session.expire_all()

    agree()


def answers(uow, people, channel: str, code: str, day: int):
    """Return customer → reason by the gate of one, the customers of the audience, and those any rule refuses."""
    at = uow.now + day * DAY
    verdicts = {
        customer.id: may_contact(uow, customer.uid, channel=channel, purpose=code, at=at) for customer in people
    }
    reasons = {key: None if verdict.allowed else verdict.reason for key, verdict in verdicts.items()}
    audience = set(uow.session.scalars(contactable(channel, code, at)))
    refused = {row.customer_id for row in uow.session.execute(refusals(channel, code, at))}
    return reasons, audience, refused
