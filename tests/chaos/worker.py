"""The worker processes of the chaos tests.

Run as a script it imports everything once and then forks one worker per line of its input, because a process that
starts from nothing spends seconds importing: ``{"url": …, "name": …, "lease_seconds": …, "output": FILE}``; with ``"engine": "relay"``
or ``"tasks"``, a ``"queue"`` and a ``"broker"`` (its address) it is that half of the Celery engine. A worker writes ``started <pid>`` and ``stopped`` into its file. Every job leaves one effect; at a label that starts with ``freeze``
it writes ``frozen`` and stops itself (SIGSTOP) before it does, until somebody continues it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import harness
from sqlalchemy.orm import configure_mappers

from crm_kernel import contributions as c
from crm_kernel.jobs.runner import Runner

#: Set in worker processes only: the test's own process runs the same handlers, and must not freeze.
IS_WORKER = threading.Event()


def take(uow, event):
    """Leave the event's label."""
    harness.leave_effect(uow, event.label)


def work(uow, payload):
    """Leave the payload's label."""
    harness.leave_effect(uow, payload["label"])


def send(payload):
    """Do something outside the database, frozen on the way if asked to; its effect commits with the result."""
    if payload["label"].startswith("freeze") and IS_WORKER.is_set():
        # By itself, so that it happens here on a machine of any speed, and not while it holds a lock of the database.
        print("frozen", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
    return lambda uow: harness.leave_effect(uow, payload["label"])


def count(uow, payload):
    """Leave one effect per chunk."""
    step = payload.get("checkpoint", 0)
    harness.leave_effect(uow, f"{payload['label']}-{step}")
    return step + 1 if step + 1 < payload["chunks"] else None


def pieces() -> harness.Pieces:
    """Return the plugin the workers run."""
    return harness.Pieces(
        events=[harness.Happened],
        subscribers=[c.Subscriber(name="alpha.take", event=harness.Happened, handler=take)],
        jobs=[
            c.Job(name="alpha.work", handler=work),
            c.Job(name="alpha.send", handler=send, kind=c.JobKind.OUTSIDE),
            c.Job(name="alpha.count", handler=count, kind=c.JobKind.CHUNKED),
        ],
    )


def run(url: str, name: str, lease_seconds: float, engine: str = "embedded", queue: str = "", broker: str = "") -> None:
    """Run one worker until SIGTERM."""
    IS_WORKER.set()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    app = harness.build(url, alpha=pieces())
    print("started", os.getpid(), flush=True)
    if engine == "tasks":
        from crm_kernel.jobs.celery_engine import celery_application, serve_tasks

        serve_tasks(celery_application(broker, queue=queue), app, threads=2, lease_seconds=lease_seconds)
    elif engine == "relay":
        from crm_kernel.jobs.celery_engine import celery_application, publisher
        from crm_kernel.jobs.relaying import Relay

        publish = publisher(celery_application(broker, queue=queue))
        Relay(app, name, poll_seconds=0.05, lease_seconds=lease_seconds, publish=publish).run_forever(stop)
    else:
        Runner(app, name, poll_seconds=0.05, lease_seconds=lease_seconds).run_forever(stop)
    print("stopped", flush=True)


def main() -> None:
    """Fork one worker per line of the input; the system forgets those that end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    configure_mappers()
    for line in sys.stdin:
        wanted = json.loads(line)
        if os.fork() == 0:
            with Path(wanted.pop("output")).open("w", encoding="utf-8") as sys.stdout:
                run(**wanted)
            os._exit(0)


if __name__ == "__main__":
    main()
