"""The simulator of WeCom for tests: in threads of this process, on a free port of this machine.

with wecom_server.running() as wecom:
    wecom.url                                  # for DAOGOU_WECOM_URL
    wecom.app("ww0demo0retail0001", 1000002)   # with its secret
    wecom.control.act("scan", state="store-1") # as a customer would
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from retail.wecom.simulator import Simulator, sample
from retail.wecom.simulator.client import Control
from retail.wecom.simulator.world import App

CORP, AGENT, OTHER_AGENT, SYNC_AGENT = "ww0demo0retail0001", 1000002, 1000003, 2000001
SECRET = "secret-of-the-app-in-tests-0000000000000001"
OTHER_SECRET = "secret-of-the-app-in-tests-0000000000000002"
SYNC_SECRET = "secret-of-the-app-in-tests-0000000000000003"
TOKEN, AES_KEY = "tokenOfTests", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
CLERK, COLLEAGUE = "clerk_li", "clerk_wang"
CUSTOMER, ANOTHER, PARTNER = (
    "wmDEMOAAAA0000000000000000000001",
    "wmDEMOAAAA0000000000000000000002",
    "woDEMOAAAA0000000000000000000004",
)


class Wecom:
    """A simulator that runs, and the way to turn it."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.url = simulator.url
        self.api_url = f"{simulator.url}/cgi-bin/"
        self.control = Control(simulator.url)

    def app(self, corp_id: str = CORP, agent_id: int = AGENT) -> App:
        return self.simulator.world.corps[corp_id].apps[agent_id]

    def call_back(self, url: str, *, corp_id: str = CORP, agent_id: int = AGENT) -> None:
        """Send the app's events to `url` from now on, which must answer the verification. Raises ControlError."""
        given = {"corp_id": corp_id, "agent_id": agent_id, "url": url, "token": TOKEN, "aes_key": AES_KEY}
        self.control.post("app/callback", **given)


def world() -> dict[str, Any]:
    """The sample with secrets that tests know."""
    seed = sample()
    for app, secret in zip(seed["corps"][0]["apps"], (SECRET, OTHER_SECRET, SYNC_SECRET), strict=True):
        app["secret"] = secret
    return seed


@contextmanager
def running(seed: dict[str, Any] | None = None) -> Iterator[Wecom]:
    """Retries of callbacks come at once here, lest tests wait for them."""
    with Simulator(now=time.time(), world=seed or world()) as simulator:
        wecom = Wecom(simulator)
        wecom.control.post("callbacks/plan", spacing=0.0)
        yield wecom
