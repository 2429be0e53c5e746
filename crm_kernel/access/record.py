"""Users, teams and roles as record types: lists, forms and API for admins.

Everybody who may read users sees names, teams and who is active: they are what people pick owners by. Addresses, roles
and preferences need ``user.update``. Roles with their grants are seen by administrators alone; log-ins and locks stand on a panel for those who may change users. Hashes,
identifiers of sessions and tokens are in no schema, hence on no page, in no answer and in no export.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _l
from marshmallow import Schema, fields, validate

from crm_kernel.access.action_schemas import (
    ACCESS,
    SCOPES,
    FieldSchema,
    NewGrantSchema,
    PasswordSchema,
    RestrictedFieldSchema,
    RevokedGrantSchema,
    RoleNameSchema,
)
from crm_kernel.access.actor import Actor, Scope, widest
from crm_kernel.access.factors.services import reset_second_factor
from crm_kernel.access.models import AppUser, FieldRule, Role, RolePermission, Team, UserRole
from crm_kernel.access.preferences import (
    first_language,
    language_choices,
    timezone_choices,
    usual_timezone,
)
from crm_kernel.access.services import (
    activate_user,
    assign_role,
    create_role,
    create_team,
    create_user,
    deactivate_user,
    delete_role,
    delete_team,
    end_sessions,
    grant,
    revoke,
    role_named,
    set_password,
    unassign_role,
    update_role,
    update_team,
    update_user,
)
from crm_kernel.access.services.field_rules import free_field, restrict_field
from crm_kernel.access.services.limits import limit_on_role, limit_on_user
from crm_kernel.access.services.roles import BUILTIN_DESCRIPTIONS
from crm_kernel.records.fields import Choice, Collection, Reference
from crm_kernel.records.known_text import KnownText
from crm_kernel.records.names import ORDERS
from crm_kernel.records.record_type import Action, FormSection, RecordType, Services
from crm_kernel.unit_of_work import UnitOfWork

#: Fields of a user that only those see who may change users.
_ADMINISTRATION = {"needs": "update"}


class HeldRoleSchema(Schema):
    """A role that a user holds."""

    role = Reference("role", attribute="role_id", metadata={"label": _l("Role")})


class UserSchema(Schema):
    """A user."""

    name = fields.String(required=True, validate=validate.Length(1, 120), metadata={"label": _l("Name")})
    email = fields.Email(required=True, metadata={"label": _l("E-mail"), **_ADMINISTRATION})
    team = Reference("team", attribute="team_id", allow_none=True, metadata={"label": _l("Team")})
    language = fields.String(
        load_default=first_language,
        metadata={
            "label": _l("Language"),
            "widget": "choice",
            "options": language_choices,
            "show_as": "language",
            **_ADMINISTRATION,
        },
    )
    timezone = fields.String(
        load_default=usual_timezone,
        metadata={
            "label": _l("Time zone"),
            "help": _l("For example Europe/Paris."),
            "widget": "datalist",
            "options": timezone_choices,
            **_ADMINISTRATION,
        },
    )
    name_order = Choice(
        ORDERS, load_default=None, allow_none=True, metadata={"label": _l("Names of people"), **_ADMINISTRATION}
    )
    active = fields.Boolean(dump_only=True, metadata={"label": _l("Active")})
    roles = Collection(
        HeldRoleSchema,
        model=UserRole,
        key="user_id",
        dump_only=True,
        metadata={"label": _l("Roles"), **_ADMINISTRATION},
    )
    created_at = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Created"), **_ADMINISTRATION})
    #: A log-in changes the row, so this tells when somebody was last here.
    updated_at = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Changed"), **_ADMINISTRATION})


class TeamSchema(Schema):
    """A team."""

    name = fields.String(required=True, validate=validate.Length(1, 120), metadata={"label": _l("Name")})
    parent = Reference("team", attribute="parent_id", allow_none=True, metadata={"label": _l("Part of")})


class GrantSchema(Schema):
    """What a role allows."""

    permission = fields.String(metadata={"label": _l("Permission")})
    scope = Choice(SCOPES, attribute="reach", metadata={"label": _l("Reach")})


class FieldRuleSchema(Schema):
    """What a role's holders may not do with one field."""

    record_type = fields.String(metadata={"label": _l("Record type"), "show_as": "record_type"})
    field = fields.String(metadata={"label": _l("Field")})
    access = Choice(ACCESS, metadata={"label": _l("Access")})


class RoleSchema(Schema):
    """A role."""

    name = fields.String(required=True, validate=validate.Length(1, 80), metadata={"label": _l("Name")})
    description = KnownText(
        known=BUILTIN_DESCRIPTIONS, validate=validate.Length(max=255), metadata={"label": _l("Description")}
    )
    builtin = fields.Boolean(dump_only=True, metadata={"label": _l("Built in")})
    second_factor = fields.Boolean(
        load_default=False,
        metadata={
            "label": _l("Second factor required"),
            "help": _l("Who holds the role sets up a second factor before he reaches anything else."),
        },
    )
    field_rules = Collection(
        FieldRuleSchema,
        model=FieldRule,
        key="role_id",
        order_by="field",
        dump_only=True,
        metadata={"label": _l("Fields")},
    )
    grants = Collection(
        GrantSchema,
        model=RolePermission,
        key="role_id",
        order_by="permission",
        dump_only=True,
        metadata={"label": _l("Grants")},
    )


