"""Reads one sheet of an Excel workbook (.xlsx) as rows, and writes one: typed cells become text that is not guessed about.

Numbers, dates and times are known as such, so the file's conventions (decimal comma, day first) do not apply to them; a
text cell is the very text, leading zeros included. Formulas give the value the workbook keeps. A workbook is unpacked
into memory, hence the bound; a CSV file has none.
"""

from __future__ import annotations

import datetime as dt
import itertools
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.importing.rows import Row, Settled
from crm_kernel.records.importing.spreadsheets import restored

#: Bytes of a workbook once it is unpacked.
MAX_BYTES = 1_000_000_000
#: Numbers from this on have lost digits: a spreadsheet keeps fifteen.
_INEXACT = 10**15


def sheet_names(path: Path) -> list[str]:
    """Return the names of a workbook's sheets, in their order.

    Raises:
        InvalidInput: it is no workbook, is protected by a password, or is far too large.
    """
    return list(_workbook(path).sheet_names)


def sheet_rows(path: Path, sheet: str | None = None) -> Iterator[tuple[int, list[Any]]]:
    """Yield number and cells of every row of a sheet that is not blank; the first sheet if none is named.

    Raises:
        InvalidInput: as for ``sheet_names``, or there is no such sheet.
    """
    book = _workbook(path)
    name = sheet or book.sheet_names[0]
    if name not in book.sheet_names:
        known = ", ".join(book.sheet_names)
        raise InvalidInput({path.name: [_("has no sheet %(name)r; found: %(known)s.", name=name, known=known)]})
    for number, cells in enumerate(book.get_sheet_by_name(name).iter_rows(), 1):
        if any(cell not in ("", None) for cell in cells):
            yield number, cells


def row_of(number: int, cells: Sequence[Any], columns: Sequence[tuple[int, str]]) -> Row:
    """Return a row by the names of its columns; a number that has lost digits is its problem."""
    values = {column: cell_text(cells[place]) if place < len(cells) else "" for place, column in columns}
    lost = [column for place, column in columns if place < len(cells) and _is_inexact(cells[place])]
    if lost:
        text = _(
            "%(column)s: a spreadsheet does not keep numbers of more than 15 digits: make it text.", column=lost[0]
        )
        return Row(number, values, problem=text)
    return Row(number, values)


def cell_text(cell: Any) -> str:
    """Return a cell as text: a typed one as its schema reads it, a text as it is."""
    if isinstance(cell, str):
        return restored(cell)
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return Settled("true" if cell else "false")
    if isinstance(cell, float):
        return Settled(str(int(cell)) if cell.is_integer() else repr(cell))
    if isinstance(cell, dt.datetime) and cell.time() == dt.time():
        return Settled(cell.date().isoformat())
    if isinstance(cell, dt.datetime | dt.date | dt.time):
        return Settled(cell.isoformat())
    return Settled(cell)


def write_workbook(file: IO[bytes], header: Sequence[str], batches: Iterable[Iterable[Sequence[str]]]) -> None:
    """Write a workbook of one sheet, row by row; the cells are texts as a CSV file has them, protected already.

    Memory stays flat. Everything is text, as it is in a CSV file: what a spreadsheet would make of a number or a date
    depends on where it is opened, and a leading zero would be lost.

    Raises:
        InvalidInput: there are more rows than a sheet holds, or a text that a cell does not hold.
    """
    import xlsxwriter

    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(file, options) as book:
        sheet = book.add_worksheet("Export")
        bold = book.add_format({"bold": True})
        for place, name in enumerate(header):
            sheet.write_string(0, place, name, bold)
        for number, cells in enumerate(itertools.chain.from_iterable(batches), 1):
            if number >= MAX_ROWS:
                raise InvalidInput({"format": [_("A sheet holds %(most)s rows: export as CSV.", most=MAX_ROWS)]})
            for place, cell in enumerate(cells):
                if cell != "":
                    _refuse_cut(cell, sheet.write_string(number, place, cell))


#: Rows of a sheet, the header included.
MAX_ROWS = 1_048_576


def _refuse_cut(cell: str, written: int) -> None:
    """Refuse a text that the workbook would not give back: too long, or with characters that XML has not."""
    if written < 0:
        raise InvalidInput({"format": [_("A cell holds 32,767 characters, one text has more: export as CSV.")]})
    if "\ufffe" in cell or "\uffff" in cell:
        raise InvalidInput({"format": [_("A cell does not hold U+FFFE and U+FFFF, one text has them: export as CSV.")]})


def _is_inexact(cell: Any) -> bool:
    return isinstance(cell, float) and abs(cell) >= _INEXACT


def _workbook(path: Path) -> Any:
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError, XmlError, ZipError

    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > MAX_BYTES:
            message = _(
                "unpacked it has %(size)s bytes, at most %(most)s are read: save it as CSV.", size=size, most=MAX_BYTES
            )
            raise InvalidInput({path.name: [message]})
        return CalamineWorkbook.from_path(path)
    except PasswordError as error:
        raise InvalidInput({path.name: [_("is protected by a password.")]}) from error
    except (CalamineError, XmlError, ZipError, zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise InvalidInput({path.name: [_("is no Excel workbook (.xlsx): %(reason)s.", reason=error)]}) from error
