"""What headquarters announced yesterday and who has read it, and requests for help that wait."""

from datetime import datetime, timedelta

from django.db import connection

from clerks.models import Binding, Broadcast, HelpRequest
from clerks.outreach import broadcasts, help
from retail.demo import logins
from retail.models import Post, Staff, Store, User

_TEXT = (
    "周末两天全场冬款满 2 件 8.8 折，可与会员券同用。\n"
    "周五打烊前换好橱窗和价签；老顾客先发一条消息告诉她，别群发。\n"
    "不清楚的地方在顾客页面点“请上级帮忙”。"
)
# Half of the people have read it, in some stores more and in some less; the demo's own clerk has not.
_READ = """
UPDATE clerks_notice SET read_at = created_at + make_interval(mins => 3 + mod(id * 37, 700)::int)
WHERE broadcast_id = %(broadcast)s AND mod(id * 7919, 10) < 3 + mod(store_id, 5) AND staff_id <> %(clerk)s
"""
_ASKED = (
    (
        HelpRequest.Kind.STOCK,
        "看中的驼色大衣 38 码本店没有，隔壁店能调一件过来吗？她周六来拿。",
        timedelta(minutes=50),
    ),
    (HelpRequest.Kind.PRICE, "要三件，问能不能再送一条围巾，我说帮她问问。", timedelta(minutes=95)),
)


def write(*, now: datetime) -> None:
    """By the product's own verbs; only what was read is made up."""
    clerk = Staff.objects.get(user__username=logins.CLERK.username)
    _announce(User.objects.get(username=logins.HQ_OPS.username), clerk, now - timedelta(hours=20))
    store = Post.objects.at(now).select_related("store").get(staff=clerk).store
    assert store is not None
    _ask(clerk, store, now)


def _announce(by: User, clerk: Staff, at: datetime) -> None:
    row = Broadcast.objects.create(
        title="周末冬款活动，周五打烊前换好价签",
        text=_TEXT,
        link=Broadcast.Link.CUSTOMERS,
        roles=list(broadcasts.OF_STORES),
        state=Broadcast.State.WAITING,  # as if submitted: its job would wait for the first worker, and it is done here
        by=by,
        made_at=at,
    )
    broadcasts.aim(broadcast=row, brands=[], regions=[], stores=[])
    broadcasts.send(broadcast_id=row.pk, now=at)
    with connection.cursor() as cursor:
        cursor.execute(_READ, {"broadcast": row.pk, "clerk": clerk.pk})


def _ask(clerk: Staff, store: Store, now: datetime) -> None:
    """Two of the clerk's customers, whose questions nobody has answered yet."""
    bound = Binding.objects.active().filter(staff=clerk).order_by("-started_at").values_list("member", flat=True)
    for member_id, (kind, text, ago) in zip(bound[: len(_ASKED)], _ASKED, strict=False):
        help.ask(staff=clerk, store=store, member_id=member_id, kind=kind, text=text, now=now - ago)
