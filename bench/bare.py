"""The floor: what somebody would write by hand for the same answers, a bare Flask application with SQLAlchemy's ORM.

Same database, same rows, same fields; no log-in, no permission, no visibility, no filter language.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.pipelines.models import Pipeline, Stage
from flask import Flask, jsonify

from crm_kernel.access.models import AppUser, Team
from crm_kernel.customers.models import Address, ContactPoint, Customer, CustomerIdentifier, Organization, Person
from crm_kernel.database import configure_engine, db
from crm_kernel.sales.models import Product


def bare_app(url: str) -> Flask:
    """Return the application with ``/customers/<uid>`` and ``/opportunities``."""
    app = Flask("bare")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    with app.app_context():
        configure_engine(db.engine)
    app.add_url_rule("/customers/<uuid:uid>", view_func=customer)
    app.add_url_rule("/opportunities", view_func=opportunities)
    return app


def customer(uid: UUID) -> Any:
    """Give one customer with its parts: one query for the record, one per collection, as ours does."""
    query = (
        sa.select(Customer, Person, Organization, AppUser, Team)
        .outerjoin(Person, Person.customer_id == Customer.id)
        .outerjoin(Organization, Organization.customer_id == Customer.id)
        .outerjoin(AppUser, AppUser.id == Customer.owner_id)
        .outerjoin(Team, Team.id == Customer.team_id)
        .where(Customer.uid == uid)
    )
    found, person, organization, owner, team = db.session.execute(query).one()
    parts = {
        model.__tablename__: db.session.scalars(sa.select(model).where(model.customer_id == found.id)).all()
        for model in (ContactPoint, Address, CustomerIdentifier)
    }
    return jsonify(
        id=str(found.uid),
        version=found.version,
        kind=found.kind,
        display_name=found.display_name,
        sort_name=found.sort_name,
        status=found.status,
        stage=found.stage,
        language=found.language,
        timezone=found.timezone,
        source=found.source,
        external_ref=found.external_ref,
        notes=found.notes,
        given_name=person.given_name if person else None,
        family_name=person.family_name if person else None,
        job_title=person.job_title if person else None,
        birth_date=person.birth_date if person else None,
        legal_name=organization.legal_name if organization else None,
        industry=organization.industry if organization else None,
        employees=organization.employees if organization else None,
        owner={"id": str(owner.uid), "title": owner.name} if owner else None,
        team={"id": str(team.uid), "title": team.name} if team else None,
        contact_points=[
            {
                "id": str(part.uid),
                "channel": part.channel,
                "value": part.value,
                "label": part.label,
                "purpose": part.purpose,
                "is_primary": part.is_primary,
                "state": part.state,
                "state_since": part.state_since.isoformat(),
            }
            for part in parts["contact_point"]
        ],
        addresses=[{"id": str(part.uid), "city": part.city} for part in parts["address"]],
        identifiers=[{"id": str(part.uid), "value": part.value} for part in parts["customer_identifier"]],
        created_at=found.created_at.isoformat(),
        updated_at=found.updated_at.isoformat(),
    )


def opportunities() -> Any:
    """Give 50 open opportunities by amount with what they refer to: one query."""
    query = (
        sa.select(Opportunity, Customer, Pipeline, Stage, AppUser, Product, Team)
        .outerjoin(Customer, Customer.id == Opportunity.customer_id)
        .outerjoin(Pipeline, Pipeline.id == Opportunity.pipeline_id)
        .outerjoin(Stage, Stage.id == Opportunity.stage_id)
        .outerjoin(AppUser, AppUser.id == Opportunity.owner_id)
        .outerjoin(Product, Product.id == Opportunity.product_id)
        .outerjoin(Team, Team.id == Opportunity.team_id)
        .where(Opportunity.status == "open", Opportunity.amount >= 1000)
        .order_by(Opportunity.amount.desc(), Opportunity.id.desc())
        .limit(51)
    )
    return jsonify(items=[_opportunity(*row) for row in db.session.execute(query).all()[:50]])


def _opportunity(found: Any, client: Any, pipeline: Any, stage: Any, owner: Any, product: Any, team: Any) -> Any:
    def link(target: Any, title: str) -> Any:
        return {"id": str(target.uid), "title": getattr(target, title)} if target else None

    return {
        "id": str(found.uid),
        "version": found.version,
        "name": found.name,
        "amount": str(found.amount),
        "currency": found.currency,
        "status": found.status,
        "region": found.region,
        "customer": link(client, "display_name"),
        "pipeline": link(pipeline, "name"),
        "stage": link(stage, "name"),
        "owner": link(owner, "name"),
        "product": link(product, "name"),
        "team": link(team, "name"),
        "close_date": found.close_date.isoformat() if found.close_date else None,
        "opened_on": found.opened_on.isoformat(),
        "created_at": found.created_at.isoformat(),
        "updated_at": found.updated_at.isoformat(),
    }
