"""A short way in for callbacks: from the server straight to `webhook.answer`, past Django's handler and middleware.

The connection to the database is kept as Django keeps it, but for its question, with each request, whether the
database is still there: the statement that stores a message may be run twice, so it is run again if it is not.
"""

import logging
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections

from retail.wecom import webhook
from retail.wecom.webhook import Answer, Asked

log = logging.getLogger("django.request")
_ADDRESS = re.compile(r"/wecom/([-a-zA-Z0-9_]+)/callback/?")


def with_lane(pages: WSGIApplication) -> WSGIApplication:
    """The application with the short way for callbacks beside the long one for everything else."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        address = _ADDRESS.fullmatch(environ.get("PATH_INFO", ""))
        if address is None:
            return pages(environ, start_response)
        try:
            status, content = _answered(environ, address[1])
        except Exception:
            log.exception("A callback was not taken: %s", environ["PATH_INFO"])
            status, content = Answer(500)
        finally:
            connections[DEFAULT_DB_ALIAS].close_if_unusable_or_obsolete()
        head = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(content)))]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            head.append(("Allow", ", ".join(webhook.METHODS)))
        start_response(f"{status} {HTTPStatus(status).phrase}", head)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else content]

    return application


def _answered(environ: WSGIEnvironment, slug: str) -> Answer:
    body = b""

    def read(length: int) -> bytes:
        nonlocal body
        body = body or environ["wsgi.input"].read(length)  # once: it may be asked for again
        return body

    query = _fields(environ.get("QUERY_STRING", ""))
    asked = Asked(environ["REQUEST_METHOD"], query, environ.get("CONTENT_LENGTH") or "", read)
    line: Any = connections[DEFAULT_DB_ALIAS]  # of which the stubs know little
    is_old = line.connection is not None
    line.health_check_done = True
    try:
        return webhook.answer(asked, slug=slug)
    except (OperationalError, InterfaceError):
        if not is_old:
            raise
        line.close()  # it was gone, or has had its day
        return webhook.answer(asked, slug=slug)


def _fields(query: str) -> dict[str, str]:
    """What a server hands on is bytes in the guise of Latin-1. A message's are letters and digits, in no disguise."""
    if "%" in query or "+" in query:
        return dict(parse_qsl(query, keep_blank_values=True, errors="replace"))
    return {name: value for name, _equals, value in (field.partition("=") for field in query.split("&"))}
