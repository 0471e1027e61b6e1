"""Reading plain JSON: each value is checked where it is read, and every problem names its field.

A reader reads straight through. A wrong value is noted and a harmless one of the right type returned in its
place; `check()` at the end raises all that was noted, so that a person can mend a file in one go.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime


class DocumentError(ValueError):
    """What is wrong with a document: `messages` has a sentence for each problem, beginning with the field."""

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = list(messages)
        super().__init__("; ".join(self.messages))


class Document:
    """One JSON object that knows its path. An absent value and null are the same."""

    __slots__ = ("_data", "_is_object", "_path", "problems")

    def __init__(self, data: object, *, path: str = "", problems: list[str] | None = None) -> None:
        self._path = path
        self.problems: list[str] = [] if problems is None else problems
        self._data: Mapping[object, object] = data if isinstance(data, Mapping) else {}
        self._is_object = isinstance(data, Mapping)
        if not self._is_object:
            self.problems.append(f"{path or 'document'}: must be an object")

    def __contains__(self, key: str) -> bool:
        return self._data.get(key) is not None

    def names(self) -> list[str]:
        """Return the names of the fields, those that are null too, in the order of the document."""
        return [str(key) for key in self._data]

    def note(self, key: str, problem: str) -> None:
        """Note that one field is wrong. What is no object has no fields: it is wrong as a whole, and once only."""
        if self._is_object:
            self.problems.append(f"{self._below(key)}: {problem}")

    def check(self) -> None:
        """Raise DocumentError if anything was noted here or in a child."""
        if self.problems:
            raise DocumentError(self.problems)

    def allow_only(self, *keys: str) -> None:
        """Refuse unknown fields: a misspelt cap must not silently be no cap."""
        for key in self.names():
            if key not in keys:
                self.note(key, "is not known")

    def integer(self, key: str, *, default: int | None = None, least: int | None = None) -> int:
        """Return a whole number, at least `least`; required unless a default is given."""
        if key not in self and default is not None:
            return default
        return self._integer(key, self._data.get(key), least)

    def optional_integer(self, key: str, *, least: int | None = None) -> int | None:
        return self._integer(key, self._data[key], least) if key in self else None

    def integers(self, key: str, *, least: int | None = None) -> list[int]:
        return [self._integer(key, value, least) for value in self.items(key)]

    def text(self, key: str, *, default: str | None = None) -> str:
        """Return a text, or an id written as a number as text; required unless a default is given."""
        if key not in self and default is not None:
            return default
        return self._text(key, self._data.get(key))

    def optional_text(self, key: str) -> str | None:
        return self._text(key, self._data[key]) if key in self else None

    def texts(self, key: str) -> list[str]:
        return [self._text(key, value) for value in self.items(key)]

    def choice(self, key: str, options: Iterable[str], *, default: str | None = None) -> str:
        """Return one of `options`."""
        names = list(options)
        value = self.text(key, default=default)
        if key in self and value not in names:
            self.note(key, f"must be one of {', '.join(names)}")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self._data.get(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.note(key, "must be true or false")
        return default

    def moment(self, key: str) -> datetime:
        """Return an ISO 8601 time, aware or not as it is written; a date alone is its midnight. Required."""
        return self._moment(key, self._data.get(key))

    def optional_moment(self, key: str) -> datetime | None:
        return self._moment(key, self._data[key]) if key in self else None

    def items(self, key: str) -> Sequence[object]:
        value = self._data.get(key)
        if isinstance(value, list | tuple):
            return value
        self.note(key, "must be a list" if value is not None else "is missing")
        return ()

    def pairs(self, key: str) -> list[tuple[int, int]]:
        """Return a list of pairs of whole numbers, none below 0."""
        found = []
        for item in self.items(key):
            if isinstance(item, list | tuple) and len(item) == 2:
                found.append((self._integer(key, item[0], 0), self._integer(key, item[1], 0)))
            else:
                self.note(key, "must be pairs of whole numbers")
        return found

    def child(self, key: str) -> "Document":
        """Return an object; an absent one is empty."""
        if not self._is_object:
            return self
        return Document(self._data[key] if key in self else {}, path=self._below(key), problems=self.problems)

    def children(self, key: str) -> list["Document"]:
        """Return a list of objects; required."""
        return [
            Document(item, path=f"{self._below(key)}[{position}]", problems=self.problems)
            for position, item in enumerate(self.items(key))
        ]

    def value(self, key: str) -> object:
        """Return what stands there, unread."""
        return self._data.get(key)

    def _below(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _integer(self, key: str, value: object, least: int | None) -> int:
        if value is None:
            self.note(key, "is missing")
            return 0
        # bool is an int to Python, but `true` is no amount of money; 1.0 is refused with every other float.
        if not isinstance(value, int) or isinstance(value, bool):
            self.note(key, "must be a whole number")
            return 0
        if least is not None and value < least:
            self.note(key, f"must be {least} or more")
        return value

    def _text(self, key: str, value: object) -> str:
        if value is None:
            self.note(key, "is missing")
            return ""
        if not isinstance(value, str | int) or isinstance(value, bool):
            self.note(key, "must be a text")
        return str(value)

    def _moment(self, key: str, value: object) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            self.note(key, "must be an ISO 8601 time" if value is not None else "is missing")
            return datetime(1, 1, 1, tzinfo=UTC)
        if moment.tzinfo and not 1 < moment.year < 9999:
            self.note(key, "is too far away to be told in another time zone")
        return moment
