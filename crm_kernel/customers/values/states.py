"""Whether a contact point can be used, and how evidence changes that.

Owns the state machine of ``contact_point.state``: states, kinds of evidence, and the transitions as one table. Evidence
is append-only; the state is what ``replay`` makes of it. Must not know about consent: a complaint is evidence too, but
what it forbids is a suppression, not a state.

A form never sets a state. Editing a value is evidence ``corrected``, and only when the *normalised* value changes:
saving a bounced address unchanged is no evidence. When the new value was known before, replay that value's own
evidence instead, or editing a bounced address away and back would launder it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class ContactState(StrEnum):
    """What is known about a contact point; stored by value."""

    UNVERIFIED = "unverified"
    VALID = "valid"
    #: The last attempts failed for now; still used.
    SOFT_BOUNCE = "soft_bounce"
    #: Does not exist or failed too often; only ``confirmed`` brings it back.
    HARD_BOUNCE = "hard_bounce"
    #: The customer or an operator gave it up.
    RETIRED = "retired"
    #: Belongs to somebody else; not even ``confirmed`` brings it back, for it would be that somebody who confirms.
    WRONG_PERSON = "wrong_person"


class Evidence(StrEnum):
    """What happened to a contact point; stored by value in ``contact_point_event``."""

    #: Double opt-in, reply, or an answered call: the owner was there.
    CONFIRMED = "confirmed"
    #: Accepted by the receiving system.
    DELIVERED = "delivered"
    SOFT_BOUNCED = "soft_bounced"
    HARD_BOUNCED = "hard_bounced"
    #: Marked as spam: changes no state, the caller records a suppression.
    COMPLAINED = "complained"
    #: Nobody answered; never counts towards a hard bounce.
    UNREACHABLE = "unreachable"
    WRONG_PERSON_REPORTED = "wrong_person_reported"
    RETIRED = "retired"
    #: The normalised value was replaced by one never seen: what was known no longer applies.
    CORRECTED = "corrected"


#: Consecutive soft bounces that make a hard one.
SOFT_BOUNCE_LIMIT = 5

_S = ContactState
_LIVE = (_S.UNVERIFIED, _S.VALID, _S.SOFT_BOUNCE)

#: Evidence → the states it changes and the state it leads to; in any other state it changes nothing.
TRANSITIONS: Mapping[Evidence, tuple[tuple[ContactState, ...], ContactState]] = MappingProxyType(
    {
        Evidence.CONFIRMED: ((*_LIVE, _S.HARD_BOUNCE, _S.RETIRED), _S.VALID),
        Evidence.DELIVERED: (_LIVE, _S.VALID),
        Evidence.SOFT_BOUNCED: (_LIVE, _S.SOFT_BOUNCE),
        Evidence.HARD_BOUNCED: (_LIVE, _S.HARD_BOUNCE),
        Evidence.COMPLAINED: ((), _S.VALID),
        Evidence.UNREACHABLE: (_LIVE, _S.SOFT_BOUNCE),
        Evidence.WRONG_PERSON_REPORTED: (tuple(_S), _S.WRONG_PERSON),
        Evidence.RETIRED: ((*_LIVE, _S.HARD_BOUNCE), _S.RETIRED),
        Evidence.CORRECTED: (tuple(_S), _S.UNVERIFIED),
    }
)


def next_state(state: str, evidence_kind: str, *, soft_bounces_in_row: int) -> ContactState:
    """Return the state after one more piece of evidence.

    Args:
        state: a ``ContactState`` or its value.
        evidence_kind: an ``Evidence`` or its value.
        soft_bounces_in_row: ``soft_bounced`` events since the last delivery, confirmation or correction, this one
            included; read for ``soft_bounced`` only. From ``SOFT_BOUNCE_LIMIT`` on they make a hard bounce.

    Raises:
        ValueError: when the state or the evidence is not one of ours.
    """
    current, evidence = ContactState(state), Evidence(evidence_kind)
    from_states, target = TRANSITIONS[evidence]
    if current not in from_states:
        return current
    if evidence is Evidence.SOFT_BOUNCED and soft_bounces_in_row >= SOFT_BOUNCE_LIMIT:
        return ContactState.HARD_BOUNCE
    return target


def replay(evidence: Iterable[str]) -> ContactState:
    """Return the state that a value's evidence, oldest first, leads to from ``unverified``.

    Raises:
        ValueError: when a piece of evidence is not one of ours.
    """
    state, in_row = ContactState.UNVERIFIED, 0
    for kind in evidence:
        in_row = soft_bounces_after(kind, in_row)
        state = next_state(state, kind, soft_bounces_in_row=in_row)
    return state


def soft_bounces_after(evidence_kind: str, in_row: int) -> int:
    """Return how many soft bounces stand in a row after this evidence, given how many stood before it."""
    evidence = Evidence(evidence_kind)
    if evidence is Evidence.SOFT_BOUNCED:
        return in_row + 1
    return 0 if evidence in (Evidence.CONFIRMED, Evidence.DELIVERED, Evidence.CORRECTED) else in_row


def can_use(state: str) -> bool:
    """Return whether a message may be sent there as far as the address goes; consent is asked elsewhere.

    Raises:
        ValueError: when the state is not one of ours.
    """
    return ContactState(state) in _LIVE
