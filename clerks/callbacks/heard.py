"""A message as the functions of this package get it, and what they answer."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from django.utils.translation import gettext as _

from clerks import corp, friends
from retail.wecom.gateway import Gateway
from retail.wecom.inbox import Malformed, Opened
from retail.wecom.models import App

MOST_LETTERS = 64  # of whatever WeCom names people and things by


class Outcome(Enum):
    DONE = auto()
    IGNORED = auto()
    AGAIN = auto()
    DOUBT = auto()


@dataclass(frozen=True, slots=True)
class Heard:
    """`told_at`: when WeCom says it happened, `at`: the same in our books, where it is never after it told us; `now`:
    when this reading began; `round`: how often was looked before.
    """

    app: App
    message_id: int
    event: str
    change: str
    fields: dict[str, Any]
    told_at: datetime
    at: datetime
    now: datetime
    round: int

    @classmethod
    def of(cls, opened: Opened, *, now: datetime, round: int) -> "Heard":
        """Raises Malformed."""
        message, fields = opened
        try:
            told = corp.moment(fields.get("CreateTime"))
        except ValueError as error:
            raise Malformed(_("CreateTime 不是时间：%(error)s") % {"error": error}) from None
        told_at = told or message.received_at.replace(microsecond=0)
        at = friends.by_our_clock(told_at, known_at=message.received_at)
        event, change = message.event, message.change_type
        return cls(message.app, message.pk, event, change, fields, told_at, at, now, round)

    @property
    def corp(self) -> str:
        return self.app.corp_id

    @property
    def gateway(self) -> Gateway:
        return Gateway(self.app)

    def text(self, name: str) -> str:
        """A field as text; "" where the event has none. Raises Malformed where it is no text."""
        value = self.fields.get(name, "")
        if not isinstance(value, str):
            raise Malformed(_("%(name)s 不是一段文字") % {"name": name})
        return value

    def named(self, name: str) -> str:
        """The field that says whom or what the event is about. Raises Malformed where it names nobody."""
        value = self.text(name)
        if not 0 < len(value) <= MOST_LETTERS:
            raise Malformed(_("没有 %(name)s，或者太长") % {"name": name})
        return value
