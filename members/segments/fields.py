"""What a condition asks for: each field reads what was sent, strictly, and tells the page how to ask for it.

What is read is a plain value or one of the small types here. Nothing of it is ever part of a text of SQL.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _

Words = str | Promise

MOST_CODES = 50
FIRST_YEAR, LAST_YEAR = 2000, 2100


class Wrong(Exception):
    """What was sent for a field will not do; the message says why, in words for who sent it."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """`asked_where`: (another field, its values) with which alone this one is asked; else it must not be given.

    `is_further`: narrows down what most leave as it is; the page keeps it folded.
    """

    name: str
    label: Words
    is_required: bool = True
    asked_where: tuple[str, tuple[str, ...]] | None = None
    is_further: bool = False
    type: ClassVar[str]

    def read(self, raw: Any) -> Any:
        raise NotImplementedError

    def is_asked(self, said: dict[str, Any]) -> bool:
        return self.asked_where is None or said.get(self.asked_where[0]) in self.asked_where[1]

    def spec(self) -> dict[str, Any]:
        """The same for the page that asks."""
        asked = {"asked_where": [self.asked_where[0], list(self.asked_where[1])]} if self.asked_where else {}
        known = {"name": self.name, "label": str(self.label), "type": self.type, "is_required": self.is_required}
        return {**known, "is_further": self.is_further, **asked}


# ── Numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, kw_only=True)
class Whole(Field):
    low: int = 0
    high: int = 1_000_000_000
    unit: Words = ""
    type: ClassVar[str] = "whole"

    def read(self, raw: Any) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise Wrong(_("请填一个整数。"))
        if not self.low <= raw <= self.high:
            raise Wrong(_("要在 %(low)s 和 %(high)s 之间。") % {"low": self.low, "high": self.high})
        return raw

    def spec(self) -> dict[str, Any]:
        return {**super().spec(), "low": self.low, "high": self.high, "unit": str(self.unit)}


@dataclass(frozen=True, kw_only=True)
class Yuan(Whole):
    """Fen, typed as yuan."""

    high: int = 10**12
    type: ClassVar[str] = "yuan"

    def read(self, raw: Any) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not self.low <= raw <= self.high:
            raise Wrong(_("请填金额，最多两位小数。"))
        return raw


# ── One or some of a few ─────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, kw_only=True)
class Choice(Field):
    choices: dict[str, Words]
    type: ClassVar[str] = "choice"

    def read(self, raw: Any) -> str:
        if not isinstance(raw, str) or raw not in self.choices:
            raise Wrong(_("请选一项。"))
        return raw

    def spec(self) -> dict[str, Any]:
        return {**super().spec(), "choices": [[code, str(words)] for code, words in self.choices.items()]}


@dataclass(frozen=True, kw_only=True)
class Choices(Choice):
    """Some of them; without any the field is not said."""

    type: ClassVar[str] = "choices"

    def read(self, raw: Any) -> tuple[str, ...]:  # type: ignore[override]  # several of the same
        return tuple(super(Choices, self).read(one) for one in _some(raw))


@dataclass(frozen=True, kw_only=True)
class Codes(Field):
    """Rows of a table by their codes (`members.segments.names`)."""

    of: str
    type: ClassVar[str] = "codes"

    def read(self, raw: Any) -> tuple[str, ...]:
        codes = _some(raw)
        if not all(isinstance(code, str) and 0 < len(code) <= 64 and "\x00" not in code for code in codes):
            raise Wrong(_("请从列表里选。"))
        return codes

    def spec(self) -> dict[str, Any]:
        return {**super().spec(), "of": self.of}


def _some(raw: Any) -> tuple[Any, ...]:
    if not isinstance(raw, list) or not raw:
        raise Wrong(_("请至少选一项。"))
    if len(raw) > MOST_CODES:
        raise Wrong(_("最多选 %(most)s 项。") % {"most": MOST_CODES})
    return tuple(dict.fromkeys(one if isinstance(one, str) else "" for one in raw))


# ── When ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Within:
    """The last so many days or months, today included, or from one day through another. Days are Shanghai's."""

    last: int = 0
    is_months: bool = False
    first_on: date | None = None
    last_on: date | None = None

    def since(self, today: date) -> datetime:
        """The first moment of it: a midnight, so that all of a day counts alike."""
        if self.first_on is not None:
            return midnight(self.first_on)
        return midnight(months_before(today, self.last) if self.is_months else today - timedelta(days=self.last))

    def until(self, today: date) -> datetime | None:
        """The first moment after it; None where it lasts until now."""
        return midnight(self.last_on + timedelta(days=1)) if self.last_on else None

    def __str__(self) -> str:
        if self.first_on is not None:
            return _("%(first)s 到 %(last)s") % {"first": self.first_on, "last": self.last_on}
        return (_("近 %(count)s 个月") if self.is_months else _("近 %(count)s 天")) % {"count": self.last}


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), timezone.get_default_timezone())


def months_before(day: date, months: int) -> date:
    """The same day of the month, or the last one of a shorter month."""
    years, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    following = date(years + (month == 11), (month + 1) % 12 + 1, 1)
    return date(years, month + 1, min(day.day, (following - timedelta(days=1)).day))


@dataclass(frozen=True, kw_only=True)
class Window(Field):
    """A `Within`; where it need not be given, leaving it out means ever."""

    may_be_days: bool = True  # from a day to a day, besides the last ones
    usual: tuple[int, str] = (90, "day")  # what the page begins with
    type: ClassVar[str] = "window"

    def read(self, raw: Any) -> Within:
        if not isinstance(raw, dict):
            raise Wrong(_("请选一段时间。"))
        if set(raw) == {"last", "unit"}:
            return _last(raw["last"], raw["unit"])
        if set(raw) == {"from", "to"} and self.may_be_days:
            first, last = _day(raw["from"]), _day(raw["to"])
            if last < first:
                raise Wrong(_("结束要晚于开始。"))
            return Within(first_on=first, last_on=last)
        raise Wrong(_("请选一段时间。"))

    def spec(self) -> dict[str, Any]:
        return {**super().spec(), "may_be_days": self.may_be_days, "usual": list(self.usual)}


_MOST = {"day": 3650, "month": 120}


def _last(count: Any, unit: Any) -> Within:
    most = _MOST.get(unit) if isinstance(unit, str) else None
    if most is None:
        raise Wrong(_("请选天或月。"))
    return Within(Whole(name="last", label="", low=1, high=most).read(count), unit == "month")


def _day(raw: Any) -> date:
    try:
        day = date.fromisoformat(raw) if isinstance(raw, str) and len(raw) == 10 else None
    except ValueError:
        day = None
    if day is None or not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise Wrong(_("请填日期。"))
    return day


def spelled(names: Sequence[str]) -> str:
    """Some names in a row: 甲、乙等 5 个."""
    if len(names) <= 3:
        return _("、").join(names)
    return _("%(names)s等 %(count)s 个") % {"names": _("、").join(names[:3]), "count": len(names)}
