"""The life of a contact point: evidence in, state out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel.customers.values.states import (
    SOFT_BOUNCE_LIMIT,
    ContactState,
    Evidence,
    can_use,
    next_state,
    replay,
)

HISTORY = st.lists(st.sampled_from(list(Evidence)), max_size=30)


@pytest.mark.parametrize(
    ("state", "evidence", "after"),
    [
        ("unverified",   "confirmed",             "valid"),
        ("unverified",   "delivered",             "valid"),
        ("unverified",   "hard_bounced",          "hard_bounce"),
        ("valid",        "soft_bounced",          "soft_bounce"),
        ("valid",        "unreachable",           "soft_bounce"),
        ("valid",        "complained",            "valid"),
        ("valid",        "retired",               "retired"),
        ("soft_bounce",  "delivered",             "valid"),
        ("soft_bounce",  "complained",            "soft_bounce"),
        ("hard_bounce",  "delivered",             "hard_bounce"),
        ("hard_bounce",  "soft_bounced",          "hard_bounce"),
        ("hard_bounce",  "unreachable",           "hard_bounce"),
        ("hard_bounce",  "confirmed",             "valid"),
        ("hard_bounce",  "retired",               "retired"),
        ("hard_bounce",  "wrong_person_reported", "wrong_person"),
        ("hard_bounce",  "corrected",             "unverified"),
        ("retired",      "delivered",             "retired"),
        ("retired",      "hard_bounced",          "retired"),
        ("retired",      "confirmed",             "valid"),
        ("wrong_person", "confirmed",             "wrong_person"),
        ("wrong_person", "retired",               "wrong_person"),
        ("wrong_person", "corrected",             "unverified"),
    ],
)  # fmt: skip
def test_evidence_leads_from_state_to_state(state: str, evidence: str, after: str) -> None:
    assert next_state(state, evidence, soft_bounces_in_row=1) == after


def test_five_soft_bounces_in_a_row_make_a_hard_bounce() -> None:
    assert replay(["soft_bounced"] * (SOFT_BOUNCE_LIMIT - 1)) == "soft_bounce"
    assert replay(["soft_bounced"] * SOFT_BOUNCE_LIMIT) == "hard_bounce"


def test_a_delivery_between_soft_bounces_starts_the_count_again() -> None:
    assert replay(["soft_bounced"] * 4 + ["delivered"] + ["soft_bounced"] * 4) == "soft_bounce"


def test_unanswered_calls_neither_count_as_soft_bounces_nor_reset_them() -> None:
    assert replay(["unreachable"] * 20) == "soft_bounce"
    assert replay(["soft_bounced"] * 4 + ["unreachable", "soft_bounced"]) == "hard_bounce"


@given(HISTORY)
def test_after_a_hard_bounce_only_a_confirmation_makes_valid(history: list[Evidence]) -> None:
    after = [kind for kind in history if kind not in (Evidence.CONFIRMED, Evidence.CORRECTED)]

    assert replay([Evidence.HARD_BOUNCED, *after]) != ContactState.VALID


@given(HISTORY)
def test_a_correction_forgets_everything_before_it(history: list[Evidence]) -> None:
    assert replay([*history, Evidence.CORRECTED]) == ContactState.UNVERIFIED
    assert replay([*history, Evidence.CORRECTED, *[Evidence.SOFT_BOUNCED] * 4]) == ContactState.SOFT_BOUNCE


@given(HISTORY)
def test_complaints_change_no_state(history: list[Evidence]) -> None:
    assert replay(history) == replay([kind for kind in history if kind is not Evidence.COMPLAINED])


@pytest.mark.parametrize("state", list(ContactState))
@pytest.mark.parametrize("evidence", list(Evidence))
def test_every_state_answers_every_evidence(state: ContactState, evidence: Evidence) -> None:
    assert next_state(state, evidence, soft_bounces_in_row=0) in ContactState


def test_only_live_states_can_be_used() -> None:
    assert [state.value for state in ContactState if can_use(state)] == ["unverified", "valid", "soft_bounce"]


def test_an_unknown_state_or_evidence_is_refused() -> None:
    with pytest.raises(ValueError, match="bounced_hard"):
        can_use("bounced_hard")
    with pytest.raises(ValueError, match="edited"):
        next_state("valid", "edited", soft_bounces_in_row=0)
