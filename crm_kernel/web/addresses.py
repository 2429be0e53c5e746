"""Addresses that leave the house: in mails and messages, on the configured host, never the request's."""

from __future__ import annotations

from typing import Any

from flask import current_app

from crm_kernel._internal.runtime import runtime_of


def public_address(endpoint: str, **values: Any) -> str:
    """Return the full address of a page; works in a job or a command too, where there is no request.

    Its host is the setting ``base_url``: anybody can forge a request's Host header.
    """
    config = runtime_of(current_app).config
    base = config.base_url or f"http://{config.host}:{config.port}"
    path: str = current_app.url_map.bind("localhost").build(endpoint, values)
    return base.rstrip("/") + path
