"""A shop whose people are members of the simulator's corp: what happens there is told to the product, and judged."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db.models import Min
from django.test import Client
from django.utils import timezone

from clerks.models import Binding, Friend
from retail import jobs, scope, tasks
from retail.jobs import Job
from retail.models import Brand, Post, Staff, StaffAccount
from retail.wecom import gateway
from retail.wecom.models import App, Message
from tests import factories, wecom_server
from tests.factories import World, wecom
from tests.wecom_server import AGENT, CORP, CUSTOMER, SECRET, Wecom

LI, WANG, ZHOU, CHEN = "clerk_li", "clerk_wang", "clerk_zhou", "mgr_chen"


class Corp:
    """The simulator, the shop, and the line between the two: events wait in `told` until `deliver` brings them."""

    def __init__(self, server: Wecom, shop: World, app: App) -> None:
        self.server, self.shop, self.app = server, shop, app
        self.client = Client()
        self.read = 0

    # What happens in WeCom
    def act(self, what: str, /, **given: Any) -> dict[str, Any]:
        return self.server.control.post(f"act/{what}", **given)

    def told(self) -> list[bytes]:
        """The events of our application since the last look, in order."""
        rows = self.server.simulator.callbacks.told(after=self.read)
        self.read = max([self.read, *(row["number"] for row in rows)])
        return [row["xml"].encode() for row in rows if row["agent_id"] == self.app.agent_id]

    def asked(self, path: str) -> list[dict[str, Any]]:
        return self.server.control.requests(path)

    # What the product hears
    def deliver(self, *events: bytes, times: int = 1) -> None:
        for xml in events:
            for _ in range(times):
                answer = wecom.deliver(self.client, self.app, xml)
                assert (answer.status_code, answer.content) == (200, b"")

    def hear(self, name: str, *, times: int = 1, **changed: str) -> Message:
        """A sample event, as of just now, is delivered and everything that follows is done."""
        changed = {"CreateTime": str(int(timezone.now().timestamp())), **changed}
        self.deliver(wecom.event(name, **changed), times=times)
        self.work()
        return Message.objects.latest("pk")

    def work(self) -> int:
        """Do everything there is to do, also what would have to wait, save on the fast queue: there seconds count.
        How many jobs.
        """
        done = idle = 0
        while ids := list(Job.objects.pending().order_by("pk").values_list("pk", flat=True)):
            urgent = Job.objects.pending().filter(queue=jobs.FAST)
            Job.objects.filter(pk__in=ids).exclude(queue=jobs.FAST).update(due_at=timezone.now(), lease_until=None)
            ran = jobs.run(ids=ids, registry=tasks.REGISTRY)
            done += ran
            if not ran and (next_at := urgent.aggregate(at=Min("due_at"))["at"]):
                time.sleep(max(0.0, (next_at - timezone.now()).total_seconds()))
                continue
            idle = 0 if ran else idle + 1
            if idle == 3:
                said = Job.objects.filter(pk__in=ids).exclude(last_error="").values_list("last_error", flat=True)
                raise AssertionError("\n".join(said))
        return done

    def happen(self) -> None:
        """What was told arrives, and everything that follows is done."""
        self.deliver(*self.told())
        self.work()

    # What the product then knows
    def staff(self, userid: str) -> Staff:
        return StaffAccount.objects.get(corp=CORP, userid=userid).staff

    def friend(self, userid: str = LI) -> Friend:
        return Friend.objects.get(corp=CORP, userid=userid)

    def bonds(self) -> list[tuple[str, str, bool]]:
        """Who was whose, oldest first: the clerk, the source, whether still; without what never was."""
        rows = Binding.objects.order_by("started_at", "pk").select_related("staff")
        return [
            (row.staff.accounts.get().userid, row.source, row.ended_at is None)
            for row in rows
            if row.ended_at is None or row.ended_at > row.started_at
        ]


def shop(**brand: Any) -> World:
    """A store with the simulator's people, who are employed since long ago."""
    made = factories.world(corp=CORP, **brand)
    for userid in (LI, WANG, ZHOU):
        employ(made, userid)
    employ(made, CHEN, role=Post.Role.STORE_MANAGER)
    return made


def employ(shop: World, userid: str, **post: Any) -> Staff:
    staff = shop.hire(f"{userid}-{factories.number()}", **post)
    Staff.objects.filter(pk=staff.pk).update(name=f"员工{userid}")
    StaffAccount.objects.create(staff=staff, corp=CORP, userid=userid)
    return staff


@contextmanager
def running(settings: Any, **brand: Any) -> Iterator[Corp]:
    """Everything, within a test that has a database and the scope of everything."""
    with wecom_server.running() as server:
        settings.WECOM_API_URL = server.url
        app = wecom.app(corp_id=CORP, agent_id=AGENT, secret=SECRET)
        # Events are written down and go nowhere: the test delivers them, in the order and as often as it likes.
        given = {"corp_id": CORP, "agent_id": AGENT, "url": f"{server.url}/nowhere", "is_verified": False}
        server.control.post("app/callback", token=app.token, aes_key=app.aes_key, **given)
        server.control.post("callbacks/plan", drop=1.0)
        try:
            yield Corp(server, shop(**brand), app)
        finally:
            gateway.hang_up()


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def shuffled(events: Sequence[bytes], rng: random.Random, *, most: int = 4) -> list[bytes]:
    """Each event once to `most` times, in any order."""
    several = [xml for xml in events for _ in range(rng.randint(1, most))]
    rng.shuffle(several)
    return several


__all__ = ["CUSTOMER", "Brand", "Corp", "at", "employ", "running", "scope", "shop", "shuffled"]
