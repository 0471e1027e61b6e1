"""People whom the demo knows twice: some to be looked at, one pair merged because a registration proved it."""

from datetime import datetime, timedelta

from clerks import oneid
from members.models import Doubt, Identity
from retail import intake, jobs, privacy, shapes
from retail.demo import seasons
from retail.models import BuyerKey, Channel, Product

ASKED = 6  # pairs for somebody to look at


def run(*, now: datetime) -> None:
    """Somebody buys in the mini-program and gives the phone of a member whom we know by another WeChat."""
    channel = Channel.objects.filter(kind=Channel.Kind.MINI_PROGRAM, brand__isnull=False).order_by("pk").first()
    if channel is None:
        return
    phones = Identity.objects.filter(key__type=BuyerKey.Type.PHONE, member__memberships__brand=channel.brand)
    phones = phones.exclude(member__memberships__last_purchase_at=None).select_related("key").order_by("-pk")
    two_wechats = phones.filter(member__identities__key__type=BuyerKey.Type.UNIONID).distinct()[:ASKED]
    no_wechat = phones.exclude(member__identities__key__type=BuyerKey.Type.UNIONID)[:1]
    for place, row in enumerate([*two_wechats, *no_wechat]):
        _buy(channel, row, place, now)
    for row in no_wechat:
        _register(channel, row, now)
    for doubt_id in Doubt.objects.filter(state=Doubt.State.SURE).values_list("pk", flat=True):
        oneid.join(doubt_id=doubt_id, now=now)
    jobs.Job.objects.all().delete()  # all of it is done


def _another_wechat(of: Identity) -> shapes.Buyer:
    return shapes.Buyer("unionid", f"oDemoDouble{of.member_id:08d}")


def _phone(of: Identity) -> shapes.Buyer:
    return shapes.Buyer("phone", privacy.reveal(of.key))


def _buy(channel: Channel, of: Identity, place: int, now: datetime) -> None:
    product = Product.objects.filter(brand=channel.brand).order_by("pk")[place]
    line = shapes.Line(
        outer_line_id="1", sku=product.sku, qty=1, tag_fen=product.tag_fen, paid_fen=product.tag_fen * 9 // 10
    )
    row = shapes.Order(
        channel=channel.code,
        outer_order_id=f"MPD{of.member_id:08d}",
        paid_at=seasons.midnight(now) - timedelta(minutes=7 * (place + 1)),
        buyer=(_another_wechat(of), _phone(of)),
        lines=(line,),
    )
    for taken in intake.take_orders(channel=channel, data=[row], now=now):
        if taken.id is None:
            raise ValueError(f"An order of the demo was refused: {taken.faults}")
        intake.settle_order(order_id=taken.id, now=now)


def _register(channel: Channel, of: Identity, now: datetime) -> None:
    event = shapes.Event(
        channel=channel.code,
        outer_event_id=f"MPR{of.member_id:08d}",
        type="register",
        at=seasons.midnight(now),
        buyer=(_another_wechat(of), _phone(of)),
    )
    intake.take_events(channel=channel, data=[event], now=now)
