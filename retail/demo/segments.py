"""Segments of the demo: what a brand would look at first thing on a Monday."""

from datetime import datetime, timedelta
from typing import Any

from members import segments
from members.models import Segment
from retail.models import Brand

_YEAR, _LATELY = {"last": 12, "unit": "month"}, {"last": 60, "unit": "day"}
_GOLD = {"kind": "tier", "is": "at_least", "tier": ["gold"]}
_MARKETS = ["tmall", "jd", "douyin"]


def _not(kind: str, days: int) -> dict[str, Any]:
    return {"kind": kind, "is": "not_in", "within": {"last": days, "unit": "day"}}


def _in(kind: str, days: int) -> dict[str, Any]:
    return {"kind": kind, "is": "in", "within": {"last": days, "unit": "day"}}


_SPENT = {"kind": "spent", "within": _YEAR, "is": "ge", "fen": 300_000}
# Name → (what all must hold, whether buyers leave at once).
_TOLD: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "沉睡高价值": ([_SPENT, _not("last_purchase", 60), _GOLD, _not("contacted", 14)], True),
    "券快到期": ([{"kind": "coupon", "is": "expiring", "days": 7}], False),
    "新客未复购": ([_in("first_purchase", 60), {"kind": "orders", "is": "lt", "count": 2}], False),
    "高价值活跃": ([{**_SPENT, "fen": 500_000}, _in("last_purchase", 30)], False),
    "没人跟进的老客": ([{"kind": "bound", "is": "unbound"}, {"kind": "orders", "is": "ge", "count": 3}], True),
    "线上买过，没到过店": (
        [
            {"kind": "orders", "within": _LATELY, "is": "ge", "count": 1, "channel": _MARKETS},
            {"kind": "orders", "within": _YEAR, "is": "lt", "count": 1, "channel": ["pos"]},
        ],
        False,
    ),
}


def write(*, now: datetime) -> None:
    """Made a month ago and refreshed now, so that the next hour's refresh is not due while the world is looked at."""
    for brand in Brand.objects.order_by("pk"):
        for name, (conditions, is_dormant_only) in _TOLD.items():
            segment = Segment.objects.create(
                brand=brand,
                name=name,
                condition={"match": "all", "of": conditions},
                is_dormant_only=is_dormant_only,
                created_at=now - timedelta(days=30),
            )
            segments.refresh(segment=segment, now=now)
