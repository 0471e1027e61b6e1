"""What a clerk may send now: the one question all pages ask.

draft ──submit──▶ waiting ──approve, by another person──▶ approved ──its `live_from`──▶ what clerks send
  ▲                  └─return─▶ returned                             (the highest such version)
  └── a change of something approved is a new draft; what is approved stays as it is
"""

from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from clerks.materials.models import Material, MaterialVersion
from retail.models import Post


def live(*, now: datetime) -> QuerySet[MaterialVersion]:
    """The version of each material in force now; a material with none cannot be sent."""
    approved = released(now=now)
    newest = approved.filter(material=OuterRef("material")).order_by("-number").values("pk")[:1]
    return approved.filter(pk=Subquery(newest))


def released(*, now: datetime) -> QuerySet[MaterialVersion]:
    """Versions that are in force or were: what shops may know of."""
    rows = MaterialVersion.objects.filter(state=MaterialVersion.State.APPROVED)
    return rows.filter(Q(live_from=None) | Q(live_from__lte=now))


def sendable(*, post: Post, now: datetime) -> QuerySet[Material]:
    """What the holder of a post in a store may send now, their own quick replies among it; `live_id`: its version."""
    version = released(now=now).filter(material=OuterRef("pk")).order_by("-number").values("pk")[:1]
    rows = visible(post=post).filter(is_active=True)
    rows = rows.filter(Q(valid_from=None) | Q(valid_from__lte=now), Q(valid_until=None) | Q(valid_until__gt=now))
    return rows.annotate(live_id=Subquery(version)).exclude(live_id=None)


def visible(*, post: Post) -> QuerySet[Material]:
    """What is meant for the holder of a post, whether or not it can be sent at this moment."""
    assert post.store is not None
    rows = Material.objects.filter(brand=post.store.brand_id)
    rows = rows.filter(Q(owner=None) | Q(owner=post.staff_id))
    rows = rows.filter(_of_all_or("stores", post.store_id) & _of_all_or("regions", post.store.region_id))
    return rows.filter(Q(grades=[]) | Q(grades__contains=[post.staff.grade]))


def objection(*, material: Material, now: datetime) -> str:
    """Why what is meant for a clerk cannot be sent, in words; "" where it can as far as its dates go."""
    if not material.is_active:
        return _("总部已经停用这份素材，请换一份。")
    if material.valid_until is not None and material.valid_until <= now:
        day = date_format(timezone.localtime(material.valid_until), _("n月j日 H:i"))
        return _("这份素材 %(day)s 已经过期，请换一份。") % {"day": day}
    if material.valid_from is not None and material.valid_from > now:
        day = date_format(timezone.localtime(material.valid_from), _("n月j日 H:i"))
        return _("这份素材 %(day)s 才能开始发。") % {"day": day}
    return ""


def _of_all_or(many: str, one: int | None) -> Q:
    """Where a material names stores (or regions), this one is among them."""
    through = getattr(Material, many).through._base_manager.filter(material=OuterRef("pk"))
    column = f"{many.removesuffix('s')}_id"
    return Q(~Exists(through)) | Q(Exists(through.filter(**{column: one})))
