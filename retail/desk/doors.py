"""The page of doors: one click signs in as each of the product's people. It exists only in the demo."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from retail import gate, scope, second_factor
from retail.models import Employment, Post

Role = Post.Role


class Door(NamedTuple):
    """One of the product's people: the role, its short name, and what they come for. `post`: who stands for it."""

    role: Role
    name: Promise
    purpose: Promise
    post: Post | None = None

    @property
    def place(self) -> Model | None:
        """Where the person works; None for headquarters."""
        return self.post and (self.post.store or self.post.region or self.post.franchisee)


DOORS = (
    Door(Role.CLERK, _("导购"), _("手机上看：今天能拿多少，每一分怎么来的")),
    Door(Role.STORE_MANAGER, _("店长"), _("只看本店：订单、佣金，回答“为什么是这个数”")),
    Door(Role.REGION_MANAGER, _("区域"), _("只看本区域的门店")),
    Door(Role.FRANCHISE_OWNER, _("加盟商"), _("只看自己公司的门店和佣金")),
    Door(Role.HQ_OPS, _("总部"), _("商品、渠道、规则，看全局")),
    Door(Role.HQ_FINANCE, _("财务"), _("批准方案，核对每一笔佣金")),
    Door(Role.AUDITOR, _("审计"), _("谁在什么时候改了什么，只读")),
)


@require_safe
def doors(request: HttpRequest) -> HttpResponse:
    """All doors in the demo; elsewhere straight on to where this person works."""
    if not settings.DEMO:
        return redirect(_room(request.post.role if request.post else Role.HQ_OPS))
    with scope.within(scope.EVERYTHING):
        return render(request, "desk/doors.html", {"doors": list(_staffed(timezone.now())), "phones": _phones()})


def _phones() -> str:
    """Where the phones of the WeCom simulator are; "" where the demo runs without it."""
    is_simulated = urlsplit(settings.WECOM_API_URL).hostname == "127.0.0.1"
    return f"{settings.WECOM_API_URL}/phone/" if is_simulated else ""


@require_POST
def enter(request: HttpRequest) -> HttpResponse:
    """Sign in as the holder of `post`, whoever it is; where a second factor is asked for, the door shows it."""
    if not settings.DEMO:
        raise Http404
    wanted = request.POST.get("post", "")
    post = get_object_or_404(_held(timezone.now()), pk=wanted if wanted.isdecimal() else None)
    gate.enter(request=request, post=post, way="demo", now=timezone.now())
    if request.user.is_staff:
        gate.prove(request=request, device=second_factor.device_of(request.user), now=timezone.now())
    return redirect(_room(post.role))


def _room(role: str) -> str:
    return "clerks:home" if role == Role.CLERK else "admin:index"


def _held(now: datetime) -> QuerySet[Post]:
    """The posts of people who work here now."""
    posts = Post.objects.at(now).filter(staff__employments__in=Employment.objects.at(now))
    return posts.select_related("staff", "store", "region", "franchisee").order_by("pk")


def _staffed(now: datetime) -> Iterator[Door]:
    """The doors with who stands for each."""
    for door in DOORS:
        posts = _held(now).filter(role=door.role)
        if door.role != Role.CLERK:
            posts = posts.filter(staff__user__is_staff=True)
        # The people whose stories the demo tells have a password; the crowd around them has none ("!").
        told = posts.filter(staff__user__isnull=False).exclude(staff__user__password__startswith="!")
        yield door._replace(post=told.first() or posts.first())
