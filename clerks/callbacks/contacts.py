"""Customers and clerks: friends, half friends, not friends any more."""

from clerks import friends, readings
from clerks.callbacks.heard import Heard, Outcome
from clerks.friends import Move, Settled
from clerks.handover import running
from clerks.models import ContactWay, FriendMove
from clerks.outreach import codes, contact, welcome

Kind = FriendMove.Kind
TRANSFERRED = "DELETE_BY_TRANSFER"
FAILURES = {"customer_refused": Kind.REFUSED, "customer_limit_exceed": Kind.FULL}


def added(heard: Heard) -> Outcome:
    """A customer is a friend now: who they are, whose customer, by which code."""
    settled = _settled(heard, Kind.ADDED)
    welcome.record(message_id=heard.message_id)
    _taken_over(heard, settled)
    _look_at_cap(heard)
    return Outcome.DONE if _is_listed(heard, settled) else Outcome.DOUBT


def half_added(heard: Heard) -> Outcome:
    """A customer waits to be let in; that binds nobody."""
    _settled(heard, Kind.HALF)
    return Outcome.DONE


def edited(heard: Heard) -> Outcome:
    _settled(heard, None)
    return Outcome.AGAIN


def deleted(heard: Heard) -> Outcome:
    """The clerk deleted the customer, or they were given to a colleague."""
    settled = _settled(heard, Kind.TRANSFERRED if heard.text("Source") == TRANSFERRED else Kind.DELETED)
    return Outcome.DOUBT if _is_listed(heard, settled) else Outcome.DONE


def lost(heard: Heard) -> Outcome:
    """The customer deleted the clerk, on whose side nothing changes: there is nothing to read."""
    friends.settle(
        corp=heard.corp, external_userid=heard.named("ExternalUserID"), moves=_moves(heard, Kind.LOST), now=heard.now
    )
    return Outcome.DONE


def transfer_failed(heard: Heard) -> Outcome:
    """UserID is whoever should have taken over."""
    kind = FAILURES.get(heard.text("FailReason"))
    if kind is None:
        return Outcome.IGNORED
    friends.settle(
        corp=heard.corp, external_userid=heard.named("ExternalUserID"), moves=_moves(heard, kind), now=heard.now
    )
    _end_transfer(heard, running.ENDS[kind])
    return Outcome.DONE


def approved(heard: Heard) -> Outcome:
    """The customer agreed to the archive of the chat, which we do not keep; their WelcomeCode has its own lane."""
    _settled(heard, None)
    welcome.record(message_id=heard.message_id)
    return Outcome.DONE


def started_chat(heard: Heard) -> Outcome:
    """The customer wrote first, through an acquisition link: one of the few signs of an answer there are."""
    external_userid = heard.text("ExternalUserID")
    if not external_userid:
        return Outcome.IGNORED
    settled = _settled(heard, None)
    friend = settled.friends.get(heard.text("UserID").lower())
    if friend is None or friend.member_id is None:
        return Outcome.DOUBT
    contact.touch(
        member_id=friend.member_id,
        corp=heard.corp,
        purpose=contact.Purpose.REPLY,
        by=friend.staff,
        store_id=friend.store_id,
        effect=f"chat:{friend.pk}:{int(heard.at.timestamp())}",
        now=heard.at,
    )
    friends.settle(corp=heard.corp, external_userid=external_userid, now=heard.now)  # judged again with the answer
    return Outcome.DONE


def _taken_over(heard: Heard, settled: Settled) -> None:
    """A friend whom WeCom gave to them, not one they made themselves."""
    friend = settled.friends.get(heard.named("UserID").lower())
    if friend is not None and friend.add_way == friends.TAKEN_OVER:
        _end_transfer(heard, running.State.DONE)


def _end_transfer(heard: Heard, state: str) -> None:
    given = {"external_userid": heard.named("ExternalUserID"), "taker": heard.named("UserID")}
    running.heard(corp=heard.corp, **given, state=state, now=heard.now)


# ── What they share ──────────────────────────────────────────────────────────────────────────────────────────────────
def _settled(heard: Heard, kind: str | None) -> Settled:
    """Ask WeCom about the customer and put the answer and the event together."""
    external_userid = heard.named("ExternalUserID")
    reading = readings.read(heard.gateway, external_userid=external_userid, at=heard.now)
    moves = _moves(heard, kind) if kind else ()
    return friends.settle(
        corp=heard.corp, external_userid=external_userid, moves=moves, reading=reading, now=heard.now
    )


def _moves(heard: Heard, kind: str) -> tuple[Move, ...]:
    return (Move(heard.named("UserID"), kind, heard.told_at, heard.text("State")[:64], heard.at),)


def _is_listed(heard: Heard, settled: Settled) -> bool:
    """Whether the reading just taken in lists the two as friends."""
    friend = settled.friends.get(heard.named("UserID").lower())
    return friend is not None and friend.read_at == heard.now


def _look_at_cap(heard: Heard) -> None:
    """Who has had enough new friends today leaves the code at once."""
    way = ContactWay._base_manager.filter(state_code=heard.text("State"), daily_cap__isnull=False).first()
    if way is not None:
        codes.refresh(ways=[way], now=heard.now)
