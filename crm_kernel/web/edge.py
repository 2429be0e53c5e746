"""The edge of every HTTP request: one declared permission, one unit of work, one place where errors become answers.

A view says what it needs with ``@permission("…")``; ``guard_routes`` wraps every view once the application is built
and refuses to start when one has none. GET and HEAD read, everything else writes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from flask import g, request
from flask_babel import gettext as _

from crm_kernel.access.actor import ANONYMOUS
from crm_kernel.access.policy import authorize
from crm_kernel.errors import PluginError, SecondFactorNeeded, Unauthenticated
from crm_kernel.unit_of_work import UnitOfWork, reading, writing
from crm_kernel.web.bodies import receive_body
from crm_kernel.web.idempotency.once import once, wants_once

if TYPE_CHECKING:
    from flask import Flask

View = TypeVar("View", bound=Callable[..., Any])
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
#: What somebody reaches whose role asks for a second factor that he lacks, besides the pages on which he sets one up.
_WITHOUT_FACTOR = frozenset({"security.logout", "security.verify", "web.choose_language"})


def permission(name: str, **by_method: str) -> Callable[[View], View]:
    """Declare what a view needs: a permission, ``authenticated`` or ``public``.

    ``by_method`` overrides it per HTTP method (``post="customer.create"``). The view is called inside a unit of work
    (``current_uow()``) whose actor holds that permission.
    """

    def mark(view: View) -> View:
        view.crm_permission = {"default": name, **{m.upper(): p for m, p in by_method.items()}}  # type: ignore[attr-defined]
        return view

    return mark


def own_unit(view: View) -> View:
    """Mark a view that opens its units of work itself, because it streams or must commit before it answers."""
    view.crm_own_unit = True  # type: ignore[attr-defined]
    return view


def proven_by_link(view: View) -> View:
    """Mark a view that needs no CSRF token: its address holds a sealed link, which nobody can forge or ride on."""
    view.crm_proven_by_link = True  # type: ignore[attr-defined]
    return view


def guard_routes(app: Flask, foreign: Mapping[str, str]) -> None:
    """Wrap every view in its unit of work and permission check.

    Args:
        foreign: endpoint → permission for views of libraries (static files, the log-in pages).

    Raises:
        PluginError: a view declares no permission.
    """
    for endpoint, view in list(app.view_functions.items()):
        declared = _declared(view) or ({"default": foreign[endpoint]} if endpoint in foreign else None)
        if declared is None:
            rule = next((r.rule for r in app.url_map.iter_rules() if r.endpoint == endpoint), "?")
            raise PluginError(
                endpoint.partition(".")[0],
                f"route {rule} (endpoint {endpoint}) declares no permission: decorate its view with @permission(…)",
            )
        if not endpoint.endswith("static"):
            app.view_functions[endpoint] = _guarded(view, declared)


def request_id() -> str:
    """Return this request's id: shown on error pages, in problem documents, audit rows and log lines."""
    if "crm_request_id" not in g:
        g.crm_request_id = uuid4().hex
    return str(g.crm_request_id)


def channel() -> str:
    """Return ``api`` for ``/api/…`` and ``web`` for pages."""
    return "api" if request.path.startswith("/api/") else "web"


def open_unit() -> Any:
    """Open the unit of work that fits the request's method, for views marked ``own_unit``."""
    opener = reading if request.method in _READING else writing
    return opener(g.get("crm_actor", ANONYMOUS), channel=channel(), request_id=request_id())


def identify(uow: UnitOfWork, needed: str) -> None:
    """Find out who asks, remember it for this request, and check the permission.

    Raises:
        Unauthenticated: nobody is logged in and the permission is not ``public``.
        Forbidden: the actor lacks it.
        SecondFactorNeeded: a role of his asks for a second factor, and he has none.
    """
    from crm_kernel.access.authentication import authenticate

    uow.actor = g.crm_actor = authenticate(uow)
    if needed == "public":
        return
    if uow.actor is ANONYMOUS:
        raise Unauthenticated(_("Log in, or send a valid API token in the Authorization header."))
    if g.get("crm_lacks_factor") and request.blueprint != "signin" and request.endpoint not in _WITHOUT_FACTOR:
        raise SecondFactorNeeded(
            _("Your role asks for a second factor: set one up on the page “Sign-in and security”.")
        )
    authorize(uow.actor, needed)


def _declared(view: Any) -> dict[str, str] | None:
    found: dict[str, str] | None = getattr(view, "crm_permission", None)
    if found is None and (view_class := getattr(view, "view_class", None)) is not None:
        found = getattr(view_class, "crm_permission", None)
    return found


def _opens_its_own(view: Any) -> bool:
    return bool(
        getattr(view, "crm_own_unit", False) or getattr(getattr(view, "view_class", None), "crm_own_unit", False)
    )


def _guarded(view: Callable[..., Any], declared: Mapping[str, str]) -> Callable[..., Any]:
    @functools.wraps(view)
    def run(*args: Any, **kwargs: Any) -> Any:
        needed = declared.get(request.method, declared["default"])
        if _opens_its_own(view):
            with reading(ANONYMOUS, channel=channel(), request_id=request_id()) as uow:
                identify(uow, needed)
            return view(*args, **kwargs)
        if request.method not in _READING:
            receive_body()
        with open_unit() as uow:
            identify(uow, needed)
            if wants_once():
                return once(uow, functools.partial(view, *args, **kwargs))
            return view(*args, **kwargs)

    return run
