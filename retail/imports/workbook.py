"""The first sheet of an XLSX file as a CSV file, so that whatever comes after knows one kind of table.

Such a file is a zip of XML that anybody may have made. So it is read in pieces, nothing it claims about itself is
believed, and every size has an end: of the whole when it is unpacked, of the texts, the rows, the columns, a cell. A
document that defines names of its own (DTD) is refused before it can use them. Formulas give the value that was last
worked out; what looks like a day or a time becomes ISO 8601.
"""

import csv
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from retail.imports.table import TableError

MEGA = 1024 * 1024
MOST_UNPACKED = 200 * MEGA  # of all parts that are read together
MOST_RATIO = 100  # unpacked for packed, of a part larger than this many bytes:
SMALL = 10 * MEGA
MOST_TEXTS = 24 * MEGA  # characters of the table of texts that cells share, and so many texts:
MOST_SHARED = 2_000_000
MOST_ROWS = 200_000
MOST_COLUMNS = 200
MOST_CELL = 2_000  # characters
MOST_PARTS = 2_000  # files in the zip
_PIECE = 64 * 1024


def to_csv(path: Path, target: Path) -> None:
    """Write the first sheet into a new file that only its owner may read. Raises TableError."""
    try:
        with zipfile.ZipFile(path) as book:
            if len(book.infolist()) > MOST_PARTS:
                raise TableError("holds too many parts to be a table")
            _Book(book).write(target)
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
        zlib.error,
    ) as error:
        raise TableError(f"cannot be opened as an Excel file (.xlsx): {error}") from None
    except expat.ExpatError as error:
        raise TableError(f"is damaged, or no Excel file (.xlsx): {error}") from None


class _Book:
    def __init__(self, book: zipfile.ZipFile) -> None:
        self._zip = book
        self._left = MOST_UNPACKED
        self._names = set(book.namelist())

    def write(self, target: Path) -> None:
        sheet = self._first_sheet()
        texts = _Texts()
        self._read("xl/sharedStrings.xml", texts)
        styles = _Styles()
        self._read("xl/styles.xml", styles)
        properties = _Properties()
        self._read("xl/workbook.xml", properties)
        epoch = datetime(1904, 1, 1) if properties.is_1904 else datetime(1899, 12, 30)  # noqa: DTZ001  a wall clock
        with open(target, "x", encoding="utf-8", newline="", opener=_private) as file:
            rows = _Sheet(csv.writer(file).writerow, texts.found, styles.kinds, epoch)
            self._read(sheet, rows)
            if not rows.number:
                raise TableError("is empty: the first row has to name the columns")

    def _first_sheet(self) -> str:
        """The part of the sheet that stands first, hidden ones too; a name is looked up, never followed."""
        properties, links = _Properties(), _Links()
        self._read("xl/workbook.xml", properties)
        self._read("xl/_rels/workbook.xml.rels", links)
        target = links.found.get(properties.first_sheet, "worksheets/sheet1.xml").lstrip("/")
        name = target if target.startswith("xl/") else f"xl/{target}"
        if name not in self._names:
            raise TableError("has no sheet: is it an Excel file (.xlsx)?")
        return name

    def _read(self, name: str, reader: "_Reader") -> None:
        """Feed a part to a reader, piece by piece; one that is not there says nothing."""
        if name not in self._names:
            return
        packed = self._zip.getinfo(name).compress_size
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = lambda tag, given: reader.start(tag.rpartition(":")[2], given)
        parser.EndElementHandler = lambda tag: reader.end(tag.rpartition(":")[2])
        parser.CharacterDataHandler = reader.text
        read = 0
        with self._zip.open(name) as part:
            for piece in _pieces(part):
                read += len(piece)
                self._left -= len(piece)
                if self._left < 0 or (read > SMALL and read > packed * MOST_RATIO):
                    raise TableError("unpacks to more than a table of this size can hold")
                parser.Parse(piece, False)
        parser.Parse(b"", True)


def _pieces(part: IO[bytes]) -> Iterator[bytes]:
    while piece := part.read(_PIECE):
        yield piece


def _refuse_doctype(*_: Any) -> None:
    raise TableError("defines XML of its own, which no Excel file needs")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────
class _Reader:
    def start(self, tag: str, given: dict[str, str]) -> None: ...

    def end(self, tag: str) -> None: ...

    def text(self, said: str) -> None: ...


class _Properties(_Reader):
    """workbook.xml: which sheet stands first, and from which day numbers of days count."""

    first_sheet = ""
    is_1904 = False

    def start(self, tag: str, given: dict[str, str]) -> None:
        if tag == "sheet" and not self.first_sheet:
            self.first_sheet = next((value for name, value in given.items() if name.endswith(":id")), "")
        if tag == "workbookPr":
            self.is_1904 = given.get("date1904", "0") in ("1", "true")


