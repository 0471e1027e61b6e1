"""A small web server for this machine only: requests in, answers out, in threads. Refuses other hosts' names."""

import ipaddress
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HOST = "127.0.0.1"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
MOST_BYTES = 64 * 1024 * 1024


@dataclass
class Request:
    method: str
    target: str  # path with query, as it came
    headers: dict[str, str]  # names in lower case
    body: bytes
    ip: str

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def cookies(self) -> dict[str, str]:
        pairs = (one.strip().partition("=") for one in self.headers.get("cookie", "").split(";"))
        return {name: value for name, _, value in pairs}

    def json(self) -> Any:
        """Raises ValueError for what is no JSON."""
        return json.loads(self.body or b"{}")

    def parts(self) -> list[tuple[str, str, bytes]]:
        """(field, file name, content) of a multipart/form-data body; [] for any other."""
        kind, _, parameters = self.headers.get("content-type", "").partition(";")
        boundary = _parameters(parameters).get("boundary", "")
        if kind.strip() != "multipart/form-data" or not boundary:
            return []
        found = []
        for part in self.body.split(b"--" + boundary.encode())[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            named = _parameters(head.decode(errors="replace").replace("\r\n", ";"))
            found.append((named.get("name", ""), named.get("filename", ""), content.removesuffix(b"\r\n")))
        return found


def _parameters(text: str) -> dict[str, str]:
    pairs = (one.strip().partition("=") for one in text.split(";"))
    return {name: value.strip('"') for name, _, value in pairs}


@dataclass
class Response:
    """`is_cut`: close the connection without a word."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cookies: list[str] = field(default_factory=list)
    is_cut: bool = False


def told(value: Any, status: int = 200) -> Response:
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    return Response(status, text.encode(), {"Content-Type": "application/json; charset=UTF-8"})


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else repr(value)


def page(markup: str, status: int = 200) -> Response:
    return Response(status, markup.encode(), {"Content-Type": "text/html; charset=UTF-8"})


def redirect(url: str, *cookies: str) -> Response:
    return Response(302, b"", {"Location": url}, list(cookies))


def is_of_this_machine(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


class Listener:
    """Answers on a loopback port with `answer`, from `start` to `stop`. Port 0 takes a free one."""

    def __init__(self, answer: Callable[[Request], Response], *, port: int) -> None:
        self._server = ThreadingHTTPServer((HOST, port), _handler(answer))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.port: int = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def _handler(answer: Callable[[Request], Response]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together
        disable_nagle_algorithm = True

        def serve(self) -> None:
            if not is_of_this_machine(self.headers.get("Host", "")):
                return self.send(told({"error": "only for this machine"}, 421))
            length = int(self.headers.get("Content-Length") or 0)
            if length > MOST_BYTES or "chunked" in self.headers.get("Transfer-Encoding", ""):
                self.close_connection = True
                return self.send(told({"error": "too large, or of unknown length"}, 413))
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length)
            return self.send(answer(Request(self.command, self.path, headers, body, self.client_address[0])))

        def send(self, response: Response) -> None:
            if response.is_cut:
                self.close_connection = True
                return
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            for cookie in response.cookies:
                self.send_header("Set-Cookie", cookie)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: the simulator has a log of its own."""

    for method in METHODS:
        setattr(Handler, f"do_{method}", Handler.serve)
    return Handler
