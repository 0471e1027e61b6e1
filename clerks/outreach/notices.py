"""通知: what our own people are told. A row with read and unread, and a message in the WeCom app that opens it."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from clerks.models import Friend, Notice
from clerks.outreach import wording
from retail import org
from retail.models import Post, Staff, StaffAccount
from retail.wecom import outbox
from retail.wecom.models import App, Call, apps_of

PATH = "/m/n/{}/open/"  # leads to what a notice is about
BROADCAST_PATH = "/m/n/all/{}/"  # leads whoever opens it to their own notice of a broadcast
_TASK = "notice-"
DONE, READ = "done", "read"  # keys of the buttons
ONCE_WITHIN = timedelta(hours=4)  # the longest in which WeCom drops doubles: so long an unanswered one is asked again
REMINDED_WITHIN = timedelta(minutes=30)  # of a reminder: it says the same as an hour ago, and is meant to
STALE = timedelta(hours=24)  # after an outage so long nobody is bothered with it; it stands on their page


@transaction.atomic
def tell(
    *,
    staff: Staff,
    kind: str,
    title: str,
    effect: str,
    now: datetime,
    text: str = "",
    about: models.Model | None = None,
    friend: Friend | None = None,
    is_todo: bool = False,
) -> Notice:
    """Tell one person. `about`: the record that the notice opens; the same `effect` again tells nobody twice."""
    given = {
        "staff": staff,
        "store_id": _store(staff, now),
        "kind": kind,
        "title": title[:64],
        "text": text[:500],
        "about_type": about._meta.label_lower if about is not None else "",
        "about_id": str(about.pk) if about is not None else "",
        "friend": friend,
        "is_todo": is_todo,
        "created_at": now,
    }
    notice, is_new = Notice._base_manager.get_or_create(effect=f"{effect}:{staff.pk}"[:96], defaults=given)
    if is_new and (app := _app_of(staff)) and settings.SITE_URL:
        key = f"notice:{notice.pk}"
        notice.call = _put(app, notice, key, ONCE_WITHIN, now)
        notice.save(update_fields=["call"])
    return notice


def remind(*, notices: Iterable[Notice], now: datetime) -> int:
    """Send the app message of unread notices once more, at most once an hour each. Returns to how many.

    Those of a broadcast are reminded of together: `broadcasts.remind`.
    """
    count = 0
    for notice in notices:
        if notice.broadcast_id is not None:
            continue
        app = _app_of(notice.staff) if notice.read_at is None and settings.SITE_URL else None
        if app is not None:
            key = f"notice:{notice.pk}:{now:%Y%m%d%H}"
            call = _put(app, notice, key, REMINDED_WITHIN, now)
            count += call.created_at == now
    return count


def tell_all(*, staff: Iterable[Staff], **said: Any) -> list[Notice]:
    return [tell(staff=person, **said) for person in staff]


def managers_of(*, store_id: int | None, now: datetime) -> list[Staff]:
    """Who leads a store now; without anybody there headquarters' operators."""
    roster = org.roster(since=now, until=now, store_ids=[store_id] if store_id else [])
    held = roster.managers(store_id=store_id, at=now) if store_id else []
    ids = {one.staff_id for one in held}
    return list(Staff._base_manager.filter(pk__in=ids).order_by("pk")) if ids else operators(now=now)


def operators(*, now: datetime) -> list[Staff]:
    posts = Post.objects.at(now).filter(role=Post.Role.HQ_OPS)
    return list(Staff._base_manager.filter(posts__in=posts).distinct().order_by("pk"))


def _store(staff: Staff, now: datetime) -> int | None:
    held = org.roster(since=now, until=now, staff_ids=[staff.pk]).person(at=now, staff_id=staff.pk)
    return held.store_id if held else None


def _app_of(staff: Staff) -> App | None:
    """The application through which somebody hears from us."""
    for account in StaffAccount._base_manager.filter(staff=staff).order_by("pk"):
        if app := apps_of(corp=account.corp).first():
            return app
    return None


def _put(app: App, notice: Notice, key: str, once_within: timedelta, now: datetime) -> Call:
    body = _message(app, notice)
    body |= {"enable_duplicate_check": 1, "duplicate_check_interval": int(once_within.total_seconds())}
    return outbox.put(app=app, path="message/send", body=body, key=key, now=now, good_until=now + STALE)


