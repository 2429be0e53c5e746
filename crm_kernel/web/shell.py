"""What the shell around every page shows: navigation, create menu, languages, the user; no query of its own."""

from __future__ import annotations

from typing import Any

from flask import current_app, g, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _

from crm_kernel import contributions as c
from crm_kernel._internal.runtime import Runtime, runtime_of
from crm_kernel.access.actor import ANONYMOUS, Actor
from crm_kernel.access.policy import permitted

#: Sections of the navigation in order; plugins may name others, which follow.
SECTIONS = ("work", "insight", "administration")
#: Sections that are folded while the reader is elsewhere: rarely used, and too long to stand beside daily work.
_FOLDABLE = frozenset({"administration"})


def shell_context() -> dict[str, Any]:
    """Return the context that every template gets."""
    actor: Actor = g.get("crm_actor", ANONYMOUS)
    runtime = runtime_of(current_app)
    language = str(get_locale() or "en")
    return {
        "locale": language,
        "nav": _navigation(runtime, actor) if actor is not ANONYMOUS else [],
        "shell": {
            "product": runtime.config.company_name,
            "home_url": url_for("web.home"),
            "search_url": url_for("web.search"),
            # Tests build applications of a few types, without it.
            "palette_url": url_for("palette.find") if "palette.find" in current_app.view_functions else None,
            "search_query": request.args.get("q", "") if request.endpoint == "web.search" else "",
            "language_url": url_for("web.choose_language"),
            "languages": [
                {"code": code, "label": _language_name(code), "active": code == language}
                for code in runtime.config.languages
            ],
            **_bell(actor),
            "create": _create_menu(runtime, actor),
            "user": _user(actor),
        },
    }


def entries_of(section: str) -> list[dict[str, Any]]:
    """Return a section's entries of the navigation that the reader may open: label, icon, url, endpoint. No query."""
    actor: Actor = g.get("crm_actor", ANONYMOUS)
    return [entry for entry in _navigation(runtime_of(current_app), actor) if entry["place"] == section]


def _navigation(runtime: Runtime, actor: Actor) -> list[dict[str, Any]]:
    entries: list[tuple[int, int, dict[str, Any]]] = []
    for item in permitted(actor, c.active(runtime.registry.all("nav"), runtime.manager.names)):
        entries.append(
            (_section_order(item.section), item.order, _entry(item.label, item.icon, item.endpoint, item.section))
        )
    for record_type in runtime.registry.all("record_types"):
        if record_type.nav_section and record_type.listed_for(actor):
            entry = _entry(
                record_type.label_plural, record_type.icon, f"{record_type.endpoint}_list", record_type.nav_section
            )
            entry["active"] = (request.endpoint or "").startswith(record_type.endpoint + "_")
            entries.append((_section_order(record_type.nav_section), record_type.nav_order, entry))
    found = [entry for _section, _order, entry in sorted(entries, key=lambda entry: entry[:2])]
    _mark_one(found)
    reached = {entry["place"] for entry in found if entry["active"]}
    return [{**entry, "folded": entry["foldable"] and entry["place"] not in reached} for entry in found]


def _mark_one(found: list[dict[str, Any]]) -> None:
    """Leave one entry marked: of ``webhook`` and ``webhook_source`` begin the same endpoints, the longer name is meant."""
    marked = sorted((entry for entry in found if entry["active"]), key=lambda entry: len(entry["endpoint"]))
    for entry in marked[:-1]:
        entry["active"] = False
    if not marked:
        _mark_nearest(found)


def _mark_nearest(found: list[dict[str, Any]]) -> None:
    """Mark the entry below whose address the reader is: ``/jobs`` for the page of one job."""
    above = [
        entry for entry in found if request.path.startswith(entry["url"].rstrip("/") + "/") and entry["url"] != "/"
    ]
    if above:
        max(above, key=lambda entry: len(entry["url"]))["active"] = True


def _entry(label: str, icon: str, endpoint: str, section: str) -> dict[str, Any]:
    return {
        "label": label,
        "icon": icon,
        "url": url_for(endpoint),
        "endpoint": endpoint,
        "active": request.endpoint == endpoint,
        "place": section,
        "foldable": section in _FOLDABLE,
        "section": _section_label(section),
    }


def _section_order(section: str) -> int:
    return SECTIONS.index(section) if section in SECTIONS else len(SECTIONS)


def _section_label(section: str) -> str | None:
    labels = {"work": None, "insight": _("Insight"), "administration": _("Administration")}
    found: str | None = labels.get(section, section)
    return found


def _create_menu(runtime: Runtime, actor: Actor) -> list[dict[str, Any]]:
    return [
        {"label": record_type.label, "icon": record_type.icon, "url": url_for(f"{record_type.endpoint}_new")}
        for record_type in runtime.registry.all("record_types")
        if record_type.nav_section == "work"
        and "create" in record_type.verbs
        and actor.may(record_type.permission("create"))
    ]


def _bell(actor: Actor) -> dict[str, Any]:
    if actor.user_id is None or "notifications.page" not in current_app.view_functions:
        return {}
    return {
        "bell_url": url_for("notifications.page"),
        "bell_count_url": url_for("notifications.bell"),
        "live_url": runtime_of(current_app).config.live_url,
    }


def _user(actor: Actor) -> dict[str, Any] | None:
    if actor.user_id is None:
        return None
    initials = "".join(part[0] for part in actor.name.split()[:2]).upper()
    return {
        "name": actor.name,
        "initials": initials,
        "profile_url": url_for("access.profile") if "access.profile" in current_app.view_functions else None,
        "logout_url": url_for("security.logout"),
        "menu": [{"label": _("API documentation"), "icon": "code", "url": url_for("web.api_docs")}],
    }


def _language_name(code: str) -> str:
    from babel import Locale

    return (Locale.parse(code).get_display_name(code) or code).capitalize()
