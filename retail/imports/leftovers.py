"""Files of rows that were not imported: beside the file they came from, their owner's alone, and gone after a week."""

import hashlib
import os
from datetime import datetime
from pathlib import Path

from django.conf import settings

ENDING = ".failed.csv"


def path_of(file: Path) -> Path:
    """Where the rows of a file that were not taken are written."""
    return file.with_name(file.name.removesuffix(".csv") + ENDING)


def write(path: Path, content: bytes) -> None:
    """The whole of it at once, in place of an earlier one."""
    path.unlink(missing_ok=True)
    with open(path, "xb", opener=private) as out:
        remember(path)
        out.write(content)


def private(path: str, flags: int) -> int:
    """An opener: only the owner may read it."""
    return os.open(path, flags, 0o600)


def remember(path: Path) -> None:
    """A file of such rows was written: it is to go when its time is over."""
    notes().mkdir(parents=True, exist_ok=True)
    whole = str(path.resolve())
    (notes() / f"{hashlib.sha256(whole.encode()).hexdigest()[:16]}.path").write_text(whole, encoding="utf-8")


def notes() -> Path:
    return Path(settings.VAR_DIR) / "failed-rows"


def forget(before: datetime) -> int:
    """Delete those written before then, wherever they lie, and the notes that named them; how many."""
    gone = 0
    for note in notes().glob("*.path"):
        path = Path(note.read_text(encoding="utf-8"))
        if not path.name.endswith(ENDING) or not path.exists():
            note.unlink(missing_ok=True)
        elif path.stat().st_mtime < before.timestamp():
            path.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
            gone += 1
    return gone
