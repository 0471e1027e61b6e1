"""A condition as one statement of SQL.

What can be told from the membership and its profile, or by looking up one row, is asked first; the few whom that
leaves are `near`. Where only somebody with a profile can fit, and the profile has all that is asked, profiles alone
are read: to find the membership of each by its key would take most of the time. Only of those who are near are
orders, points or events gathered, once for all conditions that need them: whether by index or in one pass, the planner
decides by how many are near.

Every text here and in the kinds is a constant; what somebody typed is a parameter.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet
from django.utils import timezone

from members import profiles
from members.models import Membership
from members.segments.fields import Within
from members.segments.grammar import Condition, Group
from members.segments.kinds import Parts
from members.segments.names import Names
from retail.models import Brand

# What of a membership its profile has, too.
_IN_PROFILE = {
    "id": "membership_id",
    "brand_id": "brand_id",
    "first_purchase_at": "first_purchase_at",
    "last_purchase_at": "last_purchase_at",
}


class Gathered(NamedTuple):
    name: str
    sql: str


@dataclass
class Query:
    """What the parts of a statement ask for, as it is put together."""

    brand: Brand
    now: datetime
    names: Names
    begins_with_profile: bool = False  # who has none cannot fit
    params: dict[str, Any] = field(default_factory=dict)
    has_profile: bool = False
    has_membership: bool = False
    gathered: dict[Hashable, Gathered] = field(default_factory=dict)
    bought_since: datetime | None = None
    bought_ever: bool = False

    @property
    def today(self) -> date:
        return timezone.localtime(self.now).date()

    def put(self, value: Any, cast: str = "") -> str:
        """The placeholder of a value."""
        name = f"p{len(self.params)}"
        self.params[name] = value
        return f"%({name})s{f'::{cast}' if cast else ''}"

    def ids(self, of: str, codes: Sequence[str]) -> str:
        return self.put(self.names.ids(of, codes), "bigint[]")

    def profile(self, column: str) -> str:
        """A column of what is rolled up, null where nothing is known."""
        self.has_profile = True
        return f"p.{column}"

    def membership(self, column: str) -> str:
        """A column of the membership, read in the profile where the statement begins there and the profile has it."""
        if self.begins_with_profile and column in _IN_PROFILE:
            return self.profile(_IN_PROFILE[column])
        self.has_membership = True
        return f"m.{column}"

    def within(self, column: str, window: Within | None) -> str:
        """AND … that keeps what happened in a window; nothing for ever."""
        if window is None:
            return ""
        said = f" AND {column} >= {self.put(window.since(self.today))}"
        until = window.until(self.today)
        return said + (f" AND {column} < {self.put(until)}" if until else "")

    def gather(self, key: Hashable, select: Callable[[], str]) -> str:
        """A table of what is gathered of those who are near, a row each with their `id`; its name.

        The same key is gathered once.
        """
        if key not in self.gathered:
            self.gathered[key] = Gathered(f"g{len(self.gathered)}", select())
        return self.gathered[key].name

    def note_bought(self, window: Within | None) -> None:
        """Lines of orders since then are asked for."""
        if window is None:
            self.bought_ever = True
        else:
            since = window.since(self.today)
            self.bought_since = min(since, self.bought_since or since)


# ── Where ────────────────────────────────────────────────────────────────────────────────────────────────────────────
class _Piece(NamedTuple):
    sql: str
    is_late: bool  # it looks at what is gathered
    has_profile: bool = False  # so does everybody for whom it holds


def _piece(part: Condition | Group, query: Query, negated: bool) -> list[_Piece]:
    """Pieces that must all hold. What is negated is negated at its conditions, so that each stays one of its own."""
    if isinstance(part, Condition):
        return [_leaf(part, query, negated)]
    is_all = (part.match == "all") != negated if part.match != "none" else not negated
    inner = negated != (part.match == "none")
    pieces = [_piece(one, query, inner) for one in part.parts]
    if is_all:
        return [piece for several in pieces for piece in several]
    either = " OR ".join(_and(several) for several in pieces)
    return [_Piece(f"({either})", any(piece.is_late for several in pieces for piece in several))]


def _leaf(condition: Condition, query: Query, negated: bool) -> _Piece:
    parts = _parts(condition, query)
    where = f"NOT ({parts.where})" if parts.is_certain else f"({parts.where}) IS NOT TRUE"
    is_late = any(f"{table.name}." in parts.where for table in query.gathered.values())
    return _Piece(where if negated else f"({parts.where})", is_late, parts.has_profile and not negated)


def _parts(condition: Condition, query: Query) -> Parts:
    return condition.kind.parts(condition.said, query)


def _and(pieces: Sequence[_Piece]) -> str:
    return f"({' AND '.join(piece.sql for piece in pieces)})"


# ── The statement ────────────────────────────────────────────────────────────────────────────────────────────────────
class Statement(NamedTuple):
    sql: str
    params: dict[str, Any]


def members(tree: Group, *, brand: Brand, names: Names, now: datetime, rested_since: datetime | None) -> Statement:
    """SELECT id, is_resting: the memberships of the scope in force that fit.

    `is_resting`: they do, but bought since `rested_since` and are to be left in peace.
    """
    query = Query(brand, now, names)
    pieces = _piece(tree, query, False)
    if any(piece.has_profile for piece in pieces):
        beginning = Query(brand, now, names, begins_with_profile=True)
        anew = _piece(tree, beginning, False)
        if not beginning.has_membership:  # else the planner is to choose which of both it reads first
            query, pieces = beginning, anew
    early = [*_standing(query), *(piece.sql for piece in pieces if not piece.is_late)]
    late = [piece.sql for piece in pieces if piece.is_late]
    resting = f"{query.membership('last_purchase_at')} >= {query.put(rested_since)}" if rested_since else "false"
    select = f"SELECT {query.membership('id')} AS id, ({resting}) IS TRUE AS is_resting"
    if not late:
        return Statement(f"{select} {_from(query)} WHERE {' AND '.join(early)}", query.params)
    near = f"SELECT {query.membership('id')} AS id, {query.membership('member_id')} AS member_id"
    near = f"{near} {_from(query)} WHERE {' AND '.join(early)}"
    return Statement(f"{_with(query, near)} {select} {_near(query)} WHERE {' AND '.join(late)}", query.params)


def values(tree: Group, *, brand: Brand, names: Names, now: datetime, ids: Sequence[int]) -> Statement:
    """SELECT id, and what each condition was judged by, of some memberships; see `valued`."""
    query = Query(brand, now, names)
    shown = [_parts(condition, query).value for condition in valued(tree)]
    near = f"SELECT m.id, m.member_id FROM members_membership m WHERE m.id = ANY({query.put(list(ids), 'bigint[]')})"
    select = f"SELECT {', '.join(['m.id', *shown])}"
    return Statement(f"{_with(query, near)} {select} {_near(query)}", query.params)


def valued(tree: Group) -> list[Condition]:
    """The conditions whose values are shown, each value once."""
    found: dict[tuple[Any, ...], Condition] = {}
    for condition in tree.conditions():
        if condition.kind.column:
            found.setdefault((condition.kind.code, repr(condition.said)), condition)
    return list(found.values())


def _standing(query: Query) -> list[str]:
    """Of the brand, of the scope in force, and still somebody of their own, as who has a brand in the profile is."""
    standing = [f"{query.membership('brand_id')} = {query.put(query.brand.pk)}"]
    if not query.begins_with_profile:
        member = f"gone.id = {query.membership('member_id')}"
        standing.append(
            f"NOT EXISTS (SELECT FROM members_member gone WHERE {member} AND gone.merged_into_id IS NOT NULL)"
        )
    mine = Membership.objects.order_by().values("pk")
    if mine.query.where:  # the scope narrows
        standing.append(_among(mine, query))
    return standing


def _among(rows: QuerySet[Any], query: Query) -> str:
    try:
        sql, params = rows.query.sql_with_params()
    except EmptyResultSet:  # Django knows without asking that nobody can be seen
        return "false"
    return f"{query.membership('id')} IN ({sql % tuple(query.put(value) for value in params)})"


def _from(query: Query) -> str:
    if query.begins_with_profile:
        membership = " JOIN members_membership m ON m.id = p.membership_id" if query.has_membership else ""
        return f"FROM members_profile p{membership}"
    profile = " LEFT JOIN members_profile p ON p.membership_id = m.id" if query.has_profile else ""
    return f"FROM members_membership m{profile}"


def _near(query: Query) -> str:
    joins = "".join(f" LEFT JOIN {name} ON {name}.id = near.id" for name, _sql in query.gathered.values())
    profile = " LEFT JOIN members_profile p ON p.membership_id = m.id" if query.has_profile else ""
    return f"FROM near JOIN members_membership m ON m.id = near.id{profile}{joins}"


def _with(query: Query, near: str) -> str:
    gathered = "".join(f", {name} AS ({sql})" for name, sql in query.gathered.values())
    return f"WITH RECURSIVE near AS MATERIALIZED ({near}){_lines(query)}{gathered}"


def _lines(query: Query) -> str:
    """What those who are near bought, less what came back, line by line: as their profiles were made of it."""
    if not query.bought_ever and query.bought_since is None:
        return ""
    since = "" if query.bought_ever else f" AND p.paid_at >= {query.put(query.bought_since)}"
    return f""", bought AS MATERIALIZED (
        SELECT p.membership_id, p.order_id, p.paid_at, p.store_id
        FROM near JOIN members_purchase p ON p.membership_id = near.id{since}
    ), {profiles.LINES}"""
