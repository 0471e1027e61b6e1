"""The demo moves: every few seconds a shop sells something, through the real API of the running demo.

Now and then a clerk sends a link, and somebody opens it.

Wherever the demo command has not said at which address it listens, nothing is sent. A sale that fails is logged and
forgotten; the next one comes in a moment.
"""

import logging
import os
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from http.client import HTTPException
from random import Random
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from celery import shared_task
from django.db import DatabaseError
from django.utils import timezone

from clerks.materials import library, shares
from clerks.materials.models import MaterialVersion, Share
from clerks.models import Binding
from members.models import Member
from retail import scope, shapes
from retail.demo import baskets, goods, keys, logins, seasons, shops
from retail.demo.shopping import BRAND_SHARE, SHARED
from retail.models import Brand, Channel, Order, Post, Product

log = logging.getLogger(__name__)

ADDRESS = "DAOGOU_DEMO_URL"  # environment variable: where the demo listens, set by its command
KINDS = Channel.Kind
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PATIENCE = 10  # seconds for one answer
_BROWSER = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36 MicroMessenger/8.0.50"


class Message(NamedTuple):
    """One call of the feed: `path` below /api/v1/, and its only row."""

    channel: str
    path: str
    row: shapes.Order | shapes.Refund


@shared_task(name="retail.demo_traffic")
def send() -> int:
    """Post one to three orders, now and then a refund. Returns how many calls were answered well."""
    address = os.environ.get(ADDRESS, "")
    if urlsplit(address).hostname not in _LOOPBACK:
        return 0
    try:
        with scope.within(scope.EVERYTHING):
            messages = list(compose(rng=Random(), now=timezone.now()))
            link = share(rng=Random(), now=timezone.now())
    except DatabaseError as error:
        log.warning("The demo has nothing to send: %s", error)
        return 0
    if link:
        _open(address, link)
    return sum(_post(address, message) for message in messages)


def compose(*, rng: Random, now: datetime) -> Iterator[Message]:
    """What happens in the shops at this moment."""
    now = now.astimezone(seasons.SHANGHAI).replace(microsecond=0)
    channels, shelves = _stock()
    weights = [shops.SHARE_OF[channel.kind] * BRAND_SHARE[channel.brand.code] for channel in channels]
    for channel in rng.choices(channels, weights=weights, k=rng.choice((1, 1, 2, 3))):
        yield Message(channel.code, "orders", _order(rng, channel, shelves[channel.brand_id], now))
    refund = _refund(rng, now) if rng.random() < 0.15 else None
    if refund:
        yield Message(refund.channel, "refunds", refund)


def share(*, rng: Random, now: datetime) -> str:
    """The address of a link that somebody has just sent; mostly nobody has."""
    brand = rng.choice(Brand.objects.filter(code__in=BRAND_SHARE).order_by("pk"))
    post = _somebody(rng, brand, now) if rng.random() < 0.2 else None
    found = library.sendable(post=post, now=now).filter(owner=None).order_by("pk") if post else []
    if post is None or not found:
        return ""
    version = MaterialVersion.objects.select_related("material").get(pk=rng.choice(found).live_id)
    sent = shares.make(post=post, version=version, via=Share.Via.MOMENTS, now=now)
    shares.sent(share=sent, now=now)
    return shares.path(sent)


@cache
def _stock() -> tuple[list[Channel], dict[int, goods.Shelf]]:
    """The channels and shelves of the demo's own brands; they hardly change while it runs."""
    channels = Channel.objects.filter(brand__code__in=BRAND_SHARE, kind__in=shops.SHARE_OF)
    products = Product.objects.filter(category__code__in=goods.KIND_OF, is_sold=True)
    return (
        list(channels.select_related("brand").order_by("pk")),
        goods.shelves(Random(0), products.select_related("category").order_by("pk")),
    )


def _order(rng: Random, channel: Channel, shelf: goods.Shelf, now: datetime) -> shapes.Order:
    in_shop = channel.kind == KINDS.POS
    post = _somebody(rng, channel.brand, now)
    is_shared = rng.random() < SHARED.get(channel.kind, 0)
    return shapes.Order(
        channel=channel.code,
        outer_order_id=f"T{now:%y%m%d%H%M%S}{rng.randrange(10**6):06d}",
        paid_at=now,
        store_code=post.store.code if in_shop else None,
        buyer=_buyer(rng, channel, post),
        serving_clerk=post.staff.code if in_shop else None,
        share_code=_code(rng, post) if is_shared else None,
        live_event=f"LIVE-{now:%Y%m%d}" if channel.kind == KINDS.VIDEO_LIVE else None,
        lines=tuple(item.line for item in baskets.fill(rng, shelf, kind=channel.kind, at=now)),
    )


