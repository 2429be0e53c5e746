"""The pages of a log-in at an identity provider: there, back, linked, unlinked, logged out there too.

The way back is a GET that writes, against the rule of the house: the standard sends people back with one, and a form that
another site posts would come without our cookie. The browser forgets its state with the first answer, and the provider
takes the code of an answer once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, current_app, flash, g, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from crm_kernel.access.actor import ANONYMOUS, SYSTEM
from crm_kernel.access.oidc.asked import PURPOSES, UnderWay, begin, remember_link, take, take_link
from crm_kernel.access.oidc.errors import LogInFailed
from crm_kernel.access.oidc.metadata import metadata_of
from crm_kernel.access.oidc.people import identity_of, link, person_of, unlink, vouched
from crm_kernel.access.oidc.providers import client_of, enabled_provider
from crm_kernel.access.oidc.tokens import Client, claims_for, way_there
from crm_kernel.access.own import own_user, refuse_tokens
from crm_kernel.access.signin.password import ask_again, finish, is_fresh
from crm_kernel.access.signin.pending import await_second_step, safe_next
from crm_kernel.errors import CrmError
from crm_kernel.unit_of_work import current_uow, reading, writing
from crm_kernel.web.addresses import public_address
from crm_kernel.web.edge import channel, own_unit, permission, request_id

#: Keys of the cookie: the provider this session came from, and the one that a session that has ended came from.
_CAME_FROM, _LEFT = "crm_oidc_from", "crm_oidc_left"


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the pages."""
    rule, posts = blueprint.add_url_rule, ["POST"]
    rule("/auth/oidc/<uuid:uid>", view_func=oidc_begin)
    rule("/auth/oidc/<uuid:uid>/callback", view_func=oidc_callback)
    rule("/auth/oidc/<uuid:uid>/logout", view_func=oidc_logout)
    rule("/profile/security/identities", view_func=link_identity, methods=posts)
    rule("/profile/security/identities/<uuid:uid>/remove", view_func=unlink_identity, methods=posts)


@permission("public")
@own_unit
def oidc_begin(uid: UUID) -> Any:
    """Send the reader to a provider: to log in, to link an account, or to prove again who he is."""
    purpose = request.args.get("for", "login")
    wanted = safe_next(request.args.get("next", ""))
    known = g.crm_actor.kind == "user" and g.crm_actor.user_id is not None
    if purpose not in PURPOSES or (purpose != "login" and not known):
        return redirect(url_for("security.login"))
    if purpose == "login" and g.crm_actor is not ANONYMOUS:
        return redirect(wanted)
    if purpose == "link" and not is_fresh():
        return ask_again()
    try:
        client = _client(uid)
        metadata = metadata_of(client.issuer)
    except (CrmError, ValueError) as error:
        return _failed(error)
    back = public_address("signin.oidc_callback", uid=uid)
    asked = begin(uid, purpose=purpose, next_url=wanted, redirect_uri=back, user=g.crm_actor.user_id)
    return redirect(way_there(client, metadata, asked))


@permission("public")
@own_unit
def oidc_callback(uid: UUID) -> Any:
    """Take what a provider says of somebody who comes back from it."""
    try:
        under_way = take(uid, request.args)
        client = _client(uid)
        metadata = metadata_of(client.issuer)
        _check_answer(client, metadata)
        claims = claims_for(client, metadata, under_way.asked, request.args["code"])
        return _DONE[under_way.purpose](uid, under_way, claims)
    except (CrmError, ValueError) as error:
        return _failed(error)


@permission("public")
@own_unit
def oidc_logout(uid: UUID) -> Any:
    """Send somebody who has logged out here to the provider, to log out there too."""
    session.pop(_LEFT, None)
    try:
        client = _client(uid)
        endpoint = metadata_of(client.issuer).get("end_session_endpoint")
    except (CrmError, ValueError) as error:
        return _failed(error)
    if not isinstance(endpoint, str):
        return redirect(url_for("security.login"))
    more = {"client_id": client.client_id, "post_logout_redirect_uri": public_address("security.login")}
    return redirect(f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(more)}")


@permission("authenticated")
def link_identity() -> Response:
    """Link the account that the reader has just proved to be his."""
    uow = current_uow()
    refuse_tokens(uow.actor)
    user = own_user(uow)
    found = take_link(user.id)
    if found is None:
        flash(_("Too much time has passed: try again."), "warning")
    else:
        link(uow, user, enabled_provider(uow, found[0]), found[1])
        flash(_("From now on you can log in with this account."), "success")
    return redirect(url_for("signin.security"), 303)


