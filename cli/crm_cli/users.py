"""``crm users``: accounts, passwords, roles and API tokens."""

from __future__ import annotations

import datetime as dt
import secrets
import sys
from typing import TYPE_CHECKING, Any

import click

from crm_cli.common import (
    Instance,
    dry_run_option,
    echo_done,
    echo_json,
    echo_records,
    instance_options,
    json_option,
    message,
)
from crm_cli.invitations import invitations, invite
from crm_cli.reset_link import reset_link
from crm_cli.teams import team_named
from crm_cli.user_changes import changed, described

if TYPE_CHECKING:
    from uuid import UUID

_EMAIL = click.argument("email")
_PASSWORD_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from stdin instead of making one."
)


@click.group("users")
def users() -> None:
    """Create and manage users, their roles and API tokens."""


users.add_command(invite)
users.add_command(invitations)
users.add_command(reset_link)


@users.command("create")
@_EMAIL
@click.option("--name", help="Full name (default: the part of the address before @).")
@click.option("--role", "roles", multiple=True, help="Role; repeat for several.")
@click.option("--team", help="Name of the team; it must exist: crm teams create NAME.")
@click.option("--language", default="en", show_default=True, help="Language of the pages.")
@click.option("--timezone", default="UTC", show_default=True, help="An IANA name: Europe/Paris.")
@click.option("--name-order", help="given-first, family-first or by-language (default: the instance's).")
@_PASSWORD_STDIN
@dry_run_option
@json_option
@instance_options
def create(
    instance: Instance,
    email: str,
    name: str | None,
    roles: tuple[str, ...],
    team: str | None,
    language: str,
    timezone: str,
    name_order: str | None,
    password_stdin: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Create a user and print the password that was made for him; it is shown once."""
    from crm_kernel.access import services

    password = _password(password_stdin)
    with instance.writing(dry_run=dry_run) as uow:
        user = services.create_user(
            uow,
            email=email,
            name=name or email.partition("@")[0],
            password=password,
            team_id=team_named(uow, team).id if team is not None else None,
            language=language,
            timezone=timezone,
            name_order=name_order,
            roles=roles,
        )
        created = {**described(user), "roles": list(roles)}
    _show_password(created, None if password_stdin or dry_run else password, as_json)


@users.command("list")
@json_option
@instance_options
def list_users(instance: Instance, as_json: bool) -> None:
    """List users with their teams and roles."""
    import sqlalchemy as sa

    from crm_kernel.access.models import AppUser, Role, Team, UserRole

    with instance.reading() as uow:
        held = uow.session.execute(sa.select(UserRole.user_id, Role.name).join(Role, Role.id == UserRole.role_id))
        roles: dict[int, list[str]] = {}
        for user_id, role in held:
            roles.setdefault(user_id, []).append(role)
        teams = dict(uow.session.execute(sa.select(Team.id, Team.name)).all())
        found = uow.session.scalars(sa.select(AppUser).order_by(AppUser.email))
        rows = [
            {**described(user), "team": teams.get(user.team_id or 0), "roles": sorted(roles.get(user.id, []))}
            for user in found
        ]
    shown = rows if as_json else [{**row, "roles": ", ".join(row["roles"])} for row in rows]
    echo_records(as_json, ("email", "name", "active", "team", "roles", "last_login_at"), shown)


@users.command("deactivate")
@_EMAIL
@dry_run_option
@json_option
@instance_options
def deactivate(instance: Instance, email: str, dry_run: bool, as_json: bool) -> None:
    """Lock a user out from the next request on; what he owns stays his."""
    from crm_kernel.access import services

    found = changed(instance, email, services.deactivate_user, dry_run=dry_run)
    echo_done(found, f"{email} is inactive.", as_json=as_json, dry_run=dry_run)


@users.command("activate")
@_EMAIL
@dry_run_option
@json_option
@instance_options
def activate(instance: Instance, email: str, dry_run: bool, as_json: bool) -> None:
    """Let a deactivated user in again."""
    from crm_kernel.access import services

    found = changed(instance, email, services.activate_user, dry_run=dry_run)
    echo_done(found, f"{email} is active.", as_json=as_json, dry_run=dry_run)


@users.command("reset-password")
@_EMAIL
@_PASSWORD_STDIN
@dry_run_option
@json_option
@instance_options
def reset_password(instance: Instance, email: str, password_stdin: bool, dry_run: bool, as_json: bool) -> None:
    """Set a new password, print it once, and end every session and API token of the user."""
    from crm_kernel.access import services

    password = _password(password_stdin)
    with instance.writing(dry_run=dry_run) as uow:
        user = services.user_by_email(uow, email)
        services.set_password(uow, user, password)
        found = described(user)
    _show_password(found, None if password_stdin or dry_run else password, as_json)
    if not dry_run:
        message(f"The password of {found['email']} is set; his sessions and API tokens have ended.")


@users.command("token")
@_EMAIL
@click.option("--name", required=True, help="What the token is for.")
@click.option("--scope", "scopes", multiple=True, help="Permission or pattern it is limited to; repeat for several.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires (default: never).")
@dry_run_option
@json_option
@instance_options
def token(
    instance: Instance, email: str, name: str, scopes: tuple[str, ...], days: int | None, dry_run: bool, as_json: bool
) -> None:
    """Create an API token that acts for a user and print it; it is shown once."""
    from crm_kernel.access import services

    with instance.writing(dry_run=dry_run) as uow:
        user = services.user_by_email(uow, email)
        ends = uow.now + dt.timedelta(days=days) if days else None
        made = services.create_token(uow, user, name=name, scopes=scopes or None, expires_at=ends)
        found = {"name": name, "user": user.email, "scopes": list(scopes) or None, "expires_at": ends}
        secret = made.secret
    if as_json:
        echo_json({**found, "token": None if dry_run else secret})
    elif not dry_run:
        click.echo(secret)


@users.command("roles")
@json_option
@instance_options
def roles(instance: Instance, as_json: bool) -> None:
    """List the roles with what they grant: permission or pattern and how far it reaches."""
    import sqlalchemy as sa

    from crm_kernel.access.actor import Scope
    from crm_kernel.access.models import Role, RolePermission

    with instance.reading() as uow:
        grants: dict[int, dict[str, str]] = {}
        for role_id, permission, scope in uow.session.execute(
            sa.select(RolePermission.role_id, RolePermission.permission, RolePermission.scope).order_by(
                RolePermission.permission
            )
        ):
            grants.setdefault(role_id, {})[permission] = Scope(scope).name.lower()
        found = uow.session.scalars(sa.select(Role).order_by(Role.name))
        rows: list[dict[str, Any]] = [
            {"name": role.name, "description": role.description, "grants": grants.get(role.id, {})} for role in found
        ]
    shown = rows if as_json else [{**row, "grants": _grants(row["grants"])} for row in rows]
    echo_records(as_json, ("name", "description", "grants"), shown)


@users.command("assign")
@_EMAIL
@click.argument("role")
@click.option("--remove", is_flag=True, help="Take the role from the user instead.")
@dry_run_option
@json_option
@instance_options
def assign(instance: Instance, email: str, role: str, remove: bool, dry_run: bool, as_json: bool) -> None:
    """Give a user a role, or take it from him; his sessions end."""
    from crm_kernel.access import services

    change = services.unassign_role if remove else services.assign_role
    found = changed(
        instance, email, lambda uow, user: change(uow, user, services.role_named(uow, role)), dry_run=dry_run
    )
    text = f"{email} {'no longer holds' if remove else 'holds'} {role}."
    echo_done(found, text, as_json=as_json, dry_run=dry_run)


@users.command("sessions")
@_EMAIL
@json_option
@instance_options
def sessions(instance: Instance, email: str, as_json: bool) -> None:
    """List the browsers a user is logged in with, the last seen first."""
    from crm_kernel.access import services
    from crm_kernel.access.sessions import described as shown
    from crm_kernel.access.sessions import sessions_of

    with instance.reading() as uow:
        rows = [shown(row) for row in sessions_of(uow, services.user_by_email(uow, email))]
    echo_records(as_json, ("device", "address", "method", "created_at", "seen_at"), rows)


@users.command("sign-out")
@_EMAIL
@click.option("--session", type=click.UUID, help="Only this one; ids: crm users sessions EMAIL --json.")
@dry_run_option
@json_option
@instance_options
def sign_out(instance: Instance, email: str, session: UUID | None, dry_run: bool, as_json: bool) -> None:
    """End every session of a user, or one; his API tokens stay."""
    from crm_kernel.access import services
    from crm_kernel.access.sessions import end_session

    if session is None:
        found = changed(instance, email, services.end_sessions, dry_run=dry_run)
    else:
        found = changed(instance, email, lambda uow, user: end_session(uow, user, session), dry_run=dry_run)
    text = f"{email} is signed out everywhere." if session is None else f"That session of {email} has ended."
    echo_done(found, text, as_json=as_json, dry_run=dry_run)


@users.command("reset-second-factor")
@_EMAIL
@dry_run_option
@json_option
@instance_options
def reset_second_factor(instance: Instance, email: str, dry_run: bool, as_json: bool) -> None:
    """Take app, recovery codes and passkeys from a user who lost them, and end his sessions."""
    from crm_kernel.access.factors.services import reset_second_factor as reset

    found = changed(instance, email, reset, dry_run=dry_run)
    text = f"{email} has no second factor any more; he logs in without one and sets up a new one."
    echo_done(found, text, as_json=as_json, dry_run=dry_run)


def new_password() -> str:
    """Return a random password of 20 characters."""
    return secrets.token_urlsafe(15)


def _password(from_stdin: bool) -> str:
    return sys.stdin.readline().rstrip("\r\n") if from_stdin else new_password()


def _show_password(user: dict[str, Any], password: str | None, as_json: bool) -> None:
    if as_json:
        echo_json({**user, "password": password})
    elif password is not None:
        click.echo(password)
        message(f"This is the password of {user['email']}; it is not shown again.")


def _grants(grants: dict[str, str]) -> str:
    return ", ".join(f"{permission}: {scope}" for permission, scope in grants.items())
