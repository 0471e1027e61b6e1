"""A WeCom of one's own, on this machine: the vendor's interface, callbacks, clients and clock, all in memory.

    clock       time that can be moved
    world       the records: members, customers, relations, codes, tasks …
    api/        what software may call: a table of endpoints; changes records, tells nobody
    acts        what people do: changes records and tells the apps
    callbacks   how apps are told: sealed, signed, tried again, or spoilt on purpose
    traffic     limits, planned faults, the log of requests
    phone/      the pages on which a visitor plays customer and clerk, and the browser inside them
    control     the interface of tests: clock, faults, log, acts
    web         the server, for this machine only

Nothing here knows Django or the product; of the house it uses `retail.wecom.crypto` alone.
"""

import json
import threading
from collections.abc import Mapping
from importlib import resources
from typing import Any

from retail.wecom.simulator import control, seed
from retail.wecom.simulator.acts import Acts
from retail.wecom.simulator.api import (
    PREFIX,
    access,
    answer,
    chats,
    codes,
    customers,
    messages,
    moments,
    sending,
    staff,
    tags,
    transfers,
)
from retail.wecom.simulator.callbacks import Callbacks
from retail.wecom.simulator.clock import Clock
from retail.wecom.simulator.phone import Phone
from retail.wecom.simulator.traffic import Faults, Limits, Log
from retail.wecom.simulator.web import Listener, Request, Response, told
from retail.wecom.simulator.world import World

AREAS = (access, chats, codes, customers, messages, moments, sending, staff, tags, transfers)  # fill the table
TICK_SECONDS = 0.25
PORT = 8400  # by default; the browser in the phone listens on the next one


def sample() -> dict[str, Any]:
    """A small corporation to play with."""
    text = resources.files(__name__).joinpath("seed.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


class Simulator:
    """Listens from `start` to `stop`, on `port` (0: a free one) and, for the browser in the phone, on another."""

    def __init__(self, *, now: float, world: Mapping[str, Any] | None = None, port: int = 0, number: int = 1) -> None:
        self.listener = Listener(self._answer, port=port)
        self.url = self.listener.url
        self.latency = 0.0  # real seconds each call takes
        self.clock = Clock(start=now)
        self.log = Log()
        self.faults = Faults()
        self.limits = Limits(clock=self.clock)
        self.callbacks = Callbacks(clock=self.clock, seed=number)
        self.world = World(clock=self.clock, base_url=self.url, seed=number)
        self.acts = Acts(world=self.world, callbacks=self.callbacks)
        try:
            self.phone = Phone(self, port=port + 1 if port else 0)
        except OSError:
            self.listener.stop()
            raise
        self._ended = threading.Event()
        seed.fill(self.world, world or sample())

    def start(self) -> "Simulator":
        self.callbacks.start()
        self.listener.start()
        self.phone.start()
        threading.Thread(target=self._tick, daemon=True, name="wecom clock").start()
        return self

    def stop(self) -> None:
        self._ended.set()
        self.phone.stop()
        self.listener.stop()
        self.callbacks.stop()

    def __enter__(self) -> "Simulator":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _tick(self) -> None:
        """What is due happens though nobody asks."""
        while not self._ended.wait(TICK_SECONDS):
            self.world.catch_up()

    def _answer(self, request: Request) -> Response:
        if request.path.startswith(PREFIX):
            return answer(self, request)
        if request.path.startswith(control.PREFIX):
            return control.answer(self, request)
        return self.phone.answer(request) or told({"error": "there is nothing here"}, 404)
