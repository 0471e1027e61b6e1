"""Files of a draft: looked at, drawn anew where they are pictures, kept for WeCom; and which of them WeCom holds.

Nothing is given to WeCom before somebody has approved it. From then on the jobs of `retail.wecom.media` give it there
and again every three days, for as long as clerks may send it: `follow` says of which files that is so.
"""

import secrets
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clerks.materials import documents, library, pictures
from clerks.materials.models import Material, MaterialFile, MaterialVersion
from clerks.materials.pictures import Unfit
from clerks.models import WelcomePart
from retail.wecom import media
from retail.wecom.models import Media

Kind = Material.Kind
# How many files each kind takes; of those that become a card it is the card's picture.
MOST = {
    Kind.PICTURES: 9,
    Kind.PRODUCT: 9,
    **dict.fromkeys((Kind.LINK, Kind.MINIPROGRAM, Kind.LIVE, Kind.VIDEO, Kind.FILE, Kind.POSTER), 1),
    Kind.TEXT: 0,
}


class Looked(NamedTuple):
    """A file that was looked at, as it will be kept; `seen`: of a picture its size, and itself small."""

    kind: str
    name: str
    data: bytes
    seen: dict[str, Any]


def look(*, kind: str, name: str, data: bytes) -> Looked:
    """What of an upload may be kept for a material of this kind. Raises Unfit. The long part of the work."""
    if kind == Kind.VIDEO:
        documents.check_video(data)
        return Looked(Media.Kind.VIDEO, f"{secrets.token_hex(8)}.mp4", data, {})
    if kind == Kind.FILE:
        shown = documents.display_name(name)
        documents.check_document(shown, data)
        return Looked(Media.Kind.FILE, shown, data, {})
    drawn = pictures.redraw(data)
    seen = {"width": drawn.width, "height": drawn.height, "small": drawn.small}
    return Looked(Media.Kind.IMAGE, f"{secrets.token_hex(8)}.jpg", drawn.data, seen)


def add(*, version: MaterialVersion, file: Looked, now: datetime) -> MaterialFile:
    """Put a file behind those of a draft. Raises Unfit; the caller holds the draft (`writing`)."""
    material = version.material
    places = list(version.files.order_by("place").values_list("place", flat=True))
    if fault := too_many(kind=material.kind, count=len(places) + 1):
        raise Unfit(fault)
    row = Media(corp_id=material.brand.corp, kind=file.kind, name=file.name, is_active=False)
    try:
        media.keep(media=row, content=file.data, now=now)
    except media.Unfit as unfit:
        raise Unfit(str(unfit)) from None
    place = places[-1] + 1 if places else 0
    return MaterialFile._base_manager.create(version=version, place=place, media=row, **file.seen)


def too_many(*, kind: str, count: int) -> str:
    """Why a material of this kind cannot have so many files; "" where it can."""
    most = MOST[Kind(kind)]
    if count <= most:
        return ""
    if not most:
        return _("这一类素材不带文件。")
    return ngettext("这一类素材最多 %(count)s 个文件。", "这一类素材最多 %(count)s 个文件。", most) % {"count": most}


def copy(*, source: MaterialVersion, draft: MaterialVersion) -> None:
    """The same files for another version; what they show lies there once."""
    rows = source.files.order_by("place").values("place", "media_id", "width", "height", "small")
    MaterialFile._base_manager.bulk_create(MaterialFile(version=draft, **row) for row in rows)


def arrange(*, version: MaterialVersion, ids: list[int]) -> None:
    """The files in this order; those that are not named come last, as they are."""
    rows = sorted(version.files.all(), key=lambda row: (ids.index(row.pk) if row.pk in ids else len(ids), row.place))
    free = max((row.place for row in rows), default=0) + 1
    for start in (free, 0):  # places are unique: by way of some that nobody has
        for place, row in enumerate(rows, start=start):
            MaterialFile._base_manager.filter(pk=row.pk).update(place=place)


# ── Which of them WeCom is to hold ───────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def follow(*, now: datetime, material: Material | None = None) -> int:
    """Have WeCom given what clerks send now or within a day, and no more what they do not. How many were switched."""
    soon = now + media.AHEAD
    files = MaterialFile._base_manager.filter(version__in=_in_use(now, soon), media=OuterRef("pk"))
    rows = Media.objects.filter(Exists(MaterialFile._base_manager.filter(media=OuterRef("pk"))))
    if material is not None:
        theirs = MaterialFile._base_manager.filter(version__material=material).values("media")
        rows = rows.filter(pk__in=theirs)
    wanted = list(
        rows.filter(Exists(files), is_active=False).exclude(corp_id="").order_by("pk").values_list("pk", flat=True)
    )
    Media.objects.filter(pk__in=wanted).update(is_active=True)
    media.publish(ids=wanted, now=now)
    greets = WelcomePart._base_manager.filter(media=OuterRef("pk"))
    return len(wanted) + rows.filter(~Exists(files), ~Exists(greets), is_active=True).update(is_active=False)


def _in_use(now: datetime, soon: datetime) -> QuerySet[MaterialVersion]:
    """Versions that may be sent at some moment between the two."""
    live = Q(pk__in=library.live(now=now).values("pk")) | Q(pk__in=library.live(now=soon).values("pk"))
    begun = Q(material__valid_from=None) | Q(material__valid_from__lte=soon)
    lasting = Q(material__valid_until=None) | Q(material__valid_until__gt=now)
    rows = MaterialVersion._base_manager.filter(live, begun, lasting, material__is_active=True)
    return rows.exclude(material__kind=Kind.POSTER)  # its picture is drawn on it and never sent by itself
