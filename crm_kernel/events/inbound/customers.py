"""The kernel's own kind of messages, ``kernel.customer``: a customer and what there was with him, as JSON.

``{"customer": {…}, "update": false, "interaction": {…}}`` with the fields of ``POST /api/customers`` and of
``POST /api/interactions``. The customer is found by ``source`` and ``external_ref``, else by his e-mail address; one who is
not found is created, one who is found stays as he is unless ``update`` says otherwise: a form on a web site must not
overwrite what is known. Two who fit are nobody: the message fails until they are merged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.policy import visible
from crm_kernel.contributions import InboundMessage
from crm_kernel.customers.models import Customer
from crm_kernel.customers.queries import customers_by_contact_point
from crm_kernel.errors import InvalidInput
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record, update_record

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_KNOWN = frozenset({"customer", "update", "interaction"})


def take_customer(uow: UnitOfWork, message: InboundMessage) -> str:
    """Find or create the customer of a message, record the contact, and say what was done.

    Raises:
        InvalidInput: it is not such JSON, a field does not fit, or several customers do.
        Forbidden: the user of the source may not do this.
    """
    said = _parsed(message.body)
    customer, what = _customer(uow, said)
    contact = said.get("interaction")
    if contact:
        create_record(
            uow, record_type("interaction"), {**_object(contact, "interaction"), "customer": str(customer.uid)}
        )
        what += ", contact recorded"
    return f"{what}: {customer.uid}"


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput({"body": [_("Not valid JSON: %(error)s.", error=error)]}) from error
    found = _object(said, "body")
    unknown = sorted(found.keys() - _KNOWN)
    if unknown:
        raise InvalidInput({unknown[0]: [_("Unknown field.")]})
    return found


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput({name: [_("Expected a JSON object, found %(found)s.", found=type(value).__name__)]})
    return value


def _customer(uow: UnitOfWork, said: Mapping[str, Any]) -> tuple[Customer, str]:
    given = _object(said.get("customer"), "customer")
    found = _found(uow, given)
    type_ = record_type("customer")
    if len(found) > 1:
        raise InvalidInput({"customer": [_("%(count)s customers fit: merge them first.", count=len(found))]})
    if not found:
        return create_record(uow, type_, given), "customer created"
    if said.get("update") is True:
        return update_record(uow, type_, found[0].uid, given, version=found[0].version), "customer updated"
    return found[0], "customer found"


def _found(uow: UnitOfWork, given: Mapping[str, Any]) -> Sequence[Customer]:
    source, reference = given.get("source"), given.get("external_ref")
    if isinstance(source, str) and isinstance(reference, str):
        query = sa.select(Customer).where(Customer.source == source, Customer.external_ref == reference)
        found = uow.session.scalars(query.where(visible(uow.actor, record_type("customer")))).all()
        if found:
            return found
    points = given.get("contact_points")
    emails = [p.get("value") for p in points if _is_email(p)] if isinstance(points, list) else []
    return customers_by_contact_point(uow, "email", str(emails[0])) if emails else []


def _is_email(point: Any) -> bool:
    return isinstance(point, Mapping) and point.get("channel") == "email" and isinstance(point.get("value"), str)
