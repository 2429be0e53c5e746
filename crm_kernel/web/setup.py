"""Sets up the shell of the web application: templates, languages, static files, headers, errors, and the last check."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from flask import Blueprint, Flask, Response, current_app, g, has_request_context, request, session, url_for
from flask.json.provider import JSONProvider
from flask_babel import Babel
from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, PrefixLoader
from werkzeug.middleware.proxy_fix import ProxyFix

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.records.names import called
from crm_kernel.records.projection import json_ready
from crm_kernel.web.conditional import init_conditional
from crm_kernel.web.edge import guard_routes, request_id
from crm_kernel.web.problems import init_problems
from crm_kernel.web.shell import shell_context

_HERE = Path(__file__).parent
#: No inline script, no inline style: what a template or a customer's text smuggles in does not run.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)
#: Filters of templates whose value may be hidden from the reader, or not there yet.
_SAYING = (
    "dateformat",
    "datetimeformat",
    "timeformat",
    "timedeltaformat",
    "numberformat",
    "decimalformat",
    "currencyformat",
    "percentformat",
    "scientificformat",
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class OrjsonProvider(JSONProvider):
    """JSON by orjson: what ``jsonify`` and the API write is the same."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        """Return an object as JSON text."""
        return orjson.dumps(obj, default=json_ready).decode()

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        """Return what a JSON text describes."""
        return orjson.loads(s)


def init_web(app: Flask) -> None:
    """Give the application its templates, languages, headers, errors and the kernel's own pages."""
    from crm_kernel.web.views import blueprint

    app.json = OrjsonProvider(app)
    app.config.update(
        MAX_CONTENT_LENGTH=max(32, runtime_of(app).config.max_upload_mb + 1) * 1024 * 1024,
        MAX_FORM_PARTS=5_000,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=runtime_of(app).config.secure_cookies,
        SESSION_COOKIE_NAME="crm_session",
    )
    _trust_proxies(app, runtime_of(app).config.trusted_proxies)
    _init_templates(app)
    _init_languages(app)
    init_problems(app)
    app.register_blueprint(Blueprint("kernel", __name__, static_folder="static", static_url_path="/static/kernel"))
    app.register_blueprint(blueprint)
    app.context_processor(shell_context)
    app.after_request(partial(_add_headers, _policy(runtime_of(app).config.live_url)))
    init_conditional(app)


def _trust_proxies(app: Flask, hops: int) -> None:
    """Take address, scheme and host from what so many proxies of our own added; anybody can send the same headers."""
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]


def seal_routes(app: Flask) -> None:
    """Check that every route declares its permission, and wrap it in its unit of work; the last step."""
    from crm_kernel.access.setup import FOREIGN_PERMISSIONS

    static = {endpoint: "public" for endpoint in app.view_functions if endpoint.endswith("static")}
    guard_routes(app, {**static, **FOREIGN_PERMISSIONS})


def icon_url(name: str) -> str:
    """Return the address of an icon in the sprite."""
    return f"{url_for('kernel.static', filename='vendor/icons.svg')}#tabler-{name}"


def select_language() -> str:
    """Return the reader's language: what was chosen here, the account's, then what the browser prefers."""
    languages = runtime_of(current_app).config.languages
    actor = g.get("crm_actor")
    for wanted in (session.get("language"), actor.language if actor is not None and actor.user_id else None):
        if wanted in languages:
            return str(wanted)
    return _browser_language(languages) or languages[0]


def _browser_language(languages: Sequence[str]) -> str | None:
    """Return what the browser likes best, ``fr`` for ``fr-CA``; its order counts before a match to the letter."""
    known = {code.replace("_", "-").lower(): code for code in languages}
    for tag, quality in request.accept_languages:
        for wanted in (tag.lower(), tag.lower().partition("-")[0]):
            if quality and wanted in known:
                return known[wanted]
    return None


def select_timezone() -> str:
    """Return the reader's time zone: the account's, else the instance's."""
    actor = g.get("crm_actor")
    zone = actor.timezone if actor is not None and actor.user_id else None
    return zone or runtime_of(current_app).config.timezone


def _init_templates(app: Flask) -> None:
    """Mount each plugin's templates under its name: equal file names never shadow each other."""
    runtime = runtime_of(app)
    plugins: dict[str, BaseLoader] = {}
    for name, plugin in runtime.manager.loaded.items():
        folder = plugin_folder(plugin) / "templates"
        if name != "kernel" and folder.is_dir():
            plugins[name] = FileSystemLoader(folder)
    app.jinja_loader = ChoiceLoader([FileSystemLoader(_HERE / "templates"), PrefixLoader(plugins)])
    app.jinja_env.add_extension("jinja2.ext.do")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals["icon_url"] = icon_url
    app.jinja_env.filters["called"] = called


def _init_languages(app: Flask) -> None:
    """Merge the catalogs of the kernel and the loaded plugins; plugins prefix theirs with a context."""
    runtime = runtime_of(app)
    folders = [_HERE.parent / "translations"]
    folders += [plugin_folder(p) / "translations" for n, p in runtime.manager.loaded.items() if n != "kernel"]
    found = ";".join(str(folder) for folder in folders if folder.is_dir())
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = found or str(folders[0])
    Babel(
        app,
        default_locale=runtime.config.languages[0],
        default_timezone=runtime.config.timezone,
        locale_selector=lambda: select_language() if has_request_context() else runtime.config.languages[0],
        timezone_selector=lambda: select_timezone() if has_request_context() else runtime.config.timezone,
    )
    filters = app.jinja_env.filters
    filters |= {name: _of_something(filters[name]) for name in _SAYING}


def _of_something(say: Callable[..., str]) -> Callable[..., str]:
    """Return a filter that says nothing of None; Flask-Babel's would say the present moment."""

    @wraps(say)
    def said(value: Any, *args: Any, **kwargs: Any) -> str:
        return "" if value is None else say(value, *args, **kwargs)

    return said


def plugin_folder(plugin: object) -> Path:
    """Return the folder of a loaded plugin's package."""
    package = type(plugin).__module__.partition(".")[0]
    return Path(str(sys.modules[package].__file__)).parent


def _policy(live_url: str) -> str:
    """Return the content security policy; a stream on another host or port has to be named in it."""
    live = urlsplit(live_url)
    if not live.netloc:
        return CONTENT_SECURITY_POLICY
    return f"{CONTENT_SECURITY_POLICY}; connect-src 'self' {live.scheme}://{live.netloc}"


def _add_headers(policy: str, response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", policy)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["X-Request-ID"] = request_id()
    if not request.path.startswith("/static/"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response
