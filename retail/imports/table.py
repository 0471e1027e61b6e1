"""Reading CSV as people really send it: UTF-8 with or without a mark, or GB18030; perhaps damaged, perhaps cut off."""

import codecs
import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import IO, NamedTuple

CHUNK = 1 << 20
ENCODINGS = {"utf-8-sig": "UTF-8", "gb18030": "GB18030"}
NOTES = ("failed_row", "failed_reason")  # what a file of failed rows has beside the columns of the feed
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LOST = "\ufffd"  # stands where bytes are no character


class TableError(ValueError):
    """The file as a whole cannot be read; nothing was taken from it."""


class Row(NamedTuple):
    """`number` as a spreadsheet counts (the header is 1); `cells` in the order of the feed's columns, "" where the
    file has none; `fault` if misshapen.
    """

    number: int
    cells: tuple[str, ...]
    fault: str = ""


class Table:
    """A CSV file whose columns are known. `digest` names its content.

    After a first pass `is_cut` says that the file ends amid a row; that row then has a fault. A last row without a
    line break has one, too: the end of a number may be missing. With `may_end_openly` it has none while it has all
    its cells.
    """

    is_cut = False

    def __init__(
        self, path: Path, *, columns: Sequence[str], required: Sequence[str], may_end_openly: bool = False
    ) -> None:
        self.path, self._order, self._may_end_openly = path, columns, may_end_openly
        self.digest = _digest(path)
        self._codec, self._is_damaged = _encoding(path)
        with self._open() as file:
            self.header = [name.strip() for name in next(csv.reader(file), [])]
        self._check_header(required)

    @classmethod
    def header_of(cls, path: Path) -> list[str]:
        """The first row of a file whose columns are anybody's guess. Raises TableError."""
        codec, _ = _encoding(path)
        with path.open(encoding=codec, errors="replace", newline="") as file:
            try:
                return [name.strip() for name in next(csv.reader(file), [])]
            except csv.Error as error:
                raise TableError(f"no CSV: {error}") from None

    def _check_header(self, required: Sequence[str]) -> None:
        if not any(self.header):
            raise TableError("is empty: the first row has to name the columns")
        if unknown := [name for name in self.header if name not in self._order and name not in NOTES]:
            known = ", ".join(sorted(self._order))
            raise TableError(f"unknown columns: {', '.join(repr(name) for name in unknown)}; known are {known}")
        if missing := [name for name in sorted(required) if name not in self.header]:
            raise TableError(f"missing columns: {', '.join(missing)}")
        if twice := sorted({name for name in self.header if name and self.header.count(name) > 1}):
            raise TableError(f"columns that appear twice: {', '.join(twice)}")

    def rows(self) -> Iterator[Row]:
        """The rows after the header, blank lines left out. Raises TableError where it is no CSV any more."""
        width, pick = len(self.header), self._picker(self._order)
        for number, cells, fault in self._read():
            if self._is_damaged and not fault and any(_LOST in cell for cell in cells):
                fault = f"holds bytes that are not {self.encoding}"
            if len(cells) != width:
                fault = fault or _misshapen(cells, width)
                cells = [*cells, *[""] * width][:width]
            yield Row(number, pick([*map(str.strip, cells), ""]), fault)

    def keys(self, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """No, two or more cells of each row, and nothing else of it: a fraction of the time of `rows`."""
        width, pick = len(self.header), self._picker(columns)
        for _, cells, _ in self._read():
            if len(cells) != width:
                cells = [*cells, *[""] * width][:width]
            yield tuple(map(str.strip, pick([*cells, ""])))

    def _picker(self, columns: Sequence[str]) -> Callable[[list[str]], tuple[str, ...]]:
        """Takes these columns from the cells of a row that an empty one was added to, for those the file lacks."""
        places = [self.header.index(name) if name in self.header else -1 for name in columns]
        return itemgetter(*places) if places else lambda cells: ()

    def _read(self) -> Iterator[tuple[int, list[str], str]]:
        """Number, cells and perhaps a fault of the rows that are not blank."""
        number, end, is_ours = 1, _End(), self.header[-len(NOTES) :] == list(NOTES)
        with self._open() as file:
            try:
                for number, cells in enumerate(csv.reader(end.watched(file)), start=1):
                    if number > 1 and any(cells):
                        is_whole = self._may_end_openly and len(cells) == len(self.header)
                        fault = "" if end.fault == _OPEN and is_whole else end.fault
                        self.is_cut = self.is_cut or bool(fault)
                        if is_ours:
                            cells = [_unescaped(cell) for cell in cells]
                        yield number, cells, fault
            except csv.Error as error:
                raise TableError(f"no CSV after row {number}: {error}") from None

    @property
    def encoding(self) -> str:
        return ENCODINGS[self._codec]

    @cached_property
    def columns(self) -> list[str]:
        """The columns of the feed that the file has."""
        return [name for name in self.header if name not in NOTES]

    def shown(self, row: Row) -> list[str]:
        """The cells under `columns`."""
        return [row.cells[self._order.index(name)] for name in self.columns]

    def _open(self) -> IO[str]:
        return self.path.open(encoding=self._codec, errors="replace", newline="")


_OPEN = "the file ends here without a line break: the row may be cut off"


class _End:
    """Watches how the lines of a file end. Rows with a `fault` may lack what was to follow."""

    fault = ""

    def watched(self, lines: IO[str]) -> Iterator[str]:
        for line in lines:
            if line[-1] not in "\r\n":
                self.fault = _OPEN
            yield line
        # Only a row amid a quoted cell still asks for a line.
        self.fault = "the file ends inside a quoted cell that begins in this row"


def _misshapen(cells: list[str], width: int) -> str:
    fault = f"has {len(cells)} cells where the header has {width}"
    spans = any("\n" in cell or "\r" in cell for cell in cells)
    return f"{fault}, one of them over several lines: is a quotation mark missing?" if spans else fault


# ── The bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _encoding(path: Path) -> tuple[str, bool]:
    """The codec, and whether some bytes do not fit it. Raises TableError.

    UTF-8 with some bad bytes is tried before GB18030: names of an even number of characters can be read as either,
    and would come out as other characters.
    """
    start = next(_chunks(path), b"")
    header = start.partition(b"\n")[0]
    if header.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or header.count(b"\0") * 3 > len(header):
        raise TableError("is UTF-16; save it as CSV UTF-8")
    utf8 = _fit(path, "utf-8-sig")
    if utf8.lost * 10 <= utf8.beyond_ascii:
        return "utf-8-sig", utf8.lost > 0
    gb18030 = _fit(path, "gb18030")
    if gb18030.lost * 10 <= gb18030.beyond_ascii:
        return "gb18030", gb18030.lost > 0
    if utf8.lost * 1000 <= utf8.characters:
        return "utf-8-sig", True
    raise TableError("neither UTF-8 nor GB18030; save it as CSV UTF-8")


class _Fit(NamedTuple):
    """How many characters there are, how many of them not ASCII, how many of those not to be read."""

    characters: int
    beyond_ascii: int
    lost: int


def _fit(path: Path, codec: str) -> _Fit:
    """Decode the whole file. A character cut off by its end is not counted."""
    decoder = codecs.getincrementaldecoder(codec)(errors="replace")
    characters = beyond = lost = 0
    for chunk in _chunks(path):
        text = decoder.decode(chunk)
        characters += len(text)
        if not text.isascii():
            beyond += len(text) - len(text.encode("ascii", "ignore"))
            lost += text.count(_LOST)
    return _Fit(characters, beyond, lost)


def escaped(cell: str) -> str:
    """A cell that a spreadsheet will not run as a formula; plain numbers stay as they are."""
    if not cell.startswith(_FORMULA) or cell[1:].replace(".", "", 1).isdigit():
        return cell
    return "'" + cell


def _unescaped(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell
