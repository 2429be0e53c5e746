"""The fixed words of touch points, each with the label people read."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

CHANNELS = {
    "phone": _l("Phone"),
    "email": _l("E-mail"),
    "meeting": _l("Meeting"),
    "web": _l("Website"),
    "store": _l("Store"),
    "chat": _l("Chat"),
    "sms": _l("SMS"),
    "letter": _l("Letter"),
    "social": _l("Social network"),
    "app": _l("App"),
    "other": _l("Other"),
}

DIRECTIONS = {"in": _l("From the customer"), "out": _l("To the customer"), "internal": _l("Internal")}

#: What people log by hand; plugins record their own kinds beside these.
KINDS = {
    "call": _l("Call"),
    "meeting": _l("Meeting"),
    "email": _l("E-mail"),
    "letter": _l("Letter"),
    "visit": _l("Visit"),
    "note": _l("Note"),
}

#: Kind → (channel, direction) when the form leaves them out.
USUAL = {
    "call": ("phone", "out"),
    "meeting": ("meeting", "out"),
    "email": ("email", "out"),
    "letter": ("letter", "out"),
    "visit": ("store", "in"),
    "note": ("other", "internal"),
}
