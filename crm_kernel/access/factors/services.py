"""What changes a user's second factors. Edges ask for a fresh proof of who he is before they call."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.factors import totp
from crm_kernel.access.models import AppUser, WebAuthnCredential
from crm_kernel.access.secrets import digest_of
from crm_kernel.access.services.limits import refuse_over
from crm_kernel.access.ways_in import keep_a_way_in
from crm_kernel.errors import Conflict, InvalidInput, NotFound

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

log = logging.getLogger("crm.access")

#: Recovery codes made at a time, of 50 random bits each.
RECOVERY_CODES = 10
#: What ``tf_primary_method`` says.
TOTP, PASSKEY = "totp", "passkey"


def enable_totp(uow: UnitOfWork, user: AppUser, secret: bytes, code: str) -> list[str]:
    """Make an authenticator app the user's second factor once it has shown a right code; return new recovery codes.

    Raises:
        InvalidInput: the code is wrong; names ``code``.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    step = totp.matching_step(secret, code, uow.now, after=None)
    if step is None:
        raise InvalidInput({"code": [_("This is not the code that the app shows now.")]})
    user.tf_totp_secret, user.totp_counter = totp.sealed(secret, user.uid), step
    user.tf_primary_method = TOTP
    _note(uow, user, "second_factor_added", {"factor": TOTP})
    return new_recovery_codes(uow, user)


def disable_totp(uow: UnitOfWork, user: AppUser) -> None:
    """Take the authenticator app and the recovery codes from a user.

    Raises:
        Conflict: he has none.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    if user.tf_totp_secret is None:
        raise Conflict(_("There is no authenticator app to remove."))
    user.tf_totp_secret = user.totp_counter = user.mf_recovery_codes = None
    _follow_factors(uow, user)
    _note(uow, user, "second_factor_removed", {"factor": TOTP})


def take_code(uow: UnitOfWork, user: AppUser, code: str) -> str | None:
    """Use up a code of the app or a recovery code; return which it was, ``totp`` or ``recovery``, None if it is neither."""
    secret = _secret_of(user)
    step = None if secret is None else totp.matching_step(secret, code, uow.now, after=user.totp_counter)
    if step is not None:
        user.totp_counter = step
        return TOTP
    return "recovery" if _take_recovery_code(uow, user, code) else None


def new_recovery_codes(uow: UnitOfWork, user: AppUser) -> list[str]:
    """Replace the user's recovery codes and return the new ones, which nobody can read again.

    Raises:
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    codes = [_new_code() for _number in range(RECOVERY_CODES)]
    user.mf_recovery_codes = [digest_of(_bare(code)) for code in codes]
    uow.session.flush()
    _note(uow, user, "recovery_codes_made", {"codes": str(len(codes))})
    return codes


def reset_second_factor(uow: UnitOfWork, user: AppUser) -> None:
    """Take every second factor and passkey from a user who lost his, and end his sessions.

    Raises:
        Conflict: he has none, or a passkey is all that he logs in by.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    keys = passkeys_of(uow, user)
    if user.tf_totp_secret is None and not keys:
        raise Conflict(_("%(name)s has no second factor.", name=user.name))
    if keys:  # nobody loses a way in with an app alone
        refusal = _("%(name)s could not log in any more: set a password first.", name=user.name)
        keep_a_way_in(uow, user, besides_keys=[key.id for key in keys], refusal=refusal)
    for key in keys:
        uow.session.delete(key)
    user.tf_totp_secret = user.totp_counter = user.mf_recovery_codes = user.tf_primary_method = None
    user.session_epoch += 1
    uow.session.flush()
    _note(uow, user, "second_factor_reset", {"passkeys": str(len(keys))})


def passkeys_of(uow: UnitOfWork, user: AppUser) -> Sequence[WebAuthnCredential]:
    """Return a user's passkeys, oldest first; one query."""
    mine = sa.select(WebAuthnCredential).where(WebAuthnCredential.user_id == user.id)
    return uow.session.scalars(mine.order_by(WebAuthnCredential.id)).all()


def passkey_of(uow: UnitOfWork, user: AppUser, uid: UUID) -> WebAuthnCredential:
    """Return one passkey of a user.

    Raises:
        NotFound: he has none of that id.
    """
    found = next((key for key in passkeys_of(uow, user) if key.uid == uid), None)
    if found is None:
        raise NotFound(_("There is no such passkey."))
    return found


def add_passkey(uow: UnitOfWork, user: AppUser, key: WebAuthnCredential) -> None:
    """Give a user a passkey that has been verified.

    Raises:
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    key.user_id = user.id
    uow.session.add(key)
    uow.session.flush()
    _follow_factors(uow, user)
    _note(uow, user, "second_factor_added", {"factor": PASSKEY, "name": key.name})


def rename_passkey(uow: UnitOfWork, user: AppUser, uid: UUID, name: str) -> None:
    """Give a passkey another name.

    Raises:
        NotFound: he has none of that id.
        InvalidInput: the name is empty or too long.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    key, clean = passkey_of(uow, user, uid), name.strip()
    if not 1 <= len(clean) <= 64:
        raise InvalidInput({"name": [_("A name of at most %(most)s characters is needed.", most=64)]})
    key.name = clean
    uow.session.flush()


def remove_passkey(uow: UnitOfWork, user: AppUser, uid: UUID) -> None:
    """Take a passkey from a user.

    Raises:
        NotFound: he has none of that id.
        Conflict: he could not log in any more.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    key = passkey_of(uow, user, uid)
    keep_a_way_in(uow, user, besides_keys=[key.id])
    uow.session.delete(key)
    uow.session.flush()
    _follow_factors(uow, user)
    _note(uow, user, "second_factor_removed", {"factor": PASSKEY, "name": key.name})


def _secret_of(user: AppUser) -> bytes | None:
    """Return what the app shares with us; None where there is none, or none that this instance can read."""
    if user.tf_totp_secret is None:
        return None
    try:
        return totp.unsealed(user.tf_totp_secret, user.uid)
    except ValueError as error:
        # Kept with a secret_key that is gone. Recovery codes need no key: they are what is left to the user.
        log.error(
            "the authenticator app of user %s cannot be read (%s): reset it with crm users reset-second-factor",
            user.uid,
            error,
        )
        return None


def _follow_factors(uow: UnitOfWork, user: AppUser) -> None:
    if user.tf_totp_secret is not None:
        user.tf_primary_method = TOTP
    else:
        user.tf_primary_method = PASSKEY if passkeys_of(uow, user) else None
    uow.session.flush()


def _take_recovery_code(uow: UnitOfWork, user: AppUser, code: str) -> bool:
    left, digest = list(user.mf_recovery_codes or ()), digest_of(_bare(code))
    if digest not in left:
        return False
    left.remove(digest)
    user.mf_recovery_codes = left
    uow.session.flush()
    _note(uow, user, "recovery_code_used", {"left": str(len(left))})
    return True


def _new_code() -> str:
    text = base64.b32encode(secrets.token_bytes(7)).decode("ascii").rstrip("=").lower()[:10]
    return f"{text[:5]}-{text[5:]}"


def _bare(code: str) -> str:
    return "".join(code.split()).replace("-", "").lower()


def _note(uow: UnitOfWork, user: AppUser, action: str, details: dict[str, str]) -> None:
    record_audit_many(uow, "user", action, [AuditRow(user.uid, None, details)])
