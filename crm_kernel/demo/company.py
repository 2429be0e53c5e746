"""Builds the demo company through the same services that users do: what a rule refuses cannot be in it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel import contributions as c
from crm_kernel.access.acting import actor_for
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.models import AppUser
from crm_kernel.access.services import create_team, create_user
from crm_kernel.customers.duplicates.scanning import scan
from crm_kernel.customers.models import ContactPoint, Customer, Person
from crm_kernel.customers.relationships import create_relationship
from crm_kernel.customers.services import create_customer
from crm_kernel.demo import words
from crm_kernel.demo.past import past
from crm_kernel.sales.models import ExchangeRate, Product
from crm_kernel.text import fold
from crm_kernel.touchpoints.services import record_interaction

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: How many organizations the company knows; each brings one or two people.
ORGANIZATIONS = 48
#: How many people are there twice.
TWICE = 4
#: For how many days the first of them has been known.
KNOWN_FOR = 660


def demo_data() -> list[c.DemoData]:
    """Return the kernel's parts in the order they need each other."""
    return [
        c.DemoData(name="kernel.people", load=load_people, order=10),
        c.DemoData(name="kernel.catalogue", load=load_catalogue, order=11),
        c.DemoData(name="kernel.customers", load=load_customers, order=12),
        c.DemoData(name="kernel.duplicates", load=load_duplicates, order=90),
    ]


def load_people(uow: UnitOfWork, random: Random, now: dt.datetime) -> None:
    """Create the teams and users of the demo company; they get a password by ``crm users reset-link``."""
    teams = {name: create_team(uow, name=name) for name in words.TEAMS}
    for name, email, team, role, language in words.USERS:
        create_user(
            uow,
            email=email,
            name=name,
            team_id=teams[team].id,
            roles=[role],
            language=language,
            timezone="Europe/Paris",
        )


def load_catalogue(uow: UnitOfWork, random: Random, now: dt.datetime) -> None:
    """Create products and the exchange rates that the demo's sales need."""
    from flask import current_app

    from crm_kernel._internal.runtime import runtime_of

    base = runtime_of(current_app).config.base_currency
    rates = {"EUR": Decimal("1.08"), "GBP": Decimal("1.27"), "USD": Decimal(1)}
    for sku, name, category, price in words.PRODUCTS:
        uow.session.add(Product(sku=sku, name=name, category=category, unit_price=Decimal(price), currency="EUR"))
    for currency, rate in rates.items():
        if currency != base:
            per_base = (rate / rates.get(base, Decimal(1))).quantize(Decimal("1.000000"))
            start = (now - dt.timedelta(days=900)).date()
            uow.session.add(ExchangeRate(from_currency=currency, to_currency=base, rate=per_base, valid_on=start))


def load_customers(uow: UnitOfWork, random: Random, now: dt.datetime) -> None:
    """Create organizations with people, contact points, addresses, relationships and a history of calls.

    The first became known almost two years ago, the last a few weeks ago; nobody is called before being known.
    """
    owners = uow.session.execute(sa.select(AppUser).where(AppUser.email.like("%@demo.example"))).scalars().all()
    actors = {owner.id: actor_for(uow, owner) for owner in owners}
    calls = []
    for number in range(ORGANIZATIONS):
        language = random.choice(("en", "fr"))
        owner = random.choice([user for user in owners if user.language == language] or list(owners))
        age = int(KNOWN_FOR * (1 - number / ORGANIZATIONS) ** 0.6)
        known = (now - dt.timedelta(days=age)).replace(hour=random.randint(7, 15), minute=0, second=0, microsecond=0)
        with past(uow, known, actors[owner.id]):
            firm = _organization(uow, random, language, number, owner)
            people = [
                _person(uow, random, language, f"{number}{place}", firm, owner) for place in range(random.randint(1, 2))
            ]
            for person in people:
                _relate(uow, random, person, firm, language, now)
        calls += [call for person in people for call in _calls(random, person, owner, language, now, age)]
    for call in sorted(calls, key=lambda call: call.at):
        with past(uow, call.at, actors[call.by.id]):
            _record(uow, call)


