"""停留: how long a page was in sight, as the page itself tells it.

What it tells with is a token of its opening, which only we can have made: nobody can tell of another one's. It may
tell often, each time all of it; what is heard never goes down, nor beyond the time since the page was opened, and of
more than one word in two seconds the rest is not heard.
"""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.core import signing

from clerks.materials import openings
from clerks.materials.models import Opening

_SALT = "clerks.materials.dwell"
LIFE = timedelta(hours=6)
SAME_VISIT = timedelta(minutes=30)  # within which a page that is shown again is no other opening
PACE = timedelta(seconds=2)
MOST = 20_000


class Begun(NamedTuple):
    """An opening whose page may still be in sight."""

    id: int
    at: datetime

    @property
    def token(self) -> str:
        return signing.dumps([self.id, self.at.isoformat()], salt=_SALT)


def begun(*, share_id: int, visitor: UUID, now: datetime) -> Begun | None:
    """The opening of this browser that a page shown now belongs to."""
    rows = Opening._base_manager.filter(share=share_id, visitor=visitor, at__gt=now - SAME_VISIT, at__lte=now)
    found = rows.order_by("-at").values_list("pk", "at").first()
    return Begun(*found) if found else None


def tell(*, token: str, seconds: str, now: datetime) -> bool:
    """Note what a page says; False for what no page of ours would say."""
    try:
        number, at = signing.loads(token, salt=_SALT, max_age=LIFE)
    except (signing.BadSignature, ValueError):
        return False
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 8):
        return False
    if _pace.allows(number, now):
        openings.stay(id=number, at=datetime.fromisoformat(at), seconds=int(seconds), now=now)
    return True


class _Pace:
    """When each was heard last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard: OrderedDict[int, datetime] = OrderedDict()

    def allows(self, number: int, now: datetime) -> bool:
        with self._lock:
            last = self._heard.pop(number, None)
            is_soon = last is not None and last <= now < last + PACE
            self._heard[number] = last if is_soon and last is not None else now
            while len(self._heard) > MOST:
                self._heard.popitem(last=False)
            return not is_soon


_pace = _Pace()
