"""What the Celery engine asks of each broker."""

from __future__ import annotations

import pytest

pytest.importorskip("celery")


def test_redis_gives_back_what_a_killed_worker_had_after_the_lease_and_long_before_an_hour():
    from crm_kernel.jobs.celery_engine import celery_application
    from crm_kernel.jobs.execution import Executor

    options = celery_application("redis://127.0.0.1:6379/15").conf.broker_transport_options

    assert Executor.__dataclass_fields__["lease_seconds"].default < options["visibility_timeout"] < 3600


def test_rabbitmq_is_not_told_what_only_redis_knows():
    from crm_kernel.jobs.celery_engine import celery_application

    assert not celery_application("amqp://127.0.0.1//").conf.broker_transport_options
