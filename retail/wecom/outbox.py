"""What must not be asked of WeCom twice: written down with its fact, asked once, its outcome written down.

    put ──▶ waiting ──job wecom_call──▶ sending ──▶ sent
             │ ▲                          ├──▶ failed    WeCom said no: an errcode
             │ └── nothing left us ───────┘ └──▶ unknown   it may have worked; a person or a query decides
             └──▶ dropped   its time was over before WeCom could be reached, or nobody needs it any more

`unknown` is never sent again by itself, but for what may be asked twice without harm (REPEATABLE). What never reached
WeCom waits for as long as it is down, however long that is.
"""

import json
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from retail import audit, jobs, privacy
from retail.jobs import Work
from retail.wecom.errors import Rejected, Unreachable, WeComError
from retail.wecom.gateway import MESSAGES, Gateway
from retail.wecom.models import App, Call

KIND = "wecom_call"
NOBODY = 81013  # what WeCom says where all whom a message is for are invalid, if it says so
State = Call.State
# Asked twice these have the effect of once.
REPEATABLE = frozenset(
    {
        "externalcontact/remark",
        "externalcontact/mark_tag",
        "externalcontact/edit_corp_tag",
        "externalcontact/update_contact_way",
        "externalcontact/del_contact_way",
        "externalcontact/cancel_groupmsg_send",
    }
)
# Path → kind of the job that is to hear the outcome, with the id of the call; rooms above add theirs.
FOLLOWED: dict[str, str] = {}
# Path → what else is kept of an answer, from what was asked and what was answered; rooms above add theirs. It names
# people by their place in what was asked.
KEEPERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]] = {}
MISSED = "missed"  # of an answer to a message: whom it has not reached, each as `stand_in` names them
# What is kept of an answer: identifiers of things, never of people.
KEPT = frozenset({"msgid", "jobid", "config_id", "qr_code", "response_code", "media_id", "moment_id"})


def put(
    *,
    app: App,
    path: str,
    body: dict[str, Any],
    key: str,
    now: datetime,
    due_at: datetime | None = None,
    good_until: datetime | None = None,
) -> Call:
    """Write down what is to be asked, with its job, in the caller's transaction. The same key is the same row.

    `good_until`: after which it is of no use to anybody, and not asked any more.
    """
    with transaction.atomic():
        sealed = privacy.sealed_in(Call(key=key), "sealed", json.dumps(body, ensure_ascii=False).encode())
        given = {"app": app, "path": path, "sealed": sealed, "created_at": now, "good_until": good_until}
        call, is_new = Call.objects.get_or_create(key=key, defaults=given)
        if is_new:
            jobs.enqueue(work=[Work(KIND, {"call_id": call.pk})], now=now, due_at=due_at)
    return call


def send(*, call_id: int, now: datetime) -> None:
    """Ask it and write down the outcome. Raises an error that is `jobs.Later` where nothing was asked yet."""
    call = _begin(call_id, now)
    if call is None:
        return
    body = _body(call)
    try:
        answer = Gateway(call.app).call("POST", call.path, body=body)
    except Unreachable as error:
        if error.may_have_worked and not _may_repeat(call, body, now):
            _end(call, State.UNKNOWN, now=now)
            return
        if error.may_have_worked:
            _end(call, State.WAITING, now=now)
        else:
            _put_back(call, now)
        raise
    except Rejected as error:
        _end(call, State.FAILED, now=now, errcode=error.errcode)
    except WeComError:
        _put_back(call, now)
        raise
    else:
        is_nobodys = call.path == MESSAGES and _reached_nobody(body, answer)
        state, errcode = (State.FAILED, NOBODY) if is_nobodys else (State.SENT, 0)
        _end(call, state, now=now, errcode=errcode, answer=_kept(call.path, body, answer))


