"""The address WeCom calls. A message is checked, opened and stored; what it means is for later.

200 with an empty body says that the message is in the database for good. Whatever is not WeCom's is a 4xx and leaves
nothing but a count; whatever goes wrong here is a 5xx, and WeCom comes again.

The road is short, since nobody signs in here: `lane` leads from the server to `answer` without a handler or middleware
of Django's in between; an address of the usual kind (`callback`) leads there from wherever there is no lane.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from retail.wecom import crypto, inbox, keys, limits
from retail.wecom.crypto import Refused
from retail.wecom.keys import InUse
from retail.wecom.parse import MOST_BYTES, sealed_part

PATH = "callback"  # under which refusals are counted
METHODS = ("GET", "HEAD", "POST")
# Why → WeCom's own code for it, our answer.
REFUSALS = {
    "signature": (-40001, 403),
    "shape": (-40002, 400),
    "receiveid": (-40005, 403),
    "decrypt": (-40007, 400),
    "size": (-40008, 413),
}


class Asked(NamedTuple):
    """A request as far as it matters here. `length`: what it says of its body's; `read`: gives so many bytes of it."""

    method: str
    query: Mapping[str, str]
    length: str
    read: Callable[[int], bytes]


class Answer(NamedTuple):
    status: int
    content: bytes = b""


@csrf_exempt
def callback(request: HttpRequest, slug: str) -> HttpResponse:
    asked = Asked(request.method or "", request.GET, request.META.get("CONTENT_LENGTH") or "", request.read)
    status, content = answer(asked, slug=slug)
    head = {"Allow": ", ".join(METHODS)} if status == 405 else {}
    return HttpResponse(content, status=status, content_type="text/plain; charset=utf-8", headers=head)


def answer(asked: Asked, *, slug: str) -> Answer:
    """GET: WeCom tries the address out, and wants to see the text it sealed. POST: a message."""
    if asked.method not in METHODS:
        return Answer(405)
    now = timezone.now()
    called = keys.in_use(slug=slug, now=now)
    if called is None:
        return Answer(404)
    try:
        if asked.method != "POST":
            return Answer(200, _opened(asked.query, called, asked.query.get("echostr", ""), now))
        inbox.store(app=called.app, xml=_opened(asked.query, called, _sealed(asked), now), now=now)
    except Refused as refusal:
        errcode, status = REFUSALS[refusal.reason]
        limits.count(app=called.app, path=PATH, errcode=errcode, now=now)
        return Answer(status)
    return Answer(200)


def _sealed(asked: Asked) -> str:
    """The sealed part of the envelope; the rest of it is not signed, and so not believed."""
    length = asked.length or "0"
    if len(length) > 6 or not length.isdecimal() or int(length) > MOST_BYTES:
        raise Refused("size")
    try:
        return sealed_part(asked.read(int(length)))
    except OSError:  # cut off; also Django's word for it
        raise Refused("shape") from None


def _opened(query: Mapping[str, str], called: InUse, encrypted: str, now: datetime) -> bytes:
    """Checked with the token that fits, opened with the key that does; while they rotate there are several of each."""
    _first_that_fits(
        partial(
            crypto.verify,
            timestamp=query.get("timestamp", ""),
            nonce=query.get("nonce", ""),
            encrypted=encrypted,
            given=query.get("msg_signature", ""),
        ),
        "token",
        called.tokens(now=now),
    )
    decrypt = partial(crypto.decrypt, encrypted=encrypted, receive_id=called.app.corp_id)
    return _first_that_fits(decrypt, "aes_key", called.aes_keys(now=now))


def _first_that_fits(check: Callable[..., Any], name: str, secrets: list[str]) -> Any:
    """What the check makes of the first secret it takes. Raises the Refused of the last: there is always one."""
    *former, last = secrets
    for secret in former:
        try:
            return check(**{name: secret})
        except Refused:
            continue
    return check(**{name: last})
