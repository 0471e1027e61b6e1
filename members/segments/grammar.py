"""The grammar of a segment: groups and conditions, read strictly from plain JSON.

    {"match": "all", "of": [
        {"kind": "spent", "within": {"last": 12, "unit": "month"}, "is": "ge", "fen": 300000},
        {"match": "none", "of": [{"kind": "tags", "is": "any", "tag": ["staff"]}]}]}

`match`: `all`, `any` or `none` of the parts must hold; groups may stand in groups. Which kinds of conditions there
are, and what each asks for: `members.segments.kinds`. Whatever else is sent is refused, with the place it stands at
("of.1.of.0.fen") and what is wrong there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from members.segments import kinds
from members.segments.fields import Codes, Wrong
from members.segments.kinds import Kind, Said

MOST_DEPTH = 4  # groups in groups
MOST_PARTS = 40  # conditions and groups together

MATCHES: dict[str, str | Promise] = {
    "all": gettext_lazy("全部符合"),
    "any": gettext_lazy("符合任意一个"),
    "none": gettext_lazy("都不符合"),
}


class Fault(NamedTuple):
    """What is wrong, and where: the path of a field, a condition or a group."""

    place: str
    words: str


class Refused(Exception):
    """A document that is no condition; `faults` says everything that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(_("；").join(dict.fromkeys(fault.words for fault in faults)))
        self.faults = faults


@dataclass(frozen=True)
class Condition:
    """`place`: where it stands in the document."""

    kind: Kind
    said: Said
    place: str

    def codes(self) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """(table, codes, place) of each field that names rows."""
        for field in self.kind.fields:
            if isinstance(field, Codes) and field.name in self.said:
                yield field.of, self.said[field.name], f"{self.place}.{field.name}"


@dataclass(frozen=True)
class Group:
    match: str
    parts: "tuple[Condition | Group, ...]"

    def conditions(self) -> Iterator[Condition]:
        for part in self.parts:
            if isinstance(part, Group):
                yield from part.conditions()
            else:
                yield part


def parse(document: Any) -> Group:
    """Raises Refused."""
    reader = _Reader()
    found = reader.group(document, "", 1)
    if reader.faults or found is None:
        raise Refused(reader.faults)
    return found


class _Reader:
    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._parts = 0

    def group(self, raw: Any, place: str, depth: int) -> Group | None:
        if not isinstance(raw, dict) or not set(raw) <= {"match", "of"}:
            self._fault(place, _("这不是一组条件。"))
            return None
        match, of = raw.get("match"), raw.get("of")
        if not isinstance(match, str) or match not in MATCHES:
            self._fault(_at(place, "match"), _("请选一项。"))
        if not isinstance(of, list) or not of:
            self._fault(place, _("这里还没有条件。"))
            return None
        if depth > MOST_DEPTH:
            self._fault(place, _("条件组套得太深了，最多 %(most)s 层。") % {"most": MOST_DEPTH})
            return None
        self._parts += len(of)
        if self._parts > MOST_PARTS:
            self._fault(place, _("条件太多了，最多 %(most)s 个。") % {"most": MOST_PARTS})
            return None
        parts = [self._part(part, _at(place, f"of.{at}"), depth) for at, part in enumerate(of)]
        return Group(str(match), tuple(part for part in parts if part is not None))

    def _part(self, raw: Any, place: str, depth: int) -> Condition | Group | None:
        if isinstance(raw, dict) and "kind" not in raw:
            return self.group(raw, place, depth + 1)
        name = raw.get("kind") if isinstance(raw, dict) else None
        kind = kinds.KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            self._fault(_at(place, "kind"), _("没有这种条件。"))
            return None
        return Condition(kind, self._said(kind, raw, place), place)

    def _said(self, kind: Kind, raw: Mapping[str, Any], place: str) -> Said:
        said: Said = {}
        for field in kind.fields:
            if not field.is_asked(said):
                continue
            if raw.get(field.name) is None:
                if field.is_required:
                    self._fault(_at(place, field.name), _("还没有填。"))
                continue
            try:
                said[field.name] = field.read(raw[field.name])
            except Wrong as wrong:
                self._fault(_at(place, field.name), str(wrong))
        asked = {"kind", *(field.name for field in kind.fields if field.is_asked(said))}
        for name in sorted(set(raw) - asked, key=str):
            self._fault(
                _at(place, name if name in kind.names else ""), _("这里不能填「%(name)s」。") % {"name": name[:40]}
            )
        return said

    def _fault(self, place: str, words: str) -> None:
        self.faults.append(Fault(place, words))


def _at(place: str, name: str) -> str:
    return ".".join(filter(None, (place, name)))
