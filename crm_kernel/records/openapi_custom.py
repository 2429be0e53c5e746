"""Adds the custom fields there are now to the API's document, which is otherwise made once per application.

They are fields of the instance's data, not of its code: added, changed and archived while the server runs. So the
document is completed when it is asked for, with what the reader's roles show him of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from crm_kernel.access.field_access import hidden_fields, locked_fields
from crm_kernel.records.custom_fields.current import held
from crm_kernel.records.custom_fields.planning import is_custom
from crm_kernel.records.openapi_schemas import as_read, component_name, filter_parameters
from crm_kernel.records.paging import sortable
from crm_kernel.records.plan import FieldPlan, TypePlan, plan_of, record_types

if TYPE_CHECKING:
    from flask_smorest import Api

    from crm_kernel.access.actor import Actor


def add_custom_fields(api: Api, document: dict[str, Any], actor: Actor) -> None:
    """Complete a document in place: properties of the records' schemas, and what lists filter and sort by.

    One query where the version of the custom fields is not known yet, two after a change of them.

    Args:
        document: a copy of what ``api.spec.to_dict()`` gives.
        actor: whose roles say which fields are told; fields he only reads are left out of what is written.
    """
    for name in held().fields:
        if name in record_types():
            _add(api, document, actor, plan_of(record_types()[name]))


def _add(api: Api, document: dict[str, Any], actor: Actor, plan: TypePlan) -> None:
    name = plan.record_type.name
    custom = {field: found for field, found in plan.fields.items() if is_custom(field)}
    shown = {field: found for field, found in custom.items() if field not in hidden_fields(actor, name)}
    written = {field: found for field, found in shown.items() if field not in locked_fields(actor, name)}
    component, schemas = component_name(plan.record_type), document["components"]["schemas"]
    read = {field: as_read(found.field, component) for field, found in shown.items()}
    write = {field: found.field for field, found in written.items()}
    _add_properties(api, schemas.get(component), read, ())
    _add_properties(api, schemas.get(f"{component}Input"), write, _required(written))
    _add_properties(api, schemas.get(f"{component}InputChanges"), write, ())
    _add_parameters(document, plan, shown)


def _add_properties(
    api: Api, component: dict[str, Any] | None, fields: Mapping[str, Any], required: Iterable[str]
) -> None:
    if component is None:  # a type without that verb
        return
    found = {name: api.ma_plugin.converter.field2property(field) for name, field in fields.items()}
    component["properties"] = component.get("properties", {}) | found
    needed = [*component.get("required", ()), *required]
    if needed:
        component["required"] = needed


def _required(fields: Mapping[str, FieldPlan]) -> list[str]:
    return [name for name, found in fields.items() if found.field.required]


def _add_parameters(document: dict[str, Any], plan: TypePlan, shown: Mapping[str, FieldPlan]) -> None:
    listing = document["paths"].get(f"/api/{plan.record_type.path}", {}).get("get")
    if listing is None:
        return
    known = {parameter["name"]: parameter for parameter in listing["parameters"]}
    listing["parameters"] = [*listing["parameters"], *filter_parameters(shown)]
    orders = [order for name in sortable(plan) if name in shown for order in (name, f"-{name}")]
    fields = known["sort"]["schema"]["items"]
    fields["enum"] = [*fields["enum"], *orders]
