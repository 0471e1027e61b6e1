"""What WeCom tells us: stored once with its job before it is answered, opened by that job, ended with an outcome.

    webhook ──store──▶ Message new ──job wecom_event──▶ done | ignored
                 │                      └─ an error ──▶ failed (tried again by its job; the admin can replay it)
                 └── signed by WeCom, yet no message ─▶ failed (nothing to try again)

The digest is that of the whole message. FromUserName and CreateTime, which the vendor recommends, are the same for
several customers who scan within one second.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from retail import audit, jobs, logs, privacy, together
from retail.jobs import Work
from retail.wecom.crypto import Refused
from retail.wecom.models import App, Message
from retail.wecom.parse import parse

EVENT, WELCOME = "wecom_event", "wecom_welcome"  # kinds of jobs
# Whom or what a message is about: messages about the same are taken one after the other.
SUBJECTS = ("ExternalUserID", "ChatId", "UserID", "TagId", "Id", "LinkId", "FromUserName")


class Opened(NamedTuple):
    """A message and what it says, as `parse` gives it."""

    message: Message
    fields: dict[str, Any]


class Forgotten(LookupError):
    """The text of the message was deleted, its time was over."""


class Malformed(ValueError):
    """WeCom has signed this, and yet it is not what it should be; trying again will not change it."""


def shard(*, corp_id: str, subject: str) -> str:
    """The shard of the jobs about one customer, chat, person or tag. Names nobody."""
    return f"wx:{corp_id[:24]}:{privacy.blind(subject)[:32]}" if subject else ""


def digest(*, app: App, xml: bytes) -> bytes:
    return hashlib.sha256(f"{app.corp_id}|{app.agent_id}|".encode() + xml).digest()


class _Stored(NamedTuple):
    """A message as it is stored (it travels as JSON, its bytes spelled), and what is to be done about it."""

    key: str
    row: dict[str, Any]
    work: Sequence[Work]
    now: datetime


def store(*, app: App, xml: bytes, now: datetime) -> None:
    """Keep a message with its jobs, unless it was here before; when this returns, they are there for good.

    A WelcomeCode takes the fast lane besides. What cannot be read is kept, too, as failed. What was refused may have
    been another's that was written together with it: so each is written once more by itself. Twice does no harm.
    """
    one = _made(app, xml, now)
    try:
        _line.write(one)
    except together.Away:
        _commit([one])


def _made(app: App, xml: bytes, now: datetime) -> _Stored:
    try:
        fields, error = parse(xml), ""
    except Refused:
        fields, error = {}, _("签名是对的，内容却不是企业微信的消息。")
    print_ = digest(app=app, xml=xml)
    row: dict[str, Any] = {
        "app": app.pk,
        "digest": print_.hex(),
        "event": _text(fields, "Event") or _text(fields, "MsgType"),
        "change_type": _text(fields, "ChangeType"),
        "shard": shard(corp_id=app.corp_id, subject=_subject(fields)),
        "sealed": privacy.seal(xml, place=_place(app, print_)).hex(),
        "received_at": now.isoformat(),
        "error": error,
    }
    work = [] if error else [Work(EVENT, {}, row["shard"])]
    if _text(fields, "WelcomeCode") and _text(fields, "UserID") and _text(fields, "ExternalUserID"):
        work.append(Work(WELCOME, {}, queue=jobs.FAST))
    return _Stored(row["digest"], row, work, now)


def _subject(fields: dict[str, Any]) -> str:
    return next((str(fields[name]) for name in SUBJECTS if fields.get(name) not in (None, "", "sys")), "")


def _place(app: App, print_: bytes) -> str:
    return privacy.place_of(Message._meta.db_table, "sealed", [app.pk, print_])


def _commit(some: Sequence[_Stored]) -> None:
    """Of what was delivered twice at once the first is written.

    The rows lie in the order of their digests: two processes with the same ones in another order would wait for each
    other. The jobs are in the order in which their messages came.
    """
    first = {one.key: one for one in reversed(some)}
    given = {"rows": json.dumps([first[key].row for key in sorted(first)])}
    work = [(one.key, job) for one in some if first[one.key] is one for job in one.work]
    now = max(one.now for one in some)
    jobs.enqueue_with(rows=_STORE, given=given, name="message_id", work=work, now=now, bell=jobs.ring_soon)


_STORE = """
INSERT INTO wecom_message (app_id, digest, event, change_type, shard, sealed, received_at, state, error, ended_at)
SELECT app, decode(digest, 'hex'), event, change_type, shard, decode(sealed, 'hex'), received_at,
    CASE error WHEN '' THEN 'new' ELSE 'failed' END, error, CASE WHEN error <> '' THEN received_at END
