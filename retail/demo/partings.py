"""客户继承 in the store whose manager signs in: one clerk's customers were split among colleagues, another's wait."""

from datetime import datetime

from clerks.handover import cases, running
from clerks.handover.planning import Way
from clerks.models import Binding, Handover
from retail.demo import logins
from retail.models import Job, Post, Staff, Store

_DONE, _OPEN = "调去新开的门店", "下周转岗做陈列"
RECEIVERS = 3


def run(*, now: datetime) -> None:
    """The two with the most customers, save whoever has a phone in the demo."""
    manager = Post.objects.at(now).select_related("store").get(staff__user__username=logins.STORE_MANAGER.username)
    store = manager.store
    goers = _clerks(store, now)[:2]
    for staff, reason in zip(goers, (_DONE, _OPEN), strict=False):
        given = {"kind": Handover.Kind.ON_JOB, "by": manager.staff.user, "reason": reason}
        cases.open_(staff=staff, store_ids=[store.pk], now=now, **given)
    done = Handover.objects.filter(reason=_DONE).first()
    if done is None:
        return
    found = cases.candidates(handover=done, store_ids=[store.pk], now=now)
    others = [post.staff_id for post in found if post.role == Post.Role.CLERK and post.staff not in goers]
    choice = cases.Choice(Way.EVEN, dict.fromkeys(others[:RECEIVERS]))
    cases.start(handover=done, choice=choice, by=manager.staff.user, now=now)
    running.move(handover_id=done.pk, now=now)
    Job.objects.filter(kind=running.MOVE).delete()  # it is done


def _clerks(store: Store, now: datetime) -> list[Staff]:
    posts = Post.objects.at(now).filter(store=store, role=Post.Role.CLERK)
    counts: dict[int, int] = {}
    for staff_id in Binding.objects.active().filter(store=store).values_list("staff", flat=True):
        counts[staff_id] = counts.get(staff_id, 0) + 1
    shown = {logins.CLERK.username, logins.FRANCHISE_CLERK.username}
    rows = Staff.objects.filter(pk__in=posts.values("staff")).exclude(user__username__in=shown)
    return sorted(rows, key=lambda one: (-counts.get(one.pk, 0), one.pk))
