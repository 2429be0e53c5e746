"""The fixed words of privacy, each with the label people read; what is stored is the key."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

REQUEST, RETENTION, REAPPLIED = "request", "retention", "reapplied"

#: What a rule does with customers, and what a receipt is about.
ERASE, ANONYMISE = "erase", "anonymise"
ACTIONS = {ERASE: _l("Erase"), ANONYMISE: _l("Anonymise, keep for statistics")}

#: Why somebody was erased; no free text, which could name the person.
ERASURE_REASONS = {
    REQUEST: _l("The person asked for it"),
    RETENTION: _l("Kept long enough"),
    REAPPLIED: _l("A restored backup brought it back"),
    "mistake": _l("Should not have been stored"),
}

UNLINKED, EMPTIED, KEPT = "unlinked", "emptied", "kept"

#: What happened to the rows of a receipt's entry.
FATES = {
    "erased": _l("Erased"),
    "anonymised": _l("Kept without the person"),
    UNLINKED: _l("Reference removed"),
    EMPTIED: _l("Values erased"),
    KEPT: _l("Kept"),
}
FATE_COLORS = {"erased": "red", "anonymised": "orange", UNLINKED: "blue", EMPTIED: "red", KEPT: "secondary"}

#: Why rows stay, by the key that the receipt keeps; other texts are a module's own words.
WHY = {
    "no_person": _l("Counts without naming anybody."),
    "statistics": _l("Stays for statistics: dates, amounts, country and region."),
    "chain": _l("The log proves who did what and when; its values are gone."),
    "ids_only": _l("Holds ids, which lead to nobody any more."),
    "suppressed": _l("Digests of addresses, so that they are recognised and not used again."),
    "accounting": _l("Bookkeeping, kept for ten years."),
}
