"""Signing in through WeCom: where a browser is sent to say who it is, and who comes back.

A sign-in begins with a state that is good once, in this browser, for ten minutes; it remembers which application asks
and where the person wanted to go. What WeCom answers is a userid and nothing more: members whom the application cannot
even see get one too. So it is looked up among our own accounts, and the person must hold a post today.
"""

import re
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.urls import Resolver404, resolve
from django.utils.crypto import get_random_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

from retail import gate, org, privacy
from retail.models import Post, Staff
from retail.wecom import gateway, limits
from retail.wecom.errors import Misconfigured, Rejected, Waiting
from retail.wecom.gateway import Gateway
from retail.wecom.models import App

BEGUN = "wecom_begun"  # in the session: state → slug of the application, address wanted, when it was begun
APP = "wecom_app"  # in the session: the slug of the application the person came through
MOST_BEGUN = 5
SECONDS = 600
MOST_WANTED = 500
_CODE = re.compile(r"[\x21-\x7e]{1,512}")

# Why nobody is signed in: the status of the page and what it says.
REFUSALS = {
    "state": (400, _("这次登录过期了"), _("登录页面开得太久，或者已经用过一次。请再点一次。")),
    "code": (400, _("没有登录成功"), _("企业微信没有认可这次登录。请再点一次。")),
    "no_app": (404, _("还没有接入企业微信"), _("等总部接好企业微信，这里就能一点登录。")),
    "outsider": (403, _("这里只给员工用"), _("您不是这家企业的企业微信成员。")),
    "unknown": (
        403,
        _("还没有认出您"),
        _("您的企业微信账号还没有和员工资料连上。请把这一页给店长看，由总部连上后再试。"),
    ),
    "left": (403, _("您的岗位已经结束"), _("现在没有您的岗位，看不到这里的内容。如果弄错了，请联系店长。")),
    "elsewhere": (403, _("请从后台进入"), _("这里是导购和店长用的页面，您的岗位请在电脑上从后台进入。")),
    "not_staff": (403, _("没有后台账号"), _("您的岗位在手机上用导购台，不用后台。")),
    "settings": (503, _("企业微信的设置有误"), _("请告诉总部：企业微信应用的密钥、可信 IP 或权限要检查。")),
    "often": (429, _("试得太多了"), _("这里短时间内登录了太多次，请过几分钟再点一次。")),
    "busy": (503, _("企业微信没有回应"), _("过一会儿再点一次。")),
}


class Refused(Exception):
    """Nobody is signed in. `reason` is one of REFUSALS; `userid` is known where a colleague could help with it."""

    def __init__(self, reason: str, *, userid: str = "") -> None:
        super().__init__(reason)
        self.reason, self.userid = reason, userid


class Arrival(NamedTuple):
    """Somebody who came back from WeCom and works here: their posts now, highest first; where they wanted to go."""

    staff: Staff
    posts: list[Post]
    app: App
    wanted: str


def apps() -> list[App]:
    """The applications one can sign in through."""
    return list(App.objects.active().order_by("pk"))


def is_in_wecom(request: HttpRequest) -> bool:
    """Whether the page is open inside WeCom, where signing in takes no tap."""
    return "wxwork/" in request.headers.get("User-Agent", "")


def local_path(wanted: str, *, below: str) -> str:
    """The address as far as it is a page of ours below `below`; else `below` itself."""
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and len(wanted) <= MOST_WANTED
    path = urlsplit(wanted).path if is_ours else ""
    if not path.startswith(below) or ".." in path.split("/"):  # browsers walk up, and out of `below`
        return below
    try:
        resolve(path)
    except Resolver404:
        return below
    return wanted


def begin(*, request: HttpRequest, app: App, back: str, wanted: str, now: datetime, is_customer: bool = False) -> str:
    """Where to send the browser. WeCom sends it on to `back`, an absolute address, for `finish`.

    Inside WeCom that takes no tap; a browser on a desk gets a code to scan with WeCom. Customers are never shown one.
    """
    state = get_random_string(32)
    begun = dict(list(request.session.get(BEGUN, {}).items())[1 - MOST_BEGUN :])
    request.session[BEGUN] = begun | {state: [app.slug, wanted, int(now.timestamp())]}
    if not is_customer and not is_in_wecom(request) and settings.WECOM_LOGIN_URL:
        return gateway.scan_url(app=app, back=back, state=state)
    return gateway.authorize_url(app=app, back=back, state=state)


def finish(*, request: HttpRequest, now: datetime) -> Arrival:
    """Who has come back with `code` and `state`. Raises Refused; asks WeCom, so not within a transaction."""
    app, wanted, answer = _came_back(request, "sign_in", None, now)
    userid = answer.get("userid", "")
    if not userid:
        raise Refused("outsider")
    staff = org.staff_of_account(corp=app.corp_id, userid=userid)
    if staff is None:
        raise Refused("unknown", userid=userid)
    posts = org.posts_of(staff=staff, now=now)
    if not posts or (staff.user is not None and not staff.user.is_active):
        raise Refused("left")
    return Arrival(staff, posts, app, wanted)


class Customer(NamedTuple):
    """Somebody who came back from WeCom to a page for customers: one of ours by `userid`, else as WeCom knows them."""

    app: App
    userid: str
    external_userid: str


def finish_for_customer(*, request: HttpRequest, within: timedelta, now: datetime) -> Customer:
    """Who it is that opened a page for customers, who wait no longer than so. Raises Refused; signs nobody in."""
    app, _wanted, answer = _came_back(request, "viewer", within, now)
    return Customer(app, str(answer.get("userid", "")), str(answer.get("external_userid", "")))


def _came_back(
    request: HttpRequest, path: str, within: timedelta | None, now: datetime
) -> tuple[App, str, dict[str, Any]]:
    """The application, where they wanted to go, and what WeCom answers of them."""
    caller = privacy.blind(gate.client_ip(request) or "")[:16]
    try:
        limits.take_for_caller(path=path, caller=caller, now=now)
    except Waiting:
        raise Refused("often") from None
    app, wanted = _begun(request, now)
    return app, wanted, _answer(app, request.GET.get("code", ""), within)


def _begun(request: HttpRequest, now: datetime) -> tuple[App, str]:
    """The application and the address of the sign-in that this state began; it is used up by that."""
    begun = request.session.get(BEGUN, {})
    slug, wanted, since = begun.pop(request.GET.get("state", ""), ("", "", 0))
    if not slug or int(now.timestamp()) - since > SECONDS:
        raise Refused("state")
    request.session[BEGUN] = begun
    request.session.save()  # before WeCom is asked: the same address a moment later finds nothing
    app = App.objects.active().filter(slug=slug).first()
    if app is None:
        raise Refused("no_app")
    return app, wanted


def _answer(app: App, code: str, within: timedelta | None) -> dict[str, Any]:
    if not _CODE.fullmatch(code):
        raise Refused("code")
    try:
        return Gateway(app, within=within).user_of_code(code=code)
    except Rejected:
        raise Refused("code") from None
    except Misconfigured:
        raise Refused("settings") from None
    except Waiting:
        raise Refused("busy") from None
