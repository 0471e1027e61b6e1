"""The group chats of whoever goes: each gets another owner, within what WeCom allows in a day and in 90 days."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from clerks import corp as mirror
from clerks.models import ChatTransfer, GroupChat, Handover
from retail import jobs, org
from retail.jobs import Later, Work
from retail.wecom import outbox
from retail.wecom.errors import Rejected
from retail.wecom.gateway import Gateway
from retail.wecom.models import App, Call, apps_of

GIVE, GIVE_OF_LEFT = "externalcontact/groupchat/onjob_transfer", "externalcontact/groupchat/transfer"
ASK, TOLD = "handover_chats", "handover_chats_told"  # kinds of jobs: {"handover_id"}, {"call_id"}
MOST = 100  # in a call
PER_DAY = 300  # to one new owner
LEDGER_DAYS, LEDGER_MOST = 90, 2  # of one chat, while its owner is at work
LAG = timedelta(minutes=1)  # so long after a call that nobody answered WeCom is asked what became of it
TOO_MANY_TODAY, TOO_OFTEN = 90507, 90508
NO_ACCOUNT = 0  # where WeCom would have put its errcode: there is nobody to give it to

State = ChatTransfer.State
ENDS = (State.DONE, State.FAILED)


def plan(*, handover: Handover, receiver_id: int) -> int:
    """A row for each chat of theirs that is none yet; how many. In the transaction of the start."""
    theirs = GroupChat._base_manager.filter(corp=handover.brand.corp, staff=handover.staff_id, dismissed_at=None)
    theirs = theirs.filter(store=handover.store_id).exclude(transfers__handover=handover)
    made = [ChatTransfer(handover=handover, chat=chat, receiver_id=receiver_id) for chat in theirs]
    ChatTransfer._base_manager.bulk_create(made, ignore_conflicts=True)
    return len(made)


def again(*, handover: Handover, receiver_id: int) -> int:
    """Those that failed, to somebody else or once more."""
    failed = ChatTransfer._base_manager.filter(handover=handover, state=State.FAILED)
    return failed.update(state=State.PLANNED, receiver=receiver_id, errcode=None, call=None, ended_at=None)


# ── Asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def ask(*, handover: Handover, now: datetime) -> int:
    """Put what is planned into the outbox; what is too much for today is due on the days after. How many."""
    rows = ChatTransfer._base_manager.select_for_update(of=("self",)).filter(handover=handover, state=State.PLANNED)
    planned = list(rows.select_related("chat").order_by("receiver", "pk"))
    app = apps_of(corp=handover.brand.corp).first()
    by_receiver: dict[int, list[ChatTransfer]] = {}
    for row in planned:
        by_receiver.setdefault(row.receiver_id, []).append(row)
    for receiver_id, own in by_receiver.items():
        owner = org.account_of(staff_id=receiver_id, corp=handover.brand.corp)
        if app is None or not owner:
            _fail(own, NO_ACCOUNT, now)
            continue
        free = own if handover.is_resigned else _within_ledger(own, now)
        asked = _asked_today(receiver_id, now)
        for start in range(0, len(free), MOST):
            due_at = now + timedelta(days=(asked + start) // PER_DAY)
            _put(handover, app, free[start : start + MOST], owner, now, due_at)
    return len(planned)


def ask_of(*, handover_id: int, now: datetime) -> None:
    """A job: what was too much for yesterday."""
    ask(handover=Handover._base_manager.select_related("brand").get(pk=handover_id), now=now)


def _within_ledger(rows: Sequence[ChatTransfer], now: datetime) -> list[ChatTransfer]:
    """Who was given away twice lately stays: to ask would cost a call, and WeCom says no."""
    since = _midnight(now) - timedelta(days=LEDGER_DAYS - 1)
    free = []
    for row in rows:
        done = ChatTransfer._base_manager.filter(chat=row.chat, state=State.DONE, is_resigned=False)
        if done.filter(ended_at__gte=since).count() >= LEDGER_MOST:
            _fail([row], TOO_OFTEN, now)
        else:
            free.append(row)
    return free


def _midnight(now: datetime) -> datetime:
    return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)


def _asked_today(receiver_id: int, now: datetime) -> int:
    asked = ChatTransfer._base_manager.filter(receiver=receiver_id, asked_at__gt=now - timedelta(days=1))
    return asked.exclude(state=State.FAILED).count()


def _put(handover: Handover, app: App, rows: list[ChatTransfer], owner: str, now: datetime, due_at: datetime) -> None:
    path = GIVE_OF_LEFT if handover.is_resigned else GIVE
    body = {"chat_id_list": [row.chat.chat_id for row in rows], "new_owner": owner}
    key = f"chats:{handover.pk}:{rows[0].pk}:{int(now.timestamp() * 1000)}"
    call = outbox.put(app=app, path=path, body=body, key=key, now=now, due_at=due_at)
    for row in rows:
        row.state, row.call, row.asked_at, row.is_resigned = State.ASKED, call, now, handover.is_resigned
    ChatTransfer._base_manager.bulk_update(rows, ["state", "call", "asked_at", "is_resigned"])


# ── What came of it ──────────────────────────────────────────────────────────────────────────────────────────────────
def _failed(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Chats are things: their ids may stay, with why they did not go."""
    return {"failed": {one["chat_id"]: one["errcode"] for one in answer.get("failed_chat_list", [])}}


