"""The fixed words of stages, each with the label people read; what is stored is the key."""

from __future__ import annotations

from flask_babel import lazy_pgettext

OPEN, WON, LOST = "open", "won", "lost"

#: What a stage makes of an opportunity in it; also the opportunity's own status.
CATEGORIES = {
    OPEN: lazy_pgettext("opportunity", "Open"),
    WON: lazy_pgettext("opportunity", "Won"),
    LOST: lazy_pgettext("opportunity", "Lost"),
}

#: Badge colours of the categories; the label says the same.
CATEGORY_COLORS = {OPEN: "blue", WON: "green", LOST: "red"}

#: The probability that a closed stage always has, in percent.
CERTAIN = {WON: 100, LOST: 0}

#: Colours of the shell's palette.
COLORS = {
    "gray": lazy_pgettext("colour", "Gray"),
    "blue": lazy_pgettext("colour", "Blue"),
    "azure": lazy_pgettext("colour", "Azure"),
    "indigo": lazy_pgettext("colour", "Indigo"),
    "purple": lazy_pgettext("colour", "Purple"),
    "pink": lazy_pgettext("colour", "Pink"),
    "red": lazy_pgettext("colour", "Red"),
    "orange": lazy_pgettext("colour", "Orange"),
    "yellow": lazy_pgettext("colour", "Yellow"),
    "lime": lazy_pgettext("colour", "Lime"),
    "green": lazy_pgettext("colour", "Green"),
    "teal": lazy_pgettext("colour", "Teal"),
    "cyan": lazy_pgettext("colour", "Cyan"),
}
