"""The simulator from another process or thread: a client of its control interface."""

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

Told = dict[str, Any]


class ControlError(Exception):
    """What was asked cannot be done; `errcode` is the vendor's number for it."""

    def __init__(self, errcode: int, reason: str) -> None:
        super().__init__(f"{errcode}: {reason}")
        self.errcode = errcode


class Control:
    """`control.act("scan", state="store-1")`, `control.post("clock", advance=86400)`, `control.get("log")`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, /, **query: Any) -> Told:
        return self._asked(urllib.request.Request(f"{self.url}/_control/{path}?{urlencode(query)}"))

    def post(self, path: str, /, **body: Any) -> Told:
        head = {"Content-Type": "application/json"}
        url = f"{self.url}/_control/{path}"
        return self._asked(urllib.request.Request(url, data=json.dumps(body).encode(), headers=head))

    def act(self, name: str, /, **given: Any) -> Told:
        """What somebody does; see `acts`. Raises ControlError."""
        return self.post(f"act/{name}", **given)

    def advance(self, seconds: float) -> None:
        self.post("clock", advance=seconds)

    def fault(self, path: str = "*", /, **given: Any) -> None:
        """Let the next calls of `path` fail; see `traffic.Fault`."""
        self.post("faults", path=path, **given)

    def requests(self, path: str = "*", after: int = 0) -> list[Told]:
        found: list[Told] = self.get("log", path=path, after=after)["requests"]
        return found

    def deliveries(self, after: int = 0) -> list[Told]:
        found: list[Told] = self.get("callbacks", after=after)["deliveries"]
        return found

    def settle(self, seconds: float = 10.0) -> None:
        """Wait until every callback has come to its end. Raises TimeoutError."""
        if not self.post("callbacks/wait", seconds=seconds)["is_idle"]:
            raise TimeoutError(f"callbacks are still under way after {seconds} s")

    def _asked(self, request: urllib.request.Request) -> Told:
        try:
            with self._opener.open(request, timeout=620) as answer:
                told: Told = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                said = json.load(error)
            raise ControlError(said.get("errcode", error.code), said["error"]) from None
        return told
