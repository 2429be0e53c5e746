"""Files as they come: encodings, separators, compression, and what is refused before a row is read."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing import sources
from crm_kernel.records.importing.sources import open_source


def rows(path: Path, **options):
    return [dict(row.values) for row in open_source(path, **options).rows()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_is_found_and_the_reason_told(write, encoding):
    source = open_source(write("a.csv", "Libellé;Nombre\nCafé;1\n".encode(encoding)))

    assert [dict(row.values) for row in source.rows()] == [{"Libellé": "Café", "Nombre": "1"}]
    assert source.detected["encoding"].startswith(f"{encoding} (")


def test_a_byte_that_is_no_utf8_is_named_with_its_line_as_reason_for_windows_1252(write):
    path = write("a.csv", b"Name\nAda\nCaf\xe9\n")

    assert open_source(path).detected["encoding"] == "cp1252 (line 3 has the byte 0xE9, which is no UTF-8)"


@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
def test_the_separator_is_found(write, separator):
    path = write("a.csv", f"a{separator}b\n1,5{separator}2\n" if separator != "," else 'a,b\n"1,5",2\n')

    assert rows(path) == [{"a": "1,5", "b": "2"}]


def test_the_first_line_of_a_spreadsheet_may_name_the_separator(write):
    assert rows(write("a.csv", "sep=|\na,x|b\n1|2\n")) == [{"a,x": "1", "b": "2"}]


def test_gzip_is_unpacked_whatever_the_name(write):
    assert rows(write("a.csv", gzip.compress(b"a,b\n1,2\n"))) == [{"a": "1", "b": "2"}]


def test_rows_know_the_line_they_start_on_even_after_quoted_line_breaks(write):
    path = write("a.csv", 'a,b\n"one\ntwo",2\n\n3,4\n')

    assert [row.number for row in open_source(path).rows()] == [2, 5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty: expected a header line"),
        (b"a,b,a\n1,2,3\n", "line 1: the column 'a' is there twice"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: found 3 cells, expected 2 as in the header"),
        (b"a,b\n1,2\n1\n", "line 3: found 1 cells, expected 2"),
        (b'a,b\n1,"2\n', "line 2: no sound CSV"),
        (b"a,b\n" + b"1,2\n" * 500 + b"1,\0\n", "line 502: holds a NUL character"),
        (b"a,b\n1,\0\n", "holds NUL bytes"),
        (b"a,b\n1,\x81\xff\n", "nor Windows-1252"),
        (b"\x1f\x8b\x08\x00broken", "cannot be unpacked"),
        (",".join(f"c{n}" for n in range(2_001)).encode() + b"\n", "2001 columns, expected at most 2000"),
    ],
)
def test_a_broken_file_is_refused_with_one_clear_message(write, content, message):
    path = write("a.csv", content)

    with pytest.raises(InvalidInput) as refused:
        list(open_source(path).rows())

    assert str(refused.value).startswith("a.csv: ")
    assert message in str(refused.value)


def test_a_wrong_declared_encoding_is_named_with_line_and_byte(write):
    path = write("a.csv", "Nom\nAda\nCafé\n".encode("cp1252"))

    with pytest.raises(InvalidInput, match="line 3: the byte 0xE9 is not valid utf-8: correct encoding in the mapping"):
        open_source(path, encoding="utf-8")
    with pytest.raises(InvalidInput, match="found 'utf-9', expected for example utf-8"):
        open_source(path, encoding="utf-9")


@pytest.mark.parametrize("encoding", ["hex", "rot13", "undefined", "a\0b", "x" * 1_000])
def test_what_is_no_text_encoding_is_refused(write, encoding):
    path = write("a.csv", "a,b\n1,2\n")

    with pytest.raises(InvalidInput, match="expected for example utf-8"):
        open_source(path, encoding=encoding)


@pytest.mark.parametrize("separator", ["ab", ";;", '"', "\n", "\0", "tabs"])
def test_what_is_no_separator_is_refused(write, separator):
    path = write("a.csv", "a;b\n1;2\n")

    with pytest.raises(InvalidInput, match=r"a\.csv: separator: found .*, expected one character"):
        open_source(path, separator=separator)


@pytest.mark.parametrize(
    ("first", "separator"),
    [("sep=\t\n", None), ("sep=tab\n", None), ("SEP=\\t\r\n", None), ("", "tab"), ("", r"\t"), ("", "\t")],
)
def test_a_tab_is_announced_or_said(write, first, separator):
    path = write("a.csv", f"{first}a;x\tb\n1\t2\n")

    assert rows(path, separator=separator) == [{"a;x": "1", "b": "2"}]


def test_an_announced_separator_of_several_characters_is_refused(write):
    with pytest.raises(InvalidInput, match="separator: found ';;'"):
        open_source(write("a.csv", "sep=;;\na;b\n"))


@pytest.mark.parametrize(("name", "first"), [("a.csv", b"a"), ("a.jsonl", b"{}"), ("a.vcf", b"BEGIN:VCARD")])
@pytest.mark.parametrize("declared", [None, "utf-8"])
def test_a_line_without_end_is_refused_once_it_is_too_long_whatever_follows(write, name, first, declared):
    packed = gzip.compress(first + b"\n" + b"x" * 60_000_000)
    path = write(f"{name}.gz", packed[: len(packed) // 2])  # whoever reads on finds that it is cut
    tracemalloc.start()

    try:
        with pytest.raises(InvalidInput, match="line 2: longer than 1000000 characters"):
            open_source(path, encoding=declared)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 20_000_000


def test_json_lines_are_rows_and_a_broken_one_is_named(write):
    assert rows(write("a.jsonl", '{"a": 1}\n\n{"b": [2]}\n')) == [{"a": 1}, {"b": [2]}]

    with pytest.raises(InvalidInput, match="line 2: not valid JSON"):
        open_source(write("b.jsonl", "{}\n{\n"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (r'{"a": "\u0000"}', "line 2: holds a NUL character"),
        (r'{"a": {"b": ["\\\u0000"]}}', "line 2: holds a NUL character"),
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "line 2: lists and objects are nested more than 50 deep"),
    ],
)
def test_a_json_line_that_cannot_be_stored_or_told_of_is_named(write, line, message):
    with pytest.raises(InvalidInput, match=message):
        open_source(write("b.jsonl", f"{{}}\n{line}\n"))


def test_a_json_line_may_speak_of_nul_and_hold_many_lists(write):
    line = r'{"a": "\\u0000", "b": [' + ", ".join(["[[1]]"] * 60) + "]}"

    assert rows(write("a.jsonl", f"{line}\n")) == [{"a": r"\u0000", "b": [[[1]]] * 60}]
    with pytest.raises(InvalidInput, match="line 1: expected a JSON object, found list"):
        open_source(write("c.jsonl", "[]\n"))


def test_a_file_of_an_unknown_kind_is_refused_with_the_known_ones(write):
    with pytest.raises(InvalidInput, match=r"a\.pdf: unknown kind of file; expected one of \.csv, "):
        open_source(write("a.pdf", "x"))


def test_cards_become_rows_with_the_fields_of_customers(write, crm_app):
    card = (
        "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Lovelace\r\nN:Lovelace;Ada;;;\r\nTEL;TYPE=CELL:+33612345678\r\n"
        "URL:http://ada.example\r\nX-AIM:ada\r\nEND:VCARD\r\n"
    )
    source = open_source(write("a.vcf", card * 2))

    with crm_app.app_context():
        [first, second] = source.rows()

    assert (first.number, second.number) == (1, 2)
    assert first.values["contact_points"] == [
        {"channel": "mobile", "value": "+33612345678"},
        {"channel": "web", "value": "http://ada.example"},
    ]
    assert first.values["external_ref"] == second.values["external_ref"]
    assert "X-AIM" in source.detected["ignored"]


def test_a_file_without_a_card_is_refused(write):
    with pytest.raises(InvalidInput, match="holds no vCard"):
        open_source(write("a.vcf", "hello\n"))


def test_a_card_without_end_cannot_fill_the_memory(write, monkeypatch):
    monkeypatch.setattr(sources, "MAX_CARD", 100)

    with pytest.raises(InvalidInput, match="a card longer than 100 characters"):
        open_source(write("a.vcf", "BEGIN:VCARD\n" + "NOTE:x\n" * 100))