for _path in (GIVE, GIVE_OF_LEFT):
    outbox.FOLLOWED[_path] = TOLD
    outbox.KEEPERS[_path] = _failed


def told(*, call_id: int, now: datetime) -> int | None:
    """A job: the outcome of a call is known, or WeCom is asked for it; of which handover."""
    call = Call.objects.select_related("app").get(pk=call_id)
    rows = list(
        ChatTransfer._base_manager.filter(call=call, state=State.ASKED).select_related("chat", "receiver", "handover")
    )
    if not rows:
        return None
    if call.state == Call.State.UNKNOWN:
        _find_out(call, rows, now)
        return rows[0].handover_id
    failed: dict[str, int] = call.answer.get("failed", {}) if call.state == Call.State.SENT else {}
    with transaction.atomic():
        for row in rows:
            errcode = failed.get(row.chat.chat_id) if call.state == Call.State.SENT else call.errcode or NO_ACCOUNT
            if errcode is None:
                _done(row, now)
            elif errcode == TOO_MANY_TODAY:
                _wait_a_day(row, now)
            else:
                _fail([row], errcode, now)
    return rows[0].handover_id


def _done(row: ChatTransfer, now: datetime) -> None:
    """Writing through the interface calls nobody back: our mirror is told here."""
    owner = org.account_of(staff_id=row.receiver_id, corp=row.chat.corp)
    mirror.give_chat(chat=row.chat, owner=owner, staff=row.receiver, now=now)
    row.state, row.errcode, row.ended_at = State.DONE, None, now
    row.save(update_fields=["state", "errcode", "ended_at"])


def _wait_a_day(row: ChatTransfer, now: datetime) -> None:
    row.state, row.call, row.errcode = State.PLANNED, None, TOO_MANY_TODAY
    row.save(update_fields=["state", "call", "errcode"])
    # No shard: what else is to be done for the handover would wait for it.
    jobs.enqueue(work=[Work(ASK, {"handover_id": row.handover_id})], now=now, due_at=now + timedelta(days=1))


def _fail(rows: Sequence[ChatTransfer], errcode: int, now: datetime) -> None:
    for row in rows:
        row.state, row.errcode, row.ended_at = State.FAILED, errcode, now
        row.save(update_fields=["state", "errcode", "ended_at"])


def _find_out(call: Call, rows: Sequence[ChatTransfer], now: datetime) -> None:
    """Nobody answered: whose are they now? If none has the new owner it was not heard, and is asked once more."""
    if call.sent_at is not None and now < call.sent_at + LAG:
        raise Later("too early to tell", until=call.sent_at + LAG)
    moved = set(_moved(Gateway(call.app), rows))
    outbox.settle(call=call, was_sent=bool(moved), by=None, now=now)
    if not moved:
        return
    with transaction.atomic():
        for row in rows:
            if row.pk in moved:
                _done(row, now)
            else:
                row.state, row.call = State.PLANNED, None
                row.save(update_fields=["state", "call"])


def _moved(gateway: Gateway, rows: Sequence[ChatTransfer]) -> Iterator[int]:
    for row in rows:
        owner = org.account_of(staff_id=row.receiver_id, corp=row.chat.corp)
        try:
            told = gateway.groupchat(chat_id=row.chat.chat_id, need_name=False)
        except Rejected:
            continue
        if str(told.get("owner", "")).lower() == owner.lower():
            yield row.pk
