"""The worker processes of the chaos tests.

Run as a script it imports everything once and then forks one worker per line of its input, because a process that
starts from nothing spends seconds importing: ``{"url": …, "name": …, "lease_seconds": …, "output": FILE}``. A worker
writes ``started <pid>`` and ``stopped`` into its file. Every job leaves one effect; a label that starts with ``freeze``
writes ``frozen`` and sleeps before it does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import harness
from sqlalchemy.orm import configure_mappers

from crm_kernel import contributions as c
from crm_kernel.jobs.runner import Runner


def take(uow, event):
    """Leave the event's label."""
    harness.leave_effect(uow, event.label)


def work(uow, payload):
    """Leave the payload's label."""
    harness.leave_effect(uow, payload["label"])


def send(payload):
    """Do something outside the database, slowly if asked to; its effect commits with the result."""
    if payload["label"].startswith("freeze"):
        print("frozen", flush=True)
        time.sleep(payload["seconds"])
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


def run(url: str, name: str, lease_seconds: float) -> None:
    """Run one worker until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    app = harness.build(url, alpha=pieces())
    runner = Runner(app, name, poll_seconds=0.05, lease_seconds=lease_seconds)
    print("started", os.getpid(), flush=True)
    runner.run_forever(stop)
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