def record_types() -> list[RecordType]:
    """Return the record types of access: ``user``, ``team`` and ``role``."""
    return [_user(), _team(), _role()]


def _user() -> RecordType:
    return RecordType(
        name="user",
        model=AppUser,
        schema=UserSchema,
        label=_l("User"),
        label_plural=_l("Users"),
        slug="users",
        icon="user",
        columns=("name", "email", "team", "active"),
        filters=("name", "email", "team", "active"),
        sorts=("name", "email", "created_at"),
        default_sort="name",
        search=("name", "email"),
        form=(FormSection(title=_l("User"), fields=("name", "email", "team", "language", "timezone", "name_order")),),
        actions=(
            _action("assign_role", _l("Give a role"), _give_role, RoleNameSchema, icon="user-check"),
            _action("unassign_role", _l("Take a role"), _take_role, RoleNameSchema, icon="user-x"),
            _action("set_password", _l("Set the password"), _set_password, PasswordSchema, icon="password"),
            Action(
                name="deactivate",
                label=_l("Deactivate"),
                service=deactivate_user,
                icon="lock",
                color="danger",
                available=lambda user: bool(user.active),
            ),
            Action(name="sign_out", label=_l("Sign out everywhere"), service=end_sessions, icon="logout"),
            Action(
                name="reset_second_factor",
                label=_l("Reset the second factor"),
                service=reset_second_factor,
                icon="shield-lock",
                color="danger",
                available=lambda user: user.tf_primary_method is not None,
            ),
            Action(
                name="activate",
                label=_l("Activate"),
                service=activate_user,
                icon="lock-open",
                available=lambda user: not user.active,
            ),
        ),
        services=Services(create=lambda uow, data: create_user(uow, **data), update=update_user),
        limit=limit_on_user,
        verbs=("read", "create", "update", "export"),
        nav_section="administration",
        nav_order=10,
    )


def _team() -> RecordType:
    return RecordType(
        name="team",
        model=Team,
        schema=TeamSchema,
        label=_l("Team"),
        label_plural=_l("Teams"),
        slug="teams",
        icon="users-group",
        columns=("name", "parent"),
        filters=("name", "parent"),
        sorts=("name", "created_at"),
        default_sort="name",
        search=("name",),
        form=(FormSection(title=_l("Team"), fields=("name", "parent")),),
        services=Services(create=lambda uow, data: create_team(uow, **data), update=update_team, delete=delete_team),
        nav_section="administration",
        nav_order=20,
    )


def _role() -> RecordType:
    return RecordType(
        name="role",
        model=Role,
        schema=RoleSchema,
        label=_l("Role"),
        label_plural=_l("Roles"),
        slug="roles",
        icon="shield-lock",
        columns=("name", "description", "builtin"),
        filters=("name", "builtin"),
        sorts=("name", "created_at"),
        default_sort="name",
        search=("name", "description"),
        form=(FormSection(title=_l("Role"), fields=("name", "description", "second_factor")),),
        actions=(
            _action("grant", _l("Grant a permission"), _grant, NewGrantSchema, icon="lock-open"),
            _action("revoke", _l("Revoke a permission"), _revoke, RevokedGrantSchema, icon="lock"),
            _action("restrict_field", _l("Restrict a field"), restrict_field, RestrictedFieldSchema, icon="lock"),
            _action("free_field", _l("Free a field"), free_field, FieldSchema, icon="lock-open"),
        ),
        visibility=_for_administrators,
        seen_with="update",
        services=Services(create=lambda uow, data: create_role(uow, **data), update=update_role, delete=delete_role),
        limit=limit_on_role,
        nav_section="administration",
        nav_order=30,
    )


def _for_administrators(actor: Actor) -> sa.ColumnElement[bool]:
    # Asks the roles, not the token's own limits: a token that only reads still reads for its administrator.
    return sa.false() if widest(actor.grants, "role.update") is None else sa.true()


def _action(name: str, label: Any, service: Any, schema: type[Schema], *, icon: str) -> Action:
    return Action(name=name, label=label, service=service, schema=schema, icon=icon)


def _give_role(uow: UnitOfWork, user: AppUser, *, role: str) -> None:
    assign_role(uow, user, role_named(uow, role))


def _take_role(uow: UnitOfWork, user: AppUser, *, role: str) -> None:
    unassign_role(uow, user, role_named(uow, role))


def _set_password(uow: UnitOfWork, user: AppUser, *, password: str) -> None:
    set_password(uow, user, password)


def _grant(uow: UnitOfWork, role: Role, *, permission: str, scope: str) -> None:
    grant(uow, role, permission, Scope[scope.upper()])


def _revoke(uow: UnitOfWork, role: Role, *, permission: str) -> None:
    revoke(uow, role, permission)
