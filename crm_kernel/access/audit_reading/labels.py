"""The words of the audit log's own codes: what was done, through which channel; an unknown code is its own word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_babel import lazy_pgettext

#: What was done → word and color.
ACTIONS: Mapping[str, tuple[Any, str]] = {
    "created": (lazy_pgettext("audit log", "Created"), "green"),
    "updated": (lazy_pgettext("audit log", "Changed"), "blue"),
    "deleted": (_l("Deleted"), "red"),
    "exported": (_l("Exported"), "purple"),
    "refused": (_l("Refused"), "orange"),
    "mail_refused": (_l("Mail refused"), "orange"),
    "reset_link_made": (_l("Link for a new password made"), "orange"),
}
CHANNELS: Mapping[str, Any] = {
    "web": _l("Web page"),
    "api": _l("API"),
    "cli": _l("Command line"),
    "job": _l("Background job"),
    "import": _l("Import"),
    "rule": _l("Automation rule"),
    "system": _l("System"),
}


def action_label(action: str) -> tuple[str, str]:
    """Return word and color of what was done."""
    label, color = ACTIONS.get(action, (action, "gray"))
    return str(label), color


def channel_label(channel: str) -> str:
    """Return the word of a channel."""
    return str(CHANNELS.get(channel, channel))
