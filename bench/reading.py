"""Reading through the API against the floor, the cost of ten more plugins, and page k against page 1."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from bench.rounds import get, medians

if TYPE_CHECKING:
    from flask import Flask

#: name of a comparison → the least ratio (floor's time by ours).
FLOORS = {"read one": 0.55, "list of 50": 0.6, "10 plugins": 0.95, "page 1,800": 0.9}
_LIST = "/api/sfa/opportunities?status=open&amount__gte=1000&sort=-amount&limit=50"

_PLUGIN = """
from crm_kernel.contributions import NavItem, Permission, Setting
from crm_kernel.plugin import Plugin, hookimpl

class {class_name}(Plugin):
    name = "{name}"

    @hookimpl
    def crm_register_settings(self):
        return [Setting(name="{name}.depth", type=int, default=1, label="Depth")]

    @hookimpl
    def crm_register_permissions(self):
        return [Permission(name="{name}.report.read", label="Read the report")]

    @hookimpl
    def crm_register_nav(self):
        return [NavItem(name="{name}.report", label="Report", endpoint="web.home", icon="file", permission="{name}.report.read")]

    @hookimpl
    def crm_authorize(self, actor, permission, subject):
        return None
"""


def measure(url: str, app: Flask, token: str, *, rounds: int) -> dict[str, float]:
    """Return comparison → ratio for one filled database."""
    from bench.bare import bare_app

    bare = bare_app(url)
    first = orjson.loads(get(app, "/api/customers?limit=1&fields=kind", token)())["items"][0]["id"]
    one = medians(
        {"ours": get(app, f"/api/customers/{first}", token), "bare": get(bare, f"/customers/{first}")},
        rounds=rounds,
        each=40,
    )
    many = medians({"ours": get(app, _LIST, token), "bare": get(bare, "/opportunities")}, rounds=rounds, each=10)
    far = _far_address(app, token)
    pages = medians(
        {"first": get(app, "/api/customers?limit=50&sort=sort_name", token), "far": get(app, far, token)},
        rounds=rounds,
        each=10,
    )
    return {
        "read one": one["bare"] / one["ours"],
        "list of 50": many["bare"] / many["ours"],
        "page 1,800": pages["first"] / pages["far"],
        "10 plugins": _plugins(url, app, token, rounds),
    }


def _far_address(app: Flask, token: str) -> str:
    """Return the address of a page far behind the first, through the cursor of a row before it."""
    from crm_kernel.records.paging import Cursor, order_of
    from crm_kernel.records.plan import plan_of, record_type

    with app.test_request_context():
        order = order_of(plan_of(record_type("customer")), "sort_name")
        cursor = Cursor("baker ada 090000", 90_001).encode(order)
    return f"/api/customers?limit=50&sort=sort_name&cursor={cursor}"


def _plugins(url: str, without: Flask, token: str, rounds: int) -> float:
    from crm_kernel.testing.apps import build
    from crm_kernel.testing.sites import class_name_of, write_distribution

    names = tuple(f"bench{letter}" for letter in "abcdefghij")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            source = _PLUGIN.format(name=name, class_name=class_name_of(name))
            write_distribution(Path(folder), name, files={"plugin.py": source}, requires=["crm-kernel>=0.1"])
        sys.path.insert(0, folder)
        try:
            more = build(url, ("sfa", *names), base_currency="EUR")
        finally:
            sys.path.remove(folder)
        address = "/api/customers?limit=50&sort=sort_name"
        found = medians(
            {"without": get(without, address, token), "with": get(more, address, token)}, rounds=rounds * 2, each=10
        )
    return found["without"] / found["with"]
