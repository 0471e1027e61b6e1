"""The kinds of conditions there are. A room above registers its own in its AppConfig: `kinds.register(Kind(…))`.

A kind says what it asks for (fields), what it means in a sentence (words), and what it is in SQL (parts).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from members.segments.fields import Choice, Field, Words

if TYPE_CHECKING:
    from members.segments.names import Names
    from members.segments.query import Query

Said = dict[str, Any]
"""Field → what was read of it; a field that was left out is not in it."""


class Parts(NamedTuple):
    """A condition in SQL, over what the query was asked for.

    `where`: true for those who fit; `is_certain`: it is never null; `has_profile`: all who fit have one. `value`: what
    it was judged by, for the eye.
    """

    where: str
    value: str = ""
    is_certain: bool = False
    has_profile: bool = False


def plain(value: Any) -> str:
    return "–" if value is None else str(value)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`heading`: under which the page offers it; `title`: its name there, `column`: the name of the value of it."""

    code: str
    heading: Words
    title: Words
    fields: tuple[Field, ...]
    words: "Callable[[Said, Names], str]"
    parts: "Callable[[Said, Query], Parts]"
    column: Words = ""
    shown: Callable[[Any], str] = plain

    @property
    def names(self) -> frozenset[str]:
        return frozenset(field.name for field in self.fields)

    def spec(self) -> dict[str, Any]:
        """The same for the page that asks."""
        fields = [field.spec() for field in self.fields]
        return {"code": self.code, "heading": str(self.heading), "title": str(self.title), "fields": fields}


KINDS: dict[str, Kind] = {}


def register(*several: Kind) -> None:
    for kind in several:
        assert KINDS.setdefault(kind.code, kind) is kind, f"there are two kinds {kind.code}"


def only(said: Said, *names: str) -> tuple[tuple[str, Any], ...]:
    """What was said of some fields: a key for what is gathered by it."""
    return tuple((name, said[name]) for name in names if name in said)


# ── How values are shown ─────────────────────────────────────────────────────────────────────────────────────────────
def yuan(fen: Any) -> str:
    """300000 → 3,000; 5 → 0.05."""
    if fen is None:
        return "–"
    whole, cents = divmod(abs(int(fen)), 100)
    sign = "-" if fen < 0 else ""
    return f"{sign}{whole:,}.{cents:02}" if cents else f"{sign}{whole:,}"


def day(at: Any) -> str:
    return "–" if at is None else f"{timezone.localtime(at):%Y-%m-%d}"


# ── Comparing with a number ──────────────────────────────────────────────────────────────────────────────────────────
LEAST, BELOW = "ge", "lt"


def compared(**options: Any) -> Choice:
    """Field `is`: at least so much, or less."""
    choices: dict[str, Words] = {LEAST: gettext_lazy("不少于"), BELOW: gettext_lazy("少于")}
    return Choice(name="is", label=gettext_lazy("比较"), choices=choices, **options)


def compare(value: str, said: Said, wanted: int, placeholder: str) -> Parts:
    """`value` may be null and then is 0; where 0 does not fit it stays bare, so that an index can find it."""
    if said["is"] == LEAST and wanted > 0:
        # A column of the profile is null where there is none.
        return Parts(f"{value} >= {placeholder}", value, has_profile=value.startswith("p."))
    if said["is"] == LEAST:
        return Parts(f"coalesce({value}, 0) >= {placeholder}", value)
    return Parts(f"coalesce({value}, 0) < {placeholder}", value)


def comparison(said: Said) -> str:
    return _("满") if said["is"] == LEAST else _("不到")
