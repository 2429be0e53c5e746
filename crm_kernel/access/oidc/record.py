"""Identity providers as a record type: list, form and API for administrators; the secret is in no field."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _l
from marshmallow import Schema, fields, validate

from crm_kernel.access.actor import Actor
from crm_kernel.access.oidc.models import IdentityProvider
from crm_kernel.access.oidc.people import refuse_over_linked
from crm_kernel.access.oidc.providers import create_provider, delete_provider, set_secret, update_provider
from crm_kernel.contributions import Panel
from crm_kernel.records.record_type import Action, FormSection, RecordType, Services

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def _text(label: Any, text: Any = "", *, longest: int = 255, **more: Any) -> fields.String:
    metadata = {"label": label, "help": text} if text else {"label": label}
    metadata |= more.pop("metadata", {})
    return fields.String(validate=validate.Length(max=longest), metadata=metadata, **more)


def _flag(label: Any, text: Any, *, default: bool = False) -> fields.Boolean:
    return fields.Boolean(load_default=default, metadata={"label": label, "help": text})


class ProviderSchema(Schema):
    """A system that says who somebody is, by OpenID Connect."""

    name = fields.String(required=True, validate=validate.Length(1, 80), metadata={"label": _l("Name"), "help": _l("As the button on the log-in page calls it.")})  # fmt: skip
    issuer = fields.String(required=True, validate=validate.Length(1, 500), metadata={"label": _l("Issuer"), "help": _l("Its address, exactly as the provider writes it: https://login.example.com/realms/staff.")})  # fmt: skip
    client_id = fields.String(required=True, validate=validate.Length(1, 255), metadata={"label": _l("Client id"), "help": _l("What the provider calls this system.")})  # fmt: skip
    scopes = _text(_l("Scopes"), _l("Separated by spaces; openid is needed."), load_default="openid email profile")
    enabled = _flag(_l("Offered on the log-in page"), "", default=True)
    link_by_email = _flag(
        _l("Known by e-mail"),
        _l("At the first log-in, a user with the same address is meant, if the provider has verified it. Only for a provider that gives addresses of yours to nobody else."),
    )  # fmt: skip
    factor_values = _text(
        _l("Counts as a second factor"),
        _l("Values of amr or acr, separated by spaces, for example: mfa otp hwk. With one of them no code is asked for here. Empty: always asked for here."),
    )  # fmt: skip
    create_users = _flag(_l("Makes users"), _l("Who is nobody here yet becomes a user at the first log-in, with the roles below."))  # fmt: skip
    role_claim = _text(
        _l("Claim of roles"), _l("For example groups, or realm_access.roles."), longest=120, load_default=""
    )
    role_map = _text(_l("Roles by claim"), _l("One line each: value of the claim = role."), longest=4_000, load_default="", metadata={"widget": "textarea"})  # fmt: skip
    default_role = _text(_l("Role of the others"), _l("Empty: who has none of these values does not become a user."), longest=80, load_default="")  # fmt: skip
    created_at = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Created")})
    updated_at = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Changed")})


class ClientSecretSchema(Schema):
    """The secret that a provider has given us."""

    client_secret = fields.String(
        required=True,
        validate=validate.Length(max=2_000),
        metadata={"label": _l("Client secret"), "widget": "password"},
    )


def record_types() -> list[RecordType]:
    """Return the record type ``identity_provider``."""
    return [
        RecordType(
            name="identity_provider",
            model=IdentityProvider,
            schema=ProviderSchema,
            label=_l("Log-in provider"),
            label_plural=_l("Log-in providers"),
            slug="identity-providers",
            icon="key",
            columns=("name", "issuer", "enabled", "create_users"),
            filters=("name", "enabled"),
            sorts=("name", "created_at"),
            default_sort="name",
            form=(
                FormSection(title=_l("Log-in provider"), fields=("name", "issuer", "client_id", "scopes", "enabled")),
                FormSection(title=_l("Who is meant"), fields=("link_by_email", "factor_values")),
                FormSection(title=_l("New users"), fields=("create_users", "role_claim", "role_map", "default_role")),
            ),
            actions=(
                Action(name="set_secret", label=_l("Set the client secret"), service=_set_secret, schema=ClientSecretSchema, icon="key"),
            ),
            services=Services(create=create_provider, update=update_provider, delete=delete_provider),
            limit=_limit,
            verbs=("read", "create", "update", "delete"),
            visibility=_for_administrators,
            seen_with="update",
            nav_section="administration",
            nav_order=35,
        )
    ]  # fmt: skip


def panels() -> list[Panel]:
    """Return the card that says what the provider must be told, and the commands."""
    return [
        Panel(
            name="kernel.identity_provider",
            label=_l("At the provider"),
            template="access/provider.html",
            load=_shown,
            permission="identity_provider.update",
            host="identity_provider",
            icon="key",
        )
    ]


def _shown(_uow: UnitOfWork, provider: IdentityProvider) -> Mapping[str, Any]:
    from crm_kernel.web.addresses import public_address

    return {
        "redirect_uri": public_address("signin.oidc_callback", uid=provider.uid),
        "home": public_address("security.login"),
        "secret": provider.client_secret is not None,
        "name": shlex.quote(provider.name),
    }


def _set_secret(uow: UnitOfWork, provider: IdentityProvider, *, client_secret: str) -> None:
    set_secret(uow, provider, client_secret)


def _limit(uow: UnitOfWork, verb: str, provider: IdentityProvider) -> None:
    # Of an update it depends on the fields.
    if verb in ("delete", "set_secret"):
        refuse_over_linked(uow, provider)


def _for_administrators(actor: Actor) -> sa.ColumnElement[bool]:
    return sa.true() if actor.may("identity_provider.update") else sa.false()
