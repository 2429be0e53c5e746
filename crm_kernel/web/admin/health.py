"""The page "Health": the checks of ``crm doctor`` on the running application."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template
from flask_babel import lazy_gettext as _l

from crm_kernel._internal.checkup import findings
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.web.edge import own_unit, permission

_VERDICTS = {
    "error": (_l("To mend"), "red"),
    "warning": (_l("Warning"), "orange"),
    "ok": (_l("Fine"), "green"),
    "skipped": (_l("Not checked"), "gray"),
}


def add_routes(blueprint: Blueprint) -> None:
    """Give the blueprint the page."""
    blueprint.add_url_rule("/health", view_func=health)


@permission("health.inspect")
@own_unit
def health() -> str:
    """Run every check and list what needs mending first; takes a second or two, in no transaction."""
    config = runtime_of(current_app).config
    found = findings(lambda: config, app=current_app._get_current_object())  # type: ignore[attr-defined]
    order = list(_VERDICTS)
    rows = [
        {"finding": finding, "label": _VERDICTS[finding.health][0], "color": _VERDICTS[finding.health][1]}
        for finding in sorted(found, key=lambda finding: order.index(finding.health))
    ]
    return render_template("admin/health.html", rows=rows, bad=sum(f.health == "error" for f in found))
