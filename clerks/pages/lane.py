"""A short way in for tracked links: from the server straight to `arrivals.arrive`, past Django's middleware.

It is for browsers nobody has signed in with. Whoever has a session, asks in another way than a browser that follows a
link, or has a code that leads nowhere goes the long way, which ends at the same function and the one page for what is
not there. The sister of `retail.wecom.lane`, which see for what is done with the connection.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, close_old_connections, connection
from django.http.cookie import parse_cookie
from django.utils import timezone
from django.utils.translation import gettext as _

from clerks.materials import arrivals
from clerks.materials.arrivals import Arrival, Asked
from retail import gate, together

log = logging.getLogger("django.request")
NOTHING = "daogou.nothing_here"  # in the environment of a request: its code was looked up, and is none
_ADDRESS = re.compile(r"/s/([^/]+)")
_AHEAD = ("HTTP_PURPOSE", "HTTP_SEC_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")


class Reply(NamedTuple):
    status: str
    head: list[tuple[str, str]]
    body: bytes = b""


def with_links(pages: WSGIApplication) -> WSGIApplication:
    """The application with the short way for links beside the long one for everything else."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not _ADDRESS.fullmatch(environ.get("PATH_INFO", "")):
            return pages(environ, start_response)
        try:
            reply = _cared_for(environ)
        except (together.Away, Error):
            log.exception("A link was not followed: the database is away")
            reply = _away()
        finally:
            close_old_connections()
        if reply is None:
            return pages(environ, start_response)
        start_response(reply.status, reply.head)
        return [reply.body]

    return application


def _cared_for(environ: WSGIEnvironment) -> Reply | None:
    """Not asked, with each request, whether the database is still there: what was not done is done again."""
    close_old_connections()
    line: Any = connection  # of which the stubs know little
    is_old = line.connection is not None
    line.health_check_done = True
    try:
        return followed(environ)
    except (OperationalError, InterfaceError):  # of looking it up; what is written is written once (openings)
        if not is_old:
            raise
        line.close()
        return followed(environ)


def followed(environ: WSGIEnvironment) -> Reply | None:
    """The answer to a browser that follows a link; None for what is to go the long way. Raises together.Away."""
    address = _ADDRESS.fullmatch(environ["PATH_INFO"])
    if address is None or environ["REQUEST_METHOD"] != "GET":
        return None
    cookies, is_secure = parse_cookie(environ.get("HTTP_COOKIE", "")), _is_secure(environ)
    if settings.SESSION_COOKIE_NAME in cookies or (settings.SECURE_SSL_REDIRECT and not is_secure):
        return None
    arrival = arrivals.arrive(asked(address[1], environ, cookies), now=timezone.now())
    if arrival.target is None:
        environ[NOTHING] = True
        return None
    return Reply("302 Found", _head(arrival, is_secure))


def asked(code: str, meta: Mapping[str, Any], cookies: Mapping[str, str], staff_id: int | None = None) -> Asked:
    """A request, out of what the server says of it."""
    agent = meta.get("HTTP_USER_AGENT", "")
    is_ahead = meta["REQUEST_METHOD"] != "GET" or any(
        word in meta.get(name, "").lower() for name in _AHEAD for word in ("prefetch", "preview", "prerender")
    )
    return Asked(code, gate.address_of(meta) or "", agent, cookies, is_ahead, staff_id)


def _is_secure(environ: WSGIEnvironment) -> bool:
    scheme = environ.get("HTTP_X_FORWARDED_PROTO") if settings.BEHIND_PROXY else environ.get("wsgi.url_scheme")
    return scheme == "https"


def _head(arrival: Arrival, is_secure: bool) -> list[tuple[str, str]]:
    head = [
        ("Location", quote(arrival.target or "", safe="/#%[]=:;$&()+,!?*@'~")),
        ("Content-Length", "0"),
        ("Cache-Control", "no-store"),  # or a browser would go on by itself, uncounted
        ("Referrer-Policy", settings.SECURE_REFERRER_POLICY),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if arrival.visitor is not None:
        head.append(("Set-Cookie", _cookie(str(arrival.visitor), is_secure)))
    if is_secure and settings.SECURE_HSTS_SECONDS:
        head.append(
            ("Strict-Transport-Security", f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains; preload")
        )
    return head


def _cookie(visitor: str, is_secure: bool) -> str:
    said = f"{arrivals.VISITOR}={visitor}; Max-Age={arrivals.VISITOR_SECONDS}; Path=/s/; HttpOnly; SameSite=Lax"
    return f"{said}; Secure" if is_secure else said


def _away() -> Reply:
    words = str(_("现在打不开，请过一会儿再点一次。")).encode()
    head = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(words))), ("Retry-After", "5")]
    return Reply("503 Service Unavailable", [*head, ("Cache-Control", "no-store")], words)
