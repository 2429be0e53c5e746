"""The pages of rights: every role beside every permission, module by module, and the editor of one role."""

from __future__ import annotations

from flask import Blueprint

from crm_kernel.web.admin.rights import editing, overview


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the pages of rights."""
    for part in (overview, editing):
        part.add_routes(blueprint)
