"""``crm worker``: background work in a process of its own, until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from crm_cli.common import Instance, instance_options, message

if TYPE_CHECKING:
    from crm_kernel.jobs.runner import Runner


@click.command("worker")
@click.option("--once", is_flag=True, help="Do what is due now, then stop.")
@click.option("--lifeline", is_flag=True, hidden=True, help="Stop when stdin ends: the server that started it is gone.")
@click.option("--modules", hidden=True, help="Exactly these modules, comma-separated: those the server serves.")
@click.option("--skip-failed", is_flag=True, help="Work without the modules that cannot be loaded.")
@click.option("--threads", type=click.IntRange(1, 64), help="Jobs at a time (default: the setting job_threads).")
@click.option("--queue", "queues", multiple=True, help="Only jobs of this queue; repeat for several.")
@instance_options
def worker(
    instance: Instance,
    once: bool,
    lifeline: bool,
    modules: str | None,
    skip_failed: bool,
    threads: int | None,
    queues: tuple[str, ...],
) -> None:
    """Deliver events and run background jobs; Ctrl-C or SIGTERM finishes the current jobs first."""
    from crm_kernel.app import create_app
    from crm_kernel.jobs.runner import Runner
    from crm_kernel.mail.transport import hang_up

    config = instance.config()
    chosen = None if modules is None else [name for name in modules.split(",") if name]
    app = create_app(config, modules=chosen, skip_failed=skip_failed)
    click.get_current_context().call_on_close(partial(hang_up, app))
    name, count = f"{socket.gethostname()}-{os.getpid()}", threads or config.job_threads
    if once:
        message(f"{Runner(app, name, queues=queues or None).drain()} jobs done or tried.")
        return
    if lifeline:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    if config.jobs_engine == "celery":
        _refuse_queues(queues)
        from crm_kernel.jobs.celery_engine import work

        work(app, threads=count)
        return
    _run([Runner(app, f"{name}-{number}", queues=queues or None) for number in range(count)])


def _run(runners: Sequence[Runner]) -> None:
    """Run one runner per thread until SIGTERM or SIGINT, this thread's own among them."""
    stop = threading.Event()

    def end(*_: object) -> None:
        stop.set()
        for runner in runners:
            runner.wake()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    others = [threading.Thread(target=runner.run_forever, args=(stop,)) for runner in runners[1:]]
    for thread in others:
        thread.start()
    runners[0].run_forever(stop)
    for thread in others:
        thread.join()


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _refuse_queues(queues: Sequence[str]) -> None:
    if queues:
        raise click.UsageError("--queue is for the embedded engine; with jobs_engine = celery every worker takes all")
