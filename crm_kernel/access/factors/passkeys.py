"""Passkeys (WebAuthn): what the browser is asked and how its answer is checked. The checks are the library's.

The site is the one of the setting ``base_url``, never the request's Host header: a passkey is good for one site only,
and who could choose the site could take it. User verification (finger, face, PIN) is always asked for, so that a passkey
alone is two factors.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import sqlalchemy as sa
import webauthn
from flask import current_app
from flask_babel import gettext as _
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.models import AppUser, WebAuthnCredential
from crm_kernel.errors import InvalidInput

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def site_address() -> str:
    """Return the address of this site, without a path: the setting ``base_url``, else where it listens."""
    config = runtime_of(current_app).config
    parts = urlsplit(config.base_url or f"http://{config.host}:{config.port}")
    return f"{parts.scheme}://{parts.netloc}"


def site_name() -> str:
    """Return the name that passkeys of this site are bound to: its host."""
    return urlsplit(site_address()).hostname or "localhost"


def registration_options(user: AppUser, known: Sequence[WebAuthnCredential]) -> tuple[dict[str, Any], bytes]:
    """Return what the browser needs to make a passkey, and the challenge it must answer."""
    if user.fs_webauthn_user_handle is None:
        user.fs_webauthn_user_handle = secrets.token_hex(32)
    options = webauthn.generate_registration_options(
        rp_id=site_name(),
        rp_name=runtime_of(current_app).config.company_name,
        user_id=user.fs_webauthn_user_handle.encode("ascii"),
        user_name=user.email,
        user_display_name=user.name,
        exclude_credentials=[PublicKeyCredentialDescriptor(id=key.credential_id) for key in known],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return json.loads(webauthn.options_to_json(options)), options.challenge


def verified_registration(answer: dict[str, Any], challenge: bytes, *, name: str) -> WebAuthnCredential:
    """Return the passkey that a browser has made for this challenge and this site.

    Raises:
        InvalidInput: the answer is not one to this challenge.
    """
    try:
        found = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site_name(),
            expected_origin=site_address(),
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise InvalidInput({"passkey": [_("The passkey could not be verified: %(why)s", why=error)]}) from error
    transports = answer.get("response", {}).get("transports")
    return WebAuthnCredential(
        credential_id=found.credential_id,
        public_key=found.credential_public_key,
        sign_count=found.sign_count,
        transports=[str(way)[:20] for way in transports][:8] if isinstance(transports, list) else None,
        synced=found.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
        name=name.strip()[:64] or _("Passkey"),
    )


def login_options() -> tuple[dict[str, Any], bytes]:
    """Return what the browser needs to use any passkey of this site, and the challenge it must answer."""
    options = webauthn.generate_authentication_options(
        rp_id=site_name(), user_verification=UserVerificationRequirement.REQUIRED
    )
    return json.loads(webauthn.options_to_json(options)), options.challenge


def verified_login(uow: UnitOfWork, answer: dict[str, Any], challenge: bytes, *, asked_at: dt.datetime) -> AppUser:
    """Return the active user whose passkey has answered the challenge, and note its use.

    Args:
        asked_at: when the challenge was made. One that is older than the passkey's last use is not taken: the cookie that
            holds it can be kept and sent again with the answer, and passkeys that are copied between devices count nothing.

    Raises:
        InvalidInput: unknown, not an answer to this challenge, a copy (its counter fell back), used since it was asked,
            or of an inactive user.
    """
    try:
        key = _key_of(uow, answer)
        found = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site_name(),
            expected_origin=site_address(),
            credential_public_key=key.public_key,
            credential_current_sign_count=key.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError, LookupError) as error:
        raise InvalidInput({"passkey": [_("The passkey is unknown here or could not be verified.")]}) from error
    if key.last_used_at is not None and key.last_used_at >= asked_at:
        raise InvalidInput({"passkey": [_("This passkey was used meanwhile: try again.")]})
    key.sign_count, key.last_used_at = found.new_sign_count, uow.now
    user = uow.session.get_one(AppUser, key.user_id)
    if not user.active:
        raise InvalidInput({"passkey": [_("The passkey is unknown here or could not be verified.")]})
    return user


def _key_of(uow: UnitOfWork, answer: dict[str, Any]) -> WebAuthnCredential:
    credential_id = webauthn.base64url_to_bytes(str(answer["rawId"]))
    found = uow.session.scalars(
        sa.select(WebAuthnCredential).where(WebAuthnCredential.credential_id == credential_id).with_for_update()
    ).one_or_none()
    if found is None:
        raise LookupError("unknown passkey")
    return found
