"""The one gate to a customer: nothing is said to anybody without asking `may` right before, and leaving a `touch`.

No other module calls what speaks to customers (tests/conventions/test_outreach.py).
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clerks import book
from clerks.models import Binding, Friend, Touch
from members import consent, identity
from retail import privacy
from retail.models import Staff
from retail.wecom import outbox
from retail.wecom.gateway import Gateway
from retail.wecom.models import App, Call

WECOM = "wecom"  # the channel
GIVE, GIVE_OF_LEFT = "externalcontact/transfer_customer", "externalcontact/resigned/transfer_customer"
Purpose = Touch.Purpose
PROACTIVE = frozenset({Purpose.MARKETING})  # what the customer has not asked for
ANSWERS = frozenset({Purpose.WELCOME, Purpose.REPLY})  # what the customer has just begun


class Verdict(NamedTuple):
    """Whether somebody may be contacted, and if not why, in words for the one who wanted to."""

    ok: bool
    reason: str = ""
    words: Any = ""


class Limits(NamedTuple):
    """How often a customer may be contacted who has not asked for it: (times, days), over all people and channels.

    `hours`: between these hours of Shanghai alone.
    """

    windows: tuple[tuple[int, int], ...]
    hours: tuple[int, int]


def usual() -> Limits:
    """What holds where a brand has set nothing."""
    return Limits(settings.OUTREACH_CAPS, settings.OUTREACH_HOURS)


class Forbidden(Exception):
    """The gate said no; `verdict` says why."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


YES = Verdict(True)
FORGOTTEN = Verdict(False, "forgotten", _("顾客要求过抹去资料，不要主动联系。"))
UNKNOWN = Verdict(False, "unknown", _("还不知道这位顾客是谁，不能联系。"))
STOPPED = Verdict(False, "stopped", _("顾客说过不要再联系。"))
QUIET = Verdict(False, "quiet", _("现在是休息时间，不打扰顾客。"))
NOT_YOURS = Verdict(False, "not_yours", _("不是您的顾客，也没有加您的企业微信。"))
TOO_OFTEN = Verdict(False, "too_often", _("这几天已经联系过好几次了，先让顾客歇一歇。"))


def may(
    *,
    member_id: int | None,
    corp: str,
    purpose: str,
    by: Staff | None,
    now: datetime,
    limits: Limits | None = None,
    is_theirs: bool = False,
) -> Verdict:
    """Whether this clerk (None: the house) may contact a member for this purpose now. Asked again at each sending.

    Whom nobody knows nobody may contact: they may have asked for it to stop under a name we have not found yet.
    `limits`: those of the brand, if it has any of its own. `is_theirs`: the customer was given to this clerk for now.
    """
    if member_id is None:
        return UNKNOWN
    if not consent.allows(member_id=member_id, corp=corp, channel=WECOM, purpose=purpose):
        return STOPPED
    if purpose not in ANSWERS and identity.asked_to_be_forgotten(member_id):
        return FORGOTTEN
    if purpose not in PROACTIVE:
        return YES
    limits = limits or usual()
    if _is_quiet(limits, now):
        return QUIET
    if by is not None and not is_theirs and not _is_theirs(member_id, by):
        return NOT_YOURS
    return TOO_OFTEN if _is_too_often(member_id, corp, limits, now) else YES


def _is_quiet(limits: Limits, now: datetime) -> bool:
    first, last = limits.hours
    return not first <= timezone.localtime(now).hour < last


def _is_theirs(member_id: int, by: Staff) -> bool:
    friends = Friend._base_manager.filter(member=member_id, staff=by, state=Friend.State.FRIEND)
    return friends.exists() or Binding._base_manager.filter(member=member_id, staff=by, ended_at=None).exists()


def _is_too_often(member_id: int, corp: str, limits: Limits, now: datetime) -> bool:
    """Days are of 24 hours each: so no day, no week and no month of the calendar holds more either."""
    since = now - timedelta(days=max(days for _times, days in limits.windows))
    rows = Touch._base_manager.filter(member=member_id, corp=corp, purpose__in=PROACTIVE, at__gt=since)
    times = list(rows.values_list("at", flat=True))
    return any(sum(at > now - timedelta(days=days) for at in times) >= most for most, days in limits.windows)


def alone(member_id: int) -> None:
    """Nobody else asks for, or notes, a contact with this customer before our commit: of two only one gets through."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('touch', %s))", [member_id])


def touch(
    *, member_id: int, corp: str, purpose: str, by: Staff | None, store_id: int | None, effect: str, now: datetime
) -> Touch:
    """Write down that a customer was contacted, or answered. `effect` names the cause: the same again is one touch."""
    given = {"member_id": member_id, "corp": corp, "purpose": purpose, "staff": by, "store_id": store_id, "at": now}
    made, is_new = Touch._base_manager.get_or_create(effect=effect, defaults=given)
    if is_new:
        book.refresh(member_ids=[member_id], now=now)
    return made


def welcome(
    *,
    app: App,
    code: str,
    text: str,
    attachments: Sequence[dict[str, Any]],
    member_id: int | None,
    by: Staff | None,
    within: timedelta,
    now: datetime,
) -> None:
    """Greet a new friend with their WelcomeCode, which is good for so long. Raises Forbidden, and the errors of
    retail.wecom.errors.

    Who is not known yet (no member) has just added the clerk themselves, and has never been here before to ask for
    anything to stop: the greeting answers that, and is the one word said to a stranger.
    """
    if member_id is not None:
        verdict = may(member_id=member_id, corp=app.corp_id, purpose=Purpose.WELCOME, by=by, now=now)
        if not verdict.ok:
            raise Forbidden(verdict)
    Gateway(app, within=within).send_welcome(code=code, text=text, attachments=attachments)


# ── Somebody else takes over ─────────────────────────────────────────────────────────────────────────────────────────
def willing(*, member_ids: Collection[int], corp: str, now: datetime) -> set[int]:
    """Those of the members who may be told that somebody else serves them from now on: `may` of many."""
    stopped = consent.stopped(member_ids=member_ids, corp=corp, channel=WECOM, purpose=Purpose.SERVICE)
    return set(member_ids) - stopped - identity.who_asked_to_be_forgotten(member_ids)


def hand_over(
    *,
    app: App,
    giver: str,
    taker: str,
    friends: Sequence[Friend],
    is_resigned: bool,
    message: str,
    key: str,
    good_until: datetime,
    now: datetime,
) -> Call:
    """Have WeCom give these friends (with their keys) of one member to another. Raises Forbidden.

    `message`: what the customers read once it is done, of whom all must be willing. WeCom takes none where the giver
    has left. It is not sent later than `good_until`: by then somebody may have asked to be left alone.
    """
    if message:
        member_ids = {one.member_id for one in friends if one.member_id is not None}
        if len(willing(member_ids=member_ids, corp=app.corp_id, now=now)) < len(friends):
            raise Forbidden(STOPPED)
    body = {
        "handover_userid": giver,
        "takeover_userid": taker,
        "external_userid": [privacy.reveal(one.key) for one in friends],
    }
    if message and not is_resigned:
        body["transfer_success_msg"] = message
    path = GIVE_OF_LEFT if is_resigned else GIVE
    return outbox.put(app=app, path=path, body=body, key=key, now=now, good_until=good_until)
