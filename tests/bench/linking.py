"""Tracked links: ours, the opening durable before the browser goes on, against a plain view with one INSERT each."""

import http.client
import statistics
from collections.abc import Iterator
from pathlib import Path

from clerks.materials import openings, shares
from clerks.materials.models import Material, MaterialVersion, Opening, Share
from retail import logins
from retail.models import Post
from tests.bench.callbacks import CONNECTIONS, paced, served
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 MicroMessenger/8.0.54"
)
LINKS = 200
FLOOR = 1_000


def links(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    codes = [one.code for one in _made(shop)]
    openings.prepare(now=NOW)
    openings.prepare(now=_now())
    count, rounds = (10_000, 7) if full else (2_000, 3)
    ours = Way("redirects, openings committed together", count)
    peer = Way("a Django view, one INSERT each", count)
    env = {"DAOGOU_BROKER_URL": "memory://", "PGUSER": logins.WEB}
    with served("retail.wsgi:application", **env) as port, served(PEER, **env) as peer_port:
        for where in (port, peer_port):
            follow(where, codes, CONNECTIONS, timeout=180)  # it listens before it has loaded
        for turn in range(rounds + 1):
            for way, where in ((ours, port), (peer, peer_port)):
                before = _count()
                with (way if turn else Way("")).turn():
                    follow(where, codes, count)
                assert _count() - before == count, "answered, and not stored"
        seconds = 60 if full else 10
        took = follow(port, codes, 200 * seconds, per_second=200)
    p99 = statistics.quantiles(took, n=100)[98]
    note = f"at 200 a second for {seconds} s: p50 {statistics.median(took) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"
    yield Verdict(
        "durable redirects a second on 2 processes, of 1,000",
        ours.speed / FLOOR,
        1.0,
        [ours, peer],
        is_floor=True,
        notes=[note, f"against the plain view: {ours.speed / peer.speed:.2f} ×"],
    )


def _now():
    from django.utils import timezone

    return timezone.now()


def _count() -> int:
    return Opening._base_manager.count()


def _made(shop: Shop) -> list[Share]:
    post = Post.objects.filter(store__brand=shop.world.brand).select_related("store").first()
    assert post is not None
    made: list[Share] = []
    for place in range(LINKS):
        material = Material.objects.create(brand=shop.world.brand, kind="product", name=f"bench {place}", made_at=NOW)
        version = MaterialVersion.objects.create(material=material, number=1, state="approved", made_at=NOW)
        made.append(shares.make(post=post, version=version, via="chat", now=NOW))
    return made


def follow(
    port: int, codes: list[str], count: int, *, per_second: float | None = None, timeout: int = 60
) -> list[float]:
    """So many browsers that have never been here; the seconds until each was sent on."""

    def open_link(line: http.client.HTTPConnection, place: int) -> None:
        line.request("GET", f"/s/{codes[place % len(codes)]}", headers={"User-Agent": PHONE})
        answer = line.getresponse()
        answer.read()
        assert answer.status == 302, answer.status

    return paced(port, count, open_link, per_second=per_second, timeout=timeout)


PEER = f"tests.bench.{Path(__file__).stem}_peer:application"
