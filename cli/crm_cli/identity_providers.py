"""``crm identity-providers``: the systems at which users log in by OpenID Connect."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from crm_cli.common import (
    Instance,
    dry_run_option,
    echo_json,
    echo_records,
    instance_options,
    json_option,
    message,
)

if TYPE_CHECKING:
    from crm_kernel.access.oidc.models import IdentityProvider

_NAME = click.argument("name")
_SHOWN = ("name", "issuer", "client_id", "enabled", "secret", "link_by_email", "create_users", "redirect_uri")


@click.group("identity-providers")
def providers() -> None:
    """Connect systems that say who somebody is, by OpenID Connect."""


@providers.command("list")
@json_option
@instance_options
def list_providers(instance: Instance, as_json: bool) -> None:
    """List the providers with the redirect address that each must be told."""
    import sqlalchemy as sa

    from crm_kernel.access.oidc.models import IdentityProvider

    with instance.reading() as uow:
        found = uow.session.scalars(sa.select(IdentityProvider).order_by(IdentityProvider.name)).all()
        rows = [_described(provider) for provider in found]
    echo_records(as_json, _SHOWN, rows)


@providers.command("add")
@_NAME
@click.argument("issuer")
@click.argument("client_id")
@click.option("--scopes", default="openid email profile", show_default=True, help="Separated by spaces.")
@dry_run_option
@json_option
@instance_options
def add(instance: Instance, name: str, issuer: str, client_id: str, scopes: str, dry_run: bool, as_json: bool) -> None:
    """Connect the provider at ISSUER, which calls this system CLIENT_ID; its secret: crm identity-providers secret."""
    from crm_kernel.access.oidc.providers import create_provider

    with instance.writing(dry_run=dry_run) as uow:
        data = {"name": name, "issuer": issuer, "client_id": client_id, "scopes": scopes}
        found = _described(create_provider(uow, data))
    if as_json:
        echo_json(found)
    elif not dry_run:
        message(f"Tell {name} this redirect address:")
        click.echo(found["redirect_uri"])


@providers.command("change")
@_NAME
@click.option("--enable/--disable", "enabled", default=None, help="Whether the log-in page offers it.")
@click.option("--issuer", help="Its address; who is linked at the old one is known no more.")
@click.option("--client-id", help="What it calls this system.")
@click.option("--scopes", help="Separated by spaces; openid is needed.")
@click.option("--link-by-email/--no-link-by-email", default=None, help="Whether a verified address says who is meant.")
@click.option("--create-users/--no-create-users", default=None, help="Whether who is nobody here becomes a user.")
@click.option("--role-claim", help="Claim of roles: groups, realm_access.roles.")
@click.option("--role", "role_lines", multiple=True, help="VALUE=ROLE, repeated; replaces the lines there are.")
@click.option("--default-role", help="Role of new users whom no value fits; empty for none.")
@click.option("--factor-values", help="Values of amr or acr that count as a second factor, separated by spaces.")
@dry_run_option
@json_option
@instance_options
def change(
    instance: Instance, name: str, role_lines: tuple[str, ...], dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Change a provider; what is not named stays as it is."""
    from crm_kernel.access.oidc.providers import provider_named, update_provider

    changes = {field: value for field, value in given.items() if value is not None}
    if role_lines:
        changes["role_map"] = "\n".join(role_lines)
    with instance.writing(dry_run=dry_run) as uow:
        provider = provider_named(uow, name)
        update_provider(uow, provider, changes)
        found = _described(provider)
    if as_json:
        echo_json(found)
    elif not dry_run:
        message(f"{name} is changed." if changes else "There was nothing to change.")


@providers.command("secret")
@_NAME
@click.option("--value", help="The secret; better left out: it is asked for, or read from stdin.")
@dry_run_option
@json_option
@instance_options
def secret(instance: Instance, name: str, value: str | None, dry_run: bool, as_json: bool) -> None:
    """Set the secret that the provider has given; an empty one is for a public client."""
    from crm_kernel.access.oidc.providers import provider_named, set_secret

    given = _asked(name) if value is None else value
    with instance.writing(dry_run=dry_run) as uow:
        provider = provider_named(uow, name)
        set_secret(uow, provider, given)
        found = _described(provider)
    if as_json:
        echo_json(found)
    elif not dry_run:
        message(f"The secret of {name} is set; it is kept encrypted.")


@providers.command("check")
@_NAME
@json_option
@instance_options
def check(instance: Instance, name: str, as_json: bool) -> None:
    """Ask a provider for what it says of itself, and for its keys."""
    from crm_kernel.access.oidc.metadata import keys_of, metadata_of
    from crm_kernel.access.oidc.providers import provider_named

    with instance.reading() as uow:
        issuer = provider_named(uow, name).issuer
    with instance.app().app_context():
        metadata = metadata_of(issuer)
        keys = keys_of(metadata)
    names = ("issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "end_session_endpoint")
    found = {field: metadata.get(field, "") for field in names} | {"keys": len(keys.keys)}
    echo_records(as_json, ("field", "value"), [{"field": field, "value": value} for field, value in found.items()])


def _asked(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt(f"Secret of {name}", hide_input=True, default="", show_default=False, err=True))


def _described(provider: IdentityProvider) -> dict[str, Any]:
    from crm_kernel.web.addresses import public_address

    return {
        "id": provider.uid,
        "name": provider.name,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "enabled": provider.enabled,
        "secret": "set" if provider.client_secret else "",
        "link_by_email": provider.link_by_email,
        "create_users": provider.create_users,
        "redirect_uri": public_address("signin.oidc_callback", uid=provider.uid),
    }
