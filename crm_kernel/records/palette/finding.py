"""Finds what the palette offers for some typed words: commands of the kernel and of modules, then records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app, url_for
from flask_babel import gettext as _

from crm_kernel import contributions as c
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.policy import permitted, visible
from crm_kernel.records.pages.presenting import record_url
from crm_kernel.records.plan import record_types, said_title
from crm_kernel.records.search_page import search_everywhere
from crm_kernel.text import tokens

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Commands shown, records shown per type, records kept as recent.
COMMANDS, PER_TYPE, RECENT = 8, 5, 8


@dataclass(frozen=True, slots=True)
class Command:
    """A page or a form to open, and the words it is found by beside its label."""

    label: str
    icon: str
    url: str
    keywords: str = ""


def palette(uow: UnitOfWork, text: str, recent: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return groups ``{"label", "items": [{"label", "hint", "icon", "url"}]}`` for what was typed.

    Nothing typed: the reader's recent records and the first commands. What records cost: ``search_everywhere``.

    Args:
        recent: (record type, public id) of records opened last, the latest first.
    """
    typed = tokens(text)
    commands = [found for found in _commands(uow) if _fits(found, typed)][:COMMANDS]
    groups = [{"label": _("Go to"), "items": [_shown(found) for found in commands]}]
    if not typed:
        return _filled([{"label": _("Recent"), "items": _recent(uow, recent)}, *groups])
    for group in search_everywhere(uow, text, limit=PER_TYPE):
        record_type = group["type"]
        items = [{"label": i["title"], "hint": None, "icon": record_type.icon, "url": i["url"]} for i in group["items"]]
        groups.append({"label": str(record_type.label_plural), "items": items})
    everywhere = Command(_("Search everywhere for “%(text)s”", text=text), "search", url_for("web.search", q=text))
    return [*_filled(groups), {"label": _("Search"), "items": [_shown(everywhere)]}]


def remembered(kept: Any, record_type: str, uid: UUID) -> list[list[str]]:
    """Return the recent records with one more in front, as a session keeps them."""
    known = [entry for entry in kept or [] if entry != [record_type, str(uid)]]
    return [[record_type, str(uid)], *known][:RECENT]


def _commands(uow: UnitOfWork) -> Iterator[Command]:
    runtime, actor = runtime_of(current_app), uow.actor
    for plugged in permitted(actor, c.active(runtime.registry.all("palette_commands"), runtime.manager.names)):
        url = url_for(plugged.endpoint, **plugged.arguments)
        yield Command(str(plugged.label), plugged.icon, url, str(plugged.keywords))
    for record_type in sorted(runtime.registry.all("record_types"), key=lambda found: found.nav_section != "work"):
        if "create" in record_type.verbs and actor.may(record_type.permission("create")) and record_type.nav_section:
            label = _("New %(type)s", type=record_type.label)
            yield Command(label, "plus", url_for(f"{record_type.endpoint}_new"), "new create")
        if record_type.nav_section and record_type.listed_for(actor):
            yield Command(str(record_type.label_plural), record_type.icon, url_for(f"{record_type.endpoint}_list"))
    for item in permitted(actor, c.active(runtime.registry.all("nav"), runtime.manager.names)):
        yield Command(str(item.label), item.icon, url_for(item.endpoint))


def _fits(command: Command, typed: Sequence[str]) -> bool:
    known = tokens(f"{command.label} {command.keywords}")
    return all(any(word.startswith(start) for word in known) for start in typed)


def _shown(command: Command) -> dict[str, Any]:
    return {"label": command.label, "hint": None, "icon": command.icon, "url": command.url}


def _recent(uow: UnitOfWork, recent: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the recent records that are still there for the reader, latest first; one query per type among them."""
    by_type: dict[str, list[UUID]] = {}
    for name, uid in recent:
        by_type.setdefault(name, []).append(UUID(uid))
    known: dict[str, Mapping[str, Any]] = {}
    for name, uids in by_type.items():
        record_type = record_types().get(name)
        if record_type is None or not uow.actor.may(record_type.permission("read")):
            continue
        model = record_type.model
        statement = sa.select(model.uid, said_title(record_type)).where(
            model.uid.in_(uids), visible(uow.actor, record_type)
        )
        for uid, title in uow.session.execute(statement):
            url = record_url(record_type, uid)
            known[str(uid)] = {
                "label": str(title),
                "hint": str(record_type.label),
                "icon": record_type.icon,
                "url": url,
            }
    return [dict(known[uid]) for _name, uid in recent if uid in known]


def _filled(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [group for group in groups if group["items"]]