# ── The message in the app ───────────────────────────────────────────────────────────────────────────────────────────
def _message(app: App, notice: Notice) -> dict[str, Any]:
    """A card with a button for what is to be done, a plain one for what is to be known."""
    userid = org.account_of(staff_id=notice.staff_id, corp=app.corp_id)
    address = settings.SITE_URL.rstrip("/") + PATH.format(notice.pk)
    body: dict[str, Any] = {"touser": userid, "agentid": app.agent_id}
    if not notice.is_todo:
        return body | plain_card(title=notice.title, text=notice.text, url=address)
    card = {
        "card_type": "button_interaction",
        "main_title": {"title": notice.title, "desc": notice.text[:100]},
        "task_id": f"{_TASK}{notice.pk}",
        "card_action": {"type": 1, "url": address},
        "button_list": [{"text": _("已处理"), "style": 1, "key": DONE}],
    }
    return {**body, "msgtype": "template_card", "template_card": card}


def plain_card(*, title: str, text: str, url: str) -> dict[str, Any]:
    """The part of a message that says something and opens a page; as long as WeCom shows it."""
    said = {"title": wording.within(title, 128), "description": wording.within(text or title, 512)}
    return {"msgtype": "textcard", "textcard": {**said, "url": url, "btntxt": _("打开")}}


def of_card(*, task_id: str) -> Notice | None:
    """The notice behind a card of ours; None for anybody else's card."""
    number = task_id.removeprefix(_TASK)
    if not task_id.startswith(_TASK) or not (number.isascii() and number.isdecimal() and len(number) < 19):
        return None
    return Notice._base_manager.select_related("staff").filter(pk=int(number)).first()


@transaction.atomic
def press(*, notice: Notice, app: App, key: str, response_code: str, now: datetime) -> None:
    """A button of the card was pressed: the notice is read, and done if that was the button; the card says so."""
    (done if key == DONE else read)(notice=notice, now=now)
    if response_code:
        userid = org.account_of(staff_id=notice.staff_id, corp=app.corp_id)
        body = {
            "userids": [userid],
            "agentid": app.agent_id,
            "response_code": response_code,
            "button": {"replace_name": _("已处理")},
        }
        outbox.put(app=app, path="message/update_template_card", body=body, key=f"card:{response_code}"[:128], now=now)


# ── Read and done ────────────────────────────────────────────────────────────────────────────────────────────────────
def read(*, notice: Notice, now: datetime) -> None:
    """Who has read it needs no message about it; one that could not be sent yet is not sent any more."""
    is_new = Notice._base_manager.filter(pk=notice.pk, read_at=None).update(read_at=now)
    notice.read_at = notice.read_at or now
    is_shared = notice.broadcast_id is not None  # others wait for the same message
    if is_new and notice.call_id is not None and not is_shared:
        outbox.drop(call_id=notice.call_id, reason=_("收件人已经看过。"))


def done(*, notice: Notice, now: datetime) -> None:
    read(notice=notice, now=now)
    Notice._base_manager.filter(pk=notice.pk, is_todo=True, done_at=None).update(done_at=now)


# ── Somebody goes ────────────────────────────────────────────────────────────────────────────────────────────────────
def hand_over(*, brand_id: int, member_ids: Collection[int], to: org.Held, now: datetime) -> int:
    """These customers are somebody else's: so is what is still to be done about them as friends. How many."""
    todos = Notice._base_manager.filter(
        is_todo=True,
        done_at=None,
        friend__member__in=member_ids,
        friend__staff=F("staff"),
        store__brand=brand_id,
    )
    return todos.exclude(staff=to.staff_id).update(staff=to.staff_id, store=to.store_id, read_at=None)


def stop(*, staff: Staff) -> int:
    """Somebody left: what has not gone out to them yet does not. How many."""
    waiting = Notice._base_manager.filter(staff=staff, call__state=Call.State.WAITING, call__attempts=0)
    calls = list(waiting.values_list("call", flat=True))
    return sum(outbox.drop(call_id=call_id, reason=_("收件人已经离职。")) for call_id in calls)
