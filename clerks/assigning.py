"""指定导购, 解绑: a manager says whose customer somebody is from now on, or that they are nobody's, and why.

Whoever gets them and whoever had them hear of it.
"""

from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clerks import binding, book
from clerks.handover import along
from clerks.models import Binding, Notice
from clerks.outreach import notices, wording
from members.models import Membership
from retail import org, scope
from retail.models import Brand, Post, Staff, Store, User

MOST = 500
LEAST_WORDS = 2


class Refused(Exception):
    """It cannot be done; the message says why in words for whoever wanted to."""


class Choice(NamedTuple):
    """A clerk who may be chosen, and how many customers they have. `room`: how many more they may, None for any."""

    staff: Staff
    held: int
    room: int | None


def choices(*, brand: Brand, store: Store, now: datetime) -> list[Choice]:
    """Who works with customers in a store now, with how many each has. For two managers of stores it is their own."""
    roles = (Post.Role.CLERK, Post.Role.STORE_MANAGER)
    posts = Post.objects.at(now).filter(store=store, role__in=roles)
    staff = list(Staff._base_manager.filter(posts__in=posts).distinct().order_by("code"))
    ids = [one.pk for one in staff]
    rooms, held = binding.room(brand=brand, staff_ids=ids, now=now), binding.held_by(brand=brand, staff_ids=ids)
    return [Choice(one, held.get(one.pk, 0), rooms[one.pk]) for one in staff]


@transaction.atomic
def assign(
    *, brand: Brand, member_ids: Collection[int], staff: Staff, store: Store, reason: str, by: User, now: datetime
) -> int:
    """These members are this clerk's customers from now on, whosever they were. Returns of how many that is news.

    All of it lies in the scope of whoever does it: the store, the members, and the clerks they are taken from. The
    cap binds no manager. Raises Refused.
    """
    reason = _said(reason, member_ids)
    clerk = _clerk(brand, staff, store, now)
    held = _held(brand, member_ids)
    moved = binding.transfer(
        to={(brand.pk, member_id): clerk for member_id in member_ids},
        source=Binding.Source.MANUAL,
        end=Binding.End.MANUAL,
        by=by,
        now=now,
        reason=reason,
        only_from={(brand.pk, member_id): held.get(member_id) for member_id in member_ids},
    )
    along.move(brand_id=brand.pk, member_ids=[member_id for _brand, member_id in moved], to=clerk, now=now)
    book.refresh(member_ids=[member_id for _brand, member_id in moved], now=now)
    if moved:
        first = min(row.pk for row in moved.values())
        _tell(staff, [held[member_id] for _brand, member_id in moved if member_id in held], len(moved), reason, by,
              effect=f"assigned:{first}", now=now)  # fmt: skip
    return len(moved)


@transaction.atomic
def release(*, brand: Brand, member_ids: Collection[int], reason: str, by: User, now: datetime) -> int:
    """These members are nobody's from now on, and wait in the pool of the store. Returns how many had a clerk.

    Within the same limits as `assign`; the clerks hear of it, and cannot claim them back for the brand's days. A code
    scanned later is a new claim. Raises Refused.
    """
    reason = _said(reason, member_ids)
    pairs = [(brand.pk, member_id) for member_id in member_ids]
    binding.lock(pairs)  # whose they are is looked up, and stays so
    held = _held(brand, member_ids)
    if not held:
        raise Refused(_("这些顾客现在没有专属导购。"))
    ended = binding.release(pairs=pairs, end=Binding.End.UNBOUND, by=by, now=now, reason=reason)
    book.refresh(member_ids=[row.member_id for row in ended], now=now)
    effect = f"released:{min(row.pk for row in ended)}"
    _tell(None, [row.staff_id for row in ended], len(ended), reason, by, effect=effect, now=now)
    return len(ended)


def _said(reason: str, member_ids: Collection[int]) -> str:
    """The reason in one line. Raises Refused where there is none, or too many are meant."""
    reason = " ".join(reason.split())
    if len(reason) < LEAST_WORDS:
        raise Refused(_("请写明原因。"))
    if not 0 < len(member_ids) <= MOST:
        raise Refused(_("一次最多 %(most)s 位顾客。") % {"most": MOST})
    return reason


def _clerk(brand: Brand, staff: Staff, store: Store, now: datetime) -> org.Held:
    """The post the clerk holds in that store now."""
    if store.brand_id != brand.pk or not Store.objects.filter(pk=store.pk).exists():
        raise Refused(_("这家门店不归您管。"))
    post = Post.objects.at(now).filter(staff=staff, store=store).first()
    if post is None:
        raise Refused(_("%(clerk)s 现在不在这家门店。") % {"clerk": staff})
    return org.Held(staff.pk, staff.code, staff.share_code, post.role, store.pk, store.franchisee_id)


def within_reach(*, brand: Brand, member_ids: Collection[int]) -> QuerySet[Membership]:
    """Those of the members who bought or registered in a store of the scope in force, or are a clerk's of it."""
    bound = Binding.objects.filter(brand=brand, member__in=member_ids, ended_at=None)
    bought = Membership.objects.filter(brand=brand, member__in=member_ids)
    rows = Membership._base_manager.filter(brand=brand, member__in=member_ids, member__merged_into=None)
    return rows.filter(
        Q(pk__in=bought.values("pk"))
        | Q(member__in=bound.values("member"))
        | Q(registered_store__in=Store.objects.values("pk"))
    )


def _held(brand: Brand, member_ids: Collection[int]) -> dict[int, int]:
    """Whose they are now. Members and clerks beyond the scope are none of this manager's business."""
    seen = within_reach(brand=brand, member_ids=member_ids)
    if set(seen.values_list("member", flat=True)) != set(member_ids):
        raise Refused(_("有的顾客不归您管，或者已经合并。"))
    rows = Binding._base_manager.filter(brand=brand, member__in=member_ids, ended_at=None)
    held = dict(rows.values_list("member", "staff"))
    mine = set(Binding.objects.filter(brand=brand, member__in=held, ended_at=None).values_list("member", flat=True))
    if mine != set(held):
        raise Refused(_("有的顾客归别的门店的导购，请区域经理或总部来调整。"))
    return held


def _tell(
    staff: Staff | None, losers: list[int], count: int, reason: str, by: User, *, effect: str, now: datetime
) -> None:
    """Who got customers, if anybody did, and who had them. Nothing about the customers: how many, by whom, why."""
    who = Staff._base_manager.filter(user=by).first()
    with scope.within(scope.EVERYTHING), wording.for_others():
        text = _("%(who)s指定，原因：%(why)s") % {"who": who.name if who else _("总部"), "why": reason}
        given = ngettext("有 %(count)s 位顾客归您了", "有 %(count)s 位顾客归您了", count) % {"count": count}
        tell = partial(notices.tell, kind=Notice.Kind.TOLD, text=text, effect=effect, now=now)
        if staff is not None:
            tell(staff=staff, title=given)
        others = {pk for pk in losers if staff is None or pk != staff.pk}
        for loser in Staff._base_manager.filter(pk__in=others).order_by("pk"):
            lost = losers.count(loser.pk)
            taken = ngettext("有 %(count)s 位顾客不再归您", "有 %(count)s 位顾客不再归您", lost) % {"count": lost}
            tell(staff=loser, title=taken)
