"""The simulator by itself: the command, its world, and the clock."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from django.core.management.base import CommandError

from retail.management.commands import wecom_simulator
from retail.wecom.simulator import Simulator
from retail.wecom.simulator.client import ControlError
from tests import factories
from tests.wecom_server import AGENT, CLERK, CORP, CUSTOMER

ROOT = Path(__file__).parents[3]


def test_the_command_says_where_it_listens_and_ends_when_told():
    command = [sys.executable, "manage.py", "wecom_simulator", "--port", str(free_port())]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        url = run.stdout.readline().split()[-1]
        assert "企业微信" in requests.get(url, timeout=10).content.decode()
        run.send_signal(signal.SIGTERM)
        rest = run.stdout.read()
    assert run.returncode == 0
    assert f"corp {CORP}  app {AGENT}" in rest and rest.endswith("Stopped.\n")


def free_port() -> int:
    """One that was free a moment ago, and the next, too."""
    simulator = Simulator(now=0)
    simulator.stop()
    return simulator.listener.port


def test_a_port_in_use_is_said(wecom):
    with pytest.raises(CommandError, match="Port"):
        wecom_simulator.Command().handle(port=wecom.simulator.listener.port, seed_from_db=False)


@pytest.mark.django_db
def test_our_stores_and_staff_are_its_departments_and_members(everything):
    house = factories.world()
    staff = house.hire("D0001", store=house.store)
    corp = wecom_simulator.of_database()["corps"][0]
    (member,) = [one for one in corp["members"] if one["userid"] == "D0001"]
    department = next(one for one in corp["departments"] if one["name"] == house.store.name)
    assert (member["name"], member["department"]) == (staff.name, [department["id"]])
    with Simulator(now=0, world={"corps": [corp]}) as simulator:
        assert simulator.world.corp(CORP).member("D0001").name == staff.name


def test_time_goes_forward_only_and_stands_when_told(wecom):
    with pytest.raises(ControlError):
        wecom.control.advance(-1)
    wecom.control.post("clock", is_frozen=True)
    before = wecom.control.get("clock")["now"]
    wecom.control.advance(3600)
    assert wecom.control.get("clock") == {"now": before + 3600, "is_frozen": True}
    wecom.control.post("clock", is_frozen=False)
    assert wecom.control.get("clock")["now"] < before + 3700


def test_everything_can_be_begun_again(wecom):
    wecom.control.act("add", userid=CLERK, external_userid=CUSTOMER)
    wecom.control.fault("*", times=0)
    wecom.control.post("reset")
    assert wecom.control.get("world")["follows"] == {}
    assert wecom.control.get("faults")["faults"] == []


def test_what_cannot_be_done_is_said(wecom):
    with pytest.raises(ControlError, match="no such act"):
        wecom.control.act("fly")
    with pytest.raises(ControlError) as refused:
        wecom.control.act("scan", config_id="gone")
    assert refused.value.errcode == 40058
    with pytest.raises(ControlError, match="corpid"):
        wecom.control.get("world", corp_id="wwnobody")
    with pytest.raises(ControlError):
        wecom.control.get("nothing")
