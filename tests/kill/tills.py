"""Tills that post orders and refunds over HTTP and repeat each call until it is acknowledged."""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from retail import shapes
from tests.factories import NOW, World


@dataclass
class Call:
    path: str
    rows: list[Any]

    @property
    def body(self) -> bytes:
        return msgspec.json.encode({self.path: self.rows})


@dataclass
class Till:
    """One client: its buyers are nobody else's, so that who bought first does not hang on luck."""

    number: int
    shop: World
    secret: str
    port: int
    dice: random.Random
    pause: float
    acknowledged: list[Call] = field(default_factory=list)
    calls = repeats = hits = made = 0

    def work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._deliver(self._next())
            time.sleep(self.dice.random() * 2 * self.pause)

    def _deliver(self, call: Call) -> None:
        """Until it is acknowledged, always under the same key."""
        key, body = f"till {self.number} call {len(self.acknowledged)}", call.body
        for wait in range(1_000):
            status, is_hit = self._post(call.path, body, key)
            if status == 200:
                self.hits += is_hit
                self.acknowledged.append(call)
                return
            assert status is None or status >= 500, f"{status} for {call}"
            self.repeats += 1
            time.sleep(min(0.5, 0.05 * (wait + 1)))
        raise AssertionError("nobody ever answered")

    def _post(self, path: str, body: bytes, key: str) -> tuple[int | None, bool]:
        self.calls += 1
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json", "Host": "localhost"}
        server = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            server.request("POST", f"/api/v1/{path}/", body, headers | {"Idempotency-Key": key})
            answer = server.getresponse()
            said = answer.read()
            if answer.status == 200:
                assert json.loads(said)["rejected"] == 0, said
            return answer.status, answer.headers.get("Idempotency-Hit") == "true"
        except (OSError, http.client.HTTPException):
            return None, False
        finally:
            server.close()

    def _next(self) -> Call:
        luck = self.dice.random()
        if self.acknowledged and luck < 0.15:
            return self.dice.choice(self.acknowledged)  # once more, under another key
        sold = [row for call in self.acknowledged if call.path == "orders" for row in call.rows]
        if sold and luck < 0.3:
            return Call("refunds", [self._refund(self.dice.choice(sold))])
        return Call("orders", [self._order() for _ in range(self.dice.randint(1, 3))])

    def _order(self) -> shapes.Order:
        self.made += 1
        return self.shop.order(
            outer_order_id=f"K{self.number}-{self.made}",
            paid_at=NOW + timedelta(seconds=self.made),
            serving_clerk=self.dice.choice(["A1", "A2"]),
            buyer=(shapes.Buyer("phone", f"139{self.number:04}{self.dice.randrange(5):04}"),),
            lines=[{"paid_fen": self.dice.randint(1, 99_999)} for _ in range(self.dice.randint(1, 3))],
        )

    def _refund(self, order: shapes.Order) -> shapes.Refund:
        """All of the first line: however often it is drawn, it is the same refund."""
        return shapes.Refund(
            channel=order.channel,
            outer_refund_id=f"R{order.outer_order_id}",
            outer_order_id=order.outer_order_id,
            outer_line_id="1",
            refunded_at=NOW + timedelta(days=1),
            fen=order.lines[0].paid_fen,
        )
