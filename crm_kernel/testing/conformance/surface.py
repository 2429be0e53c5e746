"""Rules of what others see of a plugin: routes, names, events, texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crm_kernel.testing.conformance.rule import Subject, declared_permissions, rule

#: Declared by a view for everybody, or for everybody who has logged in.
_OPEN = ("public", "authenticated")


@rule("routes-guarded", "A route that forgets to ask is a leak; every route refuses a stranger.")
def routes_guarded(subject: Subject) -> Iterator[str]:
    """Yield the routes and methods that answer somebody who has not logged in, or who holds no permission."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.testing.factories import detached
    from crm_kernel.testing.people import add_user, browser
    from crm_kernel.unit_of_work import writing

    with subject.app.app_context(), writing(SYSTEM) as uow:
        nobody = detached(uow, add_user(uow, grants={}))
    for method, path, needed in _requests(subject):
        if needed == "public":
            continue
        answer = browser(subject.app).open(path, method=method)
        if answer.status_code not in (401, 403) and not _is_login(answer):
            yield f"{method} {path}: answers a stranger with {answer.status_code}, expected 401 or the log-in page"
        answer = browser(subject.app, nobody).open(path, method=method)
        if needed not in _OPEN and answer.status_code != 403:
            yield f"{method} {path}: answers somebody without the permission {needed} with {answer.status_code}, expected 403"


@rule("permissions-exist", "A permission nobody can grant locks everybody out; a misspelt one as well.")
def permissions_exist(subject: Subject) -> Iterator[str]:
    """Yield permissions that views, panels, tiles and navigation ask for but no loaded module has."""
    known = {*subject.runtime.registry.permissions(), *_OPEN}
    for kind in ("nav", "panels", "dashboard_tiles"):
        for record in subject.records[kind]:
            for needed in (record.permission, *getattr(record, "also", ())):
                if needed not in known:
                    yield f"{kind} {record.name}: asks for {needed!r}, which no module has"
    for endpoint, view in sorted(subject.app.view_functions.items()):
        for needed in declared_permissions(view).values() if subject.owns_endpoint(endpoint) else ():
            if needed not in known:
                yield f"view {endpoint}: asks for {needed!r}, which no module has"


@rule("names-prefixed", "Two modules with one name would replace each other's pages, templates and settings.")
def names_prefixed(subject: Subject) -> Iterator[str]:
    """Yield names, addresses and templates that do not say whose they are."""
    prefixed = ("settings", "permissions", "events", "record_types", "nav", "panels", "dashboard_tiles", "subscribers")
    for kind in (*prefixed, "jobs", "health_checks", "demo_data"):
        for record in subject.records[kind]:
            if not record.name.startswith(f"{subject.plugin}."):
                yield f"{kind} {record.name}: expected a name starting '{subject.plugin}.'"
    for rule_ in subject.app.url_map.iter_rules():
        if subject.owns_endpoint(rule_.endpoint) and not _is_below(rule_.rule, subject.plugin):
            yield f"route {rule_.rule}: expected an address below /{subject.plugin}/ or /api/{subject.plugin}/"
    for blueprint in subject.records["blueprints"]:
        if blueprint.template_folder:
            yield f"blueprint {blueprint.name}: has a template folder; the kernel mounts templates/ as {subject.plugin}/…"


@rule("templates-exist", "A template that is missing shows itself on the customer's screen.")
def templates_exist(subject: Subject) -> Iterator[str]:
    """Yield templates of panels and tiles that cannot be found or are somebody else's."""
    from jinja2 import TemplateError

    for kind in ("panels", "dashboard_tiles"):
        for record in subject.records[kind]:
            if record.template.partition("/")[0] not in (subject.plugin, "kernel"):
                yield f"{kind} {record.name}: template {record.template!r}, expected {subject.plugin}/…"
                continue
            try:
                subject.app.jinja_env.get_template(record.template)
            except TemplateError as error:
                yield f"{kind} {record.name}: template {record.template!r}: {type(error).__name__}: {error}"


@rule("endpoints-exist", "An entry of the navigation that leads nowhere breaks every page that shows it.")
def endpoints_exist(subject: Subject) -> Iterator[str]:
    """Yield navigation entries whose endpoint is no view that can be opened by GET without arguments."""
    open_ = {
        r.endpoint
        for r in subject.app.url_map.iter_rules()
        if "GET" in (r.methods or ()) and r.arguments <= set(r.defaults or ())
    }
    for item in subject.records["nav"]:
        if item.endpoint not in open_ and set(item.requires) <= set(subject.modules):
            yield f"nav {item.name}: endpoint {item.endpoint!r} is no page without arguments"


@rule("extension-fields-exist", "A schema field without a column is accepted and lost.")
def extension_fields_exist(subject: Subject) -> Iterator[str]:
    """Yield fields of the plugin's extensions that its side table does not have."""
    for extension in subject.records["extensions"]:
        for name, field in extension.schema().fields.items():
            if not field.dump_only and not hasattr(extension.model, field.attribute or name):
                yield f"extension of {extension.host}: {extension.model.__name__} has no attribute {field.attribute or name!r}"


def _requests(subject: Subject) -> Iterator[tuple[str, str, str]]:
    """Yield (method, path with made-up arguments, permission) of every route of the plugin."""
    adapter = subject.app.url_map.bind("localhost")
    for route in subject.app.url_map.iter_rules():
        if not subject.owns_endpoint(route.endpoint) or route.endpoint.endswith(".static"):
            continue
        declared = declared_permissions(subject.app.view_functions[route.endpoint])
        arguments = {name: _argument(converter) for name, converter in route._converters.items()}
        path = adapter.build(route.endpoint, arguments, method=next(iter(route.methods or ["GET"])))
        for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, path, declared.get(method, declared.get("default", ""))


def _argument(converter: Any) -> Any:
    from uuid import UUID

    known = {"UUIDConverter": UUID(int=1), "IntegerConverter": 1, "FloatConverter": 1.0}
    items = getattr(converter, "items", None)
    return sorted(items)[0] if isinstance(items, set) else known.get(type(converter).__name__, "x")


def _is_login(answer: Any) -> bool:
    return answer.status_code in (302, 303) and "login" in answer.headers["Location"]


def _is_below(address: str, plugin: str) -> bool:
    return any(
        address == top or address.startswith(f"{top}/") for top in (f"/{plugin}", f"/api/{plugin}", f"/static/{plugin}")
    )
