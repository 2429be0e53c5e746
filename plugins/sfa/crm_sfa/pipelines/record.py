"""The record types of pipelines and stages: two lists of the administration."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

from crm_kernel.records.record_type import FormSection, RecordType, Services
from crm_sfa.pipelines import services
from crm_sfa.pipelines.models import Pipeline, Stage
from crm_sfa.pipelines.schemas import PipelineSchema, StageSchema

PIPELINE = RecordType(
    name="sfa.pipeline",
    model=Pipeline,
    schema=PipelineSchema,
    label=_l("Pipeline"),
    label_plural=_l("Pipelines"),
    slug="pipelines",
    icon="route",
    columns=("name", "position", "is_default", "active"),
    filters=("name", "active"),
    sorts=("name",),
    default_sort="name",
    form=(FormSection(title=_l("Pipeline"), fields=("name", "position", "is_default", "active")),),
    services=Services(
        create=services.create_pipeline,
        update=services.update_pipeline,
        delete=services.delete_pipeline,
        create_many=services.import_pipelines,
    ),
    nav_section="administration",
    nav_order=60,
)

STAGE = RecordType(
    name="sfa.stage",
    model=Stage,
    schema=StageSchema,
    label=_l("Stage"),
    label_plural=_l("Stages"),
    slug="stages",
    icon="progress-check",
    columns=("name", "pipeline", "position", "category", "probability"),
    filters=("pipeline", "category", "name"),
    sorts=("position",),
    default_sort="position",
    form=(FormSection(title=_l("Stage"), fields=("pipeline", "name", "category", "probability", "position", "color")),),
    services=Services(create=services.create_stage, update=services.update_stage, delete=services.delete_stage),
    nav_section="administration",
    nav_order=61,
)
