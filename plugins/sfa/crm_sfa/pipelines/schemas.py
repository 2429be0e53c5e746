"""What can be read and written of pipelines and stages."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_babel import lazy_pgettext
from marshmallow import Schema, fields, validate

from crm_kernel.records.fields import Choice, Reference
from crm_kernel.records.texts import Text
from crm_sfa.pipelines.choices import CATEGORIES, CATEGORY_COLORS, COLORS

_POSITION = {"label": _l("Position"), "help": _l("Smaller numbers come first.")}


class PipelineSchema(Schema):
    """A pipeline; a new one gets the stages of the default pipeline."""

    name = Text(120, required=True, metadata={"label": _l("Name")})
    position = fields.Integer(validate=validate.Range(0, 10_000), metadata=_POSITION)
    is_default = fields.Boolean(
        metadata={"label": _l("Default"), "help": _l("New opportunities go here unless they name a pipeline.")}
    )
    active = fields.Boolean(
        load_default=True,
        metadata={
            "label": lazy_pgettext("pipeline", "Active"),
            "help": _l("An inactive pipeline takes no new opportunities."),
        },
    )


class StageSchema(Schema):
    """A stage of a pipeline."""

    pipeline = Reference("sfa.pipeline", attribute="pipeline_id", required=True, metadata={"label": _l("Pipeline")})
    name = Text(120, required=True, metadata={"label": _l("Name")})
    position = fields.Integer(validate=validate.Range(0, 10_000), metadata=_POSITION)
    category = Choice(
        CATEGORIES,
        load_default="open",
        metadata={
            "label": _l("Category"),
            "colors": CATEGORY_COLORS,
            "help": _l("Whether an opportunity in this stage is open, won or lost."),
        },
    )
    probability = fields.Integer(
        validate=validate.Range(0, 100),
        metadata={"label": _l("Probability in percent"), "help": _l("Always 100 for won and 0 for lost stages.")},
    )
    color = Choice(COLORS, load_default="gray", metadata={"label": _l("Colour")})
