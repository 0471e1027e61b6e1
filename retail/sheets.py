"""The one writer of files for spreadsheets: CSV and XLSX that are safe to open, however many rows.

Text is text: nothing a customer or a till wrote becomes a formula. Numbers stay numbers, money is yuan with two
decimals, a code with leading zeros keeps them (in XLSX; what a spreadsheet makes of a CSV is its own guess).
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import IO, Any, Literal, NamedTuple

import xlsxwriter
from django.utils import timezone
from django.utils.functional import Promise

Kind = Literal["text", "whole", "money", "moment"]


class Column(NamedTuple):
    """A heading, what stands below it, and how to get it from a row. `money` gets fen, `moment` an aware time."""

    title: str | Promise
    kind: Kind
    value: Callable[[Any], Any]


def of_rows(value: Callable[[Any], Any], *, total: Any = "") -> Callable[[Any], Any]:
    """What is no sum: the line of the total, a row that says `is_total`, has `total` there instead."""
    return lambda row: total if getattr(row, "is_total", False) else value(row)


_WIDE = tuple(map(chr, (0xFF1D, 0xFF0B, 0xFF0D, 0xFF20)))  # = + - @ as a Chinese keyboard types them
_BLANKS = " " + "".join(map(chr, (0x3000, 0xA0, 0xFEFF)))
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", *_WIDE)
# What XML cannot hold, and what a spreadsheet shows as nothing at all.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_LONGEST = 32_767  # characters a cell of a spreadsheet holds


def plain(text: object) -> str:
    """The text without control characters; a carriage return becomes a line feed, as elsewhere."""
    said = str(text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", said)[:_LONGEST]


def escaped(text: object) -> str:
    """Text for a cell of a CSV: an apostrophe stands before what a spreadsheet would run."""
    said = plain(text)
    is_formula = said.lstrip(_BLANKS).startswith(_FORMULA) or said.startswith(("\t", "\n"))
    return "'" + said[: _LONGEST - 1] if is_formula else said


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def csv_parts(*, columns: Sequence[Column], rows: Iterable[Any], size: int = 500) -> Iterator[bytes]:
    """A CSV of `size` rows at a time; UTF-8 with the mark by which spreadsheets know it."""
    scratch = io.StringIO(newline="")
    write = csv.writer(scratch).writerow
    scratch.write("\ufeff")
    write([escaped(column.title) for column in columns])
    for place, row in enumerate(rows, start=1):
        write([_written(column, row) for column in columns])
        if place % size == 0:
            yield _taken(scratch)
    yield _taken(scratch)


def _taken(scratch: io.StringIO) -> bytes:
    part = scratch.getvalue().encode()
    scratch.seek(0)
    scratch.truncate()
    return part


def _written(column: Column, row: Any) -> str:
    value = column.value(row)
    if value is None:
        return ""
    match column.kind:
        case "money":
            return f"{Decimal(int(value)) / 100:.2f}"
        case "whole":
            return str(int(value))
        case "moment":
            return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
    return escaped(value)


# ── XLSX ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
_SAFE = {
    "constant_memory": True,  # rows go to a file as they come
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
    "in_memory": False,
}
_WIDTHS = {"text": 18, "whole": 10, "money": 14, "moment": 20}


def write_xlsx(out: IO[bytes], *, columns: Sequence[Column], rows: Iterable[Any]) -> int:
    """Write one sheet into `out`; returns how many rows. Rows come one by one, so memory stays what it is."""
    count = 0
    with xlsxwriter.Workbook(out, _SAFE) as book:
        # The prefix keeps a cell text even after somebody has been in it with the cursor.
        formats = {
            "text": book.add_format({"num_format": "@", "quote_prefix": True}),
            "whole": book.add_format({"num_format": "0"}),
            "money": book.add_format({"num_format": "#,##0.00"}),
            "moment": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        }
        heading = book.add_format({"bold": True, "quote_prefix": True, "bottom": 1})
        sheet = book.add_worksheet()
        sheet.freeze_panes(1, 0)
        for place, column in enumerate(columns):
            sheet.set_column(place, place, _WIDTHS[column.kind])
            sheet.write_string(0, place, plain(column.title), heading)
        for count, row in enumerate(rows, start=1):
            for place, column in enumerate(columns):
                _put(sheet, count, place, column.kind, column.value(row), formats[column.kind])
    return count


def _put(sheet: Any, row: int, place: int, kind: Kind, value: Any, format: Any) -> None:
    if value is None:
        return
    if kind == "money":
        sheet.write_number(row, place, int(value) / 100, format)
    elif kind == "whole":
        sheet.write_number(row, place, int(value), format)
    elif kind == "moment":
        sheet.write_datetime(row, place, _naive(value), format)
    else:
        sheet.write_string(row, place, plain(value), format)


def _naive(at: datetime) -> datetime:
    """A spreadsheet knows no time zones: the time on the wall of the shops."""
    return timezone.localtime(at).replace(tzinfo=None)
