"""E-mail addresses: unwrapping, matching form, refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.provisional import domains

from crm_kernel.customers.values import emails
from crm_kernel.customers.values.emails import Email, EmailParser, normalize_email
from crm_kernel.customers.values.errors import ValueProblem


@pytest.mark.parametrize(
    "raw",
    [
        "Jane.Doe@Acme.FR",
        "  Jane.Doe@acme.fr ",
        "mailto:Jane.Doe@acme.fr?subject=Hello",
        "MAILTO:Jane.Doe%40acme.fr",
        "Jane Doe <Jane.Doe@acme.fr>",
        '"Doe, Jane (Acme)" <Jane.Doe@acme.fr>',
        "Doe, Jane <Jane.Doe@acme.fr>",
        "jane@old.fr <Jane.Doe@acme.fr>",
        "<mailto:Jane.Doe@acme.fr>",
        "\ufeffJane.Doe@acme.fr\u200b",
    ],
)
def test_the_wrappings_of_one_address_become_one(raw: str) -> None:
    assert normalize_email(raw) == Email("Jane.Doe@acme.fr", "jane.doe@acme.fr")


def test_an_international_domain_matches_its_ascii_form() -> None:
    unicode, ascii_form = normalize_email("info@Bücher.de"), normalize_email("info@xn--bcher-kva.de")

    assert unicode.value == ascii_form.value == "info@bücher.de"
    assert unicode.normalized == ascii_form.normalized == "info@xn--bcher-kva.de"


def test_an_international_local_part_is_lower_cased_and_composed() -> None:
    assert normalize_email("E\u0301lodie@acme.fr").normalized == "élodie@acme.fr"


@pytest.mark.parametrize("raw", ["a@shop.test", "a@corp.example", "a@dc1.local", "a@x.invalid", "a@mail.example.com"])
def test_a_special_use_domain_is_accepted_and_marked_as_not_routable(raw: str) -> None:
    email = normalize_email(raw.upper())

    assert (email.value, email.normalized) == ("A" + raw[1:], raw)
    assert not email.routable


@pytest.mark.parametrize("raw", ["a@acme.fr", "a@notexample.com", "a@bücher.de"])
def test_a_public_domain_is_routable(raw: str) -> None:
    assert normalize_email(raw).routable


def test_tags_and_dots_of_the_local_part_stay() -> None:
    assert normalize_email("J.D+crm@gmail.com").normalized == "j.d+crm@gmail.com"


def test_the_domain_is_known() -> None:
    assert normalize_email("a@Bücher.de").domain == "xn--bcher-kva.de"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("jane@acme.fr\r\nBcc: all@acme.fr", "line break or NUL"),
        ("jane@acme.fr\n",                   "line break or NUL"),
        ("jane\x00@acme.fr",                 "line break or NUL"),
        ("Jane\n<jane@acme.fr>",             "line break or NUL"),
        ("mailto:jane@acme.fr%0D%0ABcc:x",   "line break or NUL"),
        ("",                                 "no @"),
        ("jane",                             "no @"),
        ("jane@gmail",                       "should have a period"),
        ("root@localhost",                   "should have a period"),
        ("a@acme.fr, b@acme.fr",             "several"),
        ("a@acme.fr;b@acme.fr",              "several"),
        ("a@b@acme.fr",                      "not a valid"),
        ("a..b@acme.fr",                     "two periods"),
        ("jane@[127.0.0.1]",                 "not a valid"),
        ("jane@1.2.3.4",                     "not a valid"),
        ('"jane doe"@acme.fr',               "not a valid"),
        ("@shop.test",                       "not a valid"),
        ("jane@.test",                       "not a valid"),
        ("jane.test",                        "no @"),
        ("jane@acme_x.fr",                   "not a valid"),
        ("x" * 300 + "@acme.fr",             "too long"),
        ("x" * 3000 + "@acme.fr",            "too long"),
    ],
)  # fmt: skip
def test_a_refusal_says_why(raw: str, reason: str) -> None:
    with pytest.raises(ValueProblem, match=reason):
        normalize_email(raw)


def test_a_refusal_repeats_only_the_beginning_of_a_long_text() -> None:
    with pytest.raises(ValueProblem) as caught:
        normalize_email("x" * 3000)

    assert len(caught.value.message) < 200


@given(st.text(alphabet="abZÉßİſø.+_-09", min_size=1, max_size=20), domains())
def test_normalising_a_normalised_address_changes_nothing(local: str, domain: str) -> None:
    outcome = EmailParser().outcome(f"{local}@{domain}")
    if isinstance(outcome, ValueProblem):
        return

    assert normalize_email(outcome.normalized).normalized == outcome.normalized
    assert normalize_email(outcome.value) == outcome


@given(st.text(max_size=60) | st.emails())
def test_any_text_is_an_address_or_a_problem(raw: str) -> None:
    outcome = EmailParser().outcome(raw)

    if isinstance(outcome, ValueProblem):
        assert outcome.message
    else:
        assert not set("\r\n\x00<> ") & set(outcome.normalized)


def test_the_parser_reads_a_distinct_value_once() -> None:
    parse = EmailParser()

    assert parse("jane@acme.fr") is parse("jane@acme.fr")
    assert parse.outcome("jane") is parse.outcome("jane")


@given(
    st.text("ab1.-_+@", max_size=12) | st.builds("{}@{}".format, st.text("ab1.-_+", min_size=1, max_size=70), domains())
)
def test_an_address_taken_as_it_is_is_what_the_library_would_make_of_it(raw: str) -> None:
    address = raw.lower()

    if emails._is_plain(address):
        assert emails._read(address) == Email(address, address)
