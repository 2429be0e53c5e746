"""Pipelines and stages: one default, stages that fit their opportunities."""

from __future__ import annotations

import pytest
from crm_sfa.health import check_pipelines
from crm_sfa.pipelines.queries import default_pipeline, stages_of
from crm_sfa.pipelines.services import (
    create_pipeline,
    create_stage,
    delete_pipeline,
    delete_stage,
    import_pipelines,
    update_pipeline,
    update_stage,
)

from crm_kernel.errors import Conflict, InvalidInput


def test_a_new_pipeline_gets_the_stages_of_the_default_one(uow, pipeline, stage):
    update_stage(uow, stage("Proposal"), {"name": "Offer"})

    other = create_pipeline(uow, {"name": "Tenders"})

    names = [found.name for found in stages_of(uow, other.id)]
    assert names == ["Qualification", "Needs analysis", "Offer", "Negotiation", "Won", "Lost"]


def test_an_imported_pipeline_brings_its_own_stages(uow, pipeline):
    (key,) = import_pipelines(uow, [{"name": "Tenders"}])

    assert list(stages_of(uow, key)) == []
    assert default_pipeline(uow).id == pipeline.id


def test_making_a_pipeline_the_default_takes_it_from_the_other(uow, pipeline):
    other = create_pipeline(uow, {"name": "Tenders"})

    update_pipeline(uow, other, {"is_default": True})
    uow.session.flush()

    assert (default_pipeline(uow).id, pipeline.is_default) == (other.id, False)


def test_there_is_always_an_active_default_pipeline(uow, pipeline):
    with pytest.raises(InvalidInput, match="Make another pipeline the default instead"):
        update_pipeline(uow, pipeline, {"is_default": False})
    with pytest.raises(InvalidInput, match="always active"):
        update_pipeline(uow, pipeline, {"active": False})
    uow.session.refresh(pipeline)
    with pytest.raises(Conflict, match="Sales is the default pipeline"):
        delete_pipeline(uow, pipeline)


def test_a_closed_stage_has_a_certain_probability(uow, pipeline):
    won = create_stage(uow, {"pipeline_id": pipeline.id, "name": "Signed", "category": "won", "probability": 40})
    still = create_stage(uow, {"pipeline_id": pipeline.id, "name": "Talks", "probability": 40})

    assert (won.probability, still.probability) == (100, 40)
    assert still.position == won.position + 1


def test_a_stage_with_opportunities_keeps_its_category_and_is_not_deleted(uow, opportunity, stage):
    with pytest.raises(InvalidInput) as refused:
        update_stage(uow, stage("Qualification"), {"category": "won"})
    assert "Cannot change while opportunities are in the stage (1)" in refused.value.errors["category"][0]
    with pytest.raises(Conflict, match=r"Qualification holds opportunities \(1\)"):
        delete_stage(uow, stage("Qualification"))


def test_the_doctor_names_the_pipeline_that_cannot_be_won(crm_app, unit):
    with unit() as uow:
        pipeline = create_pipeline(uow, {"name": "Sales", "is_default": True})
        uow.session.delete(next(stage for stage in stages_of(uow, pipeline.id) if stage.category == "won"))

    with crm_app.app_context():
        result = check_pipelines()

    assert (str(result.health), result.message) == ("warning", "Stages of these categories are missing: Sales: won.")
