"""Reading CSV as people really send it: UTF-8 with or without a mark, or GB18030; perhaps cut off at the end."""

import codecs
import csv
import hashlib
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, NamedTuple

CHUNK = 1 << 20
NOTES = ("failed_row", "failed_reason")  # what a file of failed rows has beside the columns of the feed
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class TableError(ValueError):
    """The file as a whole cannot be read; nothing was taken from it."""


class Row(NamedTuple):
    """`number` as a spreadsheet counts (the header is 1); `cells` without the empty ones; `fault` if misshapen."""

    number: int
    cells: dict[str, str]
    fault: str = ""


class Table:
    """A CSV file whose columns are known. `digest` names its content, `is_cut` says that it ends amid a row."""

    def __init__(self, path: Path, *, columns: Collection[str], required: Collection[str]) -> None:
        self.path = path
        self.digest, self.encoding, self.is_cut = _survey(path)
        with self._open() as file:
            self.header = [name.strip() for name in next(csv.reader(file), [])]
        self._check_header(columns, required)

    def _check_header(self, columns: Collection[str], required: Collection[str]) -> None:
        if unknown := [name for name in self.header if name not in columns and name not in NOTES]:
            known = ", ".join(sorted(columns))
            raise TableError(f"unknown columns: {', '.join(repr(name) for name in unknown)}; known are {known}")
        if missing := [name for name in sorted(required) if name not in self.header]:
            raise TableError(f"missing columns: {', '.join(missing)}")
        if twice := sorted({name for name in self.header if self.header.count(name) > 1}):
            raise TableError(f"columns that appear twice: {', '.join(twice)}")

    def rows(self) -> Iterator[Row]:
        """The rows after the header, blank lines left out. Raises TableError where it is no CSV any more."""
        names = self.header
        is_ours = names[-len(NOTES) :] == list(NOTES)
        with self._open() as file:
            reader, number = csv.reader(file), 1
            try:
                next(reader)
                for number, cells in enumerate(reader, start=2):
                    if not any(cells):
                        continue
                    if is_ours:
                        cells = [_unescaped(cell) for cell in cells]
                    content = {name: cell.strip() for name, cell in zip(names, cells) if cell.strip()}  # noqa: B905
                    is_whole = len(cells) == len(names)
                    fault = "" if is_whole else f"has {len(cells)} cells where the header has {len(names)}"
                    yield Row(number, content, fault)
            except csv.Error as error:
                raise TableError(f"no CSV after row {number}: {error}") from None

    @cached_property
    def columns(self) -> list[str]:
        """The columns of the feed that the file has."""
        return [name for name in self.header if name not in NOTES]

    def _open(self) -> IO[str]:
        # A file cut amid a character still has good rows before it.
        return self.path.open(encoding=self.encoding, errors="replace", newline="")


def _survey(path: Path) -> tuple[str, str, bool]:
    """Digest, encoding, and whether the end is missing, in one pass. Raises TableError."""
    digest, last = hashlib.blake2b(digest_size=16), b""
    decoders = {name: codecs.getincrementaldecoder(name)() for name in ("utf-8-sig", "gb18030")}
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            last = chunk[-1:]
            for name, decoder in list(decoders.items()):
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    del decoders[name]
            if not decoders:
                raise TableError("neither UTF-8 nor GB18030; save it as CSV UTF-8")
    return digest.hexdigest(), next(iter(decoders)), last not in (b"\n", b"\r")


def escaped(cell: str) -> str:
    """A cell that a spreadsheet will not run as a formula; plain numbers stay as they are."""
    if not cell.startswith(_FORMULA) or cell[1:].replace(".", "", 1).isdigit():
        return cell
    return "'" + cell


def _unescaped(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell
