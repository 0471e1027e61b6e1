"""What a clerk may send now: the one question all pages ask.

draft ──submit──▶ waiting ──approve, by another person──▶ approved ──its `live_from`──▶ what clerks send
  ▲                  └─return─▶ returned                             (the highest such version)
  └── a change of something approved is a new draft; what is approved stays as it is
"""

from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from clerks.materials.models import Material, MaterialVersion
from retail.models import Post


def live(*, now: datetime) -> QuerySet[MaterialVersion]:
    """The version of each material in force now; a material with none cannot be sent."""
    approved = MaterialVersion.objects.filter(state=MaterialVersion.State.APPROVED)
    approved = approved.filter(Q(live_from=None) | Q(live_from__lte=now))
    newest = approved.filter(material=OuterRef("material")).order_by("-number").values("pk")[:1]
    return approved.filter(pk=Subquery(newest))


def sendable(*, post: Post, now: datetime) -> QuerySet[Material]:
    """What the holder of a post in a store may send now, their own quick replies among it; `live_id`: its version."""
    assert post.store is not None
    version = live(now=now).filter(material=OuterRef("pk")).values("pk")
    rows = Material.objects.filter(brand=post.store.brand_id, is_active=True)
    rows = rows.filter(Q(valid_from=None) | Q(valid_from__lte=now), Q(valid_until=None) | Q(valid_until__gt=now))
    rows = rows.filter(Q(owner=None) | Q(owner=post.staff_id))
    rows = rows.filter(_of_all_or("stores", post.store_id) & _of_all_or("regions", post.store.region_id))
    rows = rows.filter(Q(grades=[]) | Q(grades__contains=[post.staff.grade]))
    return rows.annotate(live_id=Subquery(version)).exclude(live_id=None)


def _of_all_or(many: str, one: int | None) -> Q:
    """Where a material names stores (or regions), this one is among them."""
    through = getattr(Material, many).through._base_manager.filter(material=OuterRef("pk"))
    column = f"{many.removesuffix('s')}_id"
    return Q(~Exists(through)) | Q(Exists(through.filter(**{column: one})))
