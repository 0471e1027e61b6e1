"""A demo that is killed while its world is made: the next start says so and makes a whole one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from django.conf import settings

from retail import embedded, logins
from retail.demo import world

pytestmark = [pytest.mark.kill, pytest.mark.slow]


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "var"
    embedded.remove(tmp_path / "var")


def begin(var: Path, **also: str) -> subprocess.Popen[str]:
    named = ("DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "DAOGOU_TESTING")
    given = {name: value for name, value in os.environ.items() if name not in named}
    command = [sys.executable, "manage.py", "demo", "--check", "--scale", "0.001"]
    return subprocess.Popen(
        command,
        cwd=settings.BASE_DIR,
        env=given | {"DAOGOU_VAR": str(var)} | also,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(demo: subprocess.Popen[str]) -> str:
    return demo.communicate(timeout=300)[0]


def ask(url: str, sql: LiteralString) -> object:
    with psycopg.connect(url) as connection:
        found = connection.execute(sql).fetchone()
    assert found
    return found[0]


def test_a_world_that_was_stopped_midway_is_made_anew(var: Path) -> None:
    killed = begin(var)
    assert killed.stdout
    for line in killed.stdout:
        if "全年结算" in line:  # all facts are written by now
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    with embedded.start(data=var, durable=True) as server:
        assert ask(server.url, "SELECT count(*) > 1000 FROM retail_order")
        named = f"postgresql://{logins.OWNER}@/daogou?host={server.socket_dir}&port={embedded.PORT}"
        refused = begin(var, DATABASE_URL=named)
        assert "no whole demo world" in said(refused)
        assert refused.returncode == 1
        assert ask(server.url, "SELECT count(*) > 1000 FROM retail_order")

    again = begin(var)
    told = said(again)
    assert again.returncode == 0, told
    assert "stopped before its world was whole" in told
    assert "is ready" in told
    with embedded.start(data=var, durable=True) as server:
        assert ask(server.url, "SELECT count(*) FROM retail_order WHERE settled_at IS NULL") == 0
        assert ask(server.url, "SELECT count(*) FROM retail_refund WHERE settled_at IS NULL") == 0
        assert ask(server.url, "SELECT count(*) > 0 FROM leads_lead")
        assert ask(server.url, "SELECT obj_description('retail_brand'::regclass)") == world.MARK
