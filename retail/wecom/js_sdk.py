"""What a page of ours shows WeCom's client to be let near the chat: two signatures of its address."""

import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from retail.wecom import crypto, limits
from retail.wecom.gateway import Gateway
from retail.wecom.models import App

REFUSED = "js_sdk/refused"  # our own limit: how often pages may say that the client took no signature
Signature = tuple[str, str, str]
"""Nonce, timestamp and the signature itself."""


def signed(*, app: App, url: str, now: datetime) -> dict[str, Any]:
    """What `ww.register` asks for: `config` proves the corp, `agentConfig` the application.

    `url` as the page sees it, without `#…`. Raises the errors of the gateway when a ticket has to be fetched.
    """
    gateway = Gateway(app)
    tickets = {"config": gateway.js_ticket(), "agentConfig": gateway.agent_ticket()}
    return {
        "corpId": app.corp_id,
        "agentId": app.agent_id,
        **{kind: _signature(ticket, url, now) for kind, ticket in tickets.items()},
    }


def renew(*, app: App, url: str, refused: Mapping[str, Signature], now: datetime) -> bool:
    """WeCom's client turned these signatures down: whether other tickets than theirs are in use now.

    Only what was signed with the tickets in use replaces them: who comes later, or makes something up, does not.
    Raises Limited when that would be too often, and the errors of the gateway.
    """
    gateway = Gateway(app)
    done = [
        _is_another(fetch, refused[kind], url, app, now)
        for kind, fetch in (("config", gateway.js_ticket), ("agentConfig", gateway.agent_ticket))
        if kind in refused
    ]
    return any(done)


def _is_another(fetch: Callable[..., str], refused: Signature, url: str, app: App, now: datetime) -> bool:
    ticket, (nonce, timestamp, given) = fetch(), refused
    ours = crypto.js_signature(ticket=ticket, nonce=nonce, timestamp=timestamp, url=url)
    if not hmac.compare_digest(ours.encode(), given.encode()):
        return True  # by now it is
    limits.take(app=app, path=REFUSED, now=now)
    return fetch(refused=ticket) != ticket


def _signature(ticket: str, url: str, now: datetime) -> dict[str, Any]:
    nonce, timestamp = secrets.token_hex(8), int(now.timestamp())
    signature = crypto.js_signature(ticket=ticket, nonce=nonce, timestamp=timestamp, url=url)
    return {"nonceStr": nonce, "timestamp": timestamp, "signature": signature}
