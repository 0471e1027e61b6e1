"""The welcome on the real road: simulator over HTTP, web server, a worker for what is urgent, and back again.

50 customers a second scan codes; what is measured is the time from the callback to WeCom's answer to the welcome.
As in production (README) a worker of its own hears the queue `fast`, and another one does all the rest: here with what
that one leaves of this machine's cores, since who is greeted in time does not depend on it. The bell is Redis, as in
production; where there is none it is files, whose folder is read anew for each message.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.db.models import Min
from django.utils import timezone

from clerks.models import Greeting, Welcome
from retail import logins
from retail.jobs import FAST, Job
from retail.models import StaffAccount
from retail.wecom.models import App
from tests import factories, wecom_server
from tests.bench.callbacks import database, served
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import wecom
from tests.kill.processes import Redis
from tests.wecom_server import AGENT, CLERK, CORP, SECRET, Wecom

PER_SECOND = 50
WARM = 20  # customers before it counts
STARTING = 120  # seconds that server and workers may take to start on a busy machine
QUIETLY = ("--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat")
MOST_MS = 2_000
PATIENCE = 30  # seconds until the last greeting must have its outcome: at 18 each has one
COMMON = "celery"  # Celery's own queue


def welcomes(_shop: Shop, *, full: bool) -> Iterator[Verdict]:
    """Its own shop, whose clerk is a member of the simulator's corp."""
    seconds = 60 if full else 10
    shop = factories.world(corp=CORP)
    StaffAccount.objects.create(staff=shop.hire(f"greeter-{factories.number()}"), corp=CORP, userid=CLERK)
    Welcome.objects.create(name="bench", brand=shop.brand, text="您好，我是{store}的{clerk}。")
    app = wecom.app(corp_id=CORP, agent_id=AGENT, secret=SECRET)
    with ExitStack() as stack:
        broker = _broker(stack)
        simulator = stack.enter_context(wecom_server.running())
        env = {"DAOGOU_BROKER_URL": broker, "DAOGOU_WECOM_URL": simulator.url}
        port = stack.enter_context(served("retail.wsgi:application", **env, PGUSER=logins.WEB))
        for queue, niceness in ((FAST, 0), (COMMON, 15)):
            stack.enter_context(_worker(queue, niceness, **env, PGUSER=logins.JOB))
        _await_answer(app, port)
        _announce(simulator, app, port)
        _come(simulator, WARM, PER_SECOND)
        _outcomes(WARM, within=STARTING)  # the workers listen
        way = Way(f"{PER_SECOND} adds a second for {seconds} s", PER_SECOND * seconds)
        with way.turn():
            _come(simulator, PER_SECOND * seconds, PER_SECOND)
        rows = _outcomes(WARM + PER_SECOND * seconds, within=PATIENCE)
        behind = _behind()
    took = sorted(row.took_ms for row in rows[WARM:] if row.took_ms is not None)
    states = dict(Counter(row.state for row in rows))
    median, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
    note = f"median {median:.0f} ms, p99 {p99:.0f} ms, slowest {took[-1]} ms; outcomes {states}"
    bell = broker.partition(":")[0]
    yield Verdict(
        "welcome sent, median of 2 s", median / MOST_MS, 1.0, [way], notes=[note, behind, f"the bell: {bell}"]
    )


def _broker(stack: ExitStack) -> str:
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="daogou-broker-")))
    if program := shutil.which("redis-server"):
        redis = Redis(program, folder)
        stack.callback(redis.stop)
        return redis.url
    return f"filesystem://{folder}"


@contextmanager
def _worker(queue: str, niceness: int, **env: str) -> Iterator[None]:
    """A worker of production's kind on one queue."""
    command = ["-m", "celery", "-A", "retail", "worker", f"--queues={queue}", "--pool=threads", "--concurrency=8"]
    with subprocess.Popen(
        [*f"nice -n {niceness}".split(), sys.executable, *command, *QUIETLY, f"--hostname={queue}@bench"],
        env={**os.environ, "DATABASE_URL": database(), "DAOGOU_LOG_LEVEL": "ERROR", **env},
        cwd=settings.BASE_DIR,
        stdout=subprocess.DEVNULL,
    ) as worker:
        try:
            yield
        finally:
            worker.kill()  # what it has not done nobody wants


def _await_answer(app: App, port: int) -> None:
    """Until the server solves WeCom's riddle, as it must within seconds once its address is announced."""
    riddle = wecom.riddle(app, b"ready")
    until = time.monotonic() + STARTING
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{riddle.address}", timeout=STARTING) as answer:
                if answer.read() == b"ready":
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.2)
    raise AssertionError("The server does not answer.")


def _announce(simulator: Wecom, app: App, port: int) -> None:
    url = f"http://127.0.0.1:{port}/wecom/{app.slug}/callback/"
    given = {"corp_id": CORP, "agent_id": AGENT, "url": url, "token": app.token, "aes_key": app.aes_key}
    simulator.control.post("app/callback", **given)


def _come(simulator: Wecom, count: int, per_second: float) -> None:
    """So many new customers scan, each at their time."""
    began = time.perf_counter()
    for number in range(count):
        if (wait := began + number / per_second - time.perf_counter()) > 0:
            time.sleep(wait)
        who: dict[str, Any] = simulator.control.act("new_customer", name=f"顾客{number}")
        simulator.control.act("add", userid=CLERK, external_userid=who["external_userid"])


def _outcomes(count: int, *, within: float) -> list[Greeting]:
    until = timezone.now().timestamp() + within
    while timezone.now().timestamp() < until:
        rows = list(Greeting._base_manager.order_by("pk"))
        if len(rows) >= count and all(row.state != Greeting.State.WAITING for row in rows):
            return rows
        time.sleep(0.5)
    raise AssertionError(f"{len(rows)} of {count} greetings have begun, not all have ended.")


def _behind() -> str:
    """How far the common queue trails once everybody is greeted: it may, but by how much should be known."""
    waiting = Job.objects.pending().exclude(queue=FAST)
    count, oldest = waiting.count(), waiting.aggregate(oldest=Min("created_at"))["oldest"]
    age = (timezone.now() - oldest).total_seconds() if oldest else 0
    return f"the common queue then: {count:,} jobs pending, the oldest for {age:.0f} s"
