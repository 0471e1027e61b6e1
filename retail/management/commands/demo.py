"""The whole product in one process: PostgreSQL, web server, worker and clock. To look around, not for production."""

import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any
from wsgiref.types import WSGIApplication

import celery.worker.state
from celery.beat import EmbeddedService
from celery.signals import worker_ready
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler
from waitress.server import create_server

from retail import database, embedded, garbage, jobs, logins, seals
from retail.celery import app
from retail.demo import traffic, wecom, world
from retail.demo.logins import LOGINS

HOST = "127.0.0.1"  # sign-in is one click: never on an address others can reach
PORTS = range(8000, 8011)


class Command(BaseCommand):
    help = "Start the demo and print where to look. Ctrl-C stops it; the next start finds its data again."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, help="default: the first free one from 8000 to 8010")
        parser.add_argument("--reset", action="store_true", help="throw away the data of an earlier demo, unasked")
        parser.add_argument("--scale", type=float, default=1.0, help="make a smaller world: 0.05 is a twentieth")
        parser.add_argument("--check", action="store_true", help="start, fetch the first page once, stop")

    def handle(self, *, port: int | None, reset: bool, scale: float, check: bool, **options: Any) -> None:
        warnings.filterwarnings("ignore", message=".*superuser privileges")  # of the worker; PostgreSQL is not root's
        logging.getLogger("kombu.connection").setLevel(logging.ERROR)  # the broker in memory has no host name
        signal.signal(signal.SIGTERM, _as_interrupt)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # for a log file, too
        try:
            with ExitStack() as running:
                if reset and embedded.is_given():
                    raise CommandError("--reset is for the demo's own PostgreSQL; empty the one you named yourself.")
                if reset:
                    self.forget()
                web = running.enter_context(taken_port(port))
                is_ours = self.start_database(running)
                self.fill_database(scale)
                if is_ours:
                    database.log_in(logins.JOB)
                address = os.environ[traffic.ADDRESS] = f"http://{HOST}:{web.getsockname()[1]}/"
                running.enter_context(served(web, login=logins.WEB if is_ours else None))
                phones = running.enter_context(wecom.running(site=address))
                running.enter_context(clock())
                self.work(address, phones, check=check)
        except embedded.InUseError as error:
            raise CommandError(f"{error}.{_where_it_runs()}") from None
        except embedded.EmbeddedError as error:
            raise CommandError(f"PostgreSQL: {error}") from None
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def forget(self) -> None:
        embedded.remove(settings.VAR_DIR)
        shutil.rmtree(settings.MEDIA_ROOT, ignore_errors=True)
        seals.head_file().unlink(missing_ok=True)

    def start_database(self, running: ExitStack) -> bool:
        """Whether it is the embedded one, whose three logins are all ours; a named one has the login that is named."""
        is_ours = not embedded.is_given()
        if is_ours:
            self.stdout.write("Starting PostgreSQL …")
            self.start_embedded(running)
        elif world.is_unfinished():
            raise CommandError(
                "The database you named holds data, but no whole demo world: a start was stopped, or it is not the "
                "demo's. It is left as it is. Name an empty database, or empty that one."
            )
        running.callback(connections.close_all)
        return is_ours

    def start_embedded(self, running: ExitStack) -> None:
        """With a whole world in it, or nothing."""
        server = _published()
        if world.is_unfinished():
            self.stdout.write("An earlier start was stopped before its world was whole: beginning anew …")
            connections.close_all()
            server.stop()
            self.forget()
            server = _published()
        running.enter_context(server)

    def fill_database(self, scale: float) -> None:
        progress = Progress(self.stdout)
        with waiting_for_no_disk(), garbage.collected_by_hand():
            progress("数据表", 0, 1)
            call_command("migrate", verbosity=0)  # which registers the periodic work, too
            progress("数据表", 1, 1)
            if world.is_whole():
                return
            self.stdout.write("Making a world of shops, clerks and customers …")
            seals.head_file().unlink(missing_ok=True)  # of a world that is no more
            world.load(progress=progress, size=world.scaled(scale), meanwhile=partial(_seal, progress))

    def work(self, address: str, phones: str, *, check: bool) -> None:
        """Run the worker in this thread until somebody says stop."""
        failures: list[str] = []

        def ready(**_: Any) -> None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, _stop_worker)  # instead of Celery's, which restarts itself on SIGHUP
            self.announce(address, phones)
            if check:
                threading.Thread(target=_fetch, args=[address, failures]).start()

        worker_ready.connect(ready)
        worker = app.Worker(
            pool="threads",
            concurrency=4,
            queues=[app.conf.task_default_queue, jobs.FAST],
            hostname="demo@localhost",
            quiet=True,
            loglevel="WARNING",
            redirect_stdouts=False,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        worker.start()
        worker_ready.disconnect(ready)
        settings.VAR_DIR.joinpath("demo.url").unlink(missing_ok=True)
        if failures:
            raise CommandError(failures[0])
        self.stdout.write("Stopped.")

    def announce(self, address: str, phones: str) -> None:
        settings.VAR_DIR.joinpath("demo.url").write_text(address)
        self.stdout.write(f"\n导购台 is ready: {address}\n")
        for login in LOGINS:
            self.stdout.write(f"  {login.username:<10} {login.password}  {login.landing:<8} {login.label}")
        self.stdout.write(f"WeCom, simulated: {phones}  play a customer who scans a code, and the clerk's phone")
        self.stdout.write("Ctrl-C stops it. The data stays; `make demo RESET=1` starts over.")
        self.stdout.flush()


def _seal(progress: "Progress") -> None:
    """What is booked already; the clock goes on with what comes."""
    progress("封存", 0, 1)
    seals.seal(now=timezone.now())
    progress("封存", 1, 1)


def _published() -> embedded.Server:
    server = embedded.start(data=settings.VAR_DIR, durable=True)
    server.publish(login=logins.OWNER)
    return server


class Progress:
    """Says how far a long step is, and at its end how long it took: on one line of a terminal, else a line every two
    seconds. A step of another process is told of at its end only."""

    def __init__(self, out: Any) -> None:
        self.out = out
        self.began: dict[str, float] = {}
        self.said_at = 0.0
        self.width = 0
        self.home = os.getpid()

    def __call__(self, what: str, done: int, total: int) -> None:
        now, is_last, is_here = time.monotonic(), done >= total, os.getpid() == self.home
        began = self.began.setdefault(what, now)
        is_soon = now - self.said_at < (0.1 if sys.stdout.isatty() else 2) and done > 0
        if not is_last and (is_soon or not is_here):
            return
        self.said_at = now
        line = f"  {what}" + (f" {done:,} / {total:,}" if total > 1 else "")
        self.say(f"{line}  {now - began:.0f} s" if is_last else f"{line} …", is_last)

    def say(self, line: str, is_last: bool) -> None:
        if sys.stdout.isatty():
            self.out.write(f"\r{line:<{self.width}}", ending="\n" if is_last else "")
            self.width = 0 if is_last else len(line)
        else:
            self.out.write(line)
        self.out.flush()


@contextmanager
def waiting_for_no_disk() -> Iterator[None]:
    """Connections whose commits a power cut may take back: nothing is promised to anybody yet."""
    connections.close_all()
    os.environ["PGOPTIONS"] = "-c synchronous_commit=off"
    try:
        yield
    finally:
        del os.environ["PGOPTIONS"]
        connections.close_all()


@contextmanager
def taken_port(port: int | None) -> Iterator[socket.socket]:
    """A listening socket on `port`, else on the first free one of PORTS. Raises CommandError."""
    for candidate in [port] if port is not None else PORTS:
        web = socket.socket()
        web.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            web.bind((HOST, candidate))
            web.listen(128)
        except OSError:
            web.close()
            continue
        with web:
            yield web
        return
    raise CommandError(f"Port {port or f'{PORTS[0]} to {PORTS[-1]}'} is in use; name a free one with --port.")


@contextmanager
def served(web: socket.socket, *, login: str | None) -> Iterator[None]:
    """The web server, in threads of its own; requests being answered get two seconds to end."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # eight threads are meant to queue
    warnings.filterwarnings("ignore", message="No directory at")  # no collectstatic: whitenoise asks finders
    from retail.wsgi import application

    if login:
        application = _logged_in(application, login)
    server = create_server(application, sockets=[web], threads=8, ident="daogou")
    threading.Thread(target=server.run, name="web", daemon=True).start()
    try:
        yield
    finally:
        server.task_dispatcher.shutdown(timeout=2)


def _logged_in(application: WSGIApplication, login: str) -> WSGIApplication:
    """The application in threads with a login of their own; the other threads of this process are workers."""

    def answer(environ: Any, start_response: Any) -> Any:
        database.log_in(login, thread_only=True)
        return application(environ, start_response)

    return answer


@contextmanager
def clock() -> Iterator[None]:
    """Celery beat in a thread, with its times in the database: left to itself EmbeddedService ignores the setting for
    that and writes a file into the working folder."""
    beat = EmbeddedService(app, thread=True, scheduler_cls=DatabaseScheduler)
    beat.start()
    try:
        yield
    finally:
        beat.stop()


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _stop_worker(number: int, frame: FrameType | None) -> None:
    if celery.worker.state.should_stop is not None:
        raise KeyboardInterrupt  # asked a second time: at once
    os.write(1, "\nStopping …\n".encode())  # a signal may come amid a print
    celery.worker.state.should_stop = 0


def _fetch(address: str, failures: list[str]) -> None:
    """Fetch the first page, then stop the demo."""
    try:
        with urllib.request.urlopen(address, timeout=30) as page:
            page.read()
    except OSError as error:
        failures.append(f"{address}: {error}")
    os.kill(os.getpid(), signal.SIGTERM)


def _where_it_runs() -> str:
    with suppress(OSError):
        return f" The demo: {settings.VAR_DIR.joinpath('demo.url').read_text()}"
    return ""
