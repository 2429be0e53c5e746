"""``crm worker``: background work in a process of its own, until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

import click

from crm_cli.common import Instance, instance_options, message


@click.command("worker")
@click.option("--once", is_flag=True, help="Do what is due now, then stop.")
@click.option("--lifeline", is_flag=True, hidden=True, help="Stop when stdin ends: the server that started it is gone.")
@click.option("--modules", hidden=True, help="Exactly these modules, comma-separated: those the server serves.")
@click.option("--skip-failed", is_flag=True, help="Work without the modules that cannot be loaded.")
@instance_options
def worker(instance: Instance, once: bool, lifeline: bool, modules: str | None, skip_failed: bool) -> None:
    """Deliver events and run background jobs; Ctrl-C or SIGTERM finishes the current job first."""
    from crm_kernel.app import create_app
    from crm_kernel.jobs.runner import Runner

    chosen = None if modules is None else [name for name in modules.split(",") if name]
    app = create_app(instance.config(), modules=chosen, skip_failed=skip_failed)
    runner = Runner(app, f"{socket.gethostname()}-{os.getpid()}")
    if once:
        message(f"{runner.drain()} jobs done or tried.")
        return
    stop = threading.Event()

    def end(*_: object) -> None:
        stop.set()
        runner.wake()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    if lifeline:
        threading.Thread(target=lambda: (sys.stdin.buffer.read(), end()), daemon=True).start()
    runner.run_forever(stop)
