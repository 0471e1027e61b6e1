"""标签: words for members, and who put which on whom.

    company   headquarters' words, of a brand or of the whole group; some are WeCom's, too (clerks.tagging)
    clerk     a clerk's own words, which nobody else sees
    model     what is computed of purchases every night (members.model_tags); nobody puts these on or takes them off

Putting on and taking off are one statement for any number of members. A row is never taken away: it gets its end.
"""

import secrets
from collections.abc import Collection
from datetime import date, datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from members import profiles, tag_words
from members.models import Membership, MemberTag, Purchase, Tag
from retail import audit, privacy, scope
from retail.models import Brand, Staff

MOST_OWN = 50  # words of one clerk
Kind, Source = Tag.Kind, MemberTag.Source


class Refused(Exception):
    """This cannot be done with this tag; the text says why, to the person who wanted it."""


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def define(*, group_name: str, name: str, brand: Brand | None, by: Any, now: datetime) -> Tag:
    """A word of headquarters. The same one again is the same tag. Raises Refused."""
    name, group_name = sound(name), group_name.strip()
    _alone(f"company {brand.pk if brand else ''}")
    same = Tag._base_manager.filter(kind=Kind.COMPANY, brand=brand, group_name=group_name, name=name).first()
    if same is not None:
        return same
    tag = Tag.objects.create(
        kind=Kind.COMPANY, brand=brand, group_name=group_name, name=name, code=f"t{secrets.token_hex(6)}"
    )
    audit.record(by=by, action="tag.define", target=tag, now=now, after={"group": group_name, "name": name})
    return tag


@transaction.atomic
def rename(*, tag: Tag, group_name: str, name: str, by: Any, now: datetime) -> None:
    """Another word for the same thing. Raises Refused for one that WeCom named, or the computation."""
    if tag.kind != Kind.COMPANY or tag.corp_tag_id:
        raise Refused(_("这个标签的名称不在这里改。"))
    before = {"group": tag.group_name, "name": tag.name}
    _alone(f"company {tag.brand_id or ''}")
    same = Tag._base_manager.filter(
        kind=Kind.COMPANY, brand=tag.brand_id, group_name=group_name.strip(), name=sound(name)
    )
    if same.exclude(pk=tag.pk).exists():
        raise Refused(_("已经有一个叫这个名字的标签。"))
    tag.group_name, tag.name = group_name.strip(), sound(name)
    tag.save(update_fields=["group_name", "name"])
    after = {"group": tag.group_name, "name": tag.name}
    audit.record(by=by, action="tag.rename", target=tag, now=now, before=before, after=after)


def switch(*, tag: Tag, is_active: bool, by: Any, now: datetime) -> int:
    """Let a tag be in force again, or for nobody; on how many members it is. What is on them stays written.

    They may be very many: their profiles follow by chunks, each in a transaction of its own.
    """
    with transaction.atomic():
        if not Tag._base_manager.filter(pk=tag.pk, is_active=not is_active).update(is_active=is_active):
            return 0
        tag.is_active = is_active
        audit.record(by=by, action="tag.switch", target=tag, now=now, after={"is_active": is_active})
    members = list(_held(tag).order_by("member").values_list("member", flat=True).distinct())
    profiles.retag(member_ids=members, now=now)
    return len(members)


@transaction.atomic
def own(*, staff: Staff, name: str, now: datetime) -> Tag:
    """A clerk's own word, made at its first use. Raises Refused when they have enough of them."""
    name = sound(name)
    _alone(f"clerk {staff.pk}")
    mine = Tag._base_manager.filter(kind=Kind.CLERK, staff=staff)
    same = mine.filter(name=name).first()
    if same is None and mine.filter(is_active=True).count() >= MOST_OWN:
        raise Refused(_("自己的标签最多 %(most)s 个，请先删掉不用的。") % {"most": MOST_OWN})
    if same is None:
        return Tag.objects.create(kind=Kind.CLERK, staff=staff, name=name, code=f"t{secrets.token_hex(6)}")
    if not same.is_active:
        switch(tag=same, is_active=True, by=staff.user, now=now)
    return same


def sound(name: str) -> str:
    """The word as it is kept. Raises Refused where it cannot be one."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= 30:
        raise Refused(_("标签要写 1 到 30 个字。"))
    if privacy.without_numbers(name) != name:
        raise Refused(_("标签里不要写号码。"))
    return name


def _alone(what: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 3))", [f"tags {what}"])


def offered(*, brand_id: int, staff: Staff | None) -> QuerySet[Tag]:
    """What can be put on a member of the brand by this clerk, or by a manager (None): words of people."""
    company = Q(kind=Kind.COMPANY) & (Q(brand=brand_id) | Q(brand=None))
    mine = Q(kind=Kind.CLERK, staff=staff) if staff else Q(pk=None)
    return Tag._base_manager.filter(company | mine, is_active=True).order_by("kind", "group_name", "name")


# ── On members ───────────────────────────────────────────────────────────────────────────────────────────────────────
_PUT = """
INSERT INTO members_membertag (member_id, brand_id, tag_id, source, staff_id, why, since)
SELECT m.id, %(brand)s, %(tag)s, %(source)s, %(staff)s, '{}', %(now)s
FROM members_member m WHERE m.id = ANY(%(members)s::bigint[]) AND m.merged_into_id IS NULL
    AND (%(brand)s::bigint IS NULL OR EXISTS (
        SELECT FROM members_membership s WHERE s.member_id = m.id AND s.brand_id = %(brand)s))
    AND NOT EXISTS (
        SELECT FROM members_membertag t WHERE t.member_id = m.id AND t.tag_id = %(tag)s AND t.until IS NULL)
