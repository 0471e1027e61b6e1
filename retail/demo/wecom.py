"""WeCom in the demo: a simulator beside the shop, with the people of a few stores, some customers and a code to scan.

The simulator keeps nothing. At each start it is filled from our tables, and the codes are made known to it anew.
"""

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils import timezone

from clerks.callbacks import sync
from clerks.models import ContactWay, Friend, Shift, Welcome
from clerks.outreach import codes
from retail import privacy, scope
from retail.demo import logins
from retail.models import Post, Staff, StaffAccount, Store
from retail.wecom import credentials, keys, media
from retail.wecom.models import App, Media
from retail.wecom.simulator import PORT, Simulator

log = logging.getLogger(__name__)

SLUG = "demo"
AGENT = 1_000_002
NOWHERE = f"http://127.0.0.1:{PORT}"  # until the simulator runs: a made-up corp never asks the real WeCom
OFFICE = 1  # the department of everybody who sells nowhere; a store's number is one more than its row's
CODES = 5  # clerks of the store who have a code to scan
STRANGERS = ("小鹿", "橘子汽水", "南风", "山茶", "阿布")


@contextmanager
def running(*, site: str) -> Iterator[str]:
    """Run the simulator until the block ends; yields the address of its phones.

    `site`: the address at which the shop answers, with its slash.
    """
    with scope.within(scope.EVERYTHING):
        clerk = Staff.objects.get(user__username=logins.CLERK.username)
        store = Post.objects.at(timezone.now()).filter(staff=clerk).select_related("store__brand").get().store
        app = _app(store.brand.corp)
        staff = _accounts(store)
        _introduce(clerk, store, staff)
        world = _world(app, site=site, store=store, staff=staff)
    with _simulator(world) as simulator:
        settings.WECOM_API_URL = settings.WECOM_OAUTH_URL = simulator.url
        keys.correct(app=app, base_url=simulator.url, by=None, now=timezone.now())  # for commands run beside us, too
        credentials.expire(app=app, now=timezone.now())  # an earlier simulator gave them out: this one refuses them
        settings.SITE_URL = site.rstrip("/")
        with scope.within(scope.EVERYTHING):
            _publish(store)
        yield f"{simulator.url}/phone/"


def _simulator(world: dict[str, Any]) -> Simulator:
    """On the port everybody knows; where somebody else has it, on one that is free."""
    try:
        return Simulator(now=time.time(), world=world, port=PORT)
    except OSError as error:
        log.warning("WeCom: port %d or %d is taken (%s); the phones are elsewhere.", PORT, PORT + 1, error.strerror)
        return Simulator(now=time.time(), world=world)


# ── Our side ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _app(corp: str) -> App:
    """The application, made once, with secrets nobody else has."""
    given = {"secret": secrets.token_urlsafe(32), "token": keys.new_token(), "aes_key": keys.new_aes_key()}
    return App.objects.filter(slug=SLUG).first() or keys.add(
        slug=SLUG, name="导购台", corp_id=corp, agent_id=AGENT, base_url=NOWHERE, by=None, now=timezone.now(), **given
    )


def _accounts(store: Store) -> list[Staff]:
    """The people of the store, each with an account that is their staff number."""
    now = timezone.now()
    people = list(Staff.objects.filter(Exists(Post.objects.at(now).filter(staff=OuterRef("pk"), store=store))))
    known = set(StaffAccount.objects.filter(corp=store.brand.corp).values_list("staff", flat=True))
    new = [StaffAccount(staff=one, corp=store.brand.corp, userid=one.code) for one in people if one.pk not in known]
    StaffAccount.objects.bulk_create(new)
    return people


def _introduce(clerk: Staff, store: Store, colleagues: Sequence[Staff]) -> None:
    """A welcome for everybody, and codes of the clerk and of some colleagues, made once."""
    now = timezone.now()
    if not Welcome.objects.filter(brand=store.brand).exists():
        Welcome.objects.create(
            name="通用欢迎语",
            brand=store.brand,
            text="您好，我是{store}的{clerk}，很高兴认识您！上新和会员活动我会第一时间告诉您。",
        )
    if not ContactWay.objects.filter(store=store).exists():
        for place, one in enumerate([clerk, *(one for one in colleagues if one != clerk)][:CODES]):
            name = f"{one.name}的名片" if place else "收银台"
            way = ContactWay(name=name, kind=ContactWay.Kind.CLERK, brand=store.brand, store=store)
            codes.save(way=way, by=None, now=now)
            Shift.objects.create(way=way, staff=one)


def _publish(store: Store) -> None:
    """This simulator has never heard of our codes, and we have not heard of what it begins with."""
    ways = ContactWay.objects.filter(brand__corp=store.brand.corp)
    ways.update(
        config_id="",
        qr_code="",
        qr_image=None,
        wanted=[],
        applied=[],
        applied_at=None,
        began_at=None,
        next_try_at=None,
    )
    codes.publish(ways=ways, now=timezone.now())
    Media.objects.filter(corp_id=store.brand.corp).update(media_id="", uploaded_at=None)
    media.refresh(now=timezone.now())
    sync.start(corp=store.brand.corp, by=None, now=timezone.now())


# ── The simulator's side ─────────────────────────────────────────────────────────────────────────────────────────────
def _world(app: App, *, site: str, store: Store, staff: list[Staff]) -> dict[str, Any]:
    """What the simulator begins with; see `retail.wecom.simulator.seed`."""
    friends = _friends(app.corp_id, staff)
    people = {value: name for value, name, _userid, _since in friends}
    department = store.pk + OFFICE
    strangers = [
        {"external_userid": f"wmDemoNew{place:022}", "name": name, "unionid": f"oDemoNew{place:018}"}
        for place, name in enumerate(STRANGERS)
    ]
    return {
        "corps": [
            {
                "corp_id": app.corp_id,
                "name": store.brand.name,
                "apps": [_seen_app(app, site)],
                "departments": [{"id": department, "name": store.name}],
                "members": [{"userid": one.code, "name": one.name, "department": [department]} for one in staff],
                "customers": [
                    *strangers,
                    *({"external_userid": value, "name": name} for value, name in people.items()),
                ],
                "follows": [
                    {"userid": userid, "external_userid": value, "created_at": int(since.timestamp())}
                    for value, _name, userid, since in friends
                ],
            }
        ]
    }


def _seen_app(app: App, site: str) -> dict[str, Any]:
    target = {"url": f"{site}wecom/{app.slug}/callback/", "token": app.token, "aes_key": app.aes_key}
    return {
        "agent_id": app.agent_id,
        "name": app.name,
        "secret": app.secret,
        "target": target,
        "home_url": f"{site}m/",
        "sidebar_url": f"{site}m/sidebar/?app={app.slug}",
    }


def _friends(corp: str, staff: Sequence[Staff]) -> list[tuple[str, str, str, datetime]]:
    """External userid and name of the friends of these people, whose friends they are and since when."""
    known = Friend.objects.filter(corp=corp, staff__in=staff, state=Friend.State.FRIEND).order_by("pk")
    return [
        (privacy.reveal(one.key), str(one.member or "顾客"), one.userid, one.since or timezone.now())
        for one in known.select_related("key", "member")
    ]
