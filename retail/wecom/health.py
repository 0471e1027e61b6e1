"""Is WeCom well, seen from here: how old the tokens are, when it last called, what it answers, what is left to ask."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Max, QuerySet, Sum
from django.utils.translation import gettext_lazy as _

from retail.wecom import errors, limits, webhook
from retail.wecom.models import App, Call, Credential, Message, Use, Valve

RECENT = timedelta(hours=24)
SHOWN = 30
VERDICTS = {"ok": _("正常"), "trouble": _("有问题"), "quiet": _("还没有消息")}
# What somebody has to do about a code; others are looked up with the vendor.
ADVICE = {
    40001: _("Secret 不对：用 wecom_app rotate 换成后台里的那个"),
    40013: _("企业 ID 不对"),
    40091: _("Secret 不对：用 wecom_app rotate 换成后台里的那个"),
    48002: _("这个应用没有权限：在管理后台把它加到“可调用接口的应用”"),
    60011: _("这个成员或部门不在应用的可见范围里"),
    60020: _("服务器的 IP 不在“企业可信 IP”里"),
    45009: _("接口调用太频繁，过了限制时间会自动继续"),
    -1: _("企业微信系统繁忙，会自动重试"),
    -2: _("企业微信没有应答，会自动重试"),
    -40001: _("收到签名不对的回调：Token 和后台不一致，或者有人在试探"),
    -40005: _("收到别的企业的回调：检查企业 ID"),
    -40007: _("收到解不开的回调：EncodingAESKey 和后台不一致"),
}


class Trouble(NamedTuple):
    """How often an interface answered with an error lately, and when last. `advice` is empty where nobody has to do
    anything; `is_over`: it has answered well since.
    """

    path: str
    errcode: int
    times: int
    last_at: datetime | None
    is_over: bool
    advice: object


class Health(NamedTuple):
    """`verdict`: ok, trouble, quiet (nothing heard yet). `quota_left`: of the busiest interface, in percent. `served`:
    how often it answered well lately.
    """

    verdict: str
    credentials: Sequence[Credential]
    last_callback: datetime | None
    paused_until: datetime | None
    troubles: Sequence[Trouble]
    served: int
    quota_left: int
    busiest: str
    failed: int
    unknown: int


def look(*, app: App, now: datetime) -> Health:
    last = last_callback(app=app)
    troubles, served = _answers(app, last, now)
    paused = _paused_until(app, now)
    busiest, quota_left = _quota(app, now)
    is_wrong = any(one.errcode in errors.MISCONFIGURED and not one.is_over for one in troubles)
    return Health(
        verdict="trouble" if paused or is_wrong else "ok" if last or served or troubles else "quiet",
        credentials=list(Credential.objects.filter(app=app).order_by("kind")),
        last_callback=last,
        paused_until=paused,
        troubles=troubles,
        served=served,
        quota_left=quota_left,
        busiest=busiest,
        failed=Message.objects.failed().filter(app=app).count(),
        unknown=_open(app).filter(state=Call.State.UNKNOWN).count(),
    )


def _open(app: App) -> QuerySet[Call]:
    return Call.objects.exclude(state=Call.State.SENT).filter(app=app)


def last_callback(*, app: App) -> datetime | None:
    return Message.objects.filter(app=app).order_by("-pk").values_list("received_at", flat=True).first()


def _answers(app: App, last_callback: datetime | None, now: datetime) -> tuple[list[Trouble], int]:
    """The errors, those that last first, then the most frequent; and how often there was none.

    A token that dies early is refused once and replaced: over with the next answer of the same interface.
    """
    rows = Use.objects.filter(app=app, hour__gt=now - RECENT).values_list("path", "errcode")
    told = list(rows.annotate(Sum("count"), Max("last_at")).order_by())
    well = {path: last_at for path, errcode, _times, last_at in told if errcode == 0}
    well[webhook.PATH] = last_callback
    found = [
        Trouble(path, errcode, times, last_at, _is_later(well.get(path), last_at), ADVICE.get(errcode, ""))
        for path, errcode, times, last_at in told
        if errcode != 0
    ]
    served = sum(times for _path, errcode, times, _last_at in told if errcode == 0)
    return sorted(found, key=lambda one: (one.is_over, -one.times))[:SHOWN], served


def _is_later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and (other is None or one > other)


def _paused_until(app: App, now: datetime) -> datetime | None:
    row = Valve.objects.filter(corp_id=app.corp_id, path=limits.BREAKER, blocked_until__gt=now).first()
    return row.blocked_until if row else None


def _quota(app: App, now: datetime) -> tuple[str, int]:
    """The interface of which least is left, and how much in percent."""
    rows = Valve.objects.filter(corp_id=app.corp_id).exclude(path=limits.BREAKER).exclude(path__contains="@")
    left = {row.path: limits.left(app=app, path=row.path, now=now) for row in rows.order_by("path")}
    busiest = min(left, key=left.__getitem__, default="")
    return busiest, round(100 * left.get(busiest, 1.0))
