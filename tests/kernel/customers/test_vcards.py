"""vCards of three versions become customers, and customers become vCards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.vcards import CardRead, CustomerDraft, read_vcards, write_vcards


def _card(*lines: str, version: str = "3.0") -> str:
    return "\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD", ""])


def _customer(*lines: str, version: str = "3.0") -> CustomerDraft:
    customer = read_vcards(_card(*lines, version=version))[0].customer
    assert customer is not None
    return customer


def _reasons(cards: list[CardRead]) -> list[str]:
    return [card.problem.message if card.problem else "" for card in cards]


def test_the_card_of_evolution_becomes_a_customer(shared_data: Callable[[str], Path]) -> None:
    (card,) = read_vcards(shared_data("formats/evolution.vcf").read_bytes())

    assert card.customer is not None
    notes = card.customer.pop("notes")  # type: ignore[misc]
    assert notes.startswith("THIS SOFTWARE IS PROVIDED")
    assert "INCLUDING, BUT NOT LIMITED TO, THE IMPLIED" in notes
    assert card.customer == {
        "kind": "person",
        "given_name": "John",
        "family_name": "Doe",
        "display_name": "Mr. John Richter, James Doe Sr.",
        "prefix": "Mr.",
        "suffix": "Sr.",
        "birth_date": date(1980, 3, 22),
        "job_title": "Money Counter",
        "organization": "IBM",
        "department": "Accounting, Dungeon",
        "languages": [],
        "contact_points": [
            {"channel": "phone", "value": "905-666-1234", "label": "mobile"},
            {"channel": "phone", "value": "905-555-1234", "label": "work"},
            {"channel": "email", "value": "john.doe@ibm.com", "label": "work"},
            {"channel": "url", "value": "http://www.ibm.com", "label": ""},
        ],
        "addresses": [
            {
                "purpose": "home",
                "street": "ASB-123\n15 Crescent moon drive",
                "postal_code": "12345",
                "city": "Albaney",
                "region": "New York",
                "country_code": "US",
            }
        ],
        "external_ref": "477343c8e6bf375a9bac1f96a5000837",
    }
    assert {"X-AIM", "CATEGORIES", "N (additional names)"} <= set(card.ignored)
    assert not {"VERSION", "REV", "FN"} & set(card.ignored)


def test_a_card_of_version_2_1_is_read_with_bare_types_and_quoted_printable() -> None:
    customer = _customer(
        "N;CHARSET=ISO-8859-1;QUOTED-PRINTABLE:M=FCller;Ren=E9e;;Dr.",
        "TEL;WORK;VOICE:01 23 45 67 89",
        "TEL;CELL;PREF:06 12 34 56 78",
        "NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:caf=C3=A9, two=0D=0A=",
        "lines=",
        " here",
        "ORG:Smith, Jones & Co",
        version="2.1",
    )

    assert (customer["family_name"], customer["given_name"], customer["prefix"]) == ("Müller", "Renée", "Dr.")
    assert customer["display_name"] == "Renée Müller"
    assert customer["notes"] == "café, two\nlines here"
    assert customer["organization"] == "Smith, Jones & Co"
    assert [(point["value"], point["label"]) for point in customer["contact_points"]] == [
        ("06 12 34 56 78", "mobile"),
        ("01 23 45 67 89", "work"),
    ]


def test_a_card_of_version_4_0_is_read_with_uris_preferences_and_languages() -> None:
    customer = _customer(
        "FN:Jane Doe",
        "UID:urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1",
        'TEL;VALUE=uri;PREF=2;TYPE="voice,home":tel:+33-1-23-45-67-89;ext=12',
        "TEL;PREF=1;TYPE=cell:+33612345678",
        "EMAIL;TYPE=work:mailto:jane@acme.fr",
        "LANG;PREF=2:en",
        "LANG;PREF=1:fr",
        "BDAY:19800322",
        "ADR;TYPE=work:;;1 rue de la Paix;Paris;;75002;France",
        version="4.0",
    )

    assert customer["languages"] == ["fr", "en"]
    assert customer["birth_date"] == date(1980, 3, 22)
    assert [point["value"] for point in customer["contact_points"]] == [
        "+33612345678",
        "+33-1-23-45-67-89;ext=12",
        "jane@acme.fr",
    ]
    assert customer["addresses"][0]["country_code"] == "FR"


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["FN:Acme", "ORG:Acme"],                    "organization"),
        (["FN:Acme", "ORG:Acme;Sales"],              "organization"),
        (["FN:Jane", "ORG:Acme"],                    "person"),
        (["FN:Acme", "ORG:Acme", "N:Doe;Jane"],      "person"),
        (["FN:Acme", "KIND:org"],                    "organization"),
        (["FN:Acme", "X-ABShowAs:COMPANY"],          "organization"),
        (["FN:Roy", "X-CRM-KIND:household"],         "household"),
        (["FN:Acme", "ORG:Acme", "KIND:individual"], "person"),
        (["ORG:Acme"],                               "organization"),
    ],
)  # fmt: skip
def test_the_kind_of_customer_is_said_or_seen(lines: list[str], kind: str) -> None:
    assert _customer(*lines)["kind"] == kind


def test_a_label_of_apple_is_taken_from_its_group() -> None:
    customer = _customer(
        "FN:Jane",
        "item1.EMAIL;type=INTERNET:jane@acme.fr",
        "item1.X-ABLabel:Newsletter",
        "item2.TEL:+33123456789",
        "item2.X-ABLabel:_$!<Work>!$_",
    )

    assert sorted(point["label"] for point in customer["contact_points"]) == ["Newsletter", "work"]


def test_a_broken_card_does_not_lose_the_others() -> None:
    source = _card("FN:First") + "BEGIN:VCARD\r\nFN:Cut" + "\r\n" + _card("NOTE:nobody") + _card("FN:Last")

    cards = read_vcards(source)

    assert [card.customer and card.customer["display_name"] for card in cards] == ["First", None, None, "Last"]
    assert _reasons(cards) == [
        "",
        "card 2 has no END:VCARD: the file may be cut",
        "card 3 names nobody: expected FN, N, ORG or EMAIL",
        "",
    ]


def test_a_file_cut_in_its_last_card_says_so() -> None:
    assert isinstance(read_vcards(_card("FN:A") + "BEGIN:VCARD\nFN:B")[1].problem, ValueProblem)


def test_an_unreadable_line_is_reported_and_the_rest_of_the_card_is_kept() -> None:
    (card,) = read_vcards(
        _card("FN:Jane", "this is no property", "NOTE;QUOTED-PRINTABLE;CHARSET=x-none:=E9", "TITLE:CEO")
    )

    assert card.customer is not None
    assert card.customer["job_title"] == "CEO"
    assert card.ignored == ("line 3", "line 4")


def test_what_has_no_field_is_reported_as_ignored() -> None:
    (card,) = read_vcards(
        _card("FN:Jane", "PHOTO;ENCODING=b:AAAA", "BDAY:--0322", "NICKNAME:J", "ADR:;;;Oz;;;Atlantis")
    )

    assert card.ignored == ("ADR country 'Atlantis'", "BDAY", "NICKNAME", "PHOTO")


def test_a_card_inside_a_card_is_left_out() -> None:
    (card,) = read_vcards(
        _card("FN:Boss", "AGENT:", "BEGIN:VCARD", "FN:Agent", "END:VCARD", "TITLE:CEO", version="2.1")
    )

    assert card.customer is not None
    assert (card.customer["display_name"], card.customer["job_title"]) == ("Boss", "CEO")


@pytest.mark.parametrize(
    ("prefix", "encoding"),
    [
        (b"", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8"),
        (b"", "cp1252"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ],
)
def test_bytes_are_read_in_the_encoding_they_show(prefix: bytes, encoding: str) -> None:
    (card,) = read_vcards(prefix + _card("FN:Élodie").encode(encoding))

    assert card.customer is not None
    assert card.customer["display_name"] == "Élodie"


def test_bytes_are_read_in_the_charset_they_name() -> None:
    (card,) = read_vcards(_card("FN;CHARSET=windows-1251:Анна").encode("cp1251"))

    assert card.customer is not None
    assert card.customer["display_name"] == "Анна"


def test_text_without_a_card_gives_nothing() -> None:
    assert read_vcards("") == read_vcards(b"name;phone\n") == []


def test_a_written_card_is_version_3_with_folded_lines_and_crlf() -> None:
    text = write_vcards([_customer("FN:Jane", "NOTE:" + "é" * 200)])

    lines = text.split("\r\n")
    assert lines[:2] == ["BEGIN:VCARD", "VERSION:3.0"]
    assert max(len(line.encode()) for line in lines) <= 75
    assert "\n" not in text.replace("\r\n", "")


def test_a_value_cannot_end_its_card_or_add_a_property() -> None:
    customer = _customer("FN:Jane")
    customer["notes"] = "x\r\nEND:VCARD\rBEGIN:VCARD\nFN:Mallory"

    (card,) = read_vcards(write_vcards([customer]))

    assert card.customer is not None
    assert card.customer["display_name"] == "Jane"
    assert card.customer["notes"] == "x\nEND:VCARD\nBEGIN:VCARD\nFN:Mallory"


TEXT = st.text(
    alphabet=st.characters(exclude_categories=["Cc", "Cs", "Z", "Cn"]) | st.sampled_from(" ,;:\\\"'é"), max_size=90
)
TRIMMED = TEXT.map(lambda text: " ".join(text.split()))
NAME = TRIMMED.filter(bool)
LABEL = st.sampled_from(["mobile", "work", "home", "fax", "pager", ""]) | TRIMMED.filter(
    lambda text: "_$!<" not in text
)
ADDRESS = st.fixed_dictionaries(
    {
        "purpose": st.sampled_from(["work", "home", "other", "billing"]),
        "street": st.lists(NAME, min_size=1, max_size=3).map("\n".join),
        "postal_code": TRIMMED,
        "city": TRIMMED,
        "region": TRIMMED,
        "country_code": st.sampled_from(["", "FR", "US", "GB", "CI"]),
    }
)
CUSTOMER = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["person", "organization", "household"]),
        "given_name": TRIMMED,
        "family_name": TRIMMED,
        "display_name": NAME,
        "prefix": TRIMMED,
        "suffix": TRIMMED,
        "birth_date": st.none() | st.dates(),
        "job_title": TRIMMED,
        "organization": NAME,
        "department": TRIMMED,
        "notes": st.lists(NAME, max_size=3).map("\n".join),
        "languages": st.lists(st.sampled_from(["fr", "en-GB"]), max_size=2),
        "contact_points": st.lists(
            st.fixed_dictionaries({"channel": st.just("email"), "value": NAME.map("x{}".format), "label": LABEL}),
            max_size=3,
        ),
        "addresses": st.lists(ADDRESS, max_size=2),
        "external_ref": TRIMMED,
    }
)


@given(st.lists(CUSTOMER, max_size=3))
def test_what_is_written_is_read_back_the_same(customers: list[CustomerDraft]) -> None:
    cards = read_vcards(write_vcards(customers))

    assert [card.customer for card in cards] == customers
    assert [card.ignored for card in cards] == [()] * len(customers)


@given(
    st.lists(
        st.sampled_from(
            ["FN:a", "N:;;", "ADR:" + ";" * 9, "BEGIN:VCARD", "END:VCARD", "AGENT:", "\\", ";:=", " x", "TEL;=:1"]
        )
    )
)
def test_any_lines_are_read_without_an_exception(lines: list[str]) -> None:
    for card in read_vcards(_card(*lines)):
        assert (card.customer is None) == (card.problem is not None)
