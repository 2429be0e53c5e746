"""The kernel's own kind of messages, ``kernel.customer``: a customer and what there was with him, as JSON.

``{"customer": {…}, "update": false, "interaction": {…}}`` with the fields of ``POST /api/customers`` and of
``POST /api/interactions``. ``customers.capturing`` finds or creates the customer. One who is found stays as he is unless ``update``
says otherwise: a form on a web site must not overwrite what is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from flask_babel import gettext as _

from crm_kernel.contributions import InboundMessage
from crm_kernel.customers.capturing import capture_customer
from crm_kernel.errors import InvalidInput
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import create_record

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
    given = _object(said.get("customer"), "customer")
    captured = capture_customer(uow, given, known="update" if said.get("update") is True else "keep")
    customer, what = captured.customer, f"customer {captured.outcome}"
    if captured.proposed:
        what += f", possible duplicates: {captured.proposed}"
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