ORDER BY m.id ON CONFLICT DO NOTHING RETURNING member_id
"""


@transaction.atomic
def put(
    *, tag: Tag, member_ids: Collection[int], staff: Staff | None, now: datetime, source: str = Source.MANUAL
) -> list[int]:
    """Put a tag on members; returns those who did not have it. A brand's tag goes on its own members alone.

    `staff`: who does it; None: headquarters, an import, WeCom. Raises Refused.
    """
    _require_usable(tag, staff)
    given = {"brand": tag.brand_id, "tag": tag.pk, "source": source, "staff": staff.pk if staff else None, "now": now}
    with connection.cursor() as cursor:
        cursor.execute(_PUT, {"members": list(member_ids), **given})
        changed = sorted(member_id for (member_id,) in cursor.fetchall())
    profiles.retag(member_ids=changed, now=now)
    return changed


@transaction.atomic
def take_off(*, tag: Tag, member_ids: Collection[int], staff: Staff | None, now: datetime) -> list[int]:
    """Take a tag off members, whoever put it on; returns those who had it. Raises Refused."""
    _require_usable(tag, staff)
    held = _held(tag).filter(member__in=member_ids)
    changed = sorted(set(held.select_for_update(of=("self",)).values_list("member_id", flat=True)))
    held.update(until=now, ended_by=staff)
    profiles.retag(member_ids=changed, now=now)
    return changed


@transaction.atomic
def forget(*, member_ids: Collection[int], now: datetime) -> None:
    """These people are to be forgotten: nothing is on them any more, no reasons stay, nor a clerk's words for them."""
    mine = MemberTag._base_manager.filter(member__in=member_ids)
    words = set(mine.filter(tag__kind=Kind.CLERK).values_list("tag", flat=True))
    shared = MemberTag._base_manager.filter(tag__in=words).exclude(member__in=member_ids).values("tag")
    lonely = Tag._base_manager.filter(pk__in=words).exclude(pk__in=shared)
    lonely.update(name=_("（已抹去）"), is_active=False)
    mine.exclude(why={}).update(why={})
    mine.filter(until=None).update(until=now)
    profiles.retag(member_ids=member_ids, now=now)


def _require_usable(tag: Tag, staff: Staff | None) -> None:
    if tag.kind == Kind.MODEL:
        raise Refused(_("模型标签每晚按消费算出来，不能手工改。"))
    if tag.kind == Kind.CLERK and (staff is None or tag.staff_id != staff.pk):
        raise Refused(_("这是别人自己的标签。"))
    if not tag.is_active:
        raise Refused(_("这个标签已经停用。"))


def _held(tag: Tag) -> QuerySet[MemberTag]:
    return MemberTag._base_manager.filter(tag=tag, until=None)


def shown(rows: QuerySet[MemberTag]) -> QuerySet[MemberTag]:
    """Those in force that the scope of now may see: no clerk's own words, nothing of a brand that is not theirs.

    What is computed rests on all purchases of a member with the brand: who does not see all of those that were made in
    stores does not see it.
    """
    elsewhere = Purchase._base_manager.filter(
        membership__member=OuterRef("member"), membership__brand=OuterRef("brand"), store__isnull=False
    ).exclude(pk__in=Purchase.objects.values("pk"))
    if not scope.current().is_everything:
        rows = rows.filter(Q(brand=None) | Q(brand__in=Brand.objects.values("pk")))
        rows = rows.exclude(Q(tag__kind=Kind.MODEL) & Exists(elsewhere))
    return rows.filter(until=None, tag__is_active=True).exclude(tag__kind=Kind.CLERK)


class Held(NamedTuple):
    """A tag as it is shown on a member: the word, where it comes from and, of a computed one, why."""

    tag: Tag
    source: str
    by: Staff | None
    since: datetime
    sentence: str
    as_of: date | None

    @property
    def is_mine(self) -> bool:
        return self.tag.kind == Kind.CLERK


def of_member(*, membership: Membership, staff: Staff | None) -> list[Held]:
    """The tags in force of a membership, as this clerk sees them; None: somebody who sees no clerk's own ones.

    Whether the reader may see the member at all is asked before. One statement.
    """
    own = Q(tag__kind=Kind.CLERK, tag__staff=staff) if staff else Q(pk=None)
    of_brand = Q(brand=None) | Q(brand=membership.brand_id)
    rows = MemberTag._base_manager.filter(of_brand, member=membership.member_id, until=None, tag__is_active=True)
    rows = rows.filter(~Q(tag__kind=Kind.CLERK) | own).select_related("tag", "staff")
    best: dict[int, Held] = {}
    for row in rows.order_by("tag__kind", "tag__group_name", "tag__name", "since"):
        best.setdefault(
            row.tag_id, Held(row.tag, row.source, row.staff, row.since, tag_words.sentence(row), row.as_of)
        )
    return list(best.values())
