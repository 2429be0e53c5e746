"""Every fixed word has a label, and every label a word."""

from __future__ import annotations

from crm_kernel.customers import choices
from crm_kernel.customers.values.identifiers import IDENTIFIER_TYPES
from crm_kernel.customers.values.states import ContactState
from crm_kernel.touchpoints.choices import CHANNELS, DIRECTIONS, KINDS, USUAL


def test_labels_and_colours_cover_their_words_exactly():
    assert choices.IDENTIFIERS.keys() == IDENTIFIER_TYPES.keys()
    assert (
        choices.CONTACT_STATES.keys() == choices.CONTACT_STATE_COLORS.keys() == {state.value for state in ContactState}
    )
    assert choices.STATUSES.keys() == choices.STATUS_COLORS.keys()
    assert choices.STAGES.keys() == choices.STAGE_COLORS.keys()


def test_every_kind_of_contact_has_a_usual_channel_and_direction():
    assert USUAL.keys() == KINDS.keys()
    assert {channel for channel, _direction in USUAL.values()} <= CHANNELS.keys()
    assert {direction for _channel, direction in USUAL.values()} <= DIRECTIONS.keys()
