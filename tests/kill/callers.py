"""WeCom, which tells of customers that have deleted their clerk, signed and encrypted, until each is acknowledged."""

import http.client
import random
import threading
import time
from dataclasses import dataclass, field

from retail.wecom.models import App
from tests.factories import wecom


@dataclass
class Caller:
    """What it tells needs no question to WeCom, so that nobody has to play its other half."""

    app: App
    port: int
    dice: random.Random
    pause: float
    acknowledged: list[str] = field(default_factory=list)  # the customers
    calls = repeats = 0

    def __post_init__(self) -> None:
        self.keys = (self.app.token, self.app.aes_key)

    def work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            known = self.acknowledged and self.dice.random() < 0.2
            customer = self.dice.choice(self.acknowledged) if known else f"wmKILL{len(self.acknowledged):026}"
            self._deliver(customer)
            if not known:
                self.acknowledged.append(customer)
            time.sleep(self.dice.random() * 2 * self.pause)

    def _deliver(self, customer: str) -> None:
        """Until it is acknowledged: the same message, each time in another envelope."""
        xml = wecom.event("ext_contact_del_follow_user", ExternalUserID=customer)
        for wait in range(1_000):
            status = self._post(wecom.callback(self.app, xml, pair=self.keys))
            if status == 200:
                return
            assert status is None or status >= 500, f"{status} for {customer}"
            self.repeats += 1
            time.sleep(min(0.5, 0.05 * (wait + 1)))
        raise AssertionError("nobody ever answered")

    def _post(self, delivery: wecom.Callback) -> int | None:
        self.calls += 1
        server = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            server.request("POST", delivery.address, delivery.body, {"Content-Type": "text/xml", "Host": "localhost"})
            answer = server.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            server.close()
