"""Addresses of the module's pages: every number on a page leads to the list of what it counts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import url_for


def opportunity_page(uid: UUID) -> str:
    """Return the address of an opportunity."""
    return url_for("records.sfa_opportunity_detail", uid=uid)


def opportunity_list(**filters: Any) -> str:
    """Return the address of the list of opportunities with these filters; a filter that is None is left out."""
    return url_for("records.sfa_opportunity_list", **filters)
