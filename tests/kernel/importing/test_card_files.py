"""vCards: what is wrong in a card is left out and told, and who it is about is kept."""

from __future__ import annotations

import pytest

CARDS = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Lovelace\r\nTEL:12\r\nTEL:+33612345678\r\nEMAIL:ada at home\r\nEND:VCARD\r\n"
    "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Bob\r\nTEL;TYPE=CELL:+33 6 12 34 56 79\r\nTEL;TYPE=CELL:+33612345679\r\nEND:VCARD\r\n"
    "BEGIN:VCARD\r\nVERSION:3.0\r\nEND:VCARD\r\n"
)


@pytest.fixture
def import_cards(write, crm_app):
    """Import ``CARDS`` and return the result and what was reported: by the mapping of a test, else by the plain one."""

    def run():
        from crm_kernel.access.actor import SYSTEM
        from crm_kernel.records.importing import import_file
        from crm_kernel.records.importing.mapping import plain_mapping

        path, reported = write("a.vcf", CARDS), []
        with crm_app.app_context():
            return import_file(plain_mapping(path, "customer"), path, actor=SYSTEM, report=reported.append), reported

    return run


def test_a_wrong_number_is_left_out_of_its_card_and_told_and_the_person_is_kept(import_cards, rows_of, verdicts):
    result, reported = import_cards()

    assert verdicts(result) == {"created": 2, "refused": 1}
    told = {(left.row, left.column, left.found, left.refused) for left in result.sources[0].warnings}
    assert told == {(1, "EMAIL", "ada at home", False), (1, "TEL", "12", False)}
    assert "too short for a phone number" in next(w.expected for w in reported if w.column == "TEL")
    assert (result.left_out, result.to_json()["left_out"], len(reported)) == (2, 2, 3)
    assert rows_of("customer", "display_name", "primary_email", "primary_phone") == [
        {"display_name": "Ada Lovelace", "primary_email": None, "primary_phone": "+33612345678"},
        {"display_name": "Bob", "primary_email": None, "primary_phone": "+33 6 12 34 56 79"},
    ]


@pytest.mark.parametrize("day", ["1604-05-12", "2999-05-12"])
def test_a_birthday_that_is_none_is_left_out_of_its_card_and_told(write, crm_app, rows_of, day, verdicts):
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.importing import import_file
    from crm_kernel.records.importing.mapping import plain_mapping

    path = write("b.vcf", f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Lovelace\r\nBDAY:{day}\r\nEND:VCARD\r\n")
    with crm_app.app_context():
        result = import_file(plain_mapping(path, "customer"), path, actor=SYSTEM)

    assert verdicts(result) == {"created": 1}
    assert [(left.column, left.found) for left in result.sources[0].warnings] == [("BDAY", day)]
    assert rows_of("customer", "birth_date") == [{"birth_date": None}]


def test_a_card_that_names_nobody_is_refused_by_its_place_in_the_file(import_cards):
    result, _reported = import_cards()

    [refused] = result.sources[0].errors
    assert (refused.row, refused.expected) == (3, "card 3 names nobody: expected FN, N, ORG or EMAIL")


def test_a_card_with_a_full_name_alone_becomes_a_person_with_names(import_cards, rows_of):
    import_cards()

    assert rows_of("customer", "given_name", "family_name") == [
        {"given_name": "Ada", "family_name": "Lovelace"},
        {"given_name": None, "family_name": "Bob"},
    ]


def test_cards_are_imported_once_however_often_the_file_is(write, crm_app, tmp_path, rows_of, verdicts):
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.records.importing import import_file
    from crm_kernel.records.importing.mapping import plain_mapping

    path = write(
        "a.vcf",
        "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Lovelace\r\nN:Lovelace;Ada;;;\r\nEMAIL:ada@example.org\r\n"
        "TEL;TYPE=CELL:+33612345678\r\nADR;TYPE=HOME:;;12 rue de Rivoli;Paris;;75001;France\r\nEND:VCARD\r\n"
        "BEGIN:VCARD\r\nVERSION:3.0\r\nEND:VCARD\r\n",
    )

    with crm_app.app_context():
        mapping = plain_mapping(path, "customer")
        results = [import_file(mapping, path, actor=SYSTEM) for _time in range(2)]

    assert [verdicts(result) for result in results] == [{"created": 1, "refused": 1}, {"unchanged": 1, "refused": 1}]
    assert rows_of("customer", "display_name", "primary_email", "city") == [
        {"display_name": "Ada Lovelace", "primary_email": "ada@example.org", "city": "Paris"}
    ]
