"""Every error of a request becomes one answer here: an RFC 9457 problem document for the API, a page for people."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from flask import Flask, Response, g, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import refresh
from werkzeug.exceptions import HTTPException

from crm_kernel.access.actor import ANONYMOUS, Actor
from crm_kernel.access.audit import record_access
from crm_kernel.access.authentication import authenticate
from crm_kernel.errors import (
    N_,
    Conflict,
    CrmError,
    Forbidden,
    InvalidInput,
    Replaced,
    SecondFactorNeeded,
    Unauthenticated,
)
from crm_kernel.unit_of_work import reading
from crm_kernel.web.edge import channel, request_id

log = logging.getLogger("crm.web")

#: HTTP status → what a page says of it when the framework, and not one of our errors, refused the request.
_REFUSED = {
    400: (N_("Not understood"), N_("The request is incomplete or the page too old: load it again and repeat it.")),
    404: (N_("Not found"), N_("There is no page at this address. Check it, or look for what you need by the search.")),
    405: (N_("Not possible here"), N_("This address cannot be used in this way: go back and use the buttons.")),
    413: (N_("Too large"), N_("What was sent is larger than this server accepts: send less at once.")),
    429: (N_("Too many tries"), N_("Wait a minute, then try again.")),
}


#: The same for programs, in the words of HTTP.
_ANSWERED = {
    400: (N_("Not understood"), N_("The request is not complete or not valid HTTP: check its head and its body.")),
    404: (N_("Not found"), N_("There is nothing at this address: /api/openapi.json lists those there are.")),
    405: (N_("Method not allowed"), N_("This address does not take this method; Allow lists those it takes.")),
    413: (N_("Too large"), N_("What was sent is larger than this server accepts: send less at once.")),
    415: (N_("Media type not supported"), N_("Send the body as application/json.")),
    429: (N_("Too many tries"), N_("Wait a minute, then try again.")),
}


def init_problems(app: Flask) -> None:
    """Register the handlers of all errors."""
    app.register_error_handler(CrmError, _on_crm_error)
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(Exception, _on_crash)


def problem(status: int, title: str, detail: str, **extra: Any) -> Response:
    """Return a problem document; ``extra`` holds ``errors`` (field → messages) where there are some."""
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.path,
        "request_id": request_id(),
        **extra,
    }
    return Response(orjson.dumps(body), status, mimetype="application/problem+json")


def wants_json() -> bool:
    """Say whether the client is a program: the API, or a script of our own pages."""
    return channel() == "api" or request.accept_mimetypes.best == "application/json"


def _on_crm_error(error: CrmError) -> Any:
    if isinstance(error, Forbidden) and not isinstance(error, SecondFactorNeeded):
        _note_refusal(error)
    if error.status >= 500:
        log.error("request %s failed: %s", request_id(), error)
    if isinstance(error, Replaced):
        return _lead_on(error)
    if wants_json():
        extra: dict[str, Any] = {"errors": error.errors} if isinstance(error, InvalidInput) else {}
        answer = problem(error.status, _(error.title), str(error), **extra)
        if isinstance(error, Unauthenticated):
            answer.headers["WWW-Authenticate"] = 'Bearer realm="crm"'
        if error.status == 503:
            answer.headers["Retry-After"] = "5"
        return answer
    if isinstance(error, Unauthenticated) and request.method in ("GET", "HEAD"):
        return redirect(url_for("security.login", next=request.full_path.rstrip("?")))
    if isinstance(error, SecondFactorNeeded) and request.method in ("GET", "HEAD"):
        return redirect(url_for("signin.security"))
    return _page(error.status, _(error.title), str(error))


def _lead_on(error: Replaced) -> Any:
    """Lead whoever reads a merged record by its old id to the one in its place; a write must name that one itself.

    Nobody may keep the answer: a merge can be taken back.
    """
    old = [name for name, value in (request.view_args or {}).items() if value == error.of]
    if not old or request.method not in ("GET", "HEAD"):
        status = 409 if old else 404
        told = problem(status, _(Conflict.title if old else error.title), str(error), merged_into=str(error.by))
        return told if wants_json() else _page(status, _(Conflict.title if old else error.title), str(error))
    path = url_for(str(request.endpoint), **{**(request.view_args or {}), **dict.fromkeys(old, error.by)})
    place = f"{path}?{request.query_string.decode()}" if request.query_string else path
    if not wants_json():
        answer: Any = redirect(place, 302)
    else:
        answer = problem(308, _("Merged"), str(error), merged_into=str(error.by))
        answer.headers["Location"] = place
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _note_refusal(error: Forbidden) -> None:
    """Leave a row in the audit log; the refused unit of work is rolled back by now, so this one is its own."""
    actor: Actor = g.get("crm_actor", ANONYMOUS)
    if actor is ANONYMOUS or g.get("crm_uow") is not None:
        return
    details = {"reason": str(error), "method": request.method, "path": request.path[:500]}
    try:
        record_access(
            actor,
            action="refused",
            record_type=(request.endpoint or "")[:80],
            channel=channel(),
            request_id=request_id(),
            details=details,
        )
    except CrmError:  # the refusal stands even when it cannot be noted
        log.exception("the refusal of request %s could not be noted", request_id())


def _on_http_error(error: HTTPException) -> Any:
    if error.response is not None or (error.code or 500) < 400:
        return error
    status, title = error.code or 500, error.name
    _recognise()
    if wants_json():
        answer = problem(status, *_said(error))
        for name, value in error.get_headers():
            if name not in ("Content-Type", "Content-Length"):
                answer.headers[name] = value
        return answer
    title, detail = _REFUSED.get(status, (title, error.description or ""))
    return _page(status, _(title), _(detail) if detail else "")


def _said(error: HTTPException) -> tuple[str, str]:
    """Return title and detail for a program in its reader's language; what one of us said of it stays as it is."""
    title, detail = _ANSWERED.get(error.code or 500, (error.name, error.description or error.name))
    ours = error.description is not None and error.description != type(error).description
    return _(title), str(error.description) if ours else _(detail)


def _recognise() -> None:
    """Find out who asks for an address that no route has, so that the page speaks his language; two queries at most."""
    if "crm_actor" in g or g.get("crm_uow") is not None or "_user_id" not in session:
        return
    try:
        with reading(ANONYMOUS, channel=channel(), request_id=request_id()) as uow:
            g.crm_actor = authenticate(uow)
    except CrmError:  # the page is shown all the same
        log.exception("who sent request %s could not be found out", request_id())
    refresh()


def _on_crash(error: Exception) -> Any:
    log.exception("request %s crashed", request_id(), exc_info=error)
    detail = _("Something went wrong on our side. Tell your administrator the request number %(id)s.", id=request_id())
    return problem(500, _(CrmError.title), detail) if wants_json() else _page(500, _(CrmError.title), detail)


def _page(status: int, title: str, detail: str) -> tuple[str, int]:
    page = render_template("kernel/error.html", code=status, title=title, detail=detail, request_id=request_id())
    return page, status
