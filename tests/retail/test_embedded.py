"""The launcher of PostgreSQL, tried on real servers and real kills. As root the data moves, so both ways are met."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from retail import embedded, logins

# A process that starts a server on a folder, says so, and waits for its end. The kernel ends a server with the thread
# that started it, but that is asked for in the main thread only: from another one it outlives a killed process.
STARTER = """
import pathlib, signal, sys, threading
from retail import embedded

def start():
    with embedded.start(data=pathlib.Path(sys.argv[1]), durable=False) as server:
        print(server.url, flush=True)
        signal.pause()

if sys.argv[2:]:
    threading.Thread(target=start).start()
    signal.pause()
start()
"""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "var"
    yield folder
    embedded.remove(folder)


@pytest.fixture
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "PGHOST", "PGPORT", "PGUSER"):
        monkeypatch.setenv(name, "")  # so that what the test publishes is taken back after it
        monkeypatch.delenv(name)


def start_elsewhere(data: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, data, *options], stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    return starter, starter.stdout.readline().strip()


def end(starter: subprocess.Popen[str], number: int) -> None:
    starter.send_signal(number)
    starter.communicate()


def ask(url: str, sql: LiteralString) -> str:
    with psycopg.connect(url) as connection:
        found = connection.execute(sql).fetchone()
    assert found
    return str(found[0])


def test_throwaway_server_is_private_and_leaves_nothing() -> None:
    with embedded.start(durable=False) as server:
        assert ask(server.url, "SELECT current_database()") == "daogou"
        assert ask(server.url, "SHOW listen_addresses") == ""
        assert ask(server.url, "SHOW server_encoding") == "UTF8"
        assert server.socket_dir.stat().st_mode & 0o777 == 0o700
        assert len(f"{server.socket_dir}/.s.PGSQL.5432") < 107
    assert not server.socket_dir.exists()
    server.stop()  # a second time does nothing


@pytest.mark.kill
def test_data_survives_a_killed_starter_and_the_next_start_succeeds_at_once(data: Path) -> None:
    starter, url = start_elsewhere(data)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    end(starter, signal.SIGKILL)
    with embedded.start(data=data, durable=False) as server:
        assert ask(server.url, "SELECT seven FROM kept") == "7"


@pytest.mark.kill
def test_a_server_that_outlived_its_starter_is_stopped(data: Path) -> None:
    starter, url = start_elsewhere(data, "in a thread")
    end(starter, signal.SIGKILL)
    with psycopg.connect(url) as orphan, embedded.start(data=data, durable=False) as server:
        assert ask(server.url, "SELECT 1") == "1"
        with pytest.raises(psycopg.OperationalError):
            orphan.execute("SELECT 1")


def test_one_folder_serves_one_starter(data: Path) -> None:
    with embedded.start(data=data, durable=False), pytest.raises(embedded.InUseError, match=f"process {os.getpid()}"):
        embedded.start(data=data, durable=False)


@pytest.mark.usefixtures("nothing_named")
def test_a_command_finds_the_server_that_runs(data: Path) -> None:
    assert embedded.running(data) is None
    with embedded.start(data=data, durable=False) as server:
        assert embedded.ensure(var=data, login=logins.JOB) == str(server.socket_dir)
        assert os.environ["PGHOST"] == str(server.socket_dir)
        assert ask("postgresql:///daogou", "SELECT session_user") == "daogou_job"
    assert embedded.running(data) is None


COMMAND = """
import pathlib, sys
from retail import embedded, logins
import psycopg

embedded.ensure(var=pathlib.Path(sys.argv[1]), login=logins.JOB)
print("there", flush=True)
sys.stdin.readline()
print(psycopg.connect("postgresql:///daogou").execute("SELECT 'still'").fetchone()[0], flush=True)
"""


def test_a_server_stays_while_another_command_uses_it(data: Path) -> None:
    """Two commands at once: the one that had to start the server is done first."""
    free = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "PGHOST", "PGUSER")}

    def begin() -> subprocess.Popen[str]:
        words = [sys.executable, "-c", COMMAND, str(data)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = subprocess.Popen(words, text=True, env=free, **pipes)
        assert command.stdout and command.stdout.readline() == "there\n"
        return command

    starter, guest = begin(), begin()
    assert starter.stdin and starter.stderr
    starter.stdin.write("\n")
    starter.stdin.flush()
    assert "stays until they are done" in starter.stderr.readline()
    assert guest.communicate("\n")[0] == "still\n"
    starter.communicate()
    assert (starter.returncode, guest.returncode) == (0, 0)
    assert embedded.running(data) is None


def test_a_named_server_wins(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/daogou")
    assert embedded.ensure(var=data, login=logins.JOB) is None
    assert not data.exists()


@pytest.mark.usefixtures("nothing_named")
@pytest.mark.parametrize(("command", "login"), [("migrate", "daogou_owner"), ("settle", "daogou_job")])
def test_migrate_alone_is_the_owner(monkeypatch: pytest.MonkeyPatch, data: Path, command: str, login: str) -> None:
    monkeypatch.setenv("DAOGOU_VAR", str(data))
    monkeypatch.setenv("DAOGOU_DEMO", "")
    with embedded.start(data=data, durable=False):
        embedded.ensure_for(["manage.py", command])
        assert ask("postgresql:///daogou", "SELECT session_user") == login


def test_the_owner_owns_the_database_and_is_no_administrator() -> None:
    with embedded.start(durable=False) as server:
        assert (
            ask(server.url, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'daogou'") == logins.OWNER
        )
        with psycopg.connect(server.url) as connection, connection.cursor() as cursor:
            assert logins.powers(cursor) == logins.POWERS and logins.memberships(cursor) == []


@pytest.mark.usefixtures("nothing_named")
@pytest.mark.parametrize("words", [[], ["check"], ["makemigrations", "--check"], ["migrate", "--help"], ["demo"]])
def test_commands_without_a_database_start_none(monkeypatch: pytest.MonkeyPatch, data: Path, words: list[str]) -> None:
    monkeypatch.setenv("DAOGOU_VAR", str(data))
    monkeypatch.setenv("DAOGOU_DEMO", "")
    embedded.ensure_for(["manage.py", *words])
    assert not data.exists()


@pytest.mark.kill
def test_remove_stops_the_starter_first(data: Path) -> None:
    starter, _ = start_elsewhere(data)
    embedded.remove(data)
    assert starter.wait(timeout=5) == -signal.SIGTERM
    starter.communicate()
    assert not list(data.glob("pg*/"))


def test_missing_binaries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAOGOU_PG_BIN", "/nowhere")
    with pytest.raises(embedded.EmbeddedError, match="DATABASE_URL"):
        embedded.start(durable=False)


def test_a_failing_start_shows_what_the_server_said(data: Path) -> None:
    with embedded.start(data=data, durable=False) as server:
        pass
    with (server.cluster / "postgresql.conf").open("a") as config:
        config.write("work_mem = 'plenty'\n")
    with pytest.raises(embedded.EmbeddedError, match="plenty"):
        embedded.start(data=data, durable=False)


def test_sweep_takes_stale_folders_only() -> None:
    stale, fresh = (Path(tempfile.mkdtemp(prefix=embedded.PREFIX, dir="/tmp")) for _ in range(2))
    for folder in (stale, fresh):
        (folder / "lock").touch()
    os.utime(stale, (time.time() - 60,) * 2)
    embedded.sweep()
    assert not stale.exists()
    assert fresh.exists()
    (fresh / "lock").unlink()
    fresh.rmdir()
