"""The relation ``tags`` of the field catalogue: what filters, builders and saved views ask of a record's tags.

``{"has": "tags", "where": {"field": "tag", "op": "in", "value": [a, b]}}`` is any of them; two such conditions under
``and`` are all of them, and ``not`` is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from flask_babel import lazy_gettext as _l
from marshmallow import fields as ma

from crm_kernel.collaboration.tags.models import Tagging
from crm_kernel.records import fields
from crm_kernel.records.plan import FieldPlan, Kind, record_types

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.catalogue import Relation
    from crm_kernel.records.record_type import RecordType

#: The relation's name.
TAGS = "tags"


def tag_relation(record_type: RecordType, actor: Actor | None) -> Relation | None:
    """Return the relation of a type's records to their tags; None where there are none, or not for the actor."""
    from crm_kernel.records.catalogue import Catalogue, Relation

    # Tests build applications of a few record types.
    if not record_type.annotated or "tag" not in record_types() or (actor is not None and not actor.may("tag.read")):
        return None
    rows = Catalogue(Tagging, actor, None, _fields())
    of_type = Tagging.subject_type == record_type.name
    return Relation(TAGS, _l("Tags"), rows, Tagging.subject_uid, record_type.model.uid, None, of_type)


def _fields() -> dict[str, FieldPlan]:
    tag = fields.Reference("tag", attribute="tag_id")
    return {
        "tag": FieldPlan("tag", tag, Kind.REFERENCE, _l("Tag"), cast(Any, Tagging.tag_id)),
        "created_at": FieldPlan(
            "created_at", ma.AwareDateTime(), Kind.DATETIME, _l("When"), cast(Any, Tagging.created_at)
        ),
    }
