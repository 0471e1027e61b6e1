"""A message as the functions of this package get it, and what they answer."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

from retail.wecom.gateway import Gateway
from retail.wecom.inbox import Opened
from retail.wecom.models import App


class Outcome(Enum):
    DONE = auto()
    IGNORED = auto()
    AGAIN = auto()
    DOUBT = auto()


@dataclass(frozen=True, slots=True)
class Heard:
    """`at`: when WeCom says it happened; `now`: when this reading began; `round`: how often was looked before."""

    app: App
    message_id: int
    event: str
    change: str
    fields: dict[str, Any]
    at: datetime
    now: datetime
    round: int

    @classmethod
    def of(cls, opened: Opened, *, now: datetime, round: int) -> "Heard":
        message, fields = opened
        at = datetime.fromtimestamp(int(fields.get("CreateTime") or message.received_at.timestamp()), UTC)
        event, change = message.event, message.change_type
        return cls(message.app, message.pk, event, change, fields, at, now, round)

    @property
    def corp(self) -> str:
        return self.app.corp_id

    @property
    def gateway(self) -> Gateway:
        return Gateway(self.app)

    def text(self, name: str) -> str:
        """A field as text; "" where the event has none."""
        value = self.fields.get(name, "")
        return value if isinstance(value, str) else ""
