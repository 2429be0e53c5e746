"""``crm roles fields``: what a role restricts is said, listed and taken back."""

from __future__ import annotations

import json

import pytest


def test_a_field_is_restricted_listed_and_freed(crm, instance):
    hidden = crm("roles", "fields", "restrict", "reader", "customer", "notes", "hidden")
    listed = json.loads(crm("roles", "fields", "list", "reader", "--json").stdout)
    freed = crm("roles", "fields", "free", "reader", "customer", "notes")

    assert (hidden.exit_code, hidden.stderr) == (0, "reader neither sees nor writes notes of customer.\n")
    assert listed == [{"role": "reader", "record_type": "customer", "field": "notes", "access": "hidden"}]
    assert freed.exit_code == 0
    assert json.loads(crm("roles", "fields", "list", "reader", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["restrict", "nobody", "customer", "notes", "hidden"],        3, "There is no role nobody"),
        (["restrict", "reader", "nothing", "notes", "hidden"],         3, "no record type 'nothing'"),
        (["restrict", "reader", "customer", "shoe_size", "hidden"],    2, "expected one of"),
        (["restrict", "reader", "customer", "display_name", "hidden"], 2, "it can be read only"),
        (["restrict", "administrator", "customer", "notes", "read"],   5, "sees and writes every field"),
        (["free", "reader", "customer", "notes"],                      3, "has no rule for customer.notes"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(crm, instance, arguments, code, words):
    result = crm("roles", "fields", *arguments)

    assert (result.exit_code, words in result.stderr) == (code, True), result.stderr
