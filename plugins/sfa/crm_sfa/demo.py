"""The demo company's opportunities: eighteen months of deals, English and French, the same for the same seed.

Built with the services users call, each step at its own time and by the owner: what a rule refuses cannot be in it.
Nothing is created without customers and users, which the kernel's part of the demo brings.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from heapq import heapify, heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm_kernel.access.models import AppUser
    from crm_kernel.unit_of_work import UnitOfWork
    from crm_sfa.opportunities.models import Opportunity
    from crm_sfa.pipelines.models import Stage

#: How far back the first deals begin, in days.
HISTORY = 540
#: Opportunities per organization, at least and at most.
PER_CUSTOMER = (4, 6)

_TITLES = {
    "en": ("{product} for {place}", "{product}, second site", "{product} – framework order", "{product} pilot", "More {product}"),
    "fr": ("{product} pour {place}", "{product}, deuxième site", "{product} – commande cadre", "Pilote {product}", "Complément {product}"),
}  # fmt: skip
_RENEWALS = {"en": "Renewal {year} – {product}", "fr": "Renouvellement {year} – {product}"}
_PLACES = {
    "en": ("the main plant", "the warehouse", "the new hall", "the test laboratory"),
    "fr": ("l’usine principale", "l’entrepôt", "le nouvel atelier", "le laboratoire"),
}
_NOTES = {
    "en": ("They chose a supplier nearer by.", "Budget moved to next year.", "No answer since the second offer.", None, None),
    "fr": ("Ils ont choisi un fournisseur plus proche.", "Budget reporté à l’an prochain.", "Sans réponse depuis la seconde offre.", None, None),
}  # fmt: skip
_CURRENCIES = {"en": "GBP", "fr": "EUR"}
_REASONS = (
    "price",
    "price",
    "competitor",
    "competitor",
    "no_budget",
    "no_decision",
    "timing",
    "product_fit",
    "no_answer",
)


@dataclass(frozen=True, slots=True)
class Cast:
    """Who and what the deals are made of."""

    owners: Sequence[AppUser]
    products: Sequence[Any]
    #: Open stages in order, of the default pipeline and of the renewals.
    sales: Sequence[Stage]
    renewals: Sequence[Stage]


def load_demo(uow: UnitOfWork, random: Random, now: dt.datetime) -> None:
    """Create a few opportunities for every organization there is, and lead most of them to an end."""
    import sqlalchemy as sa

    from crm_kernel.customers.models import Customer, Organization

    cast = _cast(uow)
    firms = sa.select(Customer, Organization.region).join(Organization).order_by(Customer.id)
    deals = []
    for firm, region in uow.session.execute(firms).all() if cast.owners and cast.products else ():
        owner = next((user for user in cast.owners if user.id == firm.owner_id), random.choice(cast.owners))
        for _number in range(random.randint(*PER_CUSTOMER)):
            own = Random(random.getrandbits(64))
            deals.append((owner, _deal(uow, own, now, cast, firm, region, owner)))
    _tell(uow, deals)


def _tell(uow: UnitOfWork, deals: Sequence[tuple[AppUser, Iterator[dt.datetime]]]) -> None:
    """Take the steps of all deals in the order of their times, each by its owner."""
    from crm_kernel.access.acting import actor_for
    from crm_kernel.demo import past

    actors = {owner.id: actor_for(uow, owner) for owner, _deal in deals}
    due = [(next(deal), number) for number, (_owner, deal) in enumerate(deals)]
    heapify(due)
    while due:
        moment, number = heappop(due)
        owner, deal = deals[number]
        with past(uow, moment, actors[owner.id]):
            following = next(deal, None)
        if following is not None:
            heappush(due, (following, number))


def _cast(uow: UnitOfWork) -> Cast:
    import sqlalchemy as sa

    from crm_kernel.access.models import AppUser
    from crm_kernel.sales.models import Product
    from crm_sfa.pipelines.choices import OPEN
    from crm_sfa.pipelines.queries import stages_of
    from crm_sfa.pipelines.services import create_pipeline, ensure_default_pipeline

    sales = ensure_default_pipeline(uow)
    renewals = create_pipeline(uow, {"name": "Renewals", "position": 1})
    owners = sa.select(AppUser).where(AppUser.active, AppUser.team_id.is_not(None)).order_by(AppUser.id)
    return Cast(
        uow.session.scalars(owners).all(),
        uow.session.scalars(sa.select(Product).where(Product.unit_price.is_not(None)).order_by(Product.id)).all(),
        [stage for stage in stages_of(uow, sales.id) if stage.category == OPEN],
        [stage for stage in stages_of(uow, renewals.id) if stage.category == OPEN],
    )


def _deal(
    uow: UnitOfWork, random: Random, now: dt.datetime, cast: Cast, firm: Any, region: str | None, owner: AppUser
) -> Iterator[dt.datetime]:
    """Yield the time of each step of a deal, and take the step when asked for the time of the next."""
    from crm_sfa.opportunities.services import create_opportunity

    language = "fr" if firm.language == "fr" else "en"
    known = min(HISTORY, (now - firm.created_at).days)
    began = _working_hour(random, now - dt.timedelta(days=3 + int(max(known - 4, 0) * random.random() ** 1.5)))
    product, renews = random.choice(cast.products), random.random() < 0.15
    stages = cast.renewals if renews else cast.sales
    quantity = random.choice((1, 2, 3, 5, 8, 12, 20))
    title = _RENEWALS[language] if renews else random.choice(_TITLES[language])
    yield min(began, now)
    opportunity = create_opportunity(
        uow,
        {
            "name": title.format(product=product.name, place=random.choice(_PLACES[language]), year=began.year),
            "customer_id": firm.id,
            "pipeline_id": stages[0].pipeline_id,
            "amount": (product.unit_price * quantity).quantize(Decimal(1)),
            "currency": _CURRENCIES[language],
            "product_id": product.id,
            "region": region,
            "owner_id": owner.id,
            "close_date": (began + dt.timedelta(days=random.randint(40, 120))).date(),
        },
    )
    yield from _lead(uow, random, now, opportunity, stages[1:], language)


def _lead(
    uow: UnitOfWork,
    random: Random,
    now: dt.datetime,
    opportunity: Opportunity,
    stages: Sequence[Stage],
    language: str,
) -> Iterator[dt.datetime]:
    """Move a deal from stage to stage until it is won, lost, or the present is reached."""
    from crm_sfa.opportunities.closing import lose_opportunity, win_opportunity
    from crm_sfa.opportunities.services import move_opportunity

    moment = opportunity.stage_since
    for stage in (*stages, None):
        moment = _working_hour(random, moment + dt.timedelta(days=random.randint(5, 32)))
        if moment > now:
            return
        yield moment
        if random.random() < 0.09 or (stage is None and random.random() < 0.25):
            reason, note = random.choice(_REASONS), random.choice(_NOTES[language])
            lose_opportunity(uow, opportunity, reason=reason, note=note)
            return
        if stage is None:
            win_opportunity(uow, opportunity)
            return
        move_opportunity(uow, opportunity, stage)


def _working_hour(random: Random, moment: dt.datetime) -> dt.datetime:
    weekday = moment + dt.timedelta(days=(7 - moment.weekday()) if moment.weekday() > 4 else 0)
    return weekday.replace(hour=random.randint(7, 16), minute=random.randrange(60), second=0, microsecond=0)
