"""会员行为: what buyers did other than buying, as the channels tell it, kept by the month.

    keep ──▶ members_event, one part a month ──KEPT──▶ the month is dropped whole
               └─ nobody known by these keys yet ──adopt, every few minutes──▶ a member

An event is known by its channel and number. The same again is nothing new; other content under the same number
corrects it, and what it said before stays with it.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from members.matching import STRENGTH
from members.models import Identity

SHANGHAI = ZoneInfo("Asia/Shanghai")
KEPT = timedelta(days=400)  # a year and a month to compare it with
AHEAD = timedelta(days=1)  # clocks of tills and telephones are wrong, but not by more
MONTHS_AHEAD = 2

Outcome = Literal["created", "unchanged", "corrected"]


class Seen(NamedTuple):
    """One event with its codes looked up. The order of the fields is that of the columns."""

    outer_event_id: str
    at: datetime
    kind: str
    brand_id: int
    buyer_keys: tuple[int, ...]
    product_id: int | None = None
    store_id: int | None = None
    share_code: str = ""
    live_event: str = ""
    seconds: int | None = None
    outer_order_id: str = ""
    fen: int | None = None


def is_kept(at: datetime, *, now: datetime) -> bool:
    """Whether an event of that moment is taken at all: not one that would be forgotten, or has not happened yet."""
    return now - KEPT <= at <= now + AHEAD


# ── Taken down ───────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def keep(*, channel_id: int, events: Sequence[Seen], now: datetime) -> dict[str, Outcome]:
    """Write a batch of one channel; number → what became of it. The same few statements however many they are.

    Buyers nobody knows stay without a member until `adopt` finds one.
    """
    if not events:
        return {}
    wanted = {one.outer_event_id: one for one in events}
    make_months(one.at for one in wanted.values())
    with connection.cursor() as cursor:  # one writer per channel: a number is looked for in all months, then written
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('events'), %s)", [channel_id])
    standing = _standing(channel_id, list(wanted))
    fresh = [one for number, one in wanted.items() if number not in standing]
    changed = [one for number, one in wanted.items() if number in standing and not _says(standing[number], one)]
    owners = _owners({key for one in [*fresh, *changed] for key in one.buyer_keys})
    _insert(channel_id, fresh, owners, now)
    _correct([(standing[one.outer_event_id], one) for one in changed], owners, now)
    outcomes: dict[str, Outcome] = dict.fromkeys(wanted, "unchanged")
    outcomes |= {one.outer_event_id: "created" for one in fresh}
    return outcomes | {one.outer_event_id: "corrected" for one in changed}


class _Row(NamedTuple):
    """An event as it stands, and where."""

    id: int
    said: Seen


_CONTENT = ", ".join(Seen._fields)


def _standing(channel_id: int, numbers: list[str]) -> dict[str, _Row]:
    """By number, in whichever month: each of them is looked up once in the index of each month."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT e.id, {_CONTENT} FROM unnest(%s::text[]) AS n(number) CROSS JOIN LATERAL ("
            " SELECT * FROM members_event WHERE channel_id = %s AND outer_event_id = n.number LIMIT 1) e",
            [numbers, channel_id],
        )
        rows = [_Row(pk, Seen(*content)) for pk, *content in cursor.fetchall()]
    return {row.said.outer_event_id: row for row in rows}


def _says(row: _Row, event: Seen) -> bool:
    """Whether a known event says just this. Keys it has that are not told again were those of somebody forgotten."""
    said = row.said._replace(buyer_keys=())
    return said == event._replace(buyer_keys=()) and set(event.buyer_keys) <= set(row.said.buyer_keys)


def _owners(key_ids: Collection[int]) -> Mapping[int, tuple[int, int]]:
    """Key → the strength of its kind, 0 for the strongest, and the member it belongs to."""
    rows = Identity._base_manager.filter(key__in=key_ids).values_list("key_id", "key__type", "member_id")
    return {key_id: (STRENGTH[kind], member_id) for key_id, kind, member_id in rows}


def _member(event: Seen, owners: Mapping[int, tuple[int, int]]) -> int | None:
    """Whose it is by the strongest key that is anybody's."""
    known = [owners[key] for key in event.buyer_keys if key in owners]
    return min(known)[1] if known else None


def _insert(channel_id: int, events: Sequence[Seen], owners: Mapping[int, tuple[int, int]], now: datetime) -> None:
    if not events:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO members_event (channel_id, received_at, member_id, {_CONTENT})"
            f" SELECT %s, %s, w.member_id, {_unfolded('w')} FROM {_TABLE}",
            [channel_id, now, *_columns(events, owners)],
        )