class _Links(_Reader):
    """workbook.xml.rels: the part behind each id."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def start(self, tag: str, given: dict[str, str]) -> None:
        if tag == "Relationship" and given.get("TargetMode") != "External":
            self.found[given.get("Id", "")] = given.get("Target", "")


class _Texts(_Reader):
    """sharedStrings.xml: the texts that cells name by number. How something is pronounced (rPh) is left out."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._parts: list[str] = []
        self._size = 0
        self._is_in_text = self._is_aside = False

    def start(self, tag: str, given: dict[str, str]) -> None:
        if tag == "si":
            self._parts = []
        elif tag == "rPh":
            self._is_aside = True
        elif tag == "t":
            self._is_in_text = not self._is_aside

    def end(self, tag: str) -> None:
        if tag == "si":
            self.found.append("".join(self._parts)[:MOST_CELL])
            if len(self.found) > MOST_SHARED:
                raise TableError("holds more texts than a table can hold")
        elif tag == "rPh":
            self._is_aside = False
        elif tag == "t":
            self._is_in_text = False

    def text(self, said: str) -> None:
        if self._is_in_text:
            self._size += len(said)
            if self._size > MOST_TEXTS:
                raise TableError("holds more text than a table can hold")
            self._parts.append(said)


# The formats of days and times that every file knows without saying what they are.
_BUILT_IN = {14: "day", 15: "day", 16: "day", 17: "day", 22: "moment", 30: "day", 31: "day", 57: "day", 58: "day"}
_LITERALS = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')


class _Styles(_Reader):
    """styles.xml: of each style whether its numbers are days or moments."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self._formats = dict(_BUILT_IN)
        self._is_in_cells = False

    def start(self, tag: str, given: dict[str, str]) -> None:
        if tag == "numFmt" and given.get("numFmtId", "").isdecimal():
            code = _LITERALS.sub("", given.get("formatCode", "")).lower()
            if "y" in code or ("m" in code and "d" in code):
                self._formats[int(given["numFmtId"])] = "moment" if "h" in code else "day"
        elif tag == "cellXfs":
            self._is_in_cells = True
        elif tag == "xf" and self._is_in_cells:
            number = given.get("numFmtId", "0")
            self.kinds.append(self._formats.get(int(number), "") if number.isdecimal() else "")

    def end(self, tag: str) -> None:
        if tag == "cellXfs":
            self._is_in_cells = False


class _Sheet(_Reader):
    """A sheet: writes its rows as they end. `number` of the last one; rows that are left out are empty ones."""

    def __init__(
        self, write: Callable[[list[str]], object], texts: list[str], styles: list[str], epoch: datetime
    ) -> None:
        self.number = 0
        self._write, self._texts, self._styles, self._epoch = write, texts, styles, epoch
        self._cells: list[str] = []
        self._width = 0
        self._kind = self._style = ""
        self._said: list[str] | None = None
        self._size = self._place = 0

    def start(self, tag: str, given: dict[str, str]) -> None:
        if tag == "row":
            self._cells = []
        elif tag == "c":
            self._place = _column(given["r"]) if "r" in given else len(self._cells)
            if self._place >= MOST_COLUMNS:
                raise TableError(f"has more than {MOST_COLUMNS} columns")
            self._kind, self._style = given.get("t", "n"), given.get("s", "")
        elif tag in ("v", "t"):
            self._said, self._size = [], 0

    def text(self, said: str) -> None:
        if self._said is not None:
            self._size += len(said)
            if self._size <= MOST_CELL:
                self._said.append(said)

    def end(self, tag: str) -> None:
        if tag in ("v", "t") and self._said is not None:
            cells, value = self._cells, self._value("".join(self._said))
            cells.extend([""] * (self._place + 1 - len(cells)))
            cells[self._place] += value
            self._said = None
        elif tag == "row":
            self.number += 1
            if self.number > MOST_ROWS + 1:
                raise TableError(f"has more than {MOST_ROWS:,} rows: give it in several files")
            self._width = self._width or len(self._cells)
            missing = self._width - len(self._cells)
            self._write([*self._cells, *[""] * missing])

    def _value(self, said: str) -> str:
        if self._kind == "s":
            return self._texts[int(said)] if said.isdecimal() and int(said) < len(self._texts) else ""
        if self._kind == "b":
            return "yes" if said == "1" else "no"
        if self._kind in ("str", "inlineStr", "d"):
            return said
        return "" if self._kind == "e" else self._number(said)

    def _number(self, said: str) -> str:
        """As it is seen in the cell: 13800001234 is kept as 1.3800001234E10."""
        try:
            number = float(said)
        except ValueError:
            return said
        kind = (
            self._styles[int(self._style)] if self._style.isdecimal() and int(self._style) < len(self._styles) else ""
        )
        if kind and 1 <= number < 2_958_466:
            moment = self._epoch + timedelta(seconds=round(number * 86_400))
            return moment.date().isoformat() if kind == "day" else moment.isoformat(sep=" ")
        return str(int(number)) if number.is_integer() and abs(number) < 10**15 else said


def _column(name: str) -> int:
    """ "C7" → 2. Whoever writes nonsense there is told that there are too many columns."""
    place = 0
    for letter in name[:4].upper():
        if not "A" <= letter <= "Z":
            break
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1 if place else MOST_COLUMNS
