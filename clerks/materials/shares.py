"""分享: the link of one clerk to one material. Its code says nothing and cannot be guessed."""

import secrets
import string
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import Max, QuerySet

from clerks.materials.models import MaterialVersion, Share
from retail.models import Post

ALPHABET = string.ascii_letters + string.digits
LENGTH = 12  # of 62 letters each: 71 bits
PREPARED = timedelta(hours=2)  # so long a link that was not sent is taken again for the same


def make(
    *,
    post: Post,
    version: MaterialVersion,
    via: str,
    now: datetime,
    member_id: int | None = None,
    product_id: int | None = None,
) -> Share:
    """A link for what is about to be sent. The caller has asked `library.sendable`."""
    assert post.store is not None
    return Share._base_manager.create(
        code="".join(secrets.choice(ALPHABET) for _ in range(LENGTH)),
        brand_id=post.store.brand_id,
        material_id=version.material_id,
        version=version,
        staff_id=post.staff_id,
        store=post.store,
        member_id=member_id,
        product_id=product_id,
        via=via,
        made_at=now,
    )


def ready(
    *, post: Post, version: MaterialVersion, via: str, member_id: int | None, product_id: int | None, now: datetime
) -> Share:
    """The link that was prepared for the same a while ago and never sent, else a new one."""
    same = {"version": version, "via": via, "member": member_id, "product": product_id}
    found = unsent(post=post, now=now).filter(**same).first()
    return found or make(post=post, version=version, via=via, member_id=member_id, product_id=product_id, now=now)


def unsent(*, post: Post, now: datetime) -> QuerySet[Share]:
    """What the clerk has prepared of late, newest first: chosen on one page, to be sent from beside the chat."""
    rows = Share._base_manager.filter(staff=post.staff_id, store=post.store_id, sent_at=None)
    return rows.filter(made_at__gt=now - PREPARED).order_by("-made_at", "-pk")


def had(*, post: Post, material_id: int, member_ids: Collection[int]) -> dict[int, datetime]:
    """Which of these customers the clerk has sent this material to, and when last. One statement."""
    rows = Share._base_manager.filter(staff=post.staff_id, material=material_id, member__in=member_ids)
    last = rows.filter(sent_at__isnull=False).values("member").annotate(last=Max("sent_at"))
    return dict(last.order_by().values_list("member", "last"))


def sent(*, share: Share, now: datetime) -> None:
    """WeCom said that it went out; told twice, the first time stays."""
    if Share._base_manager.filter(pk=share.pk, sent_at=None).update(sent_at=now):
        share.sent_at = now


def path(share: Share) -> str:
    """Its address on this site, without the host."""
    return f"/s/{share.code}"
