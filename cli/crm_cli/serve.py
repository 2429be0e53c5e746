"""``crm serve``: pages, API and the background worker, until it is told to stop."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from crm_cli.common import Instance, instance_options, warn


@click.command("serve")
@click.option("--host", help="Address to listen on (default: the setting host).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (default: the setting port); 0 for a free one.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes (default: the setting workers).")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads per worker (default: the setting threads).")
@click.option("--skip-failed", is_flag=True, help="Serve without the modules that cannot be loaded.")
@click.option("--no-worker", is_flag=True, help="Start no background worker; run crm worker elsewhere.")
@instance_options
def serve(
    instance: Instance,
    host: str | None,
    port: int | None,
    workers: int | None,
    threads: int | None,
    skip_failed: bool,
    no_worker: bool,
) -> None:
    """Serve pages and API; modules that are enabled or disabled meanwhile are taken up without losing a request."""
    from crm_kernel.server import Serving, Supervisor

    config = instance.config()
    _check(instance)
    how = Serving(
        host=host or config.host,
        port=config.port if port is None else port,
        workers=workers or config.workers,
        threads=threads or config.threads,
        skip_failed=skip_failed,
        siblings={}
        if no_worker
        else {"background worker": lambda modules: _worker(config.source, modules, skip_failed)},
    )
    raise click.exceptions.Exit(Supervisor(config, how).run())


def _check(instance: Instance) -> None:
    """Refuse what would fail on the first request rather than at the start."""
    from crm_kernel._internal import migrations
    from crm_kernel.errors import ConfigError, PluginError

    config = instance.config()
    if not config.secret_key:
        raise ConfigError(f"{config.place_of('secret_key')}: missing. Create an instance with: crm init")
    for branch in migrations.status(config):
        if branch.branch == "kernel" and branch.state != "current":
            raise PluginError("kernel", f"its tables are {branch.state}. Run: crm db upgrade")
        if branch.state == "behind":
            warn(f"{branch.branch}: its tables are behind. Run: crm modules upgrade {branch.branch}")


def _worker(source: str, modules: Sequence[str], skip_failed: bool) -> list[str]:
    from pathlib import Path

    config = ["--config", source] if Path(source).is_file() else []
    skip = ["--skip-failed"] if skip_failed else []
    listed = ["--modules", ",".join(modules)]
    return [sys.executable, "-m", "crm_cli.main", *config, "worker", "--lifeline", *listed, *skip]