def _reached_nobody(body: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Whether WeCom took a message and says that all it is for are nobody it may give it to."""
    named = {userid.lower() for userid in (body.get("touser") or "").split("|") if userid}
    return bool(named) and named <= _left_out(answer)


def stand_in(userid: str) -> str:
    """What stands for somebody in an answer that is kept, and does not name them."""
    return privacy.blind(userid.lower())[:16]


def _left_out(answer: dict[str, Any]) -> set[str]:
    """Whom WeCom says it did not give a message to, in lower case as it says them."""
    names = [str(answer.get(name) or "").lower() for name in ("invaliduser", "unlicenseduser")]
    return {userid for some in names for userid in some.split("|") if userid}


@transaction.atomic
def _begin(call_id: int, now: datetime) -> Call | None:
    """Mark it as being sent, so that whoever finds it so later knows that it may have been."""
    call = Call.objects.select_for_update(of=("self",)).select_related("app").get(pk=call_id)
    if call.sealed is None or call.state not in (State.WAITING, State.SENDING):
        return None
    is_late = call.good_until is not None and now >= call.good_until
    if call.attempts and (is_late or not _may_repeat(call, _body(call), now)):
        call.state = State.UNKNOWN  # WeCom may have heard of it: its worker died on the way, or no answer came
        call.save(update_fields=["state"])
        _tell(call, now)
        return None
    if is_late:
        call.state, call.reason = State.DROPPED, _("企业微信连不上，等到能发时已经过时。")
        call.save(update_fields=["state", "reason"])
        _tell(call, now)
        return None
    call.state, call.attempts = State.SENDING, call.attempts + 1
    call.sent_at = call.sent_at or now
    call.save(update_fields=["state", "attempts", "sent_at"])
    return call


def _body(call: Call) -> dict[str, Any]:
    return json.loads(privacy.opened(call, "sealed"))


def _may_repeat(call: Call, body: dict[str, Any], now: datetime) -> bool:
    """Some have the effect of once however often; of messages to staff WeCom drops doubles for a while if told to."""
    if call.path == MESSAGES and body.get("enable_duplicate_check"):
        window = timedelta(seconds=int(body.get("duplicate_check_interval", 1800)))
        return call.sent_at is None or now < call.sent_at + window
    return call.path in REPEATABLE


def _put_back(call: Call, now: datetime) -> None:
    """Nothing came of it: as if it had not been tried."""
    call.attempts -= 1
    call.sent_at = call.sent_at if call.attempts else None
    _end(call, State.WAITING, now=now)


@transaction.atomic
def _end(call: Call, state: str, *, now: datetime, errcode: int | None = None, answer: Any = None) -> None:
    call.state, call.errcode, call.answer = state, errcode, answer or {}
    call.save(update_fields=["state", "errcode", "answer", "sent_at", "attempts"])
    if state != State.WAITING:
        _tell(call, now)


def _tell(call: Call, now: datetime) -> None:
    """Whoever follows these hears that it is over."""
    if call.path in FOLLOWED:
        jobs.enqueue(work=[Work(FOLLOWED[call.path], {"call_id": call.pk})], now=now)


def _kept(path: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Identifiers of things as they are; of lists only how long they are, they hold people.

    Whom of our own people a message to many has not reached can be found out by who knows their userids.
    """
    kept = {name: value for name, value in answer.items() if name in KEPT}
    counts = {f"{name}_count": len(value) for name, value in answer.items() if isinstance(value, list)}
    missed = {MISSED: sorted(map(stand_in, found))} if (found := _left_out(answer)) else {}
    return kept | counts | missed | (KEEPERS[path](body, answer) if path in KEEPERS else {})


@transaction.atomic
def settle(*, call: Call, was_sent: bool, by: Any, now: datetime) -> bool:
    """A query or a person found out about an unknown one: it is sent, or goes out once more. False if it is known."""
    call = Call.objects.select_for_update().get(pk=call.pk)
    if call.state != State.UNKNOWN or call.sealed is None:
        return False
    call.state = State.SENT if was_sent else State.WAITING
    if not was_sent:
        call.attempts, call.sent_at, call.good_until = 0, None, None  # somebody wants it sent, late or not
    call.save(update_fields=["state", "attempts", "sent_at", "good_until"])
    if not was_sent:
        jobs.enqueue(work=[Work(KIND, {"call_id": call.pk})], now=now)
    audit.record(by=by, action="wecom_call.settle", target=call, now=now, after={"state": call.state})
    return True


def drop(*, call_id: int, reason: str) -> bool:
    """Nobody needs it any more: what has not left us yet stays here. False where it has."""
    waiting = Call.objects.filter(pk=call_id, state=State.WAITING, attempts=0)
    return bool(waiting.update(state=State.DROPPED, reason=reason[:200]))


def forget(*, before: datetime) -> int:
    """Delete the bodies of what was asked before then; that it was asked, and the outcome, stay."""
    return Call.objects.filter(created_at__lt=before, sealed__isnull=False).update(sealed=None)


@transaction.atomic
def forget_about(*, values: Collection[bytes], keys: Collection[str] = ()) -> int:
    """Delete the bodies that hold one of these values or have one of these keys, also with a `:…` behind it.

    What waits is not sent any more.
    """
    found = Q()
    for key in keys:
        found |= Q(key=key) | Q(key__startswith=f"{key}:")
    kept = Call.objects.filter(sealed__isnull=False)
    ids = list(kept.filter(found).values_list("pk", flat=True)) if keys else []
    rows = kept.only("key", "sealed").iterator(chunk_size=2000)
    ids += [row.pk for row in rows if privacy.mentions(row, "sealed", values)]
    about = Call.objects.filter(pk__in=ids)
    about.filter(state=State.WAITING).update(state=State.FAILED)
    return about.update(sealed=None)
