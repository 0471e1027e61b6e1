"""How coupons are made: for members, by a clerk out of their quota, and as codes that somebody claims later."""

import base64
import secrets
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from members import consent
from members.coupons import using
from members.coupons.using import Change
from members.models import Coupon, CouponIssue, CouponQuota, CouponSkip, CouponType, Identity, Membership, Stop
from retail import audit
from retail.models import Post, Staff, Store, StoreGroup

_State = Coupon.State
_Reason = CouponSkip.Reason

CODE_BYTES = 10  # 80 random bits: nobody guesses one
SHORTEST = 8  # characters of a code that somebody else made
AT_ONCE = 500  # codes taken in in one transaction


class Refused(ValueError):
    """This coupon cannot be given or claimed; the message is for the person at the screen."""


_ONE_TAP = timedelta(seconds=10)  # who taps again so soon wondered whether it was given
_WHY = {
    _Reason.ENOUGH: gettext_lazy("这位顾客已经领满了这种券。"),
    _Reason.LIMIT: gettext_lazy("这种券已经发完了。"),
    _Reason.OVER: gettext_lazy("这种券现在不发放。"),
    _Reason.STOPPED: gettext_lazy("这位顾客说过不要发优惠。TA 又想要的话，先在“联系意愿”里改回来。"),
}


class Given(NamedTuple):
    """The coupons that were made, and who got none: membership → why (`CouponSkip.Reason`)."""

    coupons: list[Coupon]
    skipped: dict[int, str]


# ── For members ──────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def make(
    *, type: CouponType, membership_ids: Sequence[int], now: datetime, issue: CouponIssue | None = None, **giver: Any
) -> Given:
    """Make a coupon for each of these members of its brand who wants offers, within what the type allows, in the
    order given.

    Nobody else makes any of the type before our commit, so no limit is passed. giver: `issued_by` and `store`.
    """
    type = CouponType._base_manager.select_for_update(of=("self",)).get(pk=type.pk)
    skipped: dict[int, str] = dict.fromkeys(membership_ids, _Reason.OVER) if not is_given_now(type, now) else {}
    skipped |= dict.fromkeys(_want_none(type, membership_ids) - skipped.keys(), _Reason.STOPPED)
    has = counts(type, membership_ids)
    room = float("inf") if type.limit is None else type.limit - type.issued
    made: list[Coupon] = []
    for membership_id in membership_ids:
        if membership_id in skipped:
            continue
        if has[membership_id] >= type.per_member:
            skipped[membership_id] = _Reason.ENOUGH
        elif len(made) >= room:
            skipped[membership_id] = _Reason.LIMIT
        else:
            made.append(_coupon(type, membership_id, now, issue=issue, **giver))
            has[membership_id] += 1
    _keep(type, made, now)
    return Given(made, skipped)


def _want_none(type: CouponType, membership_ids: Collection[int]) -> set[int]:
    """Those who asked to be left alone with offers, by whatever channel."""
    of = Membership._base_manager.filter(pk__in=membership_ids)
    members = dict(of.values_list("pk", "member_id"))
    corp, purpose = type.brand.corp, Stop.Purpose.MARKETING
    stopped = consent.stopped(member_ids=members.values(), corp=corp, channel=Stop.Channel.ALL, purpose=purpose)
    return {membership_id for membership_id, member_id in members.items() if member_id in stopped}


def is_given_now(type: CouponType, now: datetime) -> bool:
    """Whether it is handed out at this moment, and could still be used."""
    over = type.usable_until is not None and midnight(type.usable_until, days=1) <= now
    return type.starts_at <= now and (type.ends_at is None or now < type.ends_at) and not over


def counts(type: CouponType, membership_ids: Collection[int]) -> Counter[int]:
    """How many each of them has of a type, used ones included."""
    rows = Coupon._base_manager.filter(type=type, membership__in=membership_ids).exclude(state=_State.VOID)
    return Counter(rows.values_list("membership_id", flat=True))


def _coupon(type: CouponType, membership_id: int | None, now: datetime, *, code: str = "", **more: Any) -> Coupon:
    coupon = Coupon(type=type, code=code or new_code(), issued_at=now, membership_id=membership_id, **more)
    coupon.state = _State.ISSUED if membership_id else _State.OPEN
    coupon.claimed_at = now if membership_id else None
    coupon.valid_from, coupon.valid_until = valid(type, now if membership_id else None, now)
    return coupon


def new_code() -> str:
    """16 capital letters and digits."""
    return base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode()


