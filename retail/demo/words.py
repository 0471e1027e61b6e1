"""Tags on the members: headquarters' words, some clerks' own, and what the night computes. A few statements in all."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from clerks.models import Binding
from members import model_tags, profiles
from members.models import Membership, MemberTag, Tag
from retail.demo import copying

# Group → words, from the usual to the rare one.
_COMPANY = {
    "生活": ("上班族", "宝妈", "学生", "退休"),
    "偏好": ("喜欢基础款", "爱尝新款", "只看新品", "送礼为主"),
    "服务": ("需要改裤长", "电话别打", "投诉过"),
}
_OWN = ("聊得来", "常带朋友来", "周末到店", "等打折")
_CLERKS = 60  # so many have words of their own
# Which word, and whether any, is a hash of member and word: the same world every day.
_PUT_COMPANY = """
INSERT INTO members_membertag (member_id, brand_id, tag_id, source, staff_id, why, since)
SELECT b.member_id, b.brand_id, t.id, 'manual', b.staff_id, '{}',
    greatest(b.started_at,
        %(now)s - make_interval(days => (hashtextextended(t.code, b.member_id) >> 8 & 255)::integer))
FROM clerks_binding b JOIN members_tag t ON t.brand_id = b.brand_id AND t.kind = 'company'
WHERE b.ended_at IS NULL AND hashtextextended(t.code, b.member_id) & 31 < 4
ON CONFLICT DO NOTHING
"""
_PUT_OWN = """
INSERT INTO members_membertag (member_id, tag_id, source, staff_id, why, since)
SELECT b.member_id, t.id, 'manual', t.staff_id, '{}', greatest(b.started_at, %(now)s - interval '40 days')
FROM clerks_binding b JOIN members_tag t ON t.staff_id = b.staff_id AND t.kind = 'clerk'
WHERE b.ended_at IS NULL AND hashtextextended(t.code, b.member_id) & 15 < 3
ON CONFLICT DO NOTHING
"""


def run(*, now: datetime) -> None:
    """Once everything is settled: profiles are what they are by then."""
    Tag.objects.bulk_create(_company())
    Tag.objects.bulk_create(_own())
    with connection.cursor() as cursor:
        with copying.indexed_at_the_end("members_membertag"):
            cursor.execute(_PUT_COMPANY, {"now": now})
            cursor.execute(_PUT_OWN, {"now": now})
        cursor.execute("ANALYZE members_membertag, members_profile")
    model_tags.recompute(now=now)
    never_bought = Membership.objects.filter(first_purchase_at=None, member__tags__isnull=False)
    profiles.refresh(membership_ids=never_bought.order_by("pk").values_list("pk", flat=True).distinct(), now=now)
    _switch_one_off(now)


def _company() -> list[Tag]:
    brands = Membership.objects.order_by("brand").values_list("brand", flat=True).distinct()
    return [
        Tag(kind="company", brand_id=brand, group_name=group, name=name, code=f"{group}-{place}")
        for brand in brands
        for group, names in _COMPANY.items()
        for place, name in enumerate(names)
    ]


def _own() -> list[Tag]:
    busy: Any = Binding.objects.active().order_by("staff").values_list("staff", flat=True).distinct()
    return [
        Tag(kind="clerk", staff_id=staff, name=name, code=f"own-{place}")
        for number, staff in enumerate(busy[:_CLERKS])
        for place, name in enumerate(_OWN[: 1 + number % len(_OWN)])
    ]


def _switch_one_off(now: datetime) -> None:
    """One word is out of use, and some were taken off again: history has something to show."""
    lately = MemberTag.objects.filter(tag__name="投诉过", until=None, since__lt=now - timedelta(days=200))
    members = list(lately.values_list("member", flat=True))
    lately.update(until=now - timedelta(days=20))
    profiles.retag(member_ids=members, now=now)
    unused = Tag(kind="company", group_name="活动", name="去年双十一名单", code="old-list", is_active=False)
    unused.save()
