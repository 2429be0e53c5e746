"""Builds the demo company through the same services that users do: what a rule refuses cannot be in it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel import contributions as c
from crm_kernel.access.models import AppUser
from crm_kernel.access.services import create_team, create_user
from crm_kernel.customers.models import Customer
from crm_kernel.customers.relationships import create_relationship
from crm_kernel.customers.services import create_customer
from crm_kernel.demo import words
from crm_kernel.sales.models import ExchangeRate, Product
from crm_kernel.text import fold
from crm_kernel.touchpoints.services import record_interaction

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: How many organizations the company knows; each brings one or two people.
ORGANIZATIONS = 48


def demo_data() -> list[c.DemoData]:
    """Return the kernel's parts in the order they need each other."""
    return [
        c.DemoData(name="kernel.people", load=load_people, order=10),
        c.DemoData(name="kernel.catalogue", load=load_catalogue, order=11),
        c.DemoData(name="kernel.customers", load=load_customers, order=12),
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
    """Create organizations with people, contact points, addresses, relationships and a history of calls."""
    owners = uow.session.execute(sa.select(AppUser).where(AppUser.email.like("%@demo.example"))).scalars().all()
    for number in range(ORGANIZATIONS):
        language = random.choice(("en", "fr"))
        owner = random.choice([user for user in owners if user.language == language] or list(owners))
        firm = _organization(uow, random, language, number, owner)
        for place in range(random.randint(1, 2)):
            person = _person(uow, random, language, f"{number}{place}", firm, owner)
            _relate(uow, random, person, firm, language, now)
            _calls(uow, random, person, language, now)


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
                "street": f"{random.randint(1, 90)} {random.choice(words.STREETS[language])}",
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


def _calls(uow: UnitOfWork, random: Random, person: Customer, language: str, now: dt.datetime) -> None:
    for _ in range(random.randint(1, 4)):
        record_interaction(
            uow,
            person,
            kind="call",
            channel="phone",
            direction=random.choice(("in", "out")),
            summary=random.choice(words.CALLS[language]),
            occurred_at=now - dt.timedelta(days=random.randint(1, 500), minutes=random.randint(0, 600)),
            source_plugin="kernel",
        )
