"""The claim stays a short walk along the partial indexes, however many jobs are done, parked or held back."""

from __future__ import annotations

import sqlalchemy as sa

from crm_kernel.database import db
from crm_kernel.jobs import lanes
from crm_kernel.jobs.claiming import Claim, claim
from crm_kernel.jobs.models import JobRow, JobState

DONE = 50_000


def _fill(session, now, count, **values):
    row = {"module": "alpha", "name": "alpha.job", "payload": {}, "run_at": now, "created_at": now, **values}
    session.execute(sa.insert(JobRow), [dict(row, attempts=1) for _ in range(count)])


LANES = [lanes.Lane("alpha", "default", 0, "alpha.job"), lanes.Lane("beta", "default", 0, "beta.job")]


def _plan(session, statement, now):
    dialect = session.get_bind().dialect
    if "most" in statement.compile().params:
        statement = statement.params(now=now, most=20, **lanes.lane_parameters([(lane, 20) for lane in LANES], 2))
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    explain = "EXPLAIN QUERY PLAN " if dialect.name == "sqlite" else "EXPLAIN ANALYZE "
    parameters = compiled.construct_params()
    if dialect.name == "sqlite":
        bound = tuple(_bind(compiled, dialect, name, parameters[name]) for name in compiled.positiontup)
        rows = session.connection().exec_driver_sql(explain + str(compiled), bound)
    else:
        rows = session.connection().exec_driver_sql(explain + str(compiled), parameters)
    return "\n".join(str(row[-1]) for row in rows)


def _bind(compiled, dialect, name, value):
    process = compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)
    return process(value) if process else value


def test_the_claim_uses_the_partial_indexes_among_fifty_thousand_done_jobs(site, kit):
    site.load(alpha=kit.Pieces(), beta=kit.Pieces())
    now = site.clock.now
    with site.writing() as uow:
        for part in range(5):
            _fill(uow.session, now, DONE // 5, state=int(JobState.DONE), partition=f"p{part}")
        _fill(uow.session, now, 1000, partition=None)
        _fill(uow.session, now, 1000, partition="p1")
        _fill(uow.session, now, 1000, module="parked")
    with site.writing() as uow:
        plans = [_plan(uow.session, lanes.picked(2), now)]
        heads = [_plan(uow.session, lanes._heads(), now)]
        uow.session.execute(sa.text("ANALYZE"))
        plans.append(_plan(uow.session, lanes.picked(2), now))
        heads.append(_plan(uow.session, lanes._heads(), now))

    for plan in (*plans, *heads):
        assert "ix_job_due" in plan, plan
    for plan in heads:
        assert "Seq Scan" not in plan, plan
        assert "(module>?)" not in plan, plan  # from lane to lane, not along a module
    for plan in plans:
        assert "ix_job_order" in plan, plan
        # Few leases exist at any time: PostgreSQL may prefer to hash those of the other small index.
        assert "ix_job_running" in plan or "ix_job_lease" in plan, plan
        assert "Seq Scan" not in plan, plan
        assert "SCAN job" not in plan, plan


def test_a_claim_takes_what_is_due_in_turns_per_module(site, kit):
    site.load(alpha=kit.Pieces(), beta=kit.Pieces())
    now = site.clock.now
    with site.writing() as uow:
        _fill(uow.session, now, 30)
        _fill(uow.session, now, 2, module="beta", name="beta.job")
        _fill(uow.session, now.replace(year=2027), 2)
        _fill(uow.session, now, 2, module="gone", name="gone.job")

    wanted = Claim(
        worker="w", modules=["beta", "alpha"], limit=10, lease=site.clock.now - site.clock.now.replace(hour=11)
    )
    with site.writing() as uow:
        taken = claim(uow.session, wanted, now)

    assert sorted(lease.module for lease in taken) == ["alpha"] * 8 + ["beta"] * 2
    assert [lease.queue for lease in taken] == ["default"] * 10
    assert [lease.module for lease in taken[:4]] == ["alpha", "beta", "alpha", "beta"]
    assert [lease.place for lease in taken] == list(range(1, 11))
    assert {lease.until for lease in taken} == {now.replace(hour=13)}


def test_a_claim_of_no_module_takes_nothing(site, kit):
    site.load(alpha=kit.Pieces())
    wanted = Claim(worker="w", modules=[], limit=10, lease=site.clock.now - site.clock.now)

    with site.app.app_context():
        assert claim(db.session(), wanted, site.clock.now) == []
