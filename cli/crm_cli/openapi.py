"""``crm openapi``: the description of the API of this instance, its modules and extensions included."""

from __future__ import annotations

import json

import click

from crm_cli.common import Instance, instance_options


@click.command("openapi")
@instance_options
def openapi(instance: Instance) -> None:
    """Print the OpenAPI 3.1 description of the API as JSON."""
    from crm_kernel.records.openapi import openapi_document

    app = instance.app()
    with app.test_request_context(base_url=instance.config().base_url or None):
        document = openapi_document(app)
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
