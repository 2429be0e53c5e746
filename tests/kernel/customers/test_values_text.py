"""Folding, tokens, and the names that are built from them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel.customers.values.names import display_name, sort_name
from crm_kernel.text import fold, tokens


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Élodie NOËL", "elodie noel"),
        ("Łódź",        "lodz"),
        ("Straße",      "strasse"),
        ("Ærøskøbing",  "aeroskobing"),
        ("Œuvre",       "oeuvre"),
        ("Đặng",        "dang"),
        ("Þór",         "thor"),
        ("Diyarbakır",  "diyarbakir"),
        ("İstanbul",    "istanbul"),
        ("ﬁn",          "fin"),
        ("ＡＢＣ",       "abc"),
        ("Ὀδυσσεύς",    "οδυσσευσ"),
        ("Ёлка",        "елка"),
        ("한국",         "한국"),
    ],
)  # fmt: skip
def test_folding_removes_case_accents_and_strokes(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_folded_text_holds_no_combining_mark(text: str) -> None:
    decomposed = unicodedata.normalize("NFD", fold(text))

    assert not [char for char in decomposed if unicodedata.category(char).startswith("M")]


@given(st.text(alphabet="éèüñçàøłABCé̂ "))
def test_composed_and_decomposed_spellings_fold_alike(text: str) -> None:
    assert fold(unicodedata.normalize("NFC", text)) == fold(unicodedata.normalize("NFD", text))


def test_tokens_are_folded_words_in_order_with_repeats() -> None:
    assert tokens("L’Oréal, Saint-Ouen 2 saint") == ["l", "oreal", "saint", "ouen", "2", "saint"]


def test_an_underscore_separates_words_as_in_both_databases() -> None:
    assert tokens("jean_dupont@acme.fr") == ["jean", "dupont", "acme", "fr"]


def test_a_word_of_a_script_with_vowel_marks_stays_one_token() -> None:
    assert len(tokens("हिन्दी")) == 1
    assert len(tokens("ภาษาไทย")) == 1


@given(st.text())
def test_tokens_of_joined_tokens_are_the_same_tokens(text: str) -> None:
    assert tokens(" ".join(tokens(text))) == tokens(text)


@pytest.mark.parametrize(
    ("kind", "given_name", "family", "display", "shown", "sorted_as"),
    [
        ("person",       "Jane", "Müller", "",              "Jane Müller",    "muller jane"),
        ("person",       "Jane", "Müller", "Dr. J. Müller", "Dr. J. Müller",  "muller jane"),
        ("person",       "Cher", "",       "",              "Cher",           "cher"),
        ("person",       "",     "",       "J. Doe",        "J. Doe",         "j doe"),
        ("person",       "",     "O’Brien", "",             "O’Brien",        "o brien"),
        ("organization", "",     "",       "Saint-Gobain",  "Saint-Gobain",   "saint gobain"),
        ("organization", "",     "",       "  !!! ",        "!!!",            "!!!"),
        ("household",    "x",    "y",      "Famille  Roy",  "Famille Roy",    "famille roy"),
        ("person",       " ",    "",       "",              "",               ""),
    ],
)  # fmt: skip
def test_a_customer_is_shown_and_sorted_by_its_kind(
    kind: str, given_name: str, family: str, display: str, shown: str, sorted_as: str
) -> None:
    assert display_name(kind, given_name, family, display) == shown
    assert sort_name(kind, given_name, family, display) == sorted_as


def test_sorting_by_the_sort_name_ignores_accents_and_puts_short_names_first() -> None:
    people = [("Zoé", "Martinez"), ("Éric", "Martin"), ("Anne", "Martín"), ("Paul", "Étienne")]

    ordered = sorted(people, key=lambda person: sort_name("person", *person))

    assert [family for _, family in ordered] == ["Étienne", "Martín", "Martin", "Martinez"]
