"""Everything of an installation that can be killed: PostgreSQL, broker, web server, worker, clock. All on loopback."""

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import connection

from retail import embedded, logins

LIBC = ctypes.CDLL(None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Kept:
    """A process in a session of its own, started again whenever it is gone: what systemd does in production."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name, self.command, self.env, self.log = name, command, dict(env), log
        self.starts = 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=settings.BASE_DIR,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=lambda: LIBC.prctl(1, signal.SIGKILL, 0, 0, 0),  # dies with the harness
            )

    def keep(self) -> None:
        if self.process.poll() is not None:
            self.kill()  # what it left behind
            self.start()

    def kill(self) -> None:
        """SIGKILL to it and all its children at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_one(self, dice: random.Random) -> None:
        """SIGKILL to one of the children that do the work, or to the process that does it itself."""
        with suppress(ProcessLookupError):
            os.kill(dice.choice(children(self.process.pid) or [self.process.pid]), signal.SIGKILL)


class Database:
    """A cluster of its own behind an address that stays the same when it is started again."""

    def __init__(self, folder: Path) -> None:
        self.data, self.address = folder / "pg", folder / "socket"
        self.server = self._start()

    def _start(self) -> embedded.Server:
        server = embedded.start(data=self.data, durable=True)
        self.address.unlink(missing_ok=True)
        self.address.symlink_to(server.socket_dir)
        return server

    def restart(self, dice: random.Random) -> None:
        """Killed, or stopped without a checkpoint; either way it recovers from its log."""
        postmaster = int((self.server.cluster / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, dice.choice([signal.SIGKILL, signal.SIGQUIT]))
        self.server.stop()
        self.server = self._start()
        connection.close()  # that of this process is as dead as all others

    def remove(self) -> None:
        self.server.stop()
        embedded.remove(self.data)

    def env(self, login: str) -> dict[str, str]:
        return {"PGHOST": str(self.address), "PGPORT": embedded.PORT, "PGUSER": login}

    @contextmanager
    def used(self, name: str = embedded.DATABASE, *, login: str = embedded.ADMINISTRATOR) -> Iterator[None]:
        """Let Django's connection in this process go there."""
        theirs = connection.settings_dict
        known = dict(theirs)
        connection.close()
        theirs |= {"NAME": name, "HOST": str(self.address), "PORT": embedded.PORT, "USER": login}
        try:
            yield
        finally:
            connection.close()
            theirs |= known

    def copy(self, name: str) -> None:
        connection.close()
        with self.used("postgres"), connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {embedded.DATABASE}")


class Folder:
    """Messages as files. They are gone as soon as a worker has read them: the most forgetful broker there is."""

    # With this transport Celery's forked workers read from one pipe under a lock, which the killed keep for ever.
    pool = "threads"

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "broker"
        self.folder.mkdir()
        self.url = f"filesystem://{self.folder}"

    def wipe(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        time.sleep(0.3)
        self.folder.mkdir(exist_ok=True)

    def stop(self) -> None:
        pass


class Redis:
    """The broker of production, keeping nothing on disk."""

    pool = "prefork"

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            with suppress(redis.ConnectionError), redis.Redis(port=self.port) as client:
                client.ping()
                return
            time.sleep(0.02)
        raise AssertionError("Redis does not answer")

    def wipe(self) -> None:
        """Emptied, then killed and started again."""
        with redis.Redis(port=self.port) as client:
            client.flushall()
        self.stop()
        time.sleep(0.3)
        self._start()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Installation:
    """Web server, worker and clock over one database and one broker, each under the login it has in production."""

    def __init__(self, *, folder: Path, database: Database, broker: Any, lease: int) -> None:
        self.folder, self.port = folder, free_port()
        unset = {"DATABASE_URL", "PGHOST", "PGPORT", "PGUSER"}
        self.env = {name: value for name, value in os.environ.items() if name not in unset} | {
            "DAOGOU_BROKER_URL": broker.url,
            "DAOGOU_JOB_LEASE_SECONDS": str(lease),
            "DAOGOU_API_RATE": "1000000/min",
            "DAOGOU_KILL_FOLDER": str(folder),
        }
        as_web, as_job = database.env(logins.WEB), database.env(logins.JOB)
        self.web = self._kept("web", as_web, "gunicorn", "tests.kill.web:application", "--preload", "--workers=2",
                              "--threads=4", f"--bind=127.0.0.1:{self.port}", "--log-level=warning")  # fmt: skip
        self.worker = self._kept("worker", as_job, "celery", "--app=tests.kill.worker", "--quiet", "worker",
                                 f"--pool={broker.pool}", "--concurrency=2", "--loglevel=WARNING",
                                 "--without-gossip", "--without-mingle", "--without-heartbeat")  # fmt: skip
        self.clock = self._kept("clock", as_job, "celery", "--app=retail.celery", "--quiet", "beat", "--pidfile=",
                                "--loglevel=WARNING")  # fmt: skip

    def _kept(self, name: str, login: Mapping[str, str], *command: str) -> Kept:
        return Kept(name, [sys.executable, "-m", *command], {**self.env, **login}, self.folder / f"{name}.log")

    @property
    def parts(self) -> tuple[Kept, Kept, Kept]:
        return self.web, self.worker, self.clock

    def keep(self) -> None:
        for part in self.parts:
            part.keep()

    def stop(self) -> None:
        for part in self.parts:
            part.kill()

    def said(self) -> str:
        """The last lines of everybody's log."""
        tails = [(part.name, part.log.read_text(errors="replace").splitlines()[-15:]) for part in self.parts]
        return "\n".join(f"── {name}\n" + "\n".join(lines) for name, lines in tails)
