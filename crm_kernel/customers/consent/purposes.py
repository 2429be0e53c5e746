"""Creates and changes purposes; their code is what consents name, so it stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.customers.consent.models import Purpose
from crm_kernel.customers.models import new_uid
from crm_kernel.errors import InvalidInput

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def create_purpose(uow: UnitOfWork, data: Mapping[str, Any]) -> Purpose:
    """Create a purpose and return it, flushed; without a rule it needs consent.

    Raises:
        InvalidInput: the code is taken.
    """
    if uow.session.scalar(sa.select(Purpose.id).where(Purpose.code == data["code"])) is not None:
        raise InvalidInput({"code": [_("%(code)s is another purpose's code already.", code=data["code"])]})
    found = Purpose(uid=new_uid(), created_at=uow.now, updated_at=uow.now, **data)
    uow.session.add(found)
    uow.session.flush()
    return found


def update_purpose(uow: UnitOfWork, purpose: Purpose, changes: Mapping[str, Any]) -> None:
    """Change a purpose; consents keep the words they were given for.

    Raises:
        InvalidInput: the code would change.
    """
    if changes.get("code", purpose.code) != purpose.code:
        raise InvalidInput({"code": [_("The code of a purpose stays: retire this one and create another.")]})
    for name, value in changes.items():
        if getattr(purpose, name) != value:
            setattr(purpose, name, value)
            purpose.updated_at = uow.now
    uow.session.flush()
