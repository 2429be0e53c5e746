"""The fixed words of the sales ledger, each with the label people read."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

CHANNELS = {
    "web": _l("Web shop"),
    "phone": _l("Phone"),
    "store": _l("Store"),
    "app": _l("App"),
    "rep": _l("Sales representative"),
}
