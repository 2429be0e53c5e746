"""The pages of custom fields: what a record type holds by section, fields added, changed, ordered, archived, removed.

Every change is shown before it is made, with the command that does the same. Fields of the kernel and of modules are
listed beside, read only: they are code.
"""

from __future__ import annotations

from flask import Blueprint

from crm_kernel.web.admin.fields import changing, ending, listing


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the pages of fields."""
    for part in (listing, changing, ending):
        part.add_routes(blueprint)
