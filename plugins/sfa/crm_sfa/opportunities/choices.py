"""Why opportunities are lost, each reason with the label people read; what is stored is the key."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_babel import lazy_pgettext

LOST_REASONS = {
    "price": _l("Too expensive"),
    "competitor": _l("Lost to a competitor"),
    "no_budget": _l("No budget"),
    "no_decision": _l("No decision taken"),
    "timing": _l("Wrong moment"),
    "product_fit": _l("The product does not fit"),
    "no_answer": _l("No answer any more"),
    "mistake": _l("Never was an opportunity"),
    "other": lazy_pgettext("reason", "Other"),
}
