"""人群: members of a brand who fit a condition, now or when a list was drawn.

`grammar` reads a condition, `kinds` knows which there are, `query` makes one statement of it; `saved` keeps segments
and `preview` looks before one is kept. Other rooms use what stands here.
"""

from members.segments import knowing, shopping, standing  # noqa: F401  register their kinds
from members.segments.grammar import Refused
from members.segments.preview import preview
from members.segments.saved import (
    JOB,
    SegmentRefused,
    bought,
    check,
    copy,
    dormant_days,
    end,
    enqueue,
    enqueue_due,
    members_of,
    moves,
    present,
    refresh,
    rest_of,
    rested_since,
    shown,
    understand,
    with_count,
)

__all__ = [
    "JOB",
    "Refused",
    "SegmentRefused",
    "bought",
    "check",
    "copy",
    "dormant_days",
    "end",
    "enqueue",
    "enqueue_due",
    "members_of",
    "moves",
    "present",
    "preview",
    "refresh",
    "rest_of",
    "rested_since",
    "shown",
    "understand",
    "with_count",
]
