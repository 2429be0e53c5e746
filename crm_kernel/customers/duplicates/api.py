"""``/api/customers/duplicates``: who may already exist, asked before a customer is created; the queue, and decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar, cast
from uuid import UUID

from flask import Response, g
from flask.views import MethodView
from flask_babel import gettext as _
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from crm_kernel.customers.duplicates.queries import similar_customers
from crm_kernel.customers.duplicates.queue import Cluster, cluster_of, open_clusters
from crm_kernel.customers.duplicates.services import dismiss_cluster, merge_cluster
from crm_kernel.customers.merging.api import RunSchema, run_as_json
from crm_kernel.errors import InvalidInput
from crm_kernel.records.api import body_of_request, json_response, version_from_request
from crm_kernel.records.openapi_answers import changing_answers, reading_answers
from crm_kernel.records.payloads import load_with
from crm_kernel.unit_of_work import current_uow, reading
from crm_kernel.web.edge import own_unit, permission, request_id

_View = TypeVar("_View", bound=Callable[..., Any])


class SimilarSchema(Schema):
    """A stored customer that may be the one at hand."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    probability = fields.Float(required=True)
    #: What agrees, as ``comparison:level``.
    reasons = fields.List(fields.String(), required=True)
    #: However probable: what agrees is not enough to take the one for the other unasked.
    doubtful = fields.Boolean(required=True)


class SimilarCustomersSchema(Schema):
    """The customers that may be the one at hand, the likeliest first."""

    items = fields.List(fields.Nested(SimilarSchema), required=True)


class PairSchema(Schema):
    """Two customers that may be one."""

    id = fields.UUID(required=True)
    a = fields.UUID(required=True, attribute="first.uid")
    b = fields.UUID(required=True, attribute="second.uid")
    probability = fields.Float(required=True, attribute="score")
    #: What agrees, as ``comparison:level``.
    reasons = fields.List(fields.String(), required=True)


class ClusterSchema(Schema):
    """Customers that may all be one; any of its pairs' ids names it."""

    id = fields.UUID(required=True)
    customers = fields.List(fields.UUID(), required=True)
    #: Of the strongest pair, and of the weakest that is needed to tie all of them.
    probability = fields.Float(required=True, attribute="score")
    weakest = fields.Float(required=True)
    pairs = fields.List(fields.Nested(PairSchema), required=True)


class ClustersSchema(Schema):
    """The clusters that wait for a decision, the likeliest first; the first 200."""

    items = fields.List(fields.Nested(ClusterSchema), required=True)


class MergeClusterSchema(Schema):
    """Which customers of a cluster become which."""

    #: The one that stays.
    keep = fields.UUID(required=True)
    #: Those that go; all others if not given.
    sources = fields.List(fields.UUID(), load_default=None, allow_none=True)
    #: Field → the customer whose value stays, where it is not the survivor's.
    values = fields.Dict(keys=fields.String(), values=fields.UUID(), load_default=dict)
    #: Customer → the version it must still have; that of the survivor may stand in If-Match instead.
    versions = fields.Dict(keys=fields.UUID(), values=fields.Integer(strict=True), load_default=dict)


class MergedClusterSchema(Schema):
    """The merges that were made, in their order; each can be taken back, the last first."""

    runs = fields.List(fields.Nested(RunSchema), required=True)


def cluster_as_json(cluster: Cluster) -> dict[str, Any]:
    """Return a cluster as the API tells it."""
    shown: dict[str, Any] = ClusterSchema(exclude=("customers",)).dump(cluster)
    return {**shown, "customers": [str(member.uid) for member in cluster.members]}


def duplicates_api() -> Blueprint:
    """Return the blueprint of the question and the queue; register it on the API so that it is documented."""
    blueprint = Blueprint("api_duplicate", __name__, url_prefix="/api/customers", description="Find duplicates")
    blueprint.add_url_rule("/duplicates", "check", _check(blueprint))
    blueprint.add_url_rule("/duplicates/clusters", "clusters", _clusters(blueprint))
    blueprint.add_url_rule("/duplicates/<uuid:uid>/merge", "merge", _merge(blueprint))
    blueprint.add_url_rule("/duplicates/<uuid:uid>/dismiss", "dismiss", _dismiss(blueprint))
    return blueprint


def _check(blueprint: Blueprint) -> type[MethodView]:
    @own_unit  # a POST so that what is typed in stays out of addresses and their logs; it only reads
    @permission("customer.read")
    class Check(MethodView):
        @_documented(
            blueprint,
            summary="Find the customers that a payload as for creating one may describe; the customer of its id is left out",
            requestBody={"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
            responses=changing_answers(200, SimilarCustomersSchema, 413, 422),
        )
        def post(self) -> Response:
            payload = body_of_request()
            with reading(g.crm_actor, channel="api", request_id=request_id()) as uow:
                found = similar_customers(uow, payload, besides=_uid_in(payload))
            return json_response({"items": [asdict(similar) for similar in found]})

    return Check


def _clusters(blueprint: Blueprint) -> type[MethodView]:
    @permission("customer.update")
    class Clusters(MethodView):
        @_documented(
            blueprint,
            summary="List the customers that may be one, by cluster, the likeliest first",
            responses=reading_answers(ClustersSchema),
        )
        def get(self) -> Response:
            found, _following = open_clusters(current_uow(), limit=200)
            return json_response({"items": [cluster_as_json(cluster) for cluster in found]})

    return Clusters


def _merge(blueprint: Blueprint) -> type[MethodView]:
    @permission("customer.merge")
    class MergeAll(MethodView):
        @_documented(
            blueprint,
            summary="Let customers of a cluster become the one that stays: all of them, or none",
            requestBody={"required": True, "content": {"application/json": {"schema": MergeClusterSchema}}},
            responses=changing_answers(201, MergedClusterSchema, 404, 409, 413, 422),
        )
        def post(self, uid: UUID) -> Response:
            uow, asked = current_uow(), load_with(MergeClusterSchema, body_of_request())
            version, keep = version_from_request(), asked["keep"]
            versions = {**asked["versions"], **({} if version is None else {keep: version})}
            runs = merge_cluster(uow, uid, keep, asked["sources"], values=asked["values"], versions=versions)
            return json_response({"runs": [run_as_json(run) for run in runs]}, 201)

    return MergeAll


def _dismiss(blueprint: Blueprint) -> type[MethodView]:
    @permission("customer.update")
    class DismissAll(MethodView):
        @_documented(
            blueprint,
            summary="Say of every pair of a cluster that its customers are two: these are never proposed again",
            responses=changing_answers(200, ClusterSchema, 404, 409, 413, 422),
        )
        def post(self, uid: UUID) -> Response:
            uow = current_uow()
            told = cluster_as_json(cluster_of(uow, uid))
            dismiss_cluster(uow, uid)
            return json_response(told)

    return DismissAll


def _uid_in(payload: dict[str, Any]) -> UUID | None:
    if payload.get("id") is None:
        return None
    try:
        return UUID(str(payload["id"]))
    except ValueError as error:
        raise InvalidInput({"id": [_("Not a valid UUID.")]}) from error


def _documented(blueprint: Blueprint, **doc: Any) -> Callable[[_View], _View]:
    return cast("Callable[[_View], _View]", blueprint.doc(**doc))