def valid(type: CouponType, claimed_at: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """From when to when it may be used. One that nobody has claimed may be until the last of them might have ended."""
    day = timezone.localtime(claimed_at or now).date()
    start = midnight(max(day, type.usable_from or day))
    ends = [midnight(type.usable_until, days=1)] if type.usable_until else []
    if type.lives_days and claimed_at:
        ends.append(midnight(day, days=type.lives_days))
    elif type.lives_days and type.ends_at:
        ends.append(midnight(timezone.localtime(type.ends_at).date(), days=type.lives_days))
    if not ends:
        raise Refused(_("先给券种写上最晚使用日或发放截止，才能做券码。"))
    return start, max(min(ends), start)


def midnight(day: Any, *, days: int = 0) -> datetime:
    """The first moment of a day, or of one that many days later."""
    return timezone.make_aware(datetime.combine(day + timedelta(days=days), time()))


def _keep(type: CouponType, made: Sequence[Coupon], now: datetime) -> None:
    if not made:
        return
    CouponType._base_manager.filter(pk=type.pk).update(issued=F("issued") + len(made))
    Coupon._base_manager.bulk_create(made, batch_size=1_000)
    using.note_moves((Change(coupon, None, None, now) for coupon in made), now)


# ── By a clerk ───────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def give(*, type: CouponType, membership: Membership, staff: Staff, store: Store, by: Any, now: datetime) -> Coupon:
    """A clerk gives one of their quota to a customer they may see (the caller knows that). Raises Refused."""
    if membership.brand_id != type.brand_id:
        raise Refused(_("这位顾客不是这个品牌的会员。"))
    if staff.phone_key_id and Identity._base_manager.filter(member=membership.member_id, key=staff.phone_key_id):
        raise Refused(_("不能给自己发券。"))
    quota = CouponQuota._base_manager.filter(type=type, staff=staff, given__lt=F("limit"))
    if not quota.update(given=F("given") + 1):  # who gives at the same moment waits here, and counts us
        raise Refused(_("额度用完了。"))
    lately = Coupon._base_manager.filter(issued_by=staff, issued_at__gt=now - _ONE_TAP)
    is_second_tap = lately.filter(type=type, membership=membership).exists()
    given = make(type=type, membership_ids=[membership.pk], now=now, issued_by=staff, store=store)
    for reason in given.skipped.values():
        raise Refused(_WHY[_Reason(reason)])
    if is_second_tap:
        raise Refused(_("刚刚已经发过这张券了。要再发一张，请等几秒。"))
    (coupon,) = given.coupons
    audit.record(by=by, action="coupon.give", target=coupon, now=now, after={"type": type.code})
    return coupon


@transaction.atomic
def set_quotas(*, type: CouponType, group: StoreGroup | None, limit: int, by: Any, now: datetime) -> int:
    """So many for each clerk in a store of the brand, or of the group, now; how many clerks that are.

    Who gave more already keeps what they gave, and has nothing left. Who serves several stores gives for one of them.
    """
    posts = Post.objects.at(now).filter(role=Post.Role.CLERK, store__brand=type.brand_id, store__is_open=True)
    posts = posts.filter(store__groups=group) if group else posts
    where = dict(posts.order_by("-starts_at", "pk").values_list("staff", "store"))
    held = CouponQuota._base_manager.filter(type=type, staff__in=where)
    had = set(held.values_list("staff_id", flat=True))
    held.update(limit=Greatest(F("given"), limit))
    CouponQuota._base_manager.bulk_create(
        CouponQuota(type=type, staff_id=staff_id, store_id=store_id, limit=limit)
        for staff_id, store_id in where.items()
        if staff_id not in had
    )
    after = {"limit": limit, "clerks": len(where), "group": group.code if group else ""}
    audit.record(by=by, action="coupon.quotas", target=type, now=now, after=after)
    return len(where)


@transaction.atomic
def hand_over(*, staff_id: int, brand_id: int, weights: Mapping[int, int], by: Any, now: datetime) -> int:
    """What somebody has left to give is others' to give from now on, by these weights (staff → above 0); how many.

    To the last coupon: shares that are no whole number are rounded so that none is lost or made.
    """
    left = CouponQuota._base_manager.select_for_update().filter(type__brand=brand_id, staff=staff_id)
    moved = 0
    for quota in left.filter(given__lt=F("limit")).select_related("type").order_by("pk"):
        count, quota.limit = quota.limit - quota.given, quota.given
        quota.save(update_fields=["limit"])
        shares = {one: share for one, share in _split(count, weights).items() if share}
        for receiver_id, share in shares.items():
            given = {"store_id": quota.store_id, "limit": 0}
            own = CouponQuota._base_manager.get_or_create(type=quota.type, staff_id=receiver_id, defaults=given)[0]
            CouponQuota._base_manager.filter(pk=own.pk).update(limit=F("limit") + share)
        after = {"limit": count, "clerks": len(shares)}
        audit.record(by=by, action="coupon.quotas", target=quota.type, now=now, after=after)
        moved += count
    return moved


def _split(count: int, weights: Mapping[int, int]) -> dict[int, int]:
    """So many parts in all: each gets what its weight comes to so far, less what those before it got."""
    whole, so_far, given = sum(weights.values()), 0, 0
    shares = {}
    for one, weight in sorted(weights.items()):
        so_far += weight
        shares[one] = count * so_far // whole - given
        given += shares[one]
    return shares


def givable(*, staff: Staff, now: datetime) -> QuerySet[CouponQuota]:
    """The quotas of a clerk that have something left of a type that is handed out now."""
    today = timezone.localtime(now).date()
    rows = CouponQuota.objects.filter(staff=staff, given__lt=F("limit"), type__starts_at__lte=now)
    rows = rows.filter(Q(type__ends_at=None) | Q(type__ends_at__gt=now))
    rows = rows.filter(Q(type__usable_until=None) | Q(type__usable_until__gte=today))
    rows = rows.filter(Q(type__limit=None) | Q(type__issued__lt=F("type__limit")))
    return rows.select_related("type").order_by("type__name", "pk")


def of_member(*, membership: Membership) -> QuerySet[Coupon]:
    """The coupons of a member of a brand, those that may still be used first, soonest to end before others."""
    # Whoever may see the member sees all of them, whichever colleague gave them.
    rows = Coupon._base_manager.filter(membership=membership).select_related("type", "issued_by")
    return rows.annotate(is_over=~Q(state=_State.ISSUED)).order_by("is_over", "valid_until", "pk")


# ── Codes ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def make_codes(*, type: CouponType, count: int, issue: CouponIssue, now: datetime) -> int:
    """Make so many of a type as codes nobody has claimed, or as many as are left; how many that were.

    Nobody could have named one before: unlike those of others they need no look at the orders.
    """
    type = CouponType._base_manager.select_for_update(of=("self",)).get(pk=type.pk)
    left = count if type.limit is None else max(0, type.limit - type.issued)
    made = [_coupon(type, None, now, issue=issue) for _n in range(min(count, left))]
    _keep(type, made, now)
    return len(made)


def take_codes(*, type: CouponType, codes: Iterable[str], by: Any, now: datetime) -> dict[str, str]:
    """Take in codes somebody else made, as coupons nobody has claimed; those refused, with why. Raises Refused.

    Orders that came before their codes are judged with them.
    """
    wanted = dict.fromkeys(code.strip() for code in codes)
    refused = {code: wrong for code in wanted if (wrong := _wrong_with(code))}
    good = [code for code in wanted if code not in refused]
    for start in range(0, len(good), AT_ONCE):
        refused |= _take(type, good[start : start + AT_ONCE], now)
    if len(wanted) > len(refused):
        audit.record(by=by, action="coupon.codes", target=type, now=now, after={"codes": len(wanted) - len(refused)})
    return refused


def _wrong_with(code: str) -> str:
    if not SHORTEST <= len(code) <= 64:
        return _("要 %(shortest)s 到 64 个字符") % {"shortest": SHORTEST}
    if not code.isascii() or not code.replace("-", "").isalnum():
        return _("只能用字母、数字和短横线")
    return ""


@transaction.atomic
def _take(type: CouponType, codes: Sequence[str], now: datetime) -> dict[str, str]:
    with connection.cursor() as cursor:  # an order that names one of them meanwhile is settled before or after
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('coupon codes'))")
    type = CouponType._base_manager.select_for_update(of=("self",)).get(pk=type.pk)
    there = set(Coupon._base_manager.filter(code__in=codes).values_list("code", flat=True))
    room = len(codes) if type.limit is None else max(0, type.limit - type.issued)
    new = [code for code in codes if code not in there]
    _keep(type, [_coupon(type, None, now, code=code) for code in new[:room]], now)
    using.judge(codes=set(new[:room]), now=now)
    return dict.fromkeys(there, _("已经有了")) | dict.fromkeys(new[room:], str(_WHY[_Reason.LIMIT]))
