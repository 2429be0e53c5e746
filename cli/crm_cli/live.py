"""``crm live``: tells open pages at once that there is something new, in a process of its own."""

from __future__ import annotations

import os
from pathlib import Path

import click

from crm_cli.common import Instance, instance_options, message


@click.command("live")
@click.option("--host", help="Address to listen on (default: the setting host).")
@click.option("--port", type=click.IntRange(1, 65535), default=8001, show_default=True, help="Port.")
@instance_options
def live(instance: Instance, host: str | None, port: int) -> None:
    """Tell open pages of new notifications at once; without it they ask every half minute.

    Set live_url to the address under which browsers reach it.
    """
    from crm_kernel.errors import ConfigError
    from crm_kernel.server.live import serve_live

    config = instance.config()
    if not config.secret_key:
        raise ConfigError(f"{config.place_of('secret_key')}: missing. Create an instance with: crm init")
    if not config.live_url:
        message("The setting live_url is empty: no page will ask here.")
    if Path(config.source).is_file():
        os.environ["CRM_CONFIG"] = config.source  # the serving process reads it again
    message(f"Live updates on http://{host or config.host}:{port}/live")
    serve_live(host or config.host, port)
