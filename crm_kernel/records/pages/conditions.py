"""The page that builds the condition a record keeps (a rule's, a retention rule's): the filter builder with a button that
keeps what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import orjson
from flask import render_template, request
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.filter_tree import parse_tree
from crm_kernel.records.pages.filter_builder import builder_context
from crm_kernel.records.pages.filter_words import tree_text
from crm_kernel.records.plan import plan_of, record_types

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


def condition_page(
    uow: UnitOfWork, record_type: RecordType, stored: Any, *, here: str, owner: dict[str, Any], subtitle: str
) -> str:
    """Return the filter builder over some records; its address is its state, and a button keeps it.

    Args:
        stored: the tree that is kept now, shown as long as the address says nothing else; None for no condition.
        here: address of the page, which also takes what is to be kept (``tree_sent``).
        owner: ``name``, ``url`` and ``version`` of the record whose condition it is.

    Raises:
        InvalidInput: what is kept names what is gone or the actor may not see.
    """
    arguments = [pair for pair in request.args.items(multi=True) if pair[0] not in ("do", "version")]
    if not arguments and stored:
        arguments = [("filter", orjson.dumps(stored).decode())]
    asked = [*arguments, *(("do", value) for value in request.args.getlist("do"))]
    context = builder_context(uow, record_type, asked)
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
