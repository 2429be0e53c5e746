"""Invites, sends again, withdraws and accepts. Edges authorise before they call; these check everything else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.rows import add_once
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.invitations.models import Invitation
from crm_kernel.access.models import AppUser, Role, Team
from crm_kernel.access.preferences import usual_timezone
from crm_kernel.access.services import create_user, role_named
from crm_kernel.access.services.checks import Errors, checked_email, checked_language, checked_name, refuse_taken
from crm_kernel.access.services.limits import refuse_beyond_role
from crm_kernel.errors import Conflict, NotFound
from crm_kernel.jobs.services import enqueue
from crm_kernel.mail.transport import can_send_mail
from crm_kernel.records.sealing import seal, unseal
from crm_kernel.web.addresses import public_address

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: How long a link can be used, and the shortest time between two sendings of one invitation.
VALID_FOR, PAUSE = dt.timedelta(days=7), dt.timedelta(minutes=5)
#: The job that mails a link.
MAIL = "kernel.mail_invitation"
#: Who makes the user: nobody is logged in yet. What the role gives was checked when he was invited.
_BY_LINK = replace(SYSTEM, name="invitation")
_USE = ("invitation",)
_UID, _NUMBER = 16, 4


def invite(
    uow: UnitOfWork, *, email: str, role: str, language: str, name: str = "", team_id: int | None = None
) -> Invitation:
    """Ask somebody to become a user, by mail where the instance can send any; return the row, flushed.

    Raises:
        InvalidInput: a field is wrong, or the address is a user's already.
        NotFound: there is no such role.
        Forbidden: the role grants more than the actor has himself.
        Conflict: the address is invited already.
    """
    errors = Errors()
    address = checked_email(errors, email)
    refuse_taken(uow, errors, AppUser.email, address, message=_("%(email)s is a user already.", email=address))
    called = checked_name(errors, name, longest=120) if name.strip() else ""
    checked_language(errors, language)
    if team_id is not None and uow.session.get(Team, team_id) is None:
        errors.add("team", _("There is no such team."))
    errors.refuse()
    given = role_named(uow, role)
    refuse_beyond_role(uow, given, team_id=team_id)
    made = Invitation(
        email=address,
        name=called,
        role_id=given.id,
        team_id=team_id,
        language=language,
        invited_by_id=uow.actor.user_id,
        sent_at=uow.now,
        expires_at=uow.now + VALID_FOR,
    )
    row, new = add_once(uow.session, made, lambda: open_invitation_to(uow, address))
    if not new:
        raise Conflict(_("%(email)s is invited already: send the invitation again, or withdraw it.", email=address))
    _send(uow, row)
    _note(uow, row, "invited", {"email": row.email, "role": given.name})
    return made


def send_again(uow: UnitOfWork, invitation: Invitation) -> None:
    """Send a new link, good for another week; the earlier one ends.

    Raises:
        Conflict: it is accepted or withdrawn, or was sent a moment ago.
        Forbidden: the role grants more by now than the actor has himself, or reaches a team that he does not.
    """
    _refuse_over(invitation)
    refuse_beyond_role(uow, uow.session.get_one(Role, invitation.role_id), team_id=invitation.team_id)
    if invitation.sent_at > uow.now - PAUSE:
        raise Conflict(_("It was sent a moment ago: wait some minutes before you send it again."))
    invitation.sending += 1
    invitation.sent_at, invitation.expires_at = uow.now, uow.now + VALID_FOR
    uow.session.flush()
    _send(uow, invitation)
    _note(uow, invitation, "sent_again", {"sending": invitation.sending})


def withdraw(uow: UnitOfWork, invitation: Invitation) -> None:
    """Take an invitation back: its link ends at once.

    Raises:
        Conflict: it is accepted or withdrawn already.
        Forbidden: the role grants more than the actor has himself.
    """
    _refuse_over(invitation)
    refuse_beyond_role(uow, uow.session.get_one(Role, invitation.role_id))
    invitation.withdrawn_at = uow.now
    uow.session.flush()
    _note(uow, invitation, "withdrawn", {})


def accept(uow: UnitOfWork, invitation: Invitation, *, name: str, password_hash: str) -> AppUser:
    """Make the user that an invitation is for, with its role and team, and end it; return him, flushed.

    Args:
        password_hash: of a password that was checked; hashed before, because it takes time and this holds a lock.

    Raises:
        InvalidInput: the name is refused, or the address became a user's meanwhile (``email``).
    """
    role = uow.session.get_one(Role, invitation.role_id)
    uow.actor = _BY_LINK
    user = create_user(
        uow,
        email=invitation.email,
        name=name,
        team_id=invitation.team_id,
        language=invitation.language,
        timezone=usual_timezone(),
        roles=[role.name],
    )
    user.password = password_hash
    invitation.accepted_at = uow.now
    uow.session.flush()
    _note(uow, invitation, "accepted", {"user": str(user.uid)})
    return user


def link_of(invitation: Invitation) -> str:
    """Return the link of the last sending; whoever holds it can become the user."""
    content = invitation.uid.bytes + invitation.sending.to_bytes(_NUMBER, "big")
    return public_address("invitations.join", token=seal(content, bound_to=_USE))


def invitation_by_link(uow: UnitOfWork, token: str) -> Invitation | None:
    """Return the invitation whose last link this is, locked until the commit; None when that is over.

    Raises:
        NotFound: the link was not made here.
    """
    try:
        content = unseal(token, bound_to=_USE)
    except ValueError as error:
        raise NotFound(_("This link is not valid.")) from error
    query = sa.select(Invitation).where(Invitation.uid == UUID(bytes=content[:_UID]))
    found = uow.session.scalars(query if uow.read_only else query.with_for_update()).one_or_none()
    if found is None or not is_open(found, uow.now) or found.sending != int.from_bytes(content[_UID:], "big"):
        return None
    return found


def is_open(invitation: Invitation, now: dt.datetime) -> bool:
    """Say whether an invitation can still be accepted."""
    return invitation.accepted_at is None and invitation.withdrawn_at is None and invitation.expires_at > now


def open_invitation_to(uow: UnitOfWork, email: str) -> Invitation | None:
    """Return the newest invitation of an address that is neither accepted nor withdrawn; expired ones count."""
    query = sa.select(Invitation).where(
        Invitation.email == email, Invitation.accepted_at.is_(None), Invitation.withdrawn_at.is_(None)
    )
    return uow.session.scalars(query.order_by(Invitation.id.desc()).limit(1)).first()


def invitation_to(uow: UnitOfWork, email: str) -> Invitation:
    """Return the invitation of an address that is still waiting, however the address is written.

    Raises:
        NotFound: there is none.
        InvalidInput: it is no address.
    """
    errors = Errors()
    address = checked_email(errors, email)
    errors.refuse()
    found = open_invitation_to(uow, address)
    if found is None:
        raise NotFound(_("%(email)s has no open invitation. List them with: crm users invitations", email=address))
    return found


def invitations(uow: UnitOfWork, *, limit: int = 100) -> Sequence[tuple[Invitation, str]]:
    """Return the newest invitations with the name of their role; one query."""
    query = sa.select(Invitation, Role.name).join(Role, Role.id == Invitation.role_id)
    return [(row, name) for row, name in uow.session.execute(query.order_by(Invitation.id.desc()).limit(limit))]


def state_of(invitation: Invitation, now: dt.datetime) -> str:
    """Return ``accepted``, ``withdrawn``, ``expired`` or ``open``."""
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.withdrawn_at is not None:
        return "withdrawn"
    return "open" if invitation.expires_at > now else "expired"


def _send(uow: UnitOfWork, invitation: Invitation) -> None:
    if can_send_mail():
        enqueue(uow, MAIL, {"invitation": str(invitation.uid), "sending": invitation.sending})


def _refuse_over(invitation: Invitation) -> None:
    if invitation.accepted_at is not None or invitation.withdrawn_at is not None:
        raise Conflict(_("This invitation was accepted or withdrawn already."))


def _note(uow: UnitOfWork, invitation: Invitation, action: str, about: Mapping[str, Any]) -> None:
    # The table is no record type: what happens to its rows is noted here.
    record_audit_many(uow, "invitation", action, [AuditRow(invitation.uid, None, about)])
