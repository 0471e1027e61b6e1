"""Which messages have rows that do not stand together in the file."""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b

Key = tuple[str, ...]


class Scattered:
    """The keys that come back after other ones, and `rows`, how many rows there are.

    A key is remembered by a mark of eight bytes, 24 MB for three million orders. Should two keys ever share a mark,
    both count as scattered, at every start the same; that costs their place in the order of the file, nothing else.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self.rows = 0
        buckets = [array("Q") for _ in range(256)]
        last: Key = ()
        for key in keys:
            self.rows += 1
            if key == last:
                continue
            last = key
            if all(key):  # rows without a number are bad wherever they stand
                mark = _mark(key)
                buckets[mark >> 56].append(mark)
        self._marks, self.groups = array("Q"), 0  # sorted: the buckets are by the highest byte
        for bucket in buckets:
            again = {mark: times for mark, times in Counter(bucket).items() if times > 1}
            self._marks.extend(sorted(again))
            self.groups += sum(again.values())

    def part(self, key: Key, parts: int) -> int | None:
        """In which of so many parts of the scattered messages this one is; None when its rows stand together."""
        if not self._marks:
            return None
        mark = _mark(key)
        place = bisect_left(self._marks, mark)
        return mark % parts if place < len(self._marks) and self._marks[place] == mark else None


def _mark(key: Key) -> int:
    return int.from_bytes(blake2b("\x1f".join(key).encode(), digest_size=8).digest())
