"""今日素材: what a clerk may want to send now, found in a few queries however many materials there are.

Today's: what headquarters pinned, what fits the customers of today (`clerks.materials.suggest`), what the best clerks
of the brand send, what is new. By hand: by scene, category, or a few letters of a name, a label or a product.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Exists, F, Func, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Contains, IContains
from django.utils import timezone

from clerks.materials import library
from clerks.materials.models import Favourite, Material, MaterialCategory, MaterialFile, MaterialVersion
from retail.models import Post, Product

TOP_DAYS = 7
NEW_FOR = timedelta(days=7)
EACH = 4  # of each reason
MOST_SOUGHT = 64  # letters


@dataclass(frozen=True, slots=True)
class Pick:
    """A material as a list shows it. `picture`: the file whose small picture stands beside it, if there is one.

    Why it is shown: pinned, `customers` of today it fits, `clerks` of the best who send it, new.
    """

    material: Material
    version: MaterialVersion
    picture: int | None
    is_favourite: bool
    is_new: bool
    customers: int = 0
    clerks: int = 0

    @property
    def words(self) -> str:
        return self.version.title or self.version.text


class Page(NamedTuple):
    picks: list[Pick]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed by; "" and 0 stand for all."""

    text: str = ""
    scene: str = ""
    category_id: int = 0
    is_favourite: bool = False

    @property
    def is_narrow(self) -> bool:
        return bool(self.text or self.scene or self.category_id or self.is_favourite)


# ── Today's ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def today(*, post: Post, fitting: Mapping[int, int], now: datetime) -> list[Pick]:
    """`fitting`: material → how many customers of today it is suggested for. Seven statements at most."""
    rows, sent = _of_library(post, now), _sent_by_the_best(post, now)
    ids = [
        *rows.filter(is_pinned=True).order_by("-pk").values_list("pk", flat=True)[:EACH],
        *sorted(fitting, key=lambda pk: (-fitting[pk], pk))[:EACH],
        *_known(rows, sent)[:EACH],
        *_newest_first(rows, since=now - NEW_FOR).values_list("pk", flat=True)[:EACH],
    ]
    order = list(dict.fromkeys(ids))
    found = {pick.material.pk: pick for pick in _picks(rows.filter(pk__in=order), post, now, fitting, sent)}
    return [found[pk] for pk in order if pk in found]


def _known(rows: QuerySet[Material], sent: Mapping[int, int]) -> list[int]:
    """Those of them that may be sent, by most clerks first."""
    may = set(rows.filter(pk__in=sent).values_list("pk", flat=True))
    return sorted(may, key=lambda pk: (-sent[pk], pk))


_BEST = """
WITH clerk AS (
    SELECT staff_id, sum(sales_fen) AS fen, sum(openings) AS openings FROM materials_shareday
    WHERE brand_id = %(brand)s AND day > %(since)s AND day <= %(today)s GROUP BY staff_id HAVING sum(shares) > 0
), best AS (
    SELECT staff_id FROM clerk WHERE fen > 0 OR openings > 0 ORDER BY fen DESC, openings DESC, staff_id
    LIMIT (SELECT ceil(count(*) / 10.0) FROM clerk)
)
SELECT d.material_id, count(DISTINCT d.staff_id) FROM materials_shareday d JOIN best USING (staff_id)
WHERE d.brand_id = %(brand)s AND d.day > %(since)s AND d.day <= %(today)s AND d.shares > 0
GROUP BY 1 ORDER BY 2 DESC, sum(d.sales_fen) DESC, sum(d.openings) DESC, 1 LIMIT 50
"""