@permission("authenticated")
def unlink_identity(uid: UUID) -> Response:
    """Take a link from one's own user."""
    uow = current_uow()
    refuse_tokens(uow.actor)
    if not is_fresh():
        return ask_again()
    unlink(uow, own_user(uow), uid)
    flash(_("The account does not log you in any more."), "success")
    return redirect(url_for("signin.security"), 303)


def came_from() -> None:
    """Remember on log-out which provider the session came from, so that the log-in page offers to log out there too."""
    provider = session.pop(_CAME_FROM, None)
    if provider is not None:
        session[_LEFT] = provider


def left_provider() -> str:
    """Return the provider that the session before came from; empty for none."""
    return str(session.get(_LEFT, ""))


def _client(uid: UUID) -> Client:
    with reading(g.get("crm_actor", ANONYMOUS), channel=channel(), request_id=request_id()) as uow:
        return client_of(enabled_provider(uow, uid))


def _check_answer(client: Client, metadata: Mapping[str, Any]) -> None:
    """Refuse an answer that is another provider's, or that brings no code.

    Raises:
        LogInFailed: naming why.
    """
    issuer, named = request.args.get("iss"), metadata.get("authorization_response_iss_parameter_supported")
    if issuer != client.issuer and (issuer is not None or named is True):
        raise LogInFailed(_("The answer belongs to another log-in: begin again."))
    if request.args.get("error") == "access_denied":
        raise LogInFailed(_("The log-in at %(provider)s was cancelled or refused there.", provider=client.name))
    if "error" in request.args or not request.args.get("code"):
        why = "".join(letter for letter in request.args.get("error", "") if letter.isalnum() or letter == "_")[:60]
        raise LogInFailed(_("%(provider)s could not log you in (%(why)s).", provider=client.name, why=why))


def _log_in(uid: UUID, under_way: UnderWay, claims: Mapping[str, Any]) -> Response:
    with writing(SYSTEM, channel=channel(), request_id=request_id()) as uow:
        provider = enabled_provider(uow, uid)
        user = person_of(uow, provider, claims)
        trusted = vouched(provider, claims)
        if user.tf_primary_method is not None and not trusted:
            await_second_step(user, under_way.next, first="oidc")
            return redirect(url_for("signin.second_factor"))
        session.pop(_LEFT, None)
        finish(user, "oidc", *(["mfa"] if trusted else []))
        session[_CAME_FROM] = str(uid)
        return redirect(under_way.next)


def _offer_link(uid: UUID, under_way: UnderWay, claims: Mapping[str, Any]) -> Any:
    """Ask whether the account is to be linked: nobody's answer that came by a link does it by itself."""
    user_id = _still_there(under_way)
    with reading(g.crm_actor, channel=channel(), request_id=request_id()) as uow:
        provider = enabled_provider(uow, uid)
        known = identity_of(uow, provider, str(claims["sub"]))
        name = provider.name
    if known is not None:
        text = _("This account logs you in already.") if known.user_id == user_id else None
        text = text or _("This account of %(provider)s is linked with another user here.", provider=name)
        raise LogInFailed(text)
    remember_link(uid, str(claims["sub"]), user_id)
    account = str(claims.get("email") or claims.get("preferred_username") or claims.get("name") or claims["sub"])[:254]
    return render_template("access/link_identity.html", provider=name, account=account)


def _prove(uid: UUID, under_way: UnderWay, claims: Mapping[str, Any]) -> Response:
    user_id = _still_there(under_way)
    with reading(g.crm_actor, channel=channel(), request_id=request_id()) as uow:
        known = identity_of(uow, enabled_provider(uow, uid), str(claims["sub"]))
    if known is None or known.user_id != user_id:
        raise LogInFailed(_("This account is not linked with yours here."))
    session["fs_paa"] = time.time()
    return redirect(under_way.next)


def _still_there(under_way: UnderWay) -> int:
    user_id: int | None = g.crm_actor.user_id
    if user_id is None or user_id != under_way.user:
        raise LogInFailed(_("The answer belongs to another log-in: begin again."))
    return user_id


def _failed(error: Exception) -> Any:
    """Return the page that says why, and leads back to the log-in."""
    known = isinstance(error, CrmError)
    text = str(error) if known else _("The secret of the log-in provider cannot be read: an administrator must set it.")
    status = getattr(error, "status", 500) if known else 500
    page = render_template("access/oidc_failed.html", text=text)
    return current_app.make_response((page, status))


_DONE = {"login": _log_in, "link": _offer_link, "again": _prove}