def _code(rng: Random, post: Post) -> str:
    """That of a link the clerk sent lately, or the clerk's own."""
    link = Share.objects.filter(staff=post.staff).order_by("-pk").first() if rng.random() < 0.5 else None
    return link.code if link and post.store and link.brand_id == post.store.brand_id else post.staff.share_code


def _somebody(rng: Random, brand: Brand, now: datetime) -> Post:
    """A clerk of the brand; the one behind the door of the demo rather often, so that their phone has news."""
    posts = Post.objects.at(now).filter(role=Post.Role.CLERK, store__brand=brand).select_related("staff", "store")
    if rng.random() < 0.15:
        star = posts.filter(staff__user__username=logins.CLERK.username).first()
        if star:
            return star
    return rng.choice(posts.order_by("pk"))


def _buyer(rng: Random, channel: Channel, post: Post) -> tuple[shapes.Buyer, ...]:
    """Mostly a customer of the clerk's, or anybody; sometimes somebody new, sometimes nobody we know of."""
    draw = rng.random()
    if draw < 0.12:
        return ()
    own = Binding.objects.active().filter(staff=post.staff, brand=channel.brand).values_list("member_id", flat=True)
    person = rng.choice(own) if draw < 0.6 and own else rng.randrange(1, Member.objects.latest("pk").pk * 21 // 20)
    if channel.kind == KINDS.POS:
        return (shapes.Buyer("phone", keys.phone(person)),)
    if channel.kind in (KINDS.MINI_PROGRAM, KINDS.VIDEO_LIVE):
        phone = shapes.Buyer("phone", keys.phone(person))
        # Whom we know by a phone alone uses a WeChat we have never seen: now and then somebody has to look.
        is_strange = Member.objects.filter(pk=person).exclude(identities__key__type="unionid").exists()
        if is_strange and rng.random() < 0.9:
            return (phone,)
        return (shapes.Buyer("unionid", keys.unionid(person)), phone)
    return (shapes.Buyer("channel_id", keys.channel_id(person)), shapes.Buyer("phone", keys.phone(person)))


def _refund(rng: Random, now: datetime) -> shapes.Refund | None:
    """One line of an order of the last days comes back."""
    recent = Order.objects.filter(paid_at__gte=now - timedelta(days=3), refunds=None, paid_fen__gt=0)
    orders = recent.select_related("channel").prefetch_related("lines").order_by("-paid_at")[:50]
    if not orders:
        return None
    order = rng.choice(orders)
    line = next(line for line in order.lines.all() if line.paid_fen > 0)
    return baskets.give_back(
        channel=order.channel.code, order=order.outer_order_id, line=line.outer_line_id, at=now, fen=line.paid_fen
    )


class _Near(urllib.request.HTTPRedirectHandler):
    """Goes no further than this machine: some links lead to a page of the brand's, which a demo has none of."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        is_near = urlsplit(newurl).hostname in _LOOPBACK
        return super().redirect_request(req, fp, code, msg, headers, newurl) if is_near else None


def _open(address: str, link: str) -> None:
    """As a browser that nobody knows does."""
    request = urllib.request.Request(address.rstrip("/") + link, headers={"User-Agent": _BROWSER})
    try:
        with urllib.request.build_opener(_Near).open(request, timeout=_PATIENCE) as answer:
            answer.read()
    except (OSError, HTTPException) as error:
        if not (isinstance(error, HTTPError) and error.code < 400):  # what leads elsewhere has been opened
            log.warning("The demo did not open %s: %s", link, error)


def _post(address: str, message: Message) -> bool:
    request = urllib.request.Request(
        f"{address.rstrip('/')}/api/v1/{message.path}/",
        data=msgspec.json.encode({message.path: [message.row]}),
        headers={
            "Authorization": f"Bearer {shops.secret(message.channel)}",
            "Content-Type": "application/json",
            "Idempotency-Key": str(uuid4()),
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
            answer.read()
    except (OSError, HTTPException) as error:
        log.warning("The demo's %s did not take a row of %s: %s", message.path, message.channel, error)
        return False
    return True
