"""Leads on after a page did what it was asked: for browsers and for scripts alike."""

from __future__ import annotations

from typing import Any

from flask import Response, redirect, request


def go(address: str) -> Any:
    """Return the answer that leads to an address of ours, with a GET."""
    if request.headers.get("HX-Request"):
        return Response(status=204, headers={"HX-Redirect": address})
    return redirect(address, 303)
