"""What a preview of a segment costs: tags from the profile's array against the same from the table of tags, and the
example of the product, each over everybody of a brand.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connection, transaction

from members import segments
from members.segments import query
from retail.models import Brand
from tests.bench.crowd import Crowd, crowd
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW

TURNS = 15
LONGEST = 0.1  # seconds that somebody waits for a preview
ASLEEP = {"kind": "last_purchase", "is": "not_in", "within": {"last": 60, "unit": "day"}}


def segmenting(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    made = crowd(shop, full=full)
    brand = Brand.objects.get(pk=shop.world.brand.pk)
    with transaction.atomic():
        _touch(made, brand)
        yield _arrays(made, brand)
        for name, document in (("two tags, asleep", _tagged(made)), ("the product's example", _example())):
            yield _waited(made, brand, name, document)
        transaction.set_rollback(True)


def _touch(made: Crowd, brand: Brand) -> None:
    """One in three heard of us in the last sixty days."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO clerks_touch (corp, member_id, purpose, at, effect)"
            " SELECT %s, %s + n, 'marketing', %s - make_interval(mins => n %% 86400), 'bench' || n"
            " FROM generate_series(3, %s, 3) n",
            [brand.corp, made.member, NOW, made.size],
        )
        cursor.execute("ANALYZE clerks_touch")


def _tagged(made: Crowd) -> dict[str, Any]:
    """The two tags that most have, of two groups."""
    tags = {"kind": "tags", "is": "all", "tag": [made.tags[0].code, made.tags[10].code]}
    return {"match": "all", "of": [tags, ASLEEP]}


def _example() -> dict[str, Any]:
    """B5: spent ≥ 3 000 in 12 months, nothing in the last 60 days, tier ≥ gold, not contacted in 14 days."""
    spent = {"kind": "spent", "within": {"last": 12, "unit": "month"}, "is": "ge", "fen": 300_000}
    tier = {"kind": "tier", "is": "at_least", "tier": ["t2"]}
    contacted = {"kind": "contacted", "is": "not_in", "within": {"last": 14, "unit": "day"}}
    return {"match": "all", "of": [spent, ASLEEP, tier, contacted]}


_JOINED = """
SELECT m.id FROM members_membership m
JOIN members_membertag a ON a.member_id = m.member_id AND a.tag_id = %(one)s AND a.until IS NULL
    AND (a.brand_id IS NULL OR a.brand_id = m.brand_id)
JOIN members_membertag b ON b.member_id = m.member_id AND b.tag_id = %(two)s AND b.until IS NULL
    AND (b.brand_id IS NULL OR b.brand_id = m.brand_id)
WHERE m.brand_id = %(brand)s AND (m.last_purchase_at < %(since)s OR m.last_purchase_at IS NULL)
"""


def _arrays(made: Crowd, brand: Brand) -> Verdict:
    known = segments.check(condition=_tagged(made), brand=brand)
    statement = query.members(known.tree, brand=brand, names=known.names, now=NOW, rested_since=None)
    since = NOW.replace(hour=0, minute=0) - timedelta(days=60)
    tags = {"one": made.tags[0].pk, "two": made.tags[10].pk}
    joined, ours = Way("a table of tags, joined"), Way("the profile's array of tags")
    given = {**tags, "brand": brand.pk, "since": since}
    assert _rows(statement.sql, statement.params) == _rows(_JOINED, given) != []
    for _turn in range(TURNS):
        with joined.turn():
            wanted = _count(_JOINED, given)
        with ours.turn():
            found = _count(statement.sql, statement.params)
        assert found == wanted
    name = f"count of two tags and 60 days without a purchase, {found:,} of {made.size:,}"
    return Verdict(name, ours.median / joined.median, 0.6, [joined, ours])


def _rows(sql: str, params: dict[str, Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return sorted(row[0] for row in cursor.fetchall())


def _count(sql: str, params: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({sql}) AS found", params)
        return cursor.fetchone()[0]


def _waited(made: Crowd, brand: Brand, name: str, document: dict[str, Any]) -> Verdict:
    """The whole of it as the page asks: read, counted, twenty of them named and explained."""
    ours = Way(f"preview of {name}")
    for _turn in range(TURNS):
        with ours.turn():
            known = segments.check(condition=document, brand=brand)
            shown = segments.preview(
                known=known, brand=brand, is_dormant_only=False, rest_days=None, now=NOW, has_reasons=True
            )
        assert shown.people and len(shown.sample) == 20
    title = f"preview of {name}: {shown.people:,} of {made.size:,}, in tenths of a second"
    return Verdict(title, ours.median / LONGEST, 1.0, [ours])