def _correct(pairs: Sequence[tuple[_Row, Seen]], owners: Mapping[int, tuple[int, int]], now: datetime) -> None:
    """State them anew, in another month if it must be, and keep what they said."""
    if not pairs:
        return
    former = [json.dumps([{**_plain(row.said), "until": now.isoformat()}], ensure_ascii=False) for row, _ in pairs]
    events = [event for _, event in pairs]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE members_event e SET member_id = w.member_id, former = e.former || f.former,"
            f" ({_CONTENT}) = ROW({_unfolded('w')})"
            f" FROM {_TABLE} JOIN unnest(%s::bigint[], %s::timestamptz[], %s::jsonb[], %s::text[])"
            " AS f(id, at, former, number) ON f.number = w.outer_event_id WHERE e.id = f.id AND e.at = f.at",
            [
                *_columns(events, owners),
                [row.id for row, _ in pairs],
                [row.said.at for row, _ in pairs],
                former,
                [event.outer_event_id for event in events],
            ],
        )


def _plain(said: Seen) -> dict[str, Any]:
    """What an event said besides its number and whose it was, for `former`."""
    content = said._asdict()
    del content["outer_event_id"], content["buyer_keys"]
    return {name: value for name, value in (content | {"at": said.at.isoformat()}).items() if value not in (None, "")}


# A batch as one table. PostgreSQL has no list of lists of different lengths: keys go as text and are read back.
_TYPES = ("text", "timestamptz", "text", "bigint", "text", "bigint", "bigint", "text", "text", "int", "text", "bigint")
_TABLE = f"unnest(%s::bigint[], {', '.join(f'%s::{type}[]' for type in _TYPES)}) AS w(member_id, {_CONTENT})"


def _unfolded(alias: str) -> str:
    return ", ".join(
        f"{alias}.{name}::bigint[]" if name == "buyer_keys" else f"{alias}.{name}" for name in Seen._fields
    )


def _columns(events: Sequence[Seen], owners: Mapping[int, tuple[int, int]]) -> list[list[Any]]:
    spelled = (event._replace(buyer_keys=f"{{{','.join(map(str, event.buyer_keys))}}}") for event in events)  # type: ignore[arg-type]
    return [[_member(event, owners) for event in events], *map(list, zip(*spelled, strict=True))]


# ── Whose they turn out to be ────────────────────────────────────────────────────────────────────────────────────────
_OVERLAP = 10_000  # numbers are given out before they are committed: so many are looked at twice


def adopt(*, since: int) -> tuple[int, int]:
    """Give events of nobody to those who became known by one of their keys; how many, and where to go on from.

    `since`: the number of the identity up to which all were looked at. An identity somebody has had for long brings
    nothing new: events that came later were given to them at once.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _ADOPT, {"since": max(0, since - _OVERLAP), "strength": sorted(STRENGTH, key=STRENGTH.__getitem__)}
        )
        count = cursor.rowcount
        cursor.execute("SELECT coalesce(max(id), 0) FROM members_identity")
        return count, max(since, cursor.fetchone()[0])


# The strongest key decides where several of an event's keys became known, perhaps as those of several members.
_ADOPT = """
UPDATE members_event e SET member_id = w.member_id FROM (
    SELECT DISTINCT ON (e.id, e.at) e.id, e.at, i.member_id
    FROM members_identity new
    JOIN members_event e ON e.member_id IS NULL AND e.buyer_keys @> ARRAY[new.key_id]
    JOIN members_identity i ON i.key_id = ANY(e.buyer_keys)
    JOIN retail_buyerkey k ON k.id = i.key_id
    WHERE new.id > %(since)s
    ORDER BY e.id, e.at, array_position(%(strength)s::text[], k.type::text), i.id
) w WHERE e.id = w.id AND e.at = w.at AND e.member_id IS NULL
"""


def forget_about(*, member_ids: Collection[int], key_ids: Collection[int]) -> int:
    """What somebody did who is to be forgotten is nobody's from now on; how many events."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE members_event SET member_id = NULL, buyer_keys = '{}'"
            " WHERE member_id = ANY(%s) OR (member_id IS NULL AND buyer_keys && %s::bigint[])",
            [list(member_ids), list(key_ids)],
        )
        return cursor.rowcount


# ── Months ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def make_months(moments: Iterable[datetime]) -> None:
    """Make the months of these moments that are not there yet. Only the owner's function may."""
    days = {moment.astimezone(SHANGHAI).date().replace(day=1) for moment in moments}
    parts = {f"members_event_{day:%Y%m}": day for day in days}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT part FROM unnest(%s::text[]) part WHERE to_regclass('public.' || part) IS NULL ORDER BY 1",
            [list(parts)],
        )
        for (part,) in cursor.fetchall():
            cursor.execute("SELECT make_event_month(%s)", [parts[part]])


def prepare(*, now: datetime) -> None:
    """Make the months to come, while nothing waits for them."""
    day = now.astimezone(SHANGHAI).replace(day=1, hour=12)
    make_months([day + timedelta(days=31 * step) for step in range(MONTHS_AHEAD + 1)])


def forget(*, before: datetime) -> int:
    """Drop the months that had ended by then; how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT drop_event_months(%s)", [_month(before)])
        return int(cursor.fetchone()[0])


def _month(moment: datetime) -> date:
    return moment.astimezone(SHANGHAI).date().replace(day=1)