def load_duplicates(uow: UnitOfWork, random: Random, now: dt.datetime) -> None:
    """Let colleagues enter a few people a second time, and look for duplicates as the worker does at night."""
    phone = sa.and_(ContactPoint.customer_id == Customer.id, ContactPoint.channel == "phone")
    known = sa.select(Customer, Person, ContactPoint.value).join(Person).join(ContactPoint, phone).order_by(Customer.id)
    actors = {user.id: actor_for(uow, user) for user in uow.session.scalars(sa.select(AppUser))}
    for place, (person, name, number) in enumerate(uow.session.execute(known).all()[: 5 * TWICE : 5]):
        data: dict[str, Any] = {
            "kind": "person",
            "given_name": name.given_name,
            "family_name": (name.family_name or "").upper(),
            "language": person.language,
            "owner_id": person.owner_id,
            "team_id": person.team_id,
            "contact_points": [{"channel": "phone", "value": number, "purpose": "work"}],
        }
        with past(uow, now - dt.timedelta(days=TWICE - place), actors.get(person.owner_id or 0, SYSTEM)):
            create_customer(uow, data)
    point: dict[str, Any] | None = {}  # an empty checkpoint begins a scan
    while point is not None:
        point = scan(uow, {"checkpoint": point})


def _organization(uow: UnitOfWork, random: Random, language: str, number: int, owner: AppUser) -> Customer:
    stem, trade = words.FIRM[language][number % 16], random.randrange(8)
    name = f"{stem} {words.TRADE[language][trade]} {words.FORM[language]}"
    domain = f"{fold(stem)}-{number}.example"
    city, postal_code, region = random.choice(words.PLACES[language])
    data: dict[str, Any] = {
        "kind": "organization",
        "display_name": name,
        "industry": words.INDUSTRY[trade],
        "employees": random.choice((12, 40, 85, 230, 640)),
        "annual_revenue": Decimal(random.randrange(400, 60_000)) * 1000,
        "revenue_currency": words.CURRENCY[language],
        "website": f"https://www.{domain}",
        "region": region,
        "stage": random.choice(("prospect", "customer", "customer", "former")),
        "language": language,
        "owner_id": owner.id,
        "team_id": owner.team_id,
        "contact_points": [{"channel": "email", "value": f"hello@{domain}", "purpose": "work"}],
        "addresses": [
            {
                "purpose": "postal",
                "street": f"{2 * number + 1} {random.choice(words.STREETS[language])}",  # no two firms in one house
                "postal_code": postal_code,
                "city": city,
                "country_code": words.COUNTRY[language],
            }
        ],
    }
    return create_customer(uow, data)


def _person(uow: UnitOfWork, random: Random, language: str, number: str, firm: Customer, owner: AppUser) -> Customer:
    given, family = random.choice(words.GIVEN[language]), random.choice(words.FAMILY[language])
    # Numbers that the regulators keep for fiction: nobody is ever called by a demo.
    phone = f"+33 1 99 00 {random.randint(10, 99)} {random.randint(10, 99)}"
    if language == "en":
        phone = f"+44 161 496 0{random.randint(100, 999)}"
    mail = f"{fold(given)}.{fold(family)}{number}@people.example".replace(" ", "-")
    data: dict[str, Any] = {
        "kind": "person",
        "given_name": given,
        "family_name": family,
        "job_title": random.choice(words.JOBS[language]),
        "stage": firm.stage,
        "language": language,
        "owner_id": owner.id,
        "team_id": owner.team_id,
        "contact_points": [
            {"channel": "email", "value": mail, "purpose": "work"},
            {"channel": "phone", "value": phone, "purpose": "work"},
        ],
    }
    return create_customer(uow, data)


def _relate(uow: UnitOfWork, random: Random, person: Customer, firm: Customer, language: str, now: dt.datetime) -> None:
    since = (now - dt.timedelta(days=random.randint(200, 2500))).date()
    tie = {"from_customer_id": person.id, "to_customer_id": firm.id, "type": "employment", "valid_from": since}
    create_relationship(uow, {**tie, "role": random.choice(words.JOBS[language])})


@dataclass(frozen=True, slots=True)
class Call:
    """A telephone call that was made or taken."""

    at: dt.datetime
    by: AppUser
    person: Customer
    direction: str
    summary: str


def _calls(random: Random, person: Customer, owner: AppUser, language: str, now: dt.datetime, age: int) -> list[Call]:
    return [
        Call(
            at=now - dt.timedelta(days=random.randint(1, min(500, age - 1)), minutes=random.randint(0, 600)),
            by=owner,
            person=person,
            direction=random.choice(("in", "out")),
            summary=random.choice(words.CALLS[language]),
        )
        for _number in range(random.randint(1, 4))
    ]


def _record(uow: UnitOfWork, call: Call) -> None:
    record_interaction(
        uow,
        call.person,
        kind="call",
        channel="phone",
        direction=call.direction,
        summary=call.summary,
        occurred_at=call.at,
        source_plugin="kernel",
    )
