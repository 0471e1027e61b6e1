"""What a code leads to: looked up, remembered for a moment, guarded against those who try codes.

    code ──remembered?──▶ Found
      └──had this address too many misses?──▶ nothing, unlooked
            └──one look-up, whatever the code looks like──▶ Found, or nothing and a miss

A code that was never given out, one that is none and one of a material that was taken back are the same nothing. What
a share is never changes, so that it may be remembered; for how long is how long a material lives on that was taken
back.
"""

import re
import threading
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from django.utils.encoding import iri_to_uri

from clerks.materials.guesses import Guesses
from clerks.materials.models import Material
from clerks.materials.shares import LENGTH
from retail import database

LIFE = timedelta(seconds=30)
MOST = 20_000
NAME = "daogou_share"  # of the code in the query of a page elsewhere, which tells it with its orders and events
_CODE = re.compile(rf"[A-Za-z0-9]{{{LENGTH}}}")
_NONE = "-" * LENGTH  # looked up in the place of what is no code


class Found(NamedTuple):
    share_id: int
    brand_id: int
    code: str
    page: str  # where it leads; "" where the landing shows it
    ends_at: datetime | None

    def is_over(self, now: datetime) -> bool:
        return self.ends_at is not None and self.ends_at <= now


class _Memory:
    """What was found lately, the oldest forgotten first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[str, tuple[Found, datetime]] = OrderedDict()

    def get(self, code: str, now: datetime) -> Found | None:
        found, at = self._found.get(code, (None, now))
        return found if found is not None and at <= now < at + LIFE else None

    def put(self, found: Found, now: datetime) -> None:
        with self._lock:
            self._found.pop(found.code, None)
            self._found[found.code] = (found, now)
            while len(self._found) > MOST:
                self._found.popitem(last=False)


_memory, _guesses = _Memory(), Guesses()


def forget_all() -> None:
    """As if this process had just begun."""
    global _memory, _guesses
    _memory, _guesses = _Memory(), Guesses()


def find(*, code: str, address: str, now: datetime) -> Found | None:
    """The link of this code, asked for from this address; None for all that is none (any more)."""
    if found := _memory.get(code, now):
        return found
    if _guesses.is_spent(address=address, now=now):
        return None
    found = _looked_up(code)
    if found is None:
        _guesses.miss(address=address, now=now)
    else:
        _memory.put(found, now)
    return found


def _looked_up(code: str) -> Found | None:
    rows = database.planned(_LOOK_UP, [code if _CODE.fullmatch(code) else _NONE])
    if not rows:
        return None
    share_id, brand_id, kind, url, ends_at = rows[0]
    return Found(share_id, brand_id, code, elsewhere(url, code) if kind == Material.Kind.LINK else "", ends_at)


_LOOK_UP = """
SELECT s.id, s.brand_id, m.kind, v.url, m.valid_until FROM materials_share s
JOIN materials_material m ON m.id = s.material_id JOIN materials_materialversion v ON v.id = s.version_id
WHERE s.code = %s AND m.is_active
"""


def elsewhere(url: str, code: str) -> str:
    """The address a second person has approved, with the code in its query; "" where it is no page of the web."""
    try:
        parts = urlsplit(url)
        is_page = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return ""
    if not is_page or any(ord(letter) <= 0x20 or letter == "\\" for letter in url):
        return ""
    asked = [one for one in parts.query.split("&") if one and one.partition("=")[0] != NAME]
    return iri_to_uri(urlunsplit(parts._replace(query="&".join([*asked, f"{NAME}={code}"]))))


def target(found: Found, *, now: datetime) -> str:
    """Where to send the browser: the page of the link, or the landing, also when its time is over."""
    return found.page if found.page and not found.is_over(now) else f"/s/{found.code}/look"
