"""Codes members claim in a shop's own pages: who it is by their strongest key, and whether they have it now."""

from collections.abc import Sequence
from datetime import datetime

from members import identity
from members.coupons import claiming
from members.coupons.claiming import ENOUGH, STRANGER, Claim, Claimed
from members.matching import STRENGTH
from members.models import Coupon
from retail import orders, privacy, shapes
from retail.models import Brand, Channel
from retail.orders import Fault, Taken


def take(*, channel: Channel, data: Sequence[shapes.CouponClaim], now: datetime) -> list[Taken]:
    """What became of each, in order. Nobody is learned from it: who is no member yet registers first."""
    brands = _brands({row.code for row in data})
    read = [_read(channel, row, brands) for row in data]
    owners = identity.members_of({key for keys in read if isinstance(keys, tuple) for key in keys})
    claims = [
        Claim(row.code, _whose(keys, owners)) for row, keys in zip(data, read, strict=True) if isinstance(keys, tuple)
    ]
    outcomes = iter(claiming.claim_many(claims=claims, by=None, now=now))
    return [_taken(next(outcomes)) if isinstance(keys, tuple) else Taken("rejected", faults=keys) for keys in read]


def _brands(codes: set[str]) -> dict[str, Brand]:
    rows = Coupon._base_manager.filter(code__in=codes).select_related("type__brand")
    return {row.code: row.type.brand for row in rows}


def _read(
    channel: Channel, row: shapes.CouponClaim, brands: dict[str, Brand]
) -> tuple[privacy.Known, ...] | list[Fault]:
    """The keys of the buyer, strongest first, as the brand of the coupon knows them; or what is wrong."""
    faults = []
    if row.channel != channel.code:
        faults.append(Fault("channel", f"is {row.channel!r}, but these claims are taken for {channel.code!r}"))
    keys, wrong = orders.identities(channel, brands.get(row.code), row.buyer)
    return faults + wrong or tuple(sorted(keys, key=lambda key: STRENGTH[key.type]))


def _whose(keys: tuple[privacy.Known, ...], owners: dict[privacy.Known, int]) -> int | None:
    return next((owners[key] for key in keys if key in owners), None)


def _taken(done: Claimed) -> Taken:
    if done.coupon is None:
        field = "buyer" if done.why in (STRANGER, ENOUGH) else "code"
        return Taken("rejected", faults=[Fault(field, done.why)])
    return Taken("created" if done.is_new else "unchanged", id=done.coupon.pk)
