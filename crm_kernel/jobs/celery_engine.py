"""The half of the Celery engine that knows Celery: its application, its one task, its worker.

The only module that imports it; ``jobs_engine = "celery"`` is what leads here.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.errors import ConfigError
from crm_kernel.jobs.execution import Executor
from crm_kernel.jobs.relaying import Relay, Ticket, do_tickets
from crm_kernel.jobs.runner import BrokerUnavailable

try:
    from celery import Celery
    from kombu.exceptions import KombuError
    from kombu.exceptions import OperationalError as BrokerError
except ImportError as missing:
    raise ConfigError(
        f"jobs_engine: celery needs the library {missing.name}. Install it with: pip install 'crm-kernel[celery]'"
    ) from missing

if TYPE_CHECKING:
    from flask import Flask

log = logging.getLogger("crm.jobs")

TASK = "crm.jobs.run"

#: Kept short: the table brings back what was not published.
_RETRIES = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}

#: How Redis is spoken to. It knows no unacknowledged messages of a dead client: what a killed worker had fetched comes
#: back after this many seconds (an hour, unless one says so), and so does, a second time, what waits behind a job of that
#: length. Both are harmless, for tickets end with their lease; but until then they fill the memory of Redis.
_REDIS = {"visibility_timeout": 300, "socket_connect_timeout": 5, "socket_keepalive": True}


def celery_application(broker_url: str, *, queue: str = "crm") -> Any:
    """Return a Celery application on a broker, with no task yet; connects to nothing."""
    application = Celery("crm", broker=broker_url, set_as_current=False)
    if broker_url.startswith(("redis:", "rediss:")):
        application.conf.broker_transport_options = dict(_REDIS)
    application.conf.update(
        task_default_queue=queue,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_publish_retry_policy=_RETRIES,
        broker_connection_retry_on_startup=True,
        worker_prefetch_multiplier=2,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
    )
    return application


def publisher(application: Any) -> Callable[[Sequence[Ticket], dt.datetime], None]:
    """Return the relay's way to publish; it raises ``BrokerUnavailable``."""

    def publish(tickets: Sequence[Ticket], until: dt.datetime) -> None:
        try:
            application.send_task(TASK, args=[list(tickets), until.isoformat()])
        except (BrokerError, KombuError, OSError) as error:
            raise BrokerUnavailable(f"the broker does not take messages: {error}") from error

    return publish


def serve_tasks(application: Any, app: Flask, *, threads: int = 2, lease_seconds: float = 60.0) -> None:
    """Do published jobs in so many threads until SIGTERM, which finishes the jobs under way first."""
    name = f"{socket.gethostname()}-{os.getpid()}"

    @application.task(name=TASK, ignore_result=True)  # type: ignore[untyped-decorator]
    def run(tickets: Sequence[Sequence[int]], until: str) -> None:
        executor = Executor(app, f"{name}-{threading.get_ident()}", lease_seconds=lease_seconds)
        do_tickets(executor, [(job_id, token) for job_id, token in tickets], dt.datetime.fromisoformat(until))

    worker = application.Worker(
        hostname=f"crm@{name}",
        pool="threads",
        concurrency=threads,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
        loglevel="WARNING",
    )
    worker.start()


def work(app: Flask, *, threads: int) -> None:
    """Relay and do jobs until SIGTERM: one relay and a Celery worker of so many threads. Must run in the main thread."""
    config = runtime_of(app).config
    application = celery_application(config.jobs_broker_url)
    stop = threading.Event()
    relay = Relay(app, f"{socket.gethostname()}-{os.getpid()}", publish=publisher(application))
    thread = threading.Thread(target=relay.run_forever, args=(stop,), name="crm-relay", daemon=True)
    thread.start()
    signal.signal(signal.SIGINT, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        serve_tasks(application, app, threads=threads)
    finally:
        stop.set()
        relay.wake()
        thread.join()
