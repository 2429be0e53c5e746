"""What is asked before two customers become one, or two again; nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.customers.merging.models import MergeRun
from crm_kernel.customers.models import Customer
from crm_kernel.errors import Conflict, InvalidInput, StaleVersion
from crm_kernel.records.plan import plan_of, record_type

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def refuse_unknown(others: Mapping[str, str]) -> None:
    """Refuse choices of custom and extension fields that there are not.

    Raises:
        InvalidInput: naming each.
    """
    plan = plan_of(record_type("customer"))
    known = {name for name in plan.fields if name.startswith("cf_")}
    known |= {f"{name}.{field}" for name, fields in plan.extension_fields.items() for field in fields}
    errors = {f"choices.{n}": [_("There is no such field.")] for n in others if n not in known}
    if errors:
        raise InvalidInput(errors)


def lock_both(uow: UnitOfWork, source: Customer, target: Customer) -> None:
    """Hold both rows, in one order: whoever writes to one of them, or merges it too, waits."""
    uow.session.flush()
    query = sa.select(Customer).where(Customer.id.in_((source.id, target.id))).order_by(Customer.id)
    uow.session.execute(query.with_for_update().execution_options(populate_existing=True)).all()


def refuse_unfit(source: Customer, target: Customer, versions: tuple[int | None, int | None]) -> None:
    """Refuse two customers that cannot be one.

    Raises:
        InvalidInput, Conflict, StaleVersion: as for ``merge``.
    """
    if source.id == target.id:
        raise InvalidInput({"source": [_("A customer cannot be merged with itself: choose another one.")]})
    if source.kind != target.kind:
        raise InvalidInput({"source": [_("Two customers of different kinds (%(one)s, %(other)s) cannot be one.",
                                         one=source.kind, other=target.kind)]})  # fmt: skip
    for customer, version in zip((source, target), versions, strict=True):
        if customer.merged_into_id is not None:
            raise Conflict(_("%(name)s was merged into another customer already.", name=customer.display_name))
        if version is not None and version != customer.version:
            raise StaleVersion(_("Somebody else changed this record meanwhile: load it again and repeat your change."))


def refuse_out_of_order(uow: UnitOfWork, run: MergeRun) -> None:
    """Refuse to take back a merge that a later one of the same survivor builds on.

    Raises:
        Conflict: naming the run to take back first.
    """
    if run.state != "merged":
        raise Conflict(_("This merge was taken back already."))
    later = sa.select(MergeRun).where(
        MergeRun.id > run.id,
        MergeRun.state == "merged",
        sa.or_(MergeRun.target_id == run.target_id, MergeRun.source_id == run.target_id),
    )
    found = uow.session.scalars(later.order_by(MergeRun.id.desc()).limit(1)).first()
    if found is not None:
        raise Conflict(_("A later merge of this customer comes first: take back %(run)s.", run=found.uid))
