"""Inside the processes that get killed: what they were at is written down outside any transaction, and at named points
they die when the harness asks for it."""

import os
import random
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = Path(os.environ["DAOGOU_KILL_FOLDER"])
WORKER = ("claimed", "begun", "effect", "committed")  # the row is leased; nothing done; done, not committed; committed
WEB = ("taken", "answered")  # written, not committed; committed, the answer not sent


def trip(point: str) -> None:
    """Die here, if a file of this name lies in the folder; it is gone then, so that only one process does."""
    try:
        (_FOLDER / point).rename(_FOLDER / f"{point}.{os.getpid()}.tripped")
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def attempt(kind: str) -> Iterator[None]:
    """A piece of work that takes a moment longer than it would, so that kills hit it. Errors end it like success."""
    token = uuid.uuid4().hex
    _note(f"begun {kind} {token}")
    try:
        yield
        time.sleep(random.random() * 0.03)
    finally:
        _note(f"ended {kind} {token}")


def _note(line: str) -> None:
    with (_FOLDER / "attempts").open("ab", buffering=0) as page:
        page.write(f"{line}\n".encode())  # one write of a file opened to append: lines never mix
