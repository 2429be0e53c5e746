"""The fixed words of consent, each with the label people read; what is stored is the key."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

#: Ways to contact a customer. They differ from the kinds of contact points: a mobile number takes calls and SMS.
CONTACT_CHANNELS = {
    "email": _l("E-mail"),
    "sms": _l("SMS"),
    "phone": _l("Phone"),
    "letter": _l("Letter"),
    "fax": _l("Fax"),
    "social": _l("Social network"),
}

#: Channel → the kinds of contact points it reaches; a letter needs an address instead.
POINTS_OF = {
    "email": ("email",),
    "sms": ("mobile",),
    "phone": ("phone", "mobile"),
    "letter": (),
    "fax": ("fax",),
    "social": ("social",),
}

GIVEN, WITHDRAWN, DENIED, PENDING = "given", "withdrawn", "denied", "pending"

STATUSES = {
    GIVEN: _l("Given"),
    WITHDRAWN: _l("Withdrawn"),
    DENIED: _l("Denied"),
    PENDING: _l("Waiting for confirmation"),
}
STATUS_COLORS = {GIVEN: "green", WITHDRAWN: "red", DENIED: "red", PENDING: "orange"}

#: The lawful bases of article 6 GDPR.
BASES = {
    "consent": _l("Consent"),
    "contract": _l("Contract"),
    "legitimate_interest": _l("Legitimate interest"),
    "legal_obligation": _l("Legal obligation"),
    "vital": _l("Vital interest"),
    "public_task": _l("Public task"),
}

OPT_IN, OPT_OUT, ALWAYS = "opt_in", "opt_out", "always"

#: What a purpose asks for before it may be used.
PURPOSE_RULES = {
    OPT_IN: _l("Only after consent"),
    OPT_OUT: _l("Until the customer objects"),
    ALWAYS: _l("Always: contract or legal obligation"),
}

#: Channel of a suppression that stops all of them. A letter goes to an address, which has no value to recognise.
ANY_CHANNEL = "any"
SUPPRESSED_CHANNELS = {
    ANY_CHANNEL: _l("All channels"),
    **{channel: label for channel, label in CONTACT_CHANNELS.items() if POINTS_OF[channel]},
}

SUPPRESSION_REASONS = {
    "unsubscribed": _l("Unsubscribed"),
    "complaint": _l("Complained about a message"),
    "bounce": _l("Cannot be reached there"),
    "manual": _l("Entered by hand"),
    "legal": _l("Legal objection list"),
    "erased": _l("The person was erased"),
}
#: Reasons that stop purposes that are always allowed, too.
ABSOLUTE_REASONS = ("manual", "legal", "erased")

#: Why the kernel refuses a contact.
REFUSALS = {
    "unknown_purpose": _l("There is no such purpose, or it is no longer used."),
    "merged": _l("The customer was merged into another one."),
    "archived": _l("The customer is archived."),
    "no_address": _l("There is no address for this channel."),
    "address_unusable": _l("Every address for this channel is known not to work, or is somebody else's."),
    "suppressed": _l("Every address for this channel is on the suppression list."),
    "no_consent": _l("There is no consent."),
    "pending": _l("The consent has not been confirmed yet."),
    "unconfirmed": _l("This purpose needs a consent that was confirmed by double opt-in."),
    "lapsed": _l("The consent has lapsed."),
    "withdrawn": _l("The consent was withdrawn."),
    "denied": _l("The customer said no."),
}
#: Why the kernel allows one.
PERMISSIONS = {
    "consent_given": _l("The customer agreed."),
    "not_objected": _l("The customer did not object."),
    "always": _l("This purpose needs no consent."),
}

OPEN, USED, EXPIRED, REVOKED, GONE = "open", "used", "expired", "revoked", "gone"

#: State of a request for consent → what its page says to who follows the link.
REQUEST_STATES = {
    OPEN: _l("Please confirm that you agree."),
    USED: _l("You confirmed this already. Nothing more is needed."),
    EXPIRED: _l("This link is too old. Ask for the message again, and a new one comes."),
    REVOKED: _l("You said no since. If you changed your mind, ask for the message again."),
    GONE: _l("The address this link was sent to is not stored any more."),
}
