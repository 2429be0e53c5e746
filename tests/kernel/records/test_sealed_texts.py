"""Whatever is sealed can be opened again; what could not be is refused before."""

from __future__ import annotations

import pytest

from crm_kernel.errors import InvalidInput
from crm_kernel.records.paging import Cursor, order_of
from crm_kernel.records.plan import plan_of
from crm_kernel.records.sealing import MAX_CONTENT, MAX_SEALED, seal_field, seal_with, unseal_with

KEY, USE = "k" * 40, ("a", "b")


@pytest.mark.parametrize("length", [0, 1, MAX_CONTENT - 1, MAX_CONTENT])
def test_what_is_sealed_is_opened_up_to_the_bound(length):
    text = seal_with(KEY, b"x" * length, bound_to=USE)

    assert len(text) <= MAX_SEALED
    assert unseal_with([KEY], text, bound_to=USE) == b"x" * length


def test_what_could_not_be_opened_is_not_sealed():
    with pytest.raises(ValueError, match="2985 bytes are too many"):
        seal_with(KEY, b"x" * (MAX_CONTENT + 1), bound_to=USE)


def test_what_is_typed_is_refused_by_its_field(crm_app):
    with crm_app.app_context(), pytest.raises(InvalidInput) as refused:
        seal_field("pin", "é" * 1_900, bound_to=USE)

    assert list(refused.value.errors) == ["pin"]


def test_a_page_whose_place_is_too_long_for_an_address_says_so(crm_app, types):
    with crm_app.app_context(), pytest.raises(InvalidInput) as refused:
        Cursor("é" * 1_900, 1).encode(order_of(plan_of(types.thing), "name"))

    assert list(refused.value.errors) == ["sort"]