FROM jsonb_to_recordset(%(rows)s) AS (app bigint, digest text, event text, change_type text, shard text, sealed text,
    received_at timestamptz, error text)
ON CONFLICT (app_id, digest) DO NOTHING RETURNING id, encode(digest, 'hex') AS key
"""
_line = together.Line(_commit)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    return value[:64] if isinstance(value, str) else ""


def open_message(message_id: int) -> Opened:
    """Raises Message.DoesNotExist, Forgotten, or Malformed."""
    message = Message.objects.select_related("app").get(pk=message_id)
    if message.sealed is None:
        raise Forgotten(f"Message {message_id} is past its time.")
    try:
        return Opened(message, parse(privacy.opened(message, "sealed")))
    except Refused:
        raise Malformed(_("签名是对的，内容却不是企业微信的消息。")) from None


def close(message: Message, state: str, now: datetime, error: str = "") -> None:
    """End a message: done, ignored, or failed with the reason, in which no number may stand."""
    Message.objects.filter(pk=message.pk).update(state=state, ended_at=now, error=logs.masked(error)[-2000:])


@contextmanager
def noting_failure(*, message_id: int, now: datetime) -> Iterator[None]:
    """What goes wrong while a message is taken stands in its row, too; what only has to wait does not.

    A malformed message ends there: its job is done, somebody may replay it.
    """
    try:
        yield
    except jobs.Later:
        raise
    except Malformed as error:
        close(Message(pk=message_id), Message.State.FAILED, now, str(error))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        close(Message(pk=message_id), Message.State.FAILED, now, reason)
        raise


@transaction.atomic
def replay(*, messages: QuerySet[Message] | Iterable[Message], by: Any, now: datetime) -> int:
    """Take messages that failed once more. Returns how many."""
    ids = [message.pk for message in messages]
    failed = Message.objects.select_for_update().filter(pk__in=ids, sealed__isnull=False).failed().order_by("pk")
    work = [Work(EVENT, {"message_id": message.pk}, message.shard) for message in failed]
    failed.update(state=Message.State.NEW, ended_at=None, error="")
    if work:
        jobs.enqueue(work=work, now=now)
        done = [one.payload["message_id"] for one in work]
        audit.record(by=by, action="wecom_message.replay", target=Message, now=now, after={"messages": done})
    return len(work)


def forget(*, before: datetime) -> int:
    """Delete the texts of messages received before then; that they came stays."""
    return Message.objects.filter(received_at__lt=before, sealed__isnull=False).update(sealed=None)


@transaction.atomic
def forget_about(*, values: Collection[bytes], now: datetime) -> int:
    """Delete the texts that hold one of these values; a message not taken yet is left untaken. How many."""
    rows = Message.objects.filter(sealed__isnull=False).only("app_id", "digest", "sealed").iterator(chunk_size=2000)
    ids = [row.pk for row in rows if privacy.mentions(row, "sealed", values)]
    about = Message.objects.filter(pk__in=ids)
    about.filter(state=Message.State.NEW).update(state=Message.State.IGNORED, ended_at=now)
    return about.update(sealed=None, shard="", error="")
