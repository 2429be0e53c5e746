"""The page that builds the condition a record keeps (a rule's, a retention rule's): the filter builder with a button that
keeps what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import orjson
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import LazyString
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from crm_kernel.access.policy import authorize
from crm_kernel.errors import InvalidInput
from crm_kernel.records.filter_tree import parse_tree
from crm_kernel.records.pages.filter_builder import builder_context
from crm_kernel.records.pages.filter_words import tree_text
from crm_kernel.records.pages.presenting import record_url
from crm_kernel.records.plan import plan_of, record_types
from crm_kernel.records.plan import record_type as type_named
from crm_kernel.records.reading import record_of
from crm_kernel.records.services import update_record
from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.edge import permission

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


def add_condition_pages(
    blueprint: Blueprint, path: str, *, record_type: str, field: str, about: str, subtitle: LazyString
) -> None:
    """Add the page that builds the condition of a record which keeps it as JSON text, and the one that keeps it.

    Both need ``<record_type>.update`` for the record. Their endpoints are ``condition`` and ``save_condition``.

    Args:
        path: of both, with ``<uuid:uid>`` for the record.
        field: of the record, which holds the text.
        about: record type that the condition chooses from.
        subtitle: says what records that fit are chosen for.
    """
    here = f"{blueprint.name}.condition"

    def changeable(uid: UUID) -> Any:
        uow = current_uow()
        found: Any = record_of(uow, type_named(record_type), uid)
        authorize(uow.actor, f"{record_type}.update", found)
        return found

    @blueprint.get(path)
    @permission(f"{record_type}.update")
    def condition(uid: UUID) -> str:
        """Show the filter builder; its address is its state, and a button keeps it."""
        row = changeable(uid)
        return condition_page(
            current_uow(),
            type_named(about),
            stored_tree(getattr(row, field)),
            here=url_for(here, uid=uid),
            owner={"name": row.name, "url": record_url(type_named(record_type), uid), "version": row.version},
            subtitle=str(subtitle),
        )

    @blueprint.post(path)
    @permission(f"{record_type}.update")
    def save_condition(uid: UUID) -> Response:
        """Keep the condition that the builder shows."""
        changeable(uid)
        tree = tree_sent()
        changes = {field: None if tree is None else orjson.dumps(tree).decode()}
        version = request.form.get("version", type=int)
        update_record(current_uow(), type_named(record_type), uid, changes, version=version)
        flash(_("Saved."), "success")
        return redirect(record_url(type_named(record_type), uid), 303)


def stored_tree(text: str | None) -> Any:
    """Return the tree that a text holds, None for none; a text that is no JSON is no tree, and the builder says so."""
    if not text:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {"": text}


def condition_page(
    uow: UnitOfWork, record_type: RecordType, stored: Any, *, here: str, owner: dict[str, Any], subtitle: str
) -> str:
    """Return the filter builder over some records; its address is its state, and a button keeps it.

    Where the kept tree names what is gone, or what the reader may not see, the builder is empty and says so: the page is
    where it is mended.

    Args:
        stored: the tree that is kept now, shown as long as the address says nothing else; None for no condition.
        here: address of the page, which also takes what is to be kept (``tree_sent``).
        owner: ``name``, ``url`` and ``version`` of the record whose condition it is.

    Raises:
        InvalidInput: the address spells what cannot be read.
    """
    asked = [pair for pair in request.args.items(multi=True) if pair[0] != "version"]
    unreadable = False
    if stored and all(name == "do" for name, _value in asked):
        kept = [("filter", orjson.dumps(stored).decode()), *asked]
        try:
            context = builder_context(uow, record_type, kept)
        except InvalidInput:
            unreadable, context = True, builder_context(uow, record_type, asked)
    else:
        context = builder_context(uow, record_type, asked)
    context |= {"unreadable": unreadable}
    tree = _tree_in(context["target_url"])
    context |= {"builder_url": here, "clear_url": f"{here}?f.join=all", "target_url": None, "tree": tree}
    context |= {"keep_url": here, "version": owner["version"]}
    template = "records/filter_part.html" if request.headers.get("HX-Request") else "records/condition.html"
    return render_template(template, owner=owner, subtitle=subtitle, record_type=record_type, **context)


def tree_sent() -> Any:
    """Return the tree that the page's button sent, None for no condition.

    Raises:
        InvalidInput: it is not JSON.
    """
    text = request.form.get("tree", "")
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError as error:
        raise InvalidInput({"tree": [_("Not valid JSON: %(error)s.", error=error)]}) from error


def condition_text(uow: UnitOfWork, record_type: str, tree: Any) -> str:
    """Return a condition in words; one that names what the reader may not see, or what is gone, says so."""
    found = record_types().get(record_type)
    if not tree:
        return str(_("every record"))
    if found is None:
        return str(_("(its module is not loaded)"))
    try:
        plan = plan_of(found)
        return tree_text(uow, plan, parse_tree(plan, tree, uow.actor))
    except InvalidInput:
        return str(_("(names what does not exist any more, or what you may not see)"))


def _tree_in(address: str | None) -> str | None:
    """Return the tree that a list's address spells, ``""`` for one without conditions, None for an unfinished one."""
    return None if address is None else (parse_qs(urlsplit(address).query).get("filter") or [""])[0]
