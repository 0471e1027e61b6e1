"""What the brands of the demo give their members: points, member days, tiers, and a few things by hand."""

from datetime import datetime, timedelta
from itertools import cycle

from members import points, tiers
from members.models import Membership, PointsRule, Tier, TierRule
from retail.demo import logins
from retail.demo.shops import Shops
from retail.models import User

_Life = PointsRule.Life
# A point a yuan for the one brand, five for ten yuan for the other, whose points last no longer than eleven months.
_BASIC = {
    "XL": {"spend_fen": 100, "points": 1, "life": _Life.NEXT_YEAR},
    "LY": {"spend_fen": 1_000, "points": 5, "life": _Life.DAYS, "lives_days": 335},
}
_BY_HAND = [(200, "投诉补偿"), (-150, "积分发错更正"), (88, "生日礼遇"), (500, "活动漏发补发")]


def write(*, shops: Shops, since: datetime) -> None:
    """The rules, in force since before the first order."""
    on = since.date()
    for brand in shops.brands:
        TierRule.objects.create(brand=brand)
        *_, gold, diamond = shops.tiers[brand.pk]
        PointsRule.objects.create(brand=brand, name="消费积分", starts_on=on, **_BASIC[brand.code])
        times = {"brand": brand, "kind": PointsRule.Kind.TIMES, "starts_on": on}
        PointsRule.objects.create(name="会员日双倍", times_percent=200, month_days=[8, 18, 28], **times)
        PointsRule.objects.create(name="金卡 1.2 倍", times_percent=120, tier=gold, **times)
        PointsRule.objects.create(name="黑钻 1.5 倍", times_percent=150, tier=diamond, **times)
        Tier.objects.create(pk=100 + brand.pk, brand=brand, code="friend", name="品牌挚友", rank=9, is_protected=True)


def by_hand(*, now: datetime) -> None:
    """What operations gave and took: a few points, a tier for friends of the house."""
    by = User.objects.get(username=logins.HQ_OPS.username)
    some = (
        Membership.objects.filter(points__gt=300).select_related("member", "brand").order_by("-last_purchase_at")[:12]
    )
    for one, (given, reason) in zip(some, cycle(_BY_HAND)):
        points.adjust(membership=one, points=given, reason=reason, by=by, now=now - timedelta(hours=2))
    for one in some[:2]:
        friend = Tier.objects.get(brand=one.brand, code="friend")
        tiers.give(membership=one, tier=friend, reason="品牌活动合作", by=by, now=now - timedelta(hours=1))
