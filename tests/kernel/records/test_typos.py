"""Mistyped names are found, on both databases alike; what is hidden, and what is something else, is not."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("type_sizes")

MAKERS = "/api/toyrecords/makers"


@pytest.fixture
def search(login):
    """The titles that the global search finds: ``search("text")``, ``search("text", browser)``."""
    admin = login("administrator")

    def run(text, browser=admin):
        groups = browser.get("/search", query_string={"q": text}, headers={"Accept": "application/json"}).json
        return [item["title"] for group in groups for item in group["items"]]

    return run


@pytest.fixture
def makers(api):
    client = api("administrator")
    for name in ("Martinez & Söhne", "Müller Werke", "Marcus", "Kovalevskaya Optics", "Acme"):
        assert client.post(MAKERS, {"name": name}).status_code == 201


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("martinez", "Martinez & Söhne"),
        ("martines", "Martinez & Söhne"),
        ("matrinez", "Martinez & Söhne"),
        ("martnez", "Martinez & Söhne"),
        ("marttinez", "Martinez & Söhne"),
        ("sohne martinec", "Martinez & Söhne"),
        ("MULELR", "Müller Werke"),
        ("mullr", "Müller Werke"),
        ("muller werek", "Müller Werke"),
        ("kovalevskaja", "Kovalevskaya Optics"),
        ("kovalevkaja", "Kovalevskaya Optics"),
        ("marcsu", "Marcus"),
    ],
)
def test_a_slip_is_forgiven(makers, search, typed, found):
    assert found in search(typed)


@pytest.mark.parametrize("typed", ["martini shop", "mortimer", "acne", "muellerei", "zqmar", "xx"])
def test_what_is_something_else_is_not_found(makers, search, typed):
    assert search(typed) == (["Acme"] if typed == "acne" else [])


def test_exact_hits_are_not_watered_down(makers, api, search):
    for number in range(3):
        api("administrator").post(MAKERS, {"name": f"Marcos {number}"})

    assert search("marcos") == ["Marcos 0", "Marcos 1", "Marcos 2"]


def test_what_one_may_not_see_is_not_found_by_a_slip_either(login, make_things, search):
    make_things(("lantern", 1))

    assert search("lantren") == ["lantern"]
    assert search("lantren", login("representative")) == []


def test_text_of_other_kinds_breaks_nothing(makers, search):
    for typed in ('"; DROP', "a:* | b", "NEAR(x y)", "''''", "ma\x00rt", "١٢٣٤٥", "é" * 300, "body : martin"):
        assert isinstance(search(typed), list)
