"""A simulator for each test, wechatpy as its client, and a product that only listens to callbacks.

wechatpy is unmodified: its subclass has the two members that its own design needs for another address.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import xmltodict
from wechatpy.enterprise import WeChatClient
from wechatpy.enterprise.crypto import WeChatCrypto

from tests import wecom_server
from tests.wecom_server import AES_KEY, CORP, SECRET, TOKEN, Wecom


@pytest.fixture
def wecom() -> Iterator[Wecom]:
    with wecom_server.running() as running:
        yield running


def client_of(wecom: Wecom, secret: str = SECRET, *, auto_retry: bool = False) -> WeChatClient:
    class Client(WeChatClient):
        API_BASE_URL = wecom.api_url

        def fetch_access_token(self) -> Any:
            params = {"corpid": self.corp_id, "corpsecret": self.secret}
            return self._fetch_access_token(url=f"{wecom.api_url}gettoken", params=params)

    return Client(CORP, secret, timeout=(3, 8), auto_retry=auto_retry)


@pytest.fixture
def client(wecom: Wecom) -> WeChatClient:
    return client_of(wecom)


@dataclass
class Inbox:
    """What an app's callback URL was sent. `answer` says with which status, after how long, it is taken."""

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    answer: Callable[[int], int] = lambda number: 200
    echo: Callable[[str], str] = str
    calls: int = 0

    def take(self, query: dict[str, str], body: bytes) -> int:
        self.calls += 1
        crypto = WeChatCrypto(TOKEN, AES_KEY, CORP)
        try:
            text = crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
            self.texts.append(text)
            self.events.append(xmltodict.parse(text)["xml"])
        except Exception as error:
            self.errors.append(error)
            return 403
        return self.answer(self.calls)

    def kinds(self) -> list[str]:
        return [event.get("ChangeType", event["Event"]) for event in self.events]


@contextmanager
def listening(inbox: Inbox) -> Iterator[Inbox]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = dict(parse_qsl(urlsplit(self.path).query))
            crypto = WeChatCrypto(TOKEN, AES_KEY, CORP)
            said = crypto.check_signature(
                *(query[name] for name in ("msg_signature", "timestamp", "nonce", "echostr"))
            )
            self.reply(200, inbox.echo(said))

        def do_POST(self) -> None:
            query = dict(parse_qsl(urlsplit(self.path).query))
            self.reply(inbox.take(query, self.rfile.read(int(self.headers["Content-Length"]))), "")

        def reply(self, status: int, text: str) -> None:
            try:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())
            except OSError:
                """The simulator has waited long enough."""

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    inbox.url = f"http://127.0.0.1:{server.server_address[1]}/callback/"
    yield inbox
    server.shutdown()
    server.server_close()


@pytest.fixture
def inbox(wecom: Wecom) -> Iterator[Inbox]:
    """Configured at the simulator, which has verified the URL."""
    with listening(Inbox()) as listener:
        wecom.call_back(listener.url)
        yield listener


def until(happened: Callable[[], object], seconds: float = 5.0) -> None:
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.01)
