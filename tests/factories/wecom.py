"""WeCom as tests need it: an application, and callbacks as WeCom would send them."""

import itertools
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.test import Client
from django.utils import timezone

from retail.wecom import crypto, keys
from retail.wecom.models import App
from tests.factories import number

EVENTS = Path(settings.BASE_DIR) / "tests" / "data" / "wecom" / "events"
_nonces = itertools.count(1_500_000_000)


def app(**fields: Any) -> App:
    """An application with secrets of its own."""
    n = number()
    given = {
        "slug": f"app-{n}",
        "corp_id": f"ww0demo0retail{n:04}",
        "agent_id": 1_000_000 + n,
        "secret": f"secret-of-{n}",
        "token": keys.new_token(),
        "aes_key": keys.new_aes_key(),
    }
    return keys.add(**{**given, "by": None, "now": timezone.now() - timedelta(days=1), **fields})


def event(name: str, **changed: str) -> bytes:
    """The XML of a sample event ("ext_contact_add"), with other texts in the named elements."""
    xml = (EVENTS / f"{name}.xml").read_text(encoding="utf-8")
    for element, text in changed.items():
        pattern = rf"<{element}>.*?</{element}>"
        assert re.search(pattern, xml), f"{name} has no {element}"
        xml = re.sub(pattern, f"<{element}><![CDATA[{text}]]></{element}>", xml, count=1)
    return xml.encode()


class Callback(NamedTuple):
    """One delivery: where to and with what."""

    path: str
    query: dict[str, str]
    body: bytes

    @property
    def address(self) -> str:
        return f"{self.path}?{urlencode(self.query)}"


def callback(app: App, xml: bytes, *, receive_id: str | None = None, pair: tuple[str, str] | None = None) -> Callback:
    """A delivery as WeCom makes it; every one has another timestamp, nonce and random prefix."""
    token, aes_key = pair or (app.token, app.aes_key)
    nonce = str(next(_nonces))
    encrypted = crypto.encrypt(
        aes_key=aes_key, plain=xml, receive_id=app.corp_id if receive_id is None else receive_id
    )
    timestamp = str(int(timezone.now().timestamp()))
    signature = crypto.signature(token=token, timestamp=timestamp, nonce=nonce, encrypted=encrypted)
    query = {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce}
    return Callback(f"/wecom/{app.slug}/callback/", query, envelope(app, encrypted))


def riddle(app: App, plain: bytes) -> Callback:
    """The GET by which WeCom tries an address out; the answer is `plain`."""
    sealed = callback(app, plain)
    encrypted = sealed.body.partition(b"<Encrypt><![CDATA[")[2].partition(b"]]>")[0].decode()
    return Callback(sealed.path, {**sealed.query, "echostr": encrypted}, b"")


def envelope(app: App, encrypted: str) -> bytes:
    return (
        f"<xml><ToUserName><![CDATA[{app.corp_id}]]></ToUserName><AgentID><![CDATA[{app.agent_id}]]></AgentID>"
        f"<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    ).encode()


def post(client: Client, delivery: Callback) -> Any:
    return client.post(delivery.address, delivery.body, content_type="text/xml")


def deliver(client: Client, app: App, xml: bytes) -> Any:
    """WeCom sends this message; our answer."""
    return post(client, callback(app, xml))