def _sent_by_the_best(post: Post, now: datetime) -> dict[int, int]:
    """Material → how many of the best tenth of the brand's clerks sent it these days; who they are is not told."""
    assert post.store is not None
    day = timezone.localtime(now).date()
    asked: dict[str, Any] = {"brand": post.store.brand_id, "since": day - timedelta(days=TOP_DAYS), "today": day}
    with connection.cursor() as cursor:
        cursor.execute(_BEST, asked)
        return dict(cursor.fetchall())


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def page(*, post: Post, wanted: Wanted, start: int, limit: int, now: datetime) -> Page:
    """The materials that are wanted, newest first, after `start` of them. Three statements."""
    rows = _of_library(post, now)
    if wanted.scene:
        rows = rows.filter(scene=wanted.scene)
    if wanted.category_id:
        rows = rows.filter(category=wanted.category_id)
    if wanted.is_favourite:
        rows = rows.filter(Exists(_favourites(post)))
    if wanted.text:
        rows = rows.filter(_called("".join(wanted.text.split()).lower()))
    found = _picks(_newest_first(rows)[start : start + limit + 1], post, now)
    return Page(found[:limit], len(found) > limit)


def _called(text: str) -> Q:
    """Name, label or product with these letters in it; names also by pinyin and its initials, as customers are."""
    products = Product._base_manager.filter(materials=OuterRef("pk"))
    of_product = products.filter(Q(name__icontains=text) | Q(sku__iexact=text) | Q(_sought(text)))
    labels = Func(F("labels"), Value("\t"), function="array_to_string", output_field=TextField())
    return Q(name__icontains=text) | Q(IContains(labels, text)) | Q(_sought(text)) | Q(Exists(of_product))


def _sought(text: str) -> Contains:
    return Contains(Func(F("name"), function="name_sought", output_field=TextField()), text)


def one(*, post: Post, material_id: int, now: datetime) -> Pick | None:
    """A material that this clerk may send now, a quick reply of theirs among it."""
    return next(iter(_picks(library.sendable(post=post, now=now).filter(pk=material_id), post, now)), None)


def categories(*, post: Post) -> QuerySet[MaterialCategory]:
    """In the order of the brand."""
    assert post.store is not None
    return MaterialCategory.objects.filter(brand=post.store.brand_id).order_by("place", "pk")


# ── Kept at hand ─────────────────────────────────────────────────────────────────────────────────────────────────────
def favour(*, post: Post, material: Material, is_on: bool, now: datetime) -> None:
    """收藏, or no longer; twice is once."""
    if is_on:
        Favourite._base_manager.get_or_create(staff=post.staff, material=material, defaults={"at": now})
    else:
        Favourite._base_manager.filter(staff=post.staff, material=material).delete()


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _of_library(post: Post, now: datetime) -> QuerySet[Material]:
    return library.sendable(post=post, now=now).filter(owner=None)


def _newest_first(rows: QuerySet[Material], *, since: datetime | None = None) -> QuerySet[Material]:
    """By when what it says came into force, `since` then."""
    version = MaterialVersion._base_manager.filter(pk=OuterRef("live_id"))
    came_at = version.values(at=Coalesce("live_from", "decided_at", "made_at"))
    ordered = rows.annotate(came_at=Subquery(came_at)).order_by("-came_at", "-pk")
    return ordered.filter(Q(came_at__gt=since)) if since else ordered


def _favourites(post: Post) -> QuerySet[Favourite]:
    return Favourite._base_manager.filter(staff=post.staff_id, material=OuterRef("pk"))


def _picks(
    rows: QuerySet[Material],
    post: Post,
    now: datetime,
    fitting: Mapping[int, int] = MappingProxyType({}),
    sent: Mapping[int, int] = MappingProxyType({}),
) -> list[Pick]:
    """With what a list shows of each. Three statements."""
    materials = list(rows.annotate(is_favourite=Exists(_favourites(post))))
    live_ids = [row.live_id for row in materials]  # type: ignore[attr-defined]
    versions = MaterialVersion._base_manager.in_bulk(live_ids)
    files = MaterialFile._base_manager.filter(version__in=live_ids).exclude(small=b"").order_by("version", "place")
    pictures = dict(files.distinct("version").values_list("version", "pk"))
    made = []
    for row in materials:
        version = versions[row.live_id]  # type: ignore[attr-defined]
        came_at = version.live_from or version.decided_at or version.made_at
        made.append(
            Pick(
                material=row,
                version=version,
                picture=pictures.get(version.pk),
                is_favourite=row.is_favourite,
                is_new=came_at > now - NEW_FOR,
                customers=fitting.get(row.pk, 0),
                clerks=sent.get(row.pk, 0),
            )
        )
    return made
