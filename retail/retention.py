"""What is kept how long, in one table: periodic work runs it, `manage.py retention` prints it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from clerks.materials import openings, posters
from members import behaviour
from retail import exports, jobs
from retail.imports import leftovers, members
from retail.models import ApiCall
from retail.wecom import inbox, limits, outbox
from retail.wecom.models import Use


class Kept(NamedTuple):
    """`days` after which `forget(before)` deletes and says how many; without `forget` nothing is ever deleted."""

    name: str
    days: int | None
    why: str
    forget: Callable[[datetime], int] | None = None

    @property
    def life(self) -> str:
        return "for good" if self.days is None else f"{self.days} day{'s' if self.days > 1 else ''}"


def _done_jobs(before: datetime) -> int:
    return jobs.forget_done(now=before, days=0)


def _answers(before: datetime) -> int:
    """Their keys may then be used again."""
    return ApiCall.objects.filter(created_at__lt=before).delete()[0]


def _wecom_texts(before: datetime) -> int:
    """That they came and went stays, with the outcome."""
    return inbox.forget(before=before) + outbox.forget(before=before)


def _wecom_uses(before: datetime) -> int:
    return Use.objects.filter(hour__lt=before).delete()[0] + limits.forget(before=before)


def _files(before: datetime) -> int:
    """Nobody could open them any more; that they were asked for, and by whom, stays."""
    return exports.forget(before=before)


def _lists(before: datetime) -> int:
    """What was given in to be imported; what became of it stays."""
    return members.forget(before=before)


def _behaviour(before: datetime) -> int:
    """Whole months: one goes when the last day of it is past its time."""
    return behaviour.forget(before=before)


def _openings(before: datetime) -> int:
    """Likewise."""
    return openings.forget(before=before)


def _posters(before: datetime) -> int:
    """Whoever needs one again has it drawn again."""
    return posters.forget(before=before)


TABLE = (
    Kept("failed-row files of imports", 7, "hold what the file said, phone numbers included", leftovers.forget),
    Kept("lists of members given in", 7, "let refused rows be corrected; sealed", _lists),
    Kept("behaviour events, by the month", behaviour.KEPT.days, "show what somebody likes, a year back", _behaviour),
    Kept(
        "openings of links, by the month", openings.KEPT.days, "show what shared material does, a year back", _openings
    ),
    Kept("exported files", 1, "let the asker download what a second person agreed to; sealed", _files),
    Kept("stored API answers", 7, "let a caller repeat a call safely", _answers),
    Kept("posters as they were drawn", 30, "save drawing the same again", _posters),
    Kept("done jobs", 7, "show what ran; failed jobs stay until they are replayed", _done_jobs),
    Kept("texts of WeCom callbacks and calls", 30, "let failed ones be replayed; sealed", _wecom_texts),
    Kept("counts of WeCom calls", 90, "show how much of the quotas is used", _wecom_uses),
    Kept("audit rows", None, "the law asks for 180 days; the database refuses to delete them"),
    Kept("identifying values", None, "until the person asks to be forgotten"),
    Kept("suppressed identities", None, "blind indexes only, so that a stop outlives the data"),
    Kept("orders, refunds and commission entries", None, "money; they hold no identifying values"),
)


def forget(*, now: datetime) -> dict[str, int]:
    """Delete what is past its time; how many of each."""
    return {
        kept.name: kept.forget(now - timedelta(days=kept.days))
        for kept in TABLE
        if kept.forget is not None and kept.days is not None
    }
