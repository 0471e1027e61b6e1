"""Somebody follows a link: what is written of it, and where they are sent.

    code ──links.find──▶ nothing: the page that says so
      └─▶ a machine, one of ours, somebody who objected, a link whose time is over: nothing is written
            └─▶ an opening, committed ──▶ on to the target, with the number of the browser

Of a link whose time is over no opening is written: what it leads to is not shown any more, and what nobody saw must
neither count as seen nor be paid for.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from clerks.materials import links, openings, viewers
from clerks.materials.links import Found
from clerks.materials.openings import Row

VISITOR = "daogou_visitor"  # the cookie with the number of the browser
OBJECTED = "daogou_unseen"  # the cookie of those who do not want to be recorded
VISITOR_SECONDS = 365 * 86_400

# Who is no person: search engines, previews of chats (WeChat's and WeCom's own among them), scripts, monitors.
_MACHINES = re.compile(
    r"bot\b|bot[/_;-]|crawl|spider|slurp|preview|facebookexternalhit|embedly|whatsapp/|skypeuri|slackbot|mediapartners"
    r"|wechatshareextension|mpcrawler|tencent(?:traveler| security)|wxwork_?(?:link|server)|bytespider|baiduspider"
    r"|yisouspider|sogou web|360spider|headless|lighthouse|pagespeed|phantomjs|python|curl/|wget/|okhttp|java/|go-http"
    r"|node-fetch|axios|libwww|httpclient|apache-http|scrapy|uptime|monitor",
    re.IGNORECASE,
)


class Asked(NamedTuple):
    """A request as far as it matters here."""

    code: str
    address: str
    agent: str
    cookies: Mapping[str, str]
    is_ahead: bool = False  # a browser or a chat looks before anybody has tapped
    staff_id: int | None = None  # who of ours is signed in; 0: somebody without a name among the staff


class Arrival(NamedTuple):
    """Where to send them, None where the code is none; the number their browser is to keep."""

    target: str | None
    visitor: UUID | None = None


def arrive(asked: Asked, *, now: datetime) -> Arrival:
    """Raises together.Away."""
    found = links.find(code=asked.code, address=asked.address, now=now)
    if found is None:
        return Arrival(None)
    return Arrival(links.target(found, now=now), note(asked, found=found, now=now))


def note(asked: Asked, *, found: Found, now: datetime) -> UUID | None:
    """Write what is to be written; the number of the browser, None for one that is to keep none."""
    if is_unseen(asked) or (asked.staff_id is None and found.is_over(now)):
        return None
    visitor = visitor_of(asked.cookies) or uuid4()
    if asked.staff_id == 0:
        return None
    if asked.staff_id is not None:
        viewers.remember_staff(visitor=visitor, staff_id=asked.staff_id, now=now)
    else:
        openings.write(row=Row(now, found.share_id, visitor))
    return visitor


def is_unseen(asked: Asked) -> bool:
    """Whether nothing is to be known of them."""
    return asked.is_ahead or OBJECTED in asked.cookies or is_machine(asked.agent)


def is_machine(agent: str) -> bool:
    return not agent.startswith("Mozilla/") or _MACHINES.search(agent) is not None


def visitor_of(cookies: Mapping[str, str]) -> UUID | None:
    try:
        visitor = UUID(cookies.get(VISITOR, ""))
    except ValueError:
        return None
    return visitor if visitor.version == 4 else None  # the others stand for buyers (viewers)
