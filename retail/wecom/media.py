"""素材: files for customers. They lie here; WeCom is given each again before it forgets it, three days later.

    keep ──job wecom_media──▶ uploaded ──AHEAD of its end, by `refresh`──▶ uploaded again …
                 └─ WeCom says no ──▶ `trouble`, tried again each time `refresh` looks

Who needs a file right now takes `usable`, and asks whether it `is_coming` where there is none; whoever was told that
an id is dead says so to `forget`. Several who need the same at once have it uploaded once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from retail import jobs
from retail.jobs import Work
from retail.wecom.errors import Misconfigured, Rejected, Unreachable
from retail.wecom.gateway import Gateway
from retail.wecom.models import App, Media, MediaContent, apps_of

JOB = "wecom_media"
LIFE = timedelta(days=3)  # of an id, says the vendor
MARGIN = timedelta(hours=1)  # before its end an id is no longer used
AHEAD = timedelta(hours=24)  # so long before its end a file is uploaded again
GONE = 40007  # what WeCom says of an id that it does not know (any more)
LEAST_BYTES = 6
MEGA = 1024 * 1024
MOST_BYTES = {Media.Kind.IMAGE: 10 * MEGA, Media.Kind.VIDEO: 10 * MEGA, Media.Kind.FILE: 20 * MEGA}
LARGEST = max(MOST_BYTES.values())
ENDINGS = {Media.Kind.IMAGE: ("jpg", "jpeg", "png"), Media.Kind.VIDEO: ("mp4",), Media.Kind.FILE: ()}
ELSEWHERE = timedelta(seconds=30)  # after which one looks whether somebody else has uploaded it
_WORDS = {
    Media.Kind.IMAGE: gettext_lazy("图片要 JPG 或 PNG。"),
    Media.Kind.VIDEO: gettext_lazy("视频要 MP4。"),
}


class Unfit(ValueError):
    """WeCom would not take this file; the words say why."""


# ── Kept here ────────────────────────────────────────────────────────────────────────────────────────────────────────
def check(*, kind: str, name: str, content: bytes) -> None:
    """Raise Unfit for what WeCom would refuse: by size, ending, and how it begins."""
    kind = Media.Kind(kind)
    if len(content) < LEAST_BYTES:
        raise Unfit(_("文件是空的。"))
    if len(content) > MOST_BYTES[kind]:
        raise Unfit(_("文件太大：这一类最多 %(size)s MB。") % {"size": MOST_BYTES[kind] // MEGA})
    is_one = {
        Media.Kind.IMAGE: content.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff")),
        Media.Kind.VIDEO: content[4:8] == b"ftyp",
        Media.Kind.FILE: True,
    }[kind]
    if not is_one or (ENDINGS[kind] and name.rpartition(".")[2].lower() not in ENDINGS[kind]):
        raise Unfit(str(_WORDS[kind]))


@transaction.atomic
def keep(*, media: Media, content: bytes, now: datetime) -> Media:
    """A new file, to be uploaded at once unless it is not in use yet. Raises Unfit."""
    check(kind=media.kind, name=media.name, content=content)
    media.size, media.made_at = len(content), now
    media.save()
    MediaContent.objects.create(media=media, data=content)
    if media.is_active:
        publish(ids=[media.pk], now=now)
    return media


def publish(*, ids: list[int], now: datetime) -> None:
    work = [Work(JOB, {"media_id": pk}, _shard(pk)) for pk in ids]
    if work:
        jobs.enqueue(work=work, now=now)


def _shard(pk: int) -> str:
    return f"media:{pk}"


# ── Given to WeCom ───────────────────────────────────────────────────────────────────────────────────────────────────
def usable(media: Media, *, now: datetime) -> str:
    """The id by which WeCom knows the file now; "" where it does not."""
    is_fresh = media.uploaded_at is not None and now < media.uploaded_at + LIFE - MARGIN
    return media.media_id if is_fresh else ""


def is_coming(media: Media, *, now: datetime) -> bool:
    """Whether WeCom may hold the file in a moment: its upload waits or is under way, or is asked for now.

    Not so where the last try has failed: that is tried again in its own time.
    """
    if media.trouble:
        return False
    jobs_of_it = jobs.Job.objects.pending().filter(shard=_shard(media.pk))
    errors = list(jobs_of_it.values_list("last_error", flat=True))
    if not errors:
        publish(ids=[media.pk], now=now)
    return "" in errors or not errors


def refresh(*, now: datetime) -> int:
    """Have uploaded what WeCom does not hold, or forgets soon. Returns how many."""
    late = Q(media_id="") | Q(uploaded_at__lte=now - LIFE + AHEAD)
    ids = list(Media.objects.filter(late, is_active=True).order_by("pk").values_list("pk", flat=True))
    publish(ids=ids, now=now)
    return len(ids)


def renew(*, media_id: int, now: datetime) -> Media:
    """A job: upload a file unless that was done meanwhile. What WeCom has against it stands in `trouble`."""
    media = Media.objects.get(pk=media_id)
    app = apps_of(corp=media.corp_id).first()
    if not media.is_active or (media.uploaded_at and media.media_id and now < media.uploaded_at + LIFE - AHEAD):
        return media
    if app is None:
        return _troubled(media, _("这个企业没有可用的企业微信应用。"))
    try:
        upload(media, app=app, now=now, known=media.media_id)
    except (Rejected, Misconfigured) as error:
        return _troubled(media, _("企业微信没有接受：%(error)s") % {"error": f"{error.errcode} {error.errmsg[:120]}"})
    return media


def upload(media: Media, *, app: App, now: datetime, known: str = "") -> str:
    """Give the file to WeCom and return its new id, another than `known`. Raises the errors of the gateway."""
    with _alone(media.pk) as is_mine:
        media.refresh_from_db(fields=["media_id", "uploaded_at", "trouble"])
        if (found := usable(media, now=now)) and found != known:
            return found
        if is_mine:
            return _uploaded(media, Gateway(app), now)
    until = now + ELSEWHERE
    raise Unreachable("somebody else is uploading it", "media/upload", until=until, may_have_worked=False)


def _uploaded(media: Media, gateway: Gateway, now: datetime) -> str:
    data = bytes(MediaContent.objects.get(media=media).data)
    answer = gateway.upload_media(type=media.kind, filename=media.name, content=data)
    media.media_id, media.uploaded_at, media.trouble = answer["media_id"], now, ""
    media.save(update_fields=["media_id", "uploaded_at", "trouble"])
    return media.media_id


def forget(*, media: Media, refused: str) -> None:
    """WeCom does not know this id any more; another one that came since stays."""
    Media.objects.filter(pk=media.pk, media_id=refused).update(media_id="", uploaded_at=None)


def _troubled(media: Media, words: str) -> Media:
    media.trouble = words[:200]
    media.save(update_fields=["trouble"])
    return media


@contextmanager
def _alone(pk: int) -> Iterator[bool]:
    """Whether nobody else is uploading this file now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('wecom media'), %s)", [pk])
        is_mine: Any = cursor.fetchone()[0]
    try:
        yield is_mine
    finally:
        if is_mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtext('wecom media'), %s)", [pk])
