"""配素材: what to send with a lead, for a whole board in one statement.

A material of the product the customer looked at; else one of the occasion (`SCENES`); else none. Of several the one
that did best in thirty days. Likewise a script: words of the library instead of those that are built in.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from clerks.materials import library
from clerks.materials.models import Scene
from retail.models import Post

DAYS = 30
# Kind of lead (`clerks.leads.kinds`) → the occasion. Who asked or has not paid waits for an answer, not for a picture.
SCENES: dict[str, Scene | None] = {
    "asked": None,
    "unpaid": None,
    "cart": Scene.OFFER,
    "stock": Scene.STOCK,
    "viewed": Scene.NEW,
    "expiring": Scene.OFFER,
    "date": Scene.BIRTHDAY,
    "after_sale": Scene.AFTER_SALE,
    "likely": Scene.NEW,
    "dormant": Scene.WAKE,
    "live": Scene.LIVE,
}


class Want(NamedTuple):
    """Of a lead: its kind, and the product if it is about one."""

    kind: str
    product_id: int | None = None


class Found(NamedTuple):
    """A material of the library; `text`: its words, unfilled."""

    id: int
    name: str
    text: str


class Suggestion(NamedTuple):
    material: Found | None = None
    script: Found | None = None


NOTHING = Suggestion()
# What is about the product, what is of the occasion and about no product, what is of the occasion at all: of each the
# best. A clerk's own quick replies are not suggested: they know them.
_BEST = """
WITH may AS MATERIALIZED ({sendable}), did AS MATERIALIZED (
    SELECT material_id, sum(sales_fen) AS fen, sum(openings) AS openings FROM materials_shareday
    WHERE brand_id = %s AND day > %s AND day <= %s GROUP BY material_id
), fits AS (
    SELECT m.id, m.name, m.kind, m.live_id, m.is_pinned, p.product_id, '' AS scene, false AS is_general
    FROM may m JOIN materials_material_products p ON p.material_id = m.id WHERE p.product_id = ANY(%s)
    UNION ALL
    SELECT m.id, m.name, m.kind, m.live_id, m.is_pinned, NULL, m.scene,
        NOT EXISTS (SELECT FROM materials_material_products p WHERE p.material_id = m.id)
    FROM may m WHERE m.scene = ANY(%s)
), best AS (
    SELECT DISTINCT ON (f.kind = 'text', f.product_id, f.scene, f.is_general)
        f.kind = 'text' AS is_text, f.product_id, f.scene, f.is_general, f.id, f.name, f.live_id,
        coalesce(did.fen, 0) AS fen, coalesce(did.openings, 0) AS openings
    FROM fits f LEFT JOIN did ON did.material_id = f.id
    ORDER BY f.kind = 'text', f.product_id, f.scene, f.is_general, coalesce(did.fen, 0) DESC,
        coalesce(did.openings, 0) DESC, f.is_pinned DESC, f.id DESC
)
SELECT b.is_text, b.product_id, b.scene, b.is_general, b.id, b.name, v.text, b.fen, b.openings
FROM best b JOIN materials_materialversion v ON v.id = b.live_id
"""
_COLUMNS = ("id", "name", "kind", "scene", "is_pinned", "live_id")


def for_leads(*, post: Post, wants: Collection[Want], now: datetime) -> dict[Want, Suggestion]:
    """What to send with each; every want is there."""
    products = {one.product_id for one in wants if one.product_id is not None}
    scenes = {str(scene) for one in wants if (scene := SCENES.get(one.kind)) is not None}
    if not products and not scenes:
        return dict.fromkeys(wants, NOTHING)
    best = _Best(_ask(post, sorted(products), sorted(scenes), now))
    return {one: Suggestion(best.of(one, is_text=False), best.of(one, is_text=True)) for one in wants}


def _ask(post: Post, products: list[int], scenes: list[str], now: datetime) -> list[tuple[Any, ...]]:
    assert post.store is not None
    rows = library.sendable(post=post, now=now).filter(owner=None).values(*_COLUMNS).order_by()
    sendable, given = rows.query.sql_with_params()
    day = timezone.localtime(now).date()
    asked = [*given, post.store.brand_id, day - timedelta(days=DAYS), day, products, scenes]
    with connection.cursor() as cursor:
        cursor.execute(_BEST.format(sendable=sendable), asked)
        return cursor.fetchall()


class _Best:
    """The best of each group, by what it is for."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._by_group = {row[:4]: row[4:] for row in rows}

    def of(self, want: Want, *, is_text: bool) -> Found | None:
        row = self._by_group.get((is_text, want.product_id, "", False)) if want.product_id else None
        if row is None and (scene := SCENES.get(want.kind)) is not None:
            # With a lead about one product, a material about another would be beside the point.
            about = (True,) if want.product_id else (True, False)
            found = [self._by_group.get((is_text, None, str(scene), is_general)) for is_general in about]
            row = max((one for one in found if one), key=lambda one: one[3:], default=None)
        return Found(*row[:3]) if row else None
