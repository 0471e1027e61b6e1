"""A stand-in for WeCom over HTTP: gives out tokens and checks them, answers and breaks as told, counts everything."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

OK = {"errcode": 0, "errmsg": "ok"}
HINT = ", hint: [1767225600_1_0123456789abcdef], from ip: 203.0.113.9, more info at https://example.test/query?e="


class Asked(NamedTuple):
    path: str
    query: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class StandIn:
    """`answers[path]`: a dict, a list of dicts (one after the other, the last for good) or a function of Asked."""

    def __init__(self) -> None:
        self.log: list[Asked] = []
        self.answers: dict[str, Any] = {}
        self.trouble: dict[str, str] = {}  # path or "" → "502", "drop" (after doing it), "redirect", "text"
        self.tokens: dict[str, str] = {}  # secret → the token that holds
        self.are_tokens_refused = False
        self.pause = 0.0
        self.under_way = self.most_under_way = 0
        self._lock = threading.Lock()
        self.url = ""

    def count(self, path: str) -> int:
        return sum(asked.path == path for asked in self.log)

    def revoke(self) -> None:
        self.tokens.clear()

    def answer(self, asked: Asked) -> dict[str, Any]:
        with self._lock:
            self.log.append(asked)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        time.sleep(self.pause)
        with self._lock:
            self.under_way -= 1
            if asked.path == "gettoken":
                return self._token(asked)
            if self.are_tokens_refused or asked.query.get("access_token") not in self.tokens.values():
                return error(40014, "invalid access_token")
            told = self.answers.get(asked.path, OK)
            if isinstance(told, list):
                told = told.pop(0) if len(told) > 1 else told[0]
            return {**OK, **(told(asked) if callable(told) else told)}

    def _token(self, asked: Asked) -> dict[str, Any]:
        told = self.answers.get("gettoken")
        if told:
            return told
        secret = asked.query["corpsecret"]
        token = self.tokens.setdefault(secret, f"TOKEN-{secret}-{len(self.log)}")
        return {**OK, "access_token": token, "expires_in": 7200}


def error(errcode: int, errmsg: str = "no") -> dict[str, Any]:
    return {"errcode": errcode, "errmsg": f"{errmsg}{HINT}{errcode}"}


@contextmanager
def serving(standin: StandIn) -> Iterator[StandIn]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(standin))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    standin.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield standin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(standin: StandIn) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or every answer waits 40 ms for the other side's acknowledgement

        def do_GET(self) -> None:
            split = urlsplit(self.path)
            path = split.path.removeprefix("/cgi-bin/")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            trouble = standin.trouble.get(path, standin.trouble.get("", ""))
            if trouble == "502":
                standin.log.append(Asked(path, {}, body))
                return self._say(502, b"<html>Bad Gateway</html>")
            answer = standin.answer(Asked(path, dict(parse_qsl(split.query)), body))
            if "drop" in (trouble, answer.pop("trouble", "")):
                self.close_connection = True
                return None
            if trouble == "text":
                return self._say(200, b"<html>maintenance</html>")
            return self._say(200, json.dumps(answer).encode())

        do_POST = do_GET  # noqa: N815

        def _say(self, status: int, said: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            with suppress(BrokenPipeError):  # the other side had waited long enough
                self.wfile.write(said)

        def log_message(self, *_args: Any) -> None:
            """Says nothing."""

    return Handler
