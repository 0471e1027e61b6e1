"""What a page of ours shows WeCom's client to be let near the chat: two signatures of its address."""

import secrets
from datetime import datetime
from typing import Any

from retail.wecom import crypto
from retail.wecom.gateway import Gateway
from retail.wecom.models import App


def signed(*, app: App, url: str, now: datetime) -> dict[str, Any]:
    """What `ww.register` asks for: `config` proves the corp, `agentConfig` the application.

    `url` as the page sees it, without `#…`. Raises the errors of the gateway when a ticket has to be fetched.
    """
    gateway = Gateway(app)
    return {
        "corpId": app.corp_id,
        "agentId": app.agent_id,
        "config": _signature(gateway.js_ticket(), url, now),
        "agentConfig": _signature(gateway.agent_ticket(), url, now),
    }


def _signature(ticket: str, url: str, now: datetime) -> dict[str, Any]:
    nonce, timestamp = secrets.token_hex(8), int(now.timestamp())
    signature = crypto.js_signature(ticket=ticket, nonce=nonce, timestamp=timestamp, url=url)
    return {"nonceStr": nonce, "timestamp": timestamp, "signature": signature}
