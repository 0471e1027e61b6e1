"""WeCom's callbacks: ours, durable before it answers, against Flask with wechatpy and no database at all."""

import http.client
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection
from wechatpy.enterprise import parse_message
from wechatpy.enterprise.crypto import WeChatCrypto

from retail import logins
from retail.wecom import crypto
from retail.wecom.models import App, Message
from retail.wecom.parse import parse, sealed_part
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import number, wecom
from tests.factories.wecom import Callback
from tests.kill.processes import free_port

CONNECTIONS = 16
PEER_PATH = "/callback"
PEER_KEYS = ("BENCH_TOKEN", "BENCH_AES_KEY", "BENCH_CORP")


def deliveries(app: App, count: int) -> list[Callback]:
    """So many customers who scan a code, one after the other."""
    xml = wecom.event("ext_contact_add", WelcomeCode="CODE", ExternalUserID="CODE").decode()
    numbers = (number() for _delivery in range(count))
    return [wecom.callback(app, xml.replace("[CODE]", f"[CODE{n}]").encode()) for n in numbers]


# ── Servers ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@contextmanager
def served(application: str, **env: str) -> Iterator[int]:
    """gunicorn with two processes; the port it listens on."""
    port = free_port()
    command = ["-m", "gunicorn", application, "--workers=2", "--threads=8", f"--bind=127.0.0.1:{port}"]
    with subprocess.Popen(
        [sys.executable, *command, "--keep-alive=30", "--log-level=warning"],
        env={**os.environ, "DATABASE_URL": database(), "DAOGOU_LOG_LEVEL": "ERROR", **env},
        cwd=settings.BASE_DIR,
    ) as server:
        try:
            _await(port)
            yield port
        finally:
            server.terminate()


def database() -> str:
    """The database of this process, as its children spell it; the rest is in PGHOST and its like."""
    return f"postgresql:///{connection.settings_dict['NAME']}"


def _await(port: int) -> None:
    for _try in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("The server does not answer.")


def send(port: int, work: Sequence[Callback], *, per_second: float | None = None) -> list[float]:
    """Deliver all of it; the seconds until each was answered with 200."""

    def deliver(line: http.client.HTTPConnection, place: int) -> None:
        line.request("POST", work[place].address, work[place].body, {"Content-Type": "text/xml"})
        answer = line.getresponse()
        answer.read()
        assert answer.status == 200, answer.status

    return paced(port, len(work), deliver, per_second=per_second)


Ask = Callable[[http.client.HTTPConnection, int], None]


def paced(port: int, count: int, ask: Ask, *, per_second: float | None = None, timeout: int = 30) -> list[float]:
    """So many requests over CONNECTIONS connections; the seconds each took. `ask`: make that of a place, and check it.

    With `per_second` each has its time, and is late by what those before it took; else as fast as it goes.
    """
    began, took = time.perf_counter() + 0.05, [0.0] * count
    places = iter(range(count))
    lock = threading.Lock()

    def run() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)) as line:
            while True:
                with lock:
                    place = next(places, None)
                if place is None:
                    return
                due = began + place / per_second if per_second else time.perf_counter()
                if (wait := due - time.perf_counter()) > 0:
                    time.sleep(wait)
                ask(line, place)
                took[place] = time.perf_counter() - due

    threads = [threading.Thread(target=run) for _connection in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


# ── The benchmark ────────────────────────────────────────────────────────────────────────────────────────────────────
def webhook(_shop: Shop, *, full: bool) -> Iterator[Verdict]:
    app = wecom.app()
    try:
        yield _opening(app, full)
        yield from _answering(app, full)
    finally:
        Message.objects.filter(app=app).delete()


def _opening(app: App, full: bool) -> Verdict:
    """Check, decrypt and parse: ours, and wechatpy's that the documentation shows."""
    count, rounds = 2_000, 9 if full else 5
    token, aes_key, corp = app.token, app.aes_key, app.corp_id
    theirs_crypto = WeChatCrypto(token, aes_key, corp)
    work = deliveries(app, count)
    ours, theirs = (
        Way("ours: parse, verify, decrypt, parse", count),
        Way("wechatpy: decrypt_message, parse_message", count),
    )
    for _round in range(rounds):
        with ours.turn():
            for one in work:
                xml = _opened(one, token, aes_key, corp)
        with theirs.turn():
            for one in work:
                query = one.query
                text = theirs_crypto.decrypt_message(
                    one.body, query["msg_signature"], query["timestamp"], query["nonce"]
                )
                parse_message(text)
        assert xml == parse(text.encode())
    ratio = ours.client_cpu / theirs.client_cpu
    return Verdict("CPU of checking, opening and parsing one callback", ratio, 0.5, [ours, theirs])


def _opened(one: Callback, token: str, aes_key: str, corp: str) -> dict:
    encrypted, query = sealed_part(one.body), one.query
    crypto.verify(
        token=token,
        timestamp=query["timestamp"],
        nonce=query["nonce"],
        encrypted=encrypted,
        given=query["msg_signature"],
    )
    return parse(crypto.decrypt(aes_key=aes_key, encrypted=encrypted, receive_id=corp))


def _answering(app: App, full: bool) -> Iterator[Verdict]:
    count, rounds = (5_000, 7) if full else (800, 3)
    ours = Way("stored with its jobs, committed, answered", count)
    peer = Way("Flask + wechatpy, nothing stored", count)
    keys = dict(zip(PEER_KEYS, (app.token, app.aes_key, app.corp_id), strict=True))
    settings_of_ours = {"DAOGOU_BROKER_URL": "memory://", "PGUSER": logins.WEB}
    with served("retail.wsgi:application", **settings_of_ours) as port, served(PEER, **keys) as peer_port:
        for turn in range(rounds + 1):
            work = deliveries(app, count)
            for way, where, what in (
                (ours, port, work),
                (peer, peer_port, [one._replace(path=PEER_PATH) for one in work]),
            ):
                with (way if turn else Way("")).turn():
                    send(where, what)
            assert Message.objects.filter(app=app).count() == count
            Message.objects.filter(app=app).delete()
        seconds = 60 if full else 10
        work = deliveries(app, 200 * seconds)
        took = send(port, work, per_second=200)
        assert Message.objects.filter(app=app).count() == len(work)
    p99 = statistics.quantiles(took, n=100)[98]
    note = f"at 200 a second for {seconds} s: p50 {statistics.median(took) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms,"
    note += f" max {max(took) * 1000:.0f} ms"
    yield Verdict(
        "durable acknowledgements a second", ours.speed / peer.speed, 0.5, [ours, peer], is_floor=True, notes=[note]
    )
    yield Verdict("p99 at 200 a second, of 100 ms", p99 / 0.1, 1.0, [])


PEER = f"tests.bench.{Path(__file__).stem}_peer:application"
