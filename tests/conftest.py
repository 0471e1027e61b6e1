"""What every test shares: a PostgreSQL of its own, the size of the run, and the programs some tests drive."""

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

# Before the first look at the settings. pytest-django would load them before this file, were the module named in the
# configuration; so it is named here.
os.environ |= {"DJANGO_SETTINGS_MODULE": "retail.settings", "DAOGOU_TESTING": "true"}
if "DAOGOU_TEST_VAR" not in os.environ:  # the workers of xdist inherit it
    os.environ["DAOGOU_VAR"] = os.environ["DAOGOU_TEST_VAR"] = tempfile.mkdtemp(prefix="daogou-test-")
    atexit.register(shutil.rmtree, os.environ["DAOGOU_VAR"], ignore_errors=True)
    os.mkdir(os.environ["DAOGOU_VAR"] + "/static")  # whitenoise warns where there is none

import django
import pytest
from django.db import connection
from django.utils import translation

from retail import embedded, logins
from tests import clones, figures
from tests.logins import logged_in

django.setup()  # for conftest files further down that import models

PROGRAMS = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "redis-server": ("redis-server",)}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Each worker has a folder of its own: one that sweeps as if a month had gone by would sweep files of the others.

    Told to the process, since pytest-django reads the settings of a worker before this file.
    """
    for number, spec in enumerate(specs):
        folder = Path(os.environ["DAOGOU_TEST_VAR"], f"worker{number}")
        (folder / "static").mkdir(parents=True)
        spec.env["DAOGOU_VAR"] = str(folder)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start a throwaway PostgreSQL, unless one is named; the workers of xdist inherit its address.

    The login of this process is its administrator; see `_login` and tests.logins.
    """
    if not embedded.is_given():
        try:
            server = embedded.start(durable=False)
        except embedded.EmbeddedError as error:
            raise pytest.UsageError(f"PostgreSQL: {error}") from None
        server.publish()
        config.add_cleanup(server.stop)
        with connection._nodb_cursor() as cursor:
            # What tests roll back is swept by nobody, or tables would be known as empty to the planner of later tests.
            cursor.execute("ALTER SYSTEM SET autovacuum = off")
            cursor.execute("SELECT pg_reload_conf()")
        connection.close()
    elif not hasattr(config, "workerinput"):
        with connection._nodb_cursor() as cursor:
            logins.make(cursor)
        connection.close()


def pytest_collection_finish() -> None:
    """All modules and thousands of tests stay: looking through them for garbage again took a third of each page."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The figures the promises were proved with; the workers of xdist have written theirs into the same file."""
    if lines := figures.all_said():
        terminalreporter.section("promises", sep="-")
        for line in lines:
            terminalreporter.write_line(line)
    reports = [one for some in terminalreporter.stats.values() for one in some if hasattr(one, "duration")]
    if len(reports) > 1:
        terminalreporter.section("suites", sep="-")
        for line in figures.shares(reports, size=_size()):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """Tests that commit work in a clone of the database."""
    clones.instead_of_flush()


# What comes in through the doors. Other tests make and break worlds as only an administrator may.
AS_PRODUCT = ("clerks/doors", "clerks/pages", "e2e", "matrix", "retail/api", "retail/desk", "retail/identity")


@pytest.fixture(scope="module", autouse=True)
def _login(request: pytest.FixtureRequest) -> Iterator[None]:
    """They log in as a worker does: code that needs more than `retail.rights` gives is refused here, not in a shop."""
    folder = request.path.relative_to(Path(__file__).parent).as_posix()
    if not folder.startswith(AS_PRODUCT):
        yield
        return
    request.getfixturevalue("django_db_setup")
    with logged_in(logins.JOB):
        yield


@pytest.fixture(autouse=True)
def _language() -> Iterator[None]:
    """The language of a test's last request is not that of the next test."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def size() -> Literal["quick", "full"]:
    """How much to try: DAOGOU_TEST_SIZE=full (`make test-full`) asks for the sizes that take minutes."""
    return _size()


def _size() -> Literal["quick", "full"]:
    return "full" if os.environ.get("DAOGOU_TEST_SIZE") == "full" else "quick"


def program(name: str) -> str:
    """The path of a program of the machine. Without it the test is skipped, and in CI fails."""
    for candidate in PROGRAMS[name]:
        if path := shutil.which(candidate):
            return path
    reason = f"{name} is missing: apt-get install --no-install-recommends {name}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium() -> str:
    return program("chromium")


@pytest.fixture(scope="session")
def redis_server() -> str:
    return program("redis-server")


@pytest.fixture
def everything(db):
    """A database in which a job or command runs: on nobody's behalf, so with no limit on rows."""
    from retail import scope

    with scope.within(scope.EVERYTHING):
        yield
