"""素材效果 over millions of openings: the page reads what was rolled up, beside it a count over the openings."""

from collections.abc import Iterator
from datetime import timedelta

from django.db import connection
from django.test import Client

from clerks.materials import openings, results
from clerks.materials.models import Material, ShareDay
from commissions.models.ledger import midnight
from retail.desk import roles
from retail.models import Post
from tests import factories, signing_in
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW, sharing

MATERIALS, DAYS, TURNS = 200, 90, 20
BOUND = 0.3  # seconds a page may take
PAGE = "/admin/materials/results/"
FIRST = NOW.date() - timedelta(days=DAYS - 1)
QUERY = f"?from={NOW.date() - timedelta(days=29)}&to={NOW.date()}"
# Each day all clerks send ten materials, three of them new that day; openings in the days after, of many people.
_SHARES = """
INSERT INTO materials_share (code, brand_id, material_id, version_id, staff_id, store_id, via, made_at, sent_at)
SELECT 'bench' || n, %(brand)s, v.material_id, v.id, p.staff_id, p.store_id, 'chat', at.at, at.at
FROM generate_series(0, %(count)s - 1) n
JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM materials_materialversion) v
    ON v.place = (n::bigint * %(days)s / %(count)s * 3 + n %% 10) %% %(versions)s
JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM retail_post WHERE role = 'clerk'
    AND store_id IS NOT NULL) p ON p.place = (n / 10) %% (SELECT count(*) FROM retail_post
    WHERE role = 'clerk' AND store_id IS NOT NULL),
LATERAL (SELECT %(since)s::timestamptz + %(span)s::interval * (n::float / %(count)s) AS at) at
"""
_OPENINGS = """
INSERT INTO materials_opening (at, share_id, visitor, seconds)
SELECT least(s.made_at + interval '1 day' * power(random(), 3) * 5, %(until)s), s.id,
    lpad(to_hex((random() * 100000)::int), 32, '0')::uuid, (random() * 60)::int
FROM materials_share s, generate_series(1, %(each)s)
"""
_NAIVE = """
SELECT s.material_id, count(*), count(DISTINCT coalesce(o.member_id::text, o.visitor::text)),
    count(DISTINCT o.member_id), sum(o.seconds) FROM materials_opening o JOIN materials_share s ON s.id = o.share_id
WHERE o.at >= %s AND o.at < %s GROUP BY 1
"""


def materials(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    count = _made(shop, shares=1_000_000 if full else 40_000, each=5)
    rolling = Way("a day rolled up")
    for back in range(DAYS):
        with rolling.turn():
            results.roll_up(days=[NOW.date() - timedelta(days=back)], now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE materials_shareday")
    rows = ShareDay._base_manager.count()
    client = _headquarters(shop)
    naive, ways = Way("a count over the openings, of the same 30 days"), []
    for name, query in (("by material", ""), ("by clerk", "&by=clerk"), ("by store", "&by=store")):
        ways.append(page := Way(f"the page of 30 days, {name}"))
        for turn in range(-2, TURNS):
            with (page if turn >= 0 else Way("")).turn():
                answer = client.get(PAGE + QUERY + query)
            assert answer.status_code == 200, answer.status_code
    _same()
    for _ in range(5):
        with naive.turn():
            _counted()
    slowest = max(way.p95 for way in ways)
    verdict = Verdict(f"results over {count:,} openings, p95 of {BOUND * 1000:.0f} ms", slowest / BOUND, 1, [])
    verdict.ways = [naive, *ways, rolling]
    verdict.notes.append(f"{rows:,} rows rolled up of {count:,} openings; the page is asked over Django's test client")
    yield verdict


def _made(shop: Shop, *, shares: int, each: int) -> int:
    for _ in range(MATERIALS - Material._base_manager.count()):
        sharing.material(shop.world)
    since = midnight(FIRST)
    openings.make_months([since + timedelta(days=back) for back in range(0, DAYS + 1, 7)] + [NOW])
    given = {"brand": shop.world.brand.pk, "count": shares, "since": since, "span": NOW - since, "versions": MATERIALS}
    given["days"] = DAYS
    with connection.cursor() as cursor:
        cursor.execute(_SHARES, given)
        cursor.execute(_OPENINGS, {"until": NOW, "each": each})
        cursor.execute("ANALYZE materials_share, materials_opening")
        cursor.execute("SELECT count(*) FROM materials_opening")
        return int(cursor.fetchone()[0])


def _counted() -> list[tuple[int, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_NAIVE, [midnight(NOW.date() - timedelta(days=29)), midnight(NOW.date() + timedelta(days=1))])
        return cursor.fetchall()


def _same() -> None:
    """What the page adds up is what was opened in these days."""
    found, first = _counted(), NOW.date() - timedelta(days=29)
    whole = results.read(rows=ShareDay.objects.all(), level="material", first=first, last=NOW.date()).whole
    assert (whole.openings, whole.seconds) == (sum(row[1] for row in found), sum(row[4] for row in found))


def _headquarters(shop: Shop) -> Client:
    staff = shop.world.hire("materials-hq", role=Post.Role.HQ_OPS)
    staff.user = factories.user()
    staff.save()
    roles.grant(user=staff.user, role=Post.Role.HQ_OPS)
    return signing_in.signed_in(staff.user, post=staff.posts.get())
