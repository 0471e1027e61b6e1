"""Before it is saved: how many fit, how many of those are left in peace, and twenty of them with the reason."""

from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.utils import OperationalError
from django.utils import timezone
from psycopg.errors import QueryCanceled

from members.models import Identity, Membership
from members.segments import query, saved
from members.segments.saved import Understood
from retail import privacy
from retail.models import Brand, BuyerKey

SAMPLE = 20
PATIENCE = "5s"  # what takes longer is counted when it is saved


class Seen(NamedTuple):
    """One of them as anybody may see them, and what each condition was judged by."""

    membership: Membership
    name: str
    phone: str
    values: list[str]


class Preview(NamedTuple):
    """`people`: how many fit; None where counting takes too long for somebody who waits."""

    people: int | None
    left_out: int = 0
    columns: tuple[str, ...] = ()
    sample: tuple[Seen, ...] = ()


def preview(
    *, known: Understood, brand: Brand, is_dormant_only: bool, rest_days: int | None, now: datetime, has_reasons: bool
) -> Preview:
    """Of those in the scope in force. `has_reasons`: also by what each was judged; that looks beyond the scope."""
    today = timezone.localtime(now).date()
    since = saved.rested_since(is_dormant_only=is_dormant_only, rest_days=rest_days, today=today)
    found = query.members(known.tree, brand=brand, names=known.names, now=now, rested_since=since)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            usual = _wait_for(cursor, PATIENCE)
            cursor.execute(_COUNT % {"found": found.sql, "sample": SAMPLE}, found.params)
            count, left_out, ids = cursor.fetchone()
            _wait_for(cursor, usual)
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            return Preview(None)
        raise
    columns, sample = _seen(known, brand, now, ids or [], has_reasons)
    return Preview(count, left_out, columns, sample)


def _wait_for(cursor: Any, longest: str) -> str:
    """Let no statement of this transaction take longer; how long they might before."""
    cursor.execute("SELECT current_setting('statement_timeout')")
    (before,) = cursor.fetchone()
    cursor.execute("SELECT set_config('statement_timeout', %s, true)", [longest])
    return before


_COUNT = """
WITH fits AS MATERIALIZED (%(found)s)
SELECT count(*) FILTER (WHERE NOT is_resting), count(*) FILTER (WHERE is_resting),
    (SELECT array_agg(id) FROM (SELECT id FROM fits WHERE NOT is_resting ORDER BY id DESC LIMIT %(sample)s) AS newest)
FROM fits
"""


def _seen(
    known: Understood, brand: Brand, now: datetime, ids: list[int], has_reasons: bool
) -> tuple[tuple[str, ...], tuple[Seen, ...]]:
    conditions = query.valued(known.tree) if has_reasons else []
    columns = tuple(str(condition.kind.column) for condition in conditions)
    told: dict[int, list[str]] = {}
    if conditions and ids:
        statement = query.values(known.tree, brand=brand, names=known.names, now=now, ids=ids)
        with connection.cursor() as cursor:
            cursor.execute(statement.sql, statement.params)
            for pk, *values in cursor.fetchall():
                told[pk] = [one.kind.shown(value) for one, value in zip(conditions, values, strict=True)]
    return columns, tuple(seen(ids=ids, values=told))


def seen(*, ids: list[int], values: dict[int, list[str]] | None = None) -> list[Seen]:
    """Some memberships as anybody may see them, in this order. Two statements."""
    rows = Membership.objects.select_related("member").in_bulk(ids)
    phones = _phones([row.member_id for row in rows.values()])
    return [
        Seen(
            rows[pk],
            privacy.without_numbers(rows[pk].member.name),
            phones.get(rows[pk].member_id, ""),
            (values or {}).get(pk, []),
        )
        for pk in ids
        if pk in rows
    ]


def _phones(member_ids: list[int]) -> dict[int, str]:
    """Masked; of several the one first seen."""
    keys = Identity._base_manager.filter(member__in=member_ids, key__type=BuyerKey.Type.PHONE).order_by("-seen_at")
    return dict(keys.values_list("member", "key__masked"))
