"""The address WeCom calls. A message is checked, opened and stored; what it means is for later.

200 with an empty body says that the message is in the database for good. Whatever is not WeCom's is a 4xx and leaves
nothing but a count; whatever goes wrong here is a 5xx, and WeCom comes again.
"""

from datetime import datetime

from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from retail.wecom import crypto, inbox, keys, limits
from retail.wecom.crypto import Refused
from retail.wecom.keys import InUse
from retail.wecom.parse import MOST_BYTES, sealed_part

PATH = "callback"  # under which refusals are counted
# Why → WeCom's own code for it, our answer.
REFUSALS = {
    "signature": (-40001, 403),
    "shape": (-40002, 400),
    "receiveid": (-40005, 403),
    "decrypt": (-40007, 400),
    "size": (-40008, 413),
}


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def callback(request: HttpRequest, slug: str) -> HttpResponse:
    """GET: WeCom tries the address out, and wants to see the text it sealed. POST: a message."""
    now = timezone.now()
    called = keys.in_use(slug=slug, now=now)
    if called is None:
        return HttpResponse(status=404)
    try:
        if request.method != "POST":
            echo = _opened(request, called, request.GET.get("echostr", ""), now)
            return HttpResponse(echo, content_type="text/plain; charset=utf-8")
        inbox.store(app=called.app, xml=_opened(request, called, _sealed(request), now), now=now)
    except Refused as refusal:
        errcode, status = REFUSALS[refusal.reason]
        limits.count(app=called.app, path=PATH, errcode=errcode, now=now)
        return HttpResponse(status=status)
    return HttpResponse()


def _sealed(request: HttpRequest) -> str:
    """The sealed part of the envelope; the rest of it is not signed, and so not believed."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if len(length) > 6 or not length.isdecimal() or int(length) > MOST_BYTES:
        raise Refused("size")
    try:
        return sealed_part(request.body)
    except UnreadablePostError:
        raise Refused("shape") from None


def _opened(request: HttpRequest, called: InUse, encrypted: str, now: datetime) -> bytes:
    """Checked and opened with the pair of keys that fits; while they rotate there are two."""
    asked = request.GET
    refusal = Refused("signature")
    for token, aes_key in called.pairs(now=now):
        try:
            crypto.verify(
                token=token,
                timestamp=asked.get("timestamp", ""),
                nonce=asked.get("nonce", ""),
                encrypted=encrypted,
                given=asked.get("msg_signature", ""),
            )
            return crypto.decrypt(aes_key=aes_key, encrypted=encrypted, receive_id=called.app.corp_id)
        except Refused as error:
            refusal = error
    raise refusal
