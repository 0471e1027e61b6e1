"""同意与停止: what a member allows, and what they asked to be left alone with.

    consents   a ledger, as told: by which text, when, by whom, to which company. The latest word holds.
    stops      a wish of today: no contact, no offers, no profiling. Whoever takes a consent back is stopped, too.

No import and no consent ever lifts a stop: somebody has to say that they were asked to (`lift`).
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from members import identity, model_tags
from members.models import Consent, Member, Stop
from retail import audit


# ── Whether ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def allows(*, member_id: int, corp: str, channel: str, purpose: str) -> bool:
    """Whether nothing forbids it at this moment. To be asked right before anything is sent."""
    person = identity.persons([member_id]).get(member_id, (member_id,))
    return not stops(corp=corp, channel=channel, purpose=purpose).filter(member__in=person).exists()


def stopped(*, member_ids: Collection[int], corp: str, channel: str, purpose: str) -> set[int]:
    """Those of the members of whom `allows` would say no. Two statements."""
    persons = identity.persons(member_ids)
    numbers = {number for person in persons.values() for number in person} | set(member_ids)
    theirs = stops(corp=corp, channel=channel, purpose=purpose).filter(member__in=numbers)
    said = set(theirs.values_list("member_id", flat=True))
    return {pk for pk in member_ids if not said.isdisjoint(persons.get(pk, (pk,)))}


def stops(*, corp: str, channel: str = "", purpose: str) -> QuerySet[Stop]:
    """All wishes in force that forbid this. Without a channel only what was said of all channels does."""
    fits = Q(channel__in=["", channel]) & Q(purpose__in=["", purpose])
    return Stop._base_manager.filter(fits, corp=corp, lifted_at=None)


def unprofiled(*, member_ids: Collection[int]) -> set[int]:
    """Those of whom nothing is worked out: no computed tags, no leads."""
    stops = Stop._base_manager.filter(member__in=member_ids, purpose=Stop.Purpose.PROFILING, lifted_at=None)
    return set(stops.values_list("member_id", flat=True))


def shares_phone(*, member_id: int, company_id: int) -> bool:
    """Whether the member gave their number to that franchisee: without a word of theirs, no."""
    said = _said_by(member_id).filter(purpose=Consent.Purpose.PHONE, company=company_id)
    return bool(said.order_by("-at", "-pk").values_list("is_given", flat=True).first())


def _said_by(member_id: int) -> QuerySet[Consent]:
    """All consents of the person, also those of members merged into this one."""
    persons = identity.persons([member_id])
    return Consent._base_manager.filter(member__in=persons.get(member_id, (member_id,)))


class State(NamedTuple):
    """How it stands: what they are to be left alone with, and the latest word of theirs for each purpose."""

    stops: list[Stop]
    consents: list[Consent]


def state(*, member: Member, corp: str) -> State:
    """Of a member, towards one corp; whether the reader may see them is asked before."""
    theirs = Q(corp=corp) | Q(purpose=Stop.Purpose.PROFILING)
    stops = Stop._base_manager.filter(theirs, member=member, lifted_at=None).order_by("pk")
    said = _said_by(member.pk).select_related("company").order_by("purpose", "company_id", "-at", "-pk")
    latest = said.distinct("purpose", "company_id")
    return State(list(stops), list(latest))


# ── Wishes ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def stop(
    *, member: Member, corp: str, channel: str = "", purpose: str = "", by: Any, now: datetime, said: str = ""
) -> Stop:
    """The member does not want this any more ("" = any channel, any purpose). Idempotent. `said`: how they said so.

    Of who was merged into somebody else it is said of that one, on whose page it can be seen and taken back.
    """
    root = identity.persons([member.pk])[member.pk][0]
    member = member if member.pk == root else Member._base_manager.get(pk=root)
    _alone(member.pk)
    if purpose == Stop.Purpose.PROFILING:
        corp = channel = ""
    wish = {"member": member, "corp": corp, "channel": channel, "purpose": purpose}
    row = Stop._base_manager.filter(**wish, lifted_at=None).first()
    if row is None:
        row = Stop._base_manager.create(**wish, at=now)
        after = {"channel": channel, "purpose": purpose}
        audit.record(by=by, action="stop", target=member, now=now, after=after, reason=said)
        if purpose == Stop.Purpose.PROFILING:
            model_tags.drop(member_ids=[member.pk], now=now)
    return row


@transaction.atomic
def lift(*, stop: Stop, by: Any, now: datetime, said: str = "") -> None:
    """The member has said that it may be done again. `said`: how, for whoever asks later."""
    _alone(stop.member_id)
    if Stop._base_manager.filter(pk=stop.pk, lifted_at=None).update(lifted_at=now):
        after = {"channel": stop.channel, "purpose": stop.purpose}
        audit.record(by=by, action="stop.lift", target=stop.member, now=now, before=after, reason=said)
        if stop.purpose == Stop.Purpose.PROFILING:
            ids = stop.member.memberships.values_list("pk", flat=True)
            model_tags.recompute(membership_ids=list(ids), now=now)


def noted(*, stop: Stop) -> dict[str, audit.AuditRow]:
    """What the journal says of a stop, act by act: who wrote it down, who lifted it, on which word.

    Nothing, where taking a consent back brought the stop by itself.
    """
    said = {"channel": stop.channel, "purpose": stop.purpose}
    rows = audit.AuditRow._base_manager.filter(
        Q(action="stop", at=stop.at, after=said) | Q(action="stop.lift", at=stop.lifted_at, before=said),
        target_type=Member._meta.label_lower,
        target_id=str(stop.member_id),
    )
    return {row.action: row for row in rows.select_related("by__staff").order_by("pk")}


def _alone(member_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('consent', %s))", [member_id])


# ── The ledger ───────────────────────────────────────────────────────────────────────────────────────────────────────
class Word(NamedTuple):
    """What a member said. `corp`: which is to leave them alone when they take back a consent to offers."""

    member_id: int
    corp: str
    purpose: str
    is_given: bool
    at: datetime
    text_version: str = ""
    company_id: int | None = None


@transaction.atomic
def note(*, words: Sequence[Word], source: str, now: datetime) -> set[int]:
    """Write down what members said; those of whom something was new. Told again, nothing is.

    Whoever takes a consent to the group back, and has not given it anew since, is stopped from that moment.
    """
    if not words:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO members_consent"
            " (source, noted_at, member_id, purpose, is_given, at, text_version, company_id) SELECT %s, %s, w.*"
            " FROM unnest(%s::bigint[], %s::text[], %s::bool[], %s::timestamptz[], %s::text[], %s::bigint[]) w"
            " ON CONFLICT DO NOTHING RETURNING member_id, purpose, at",
            [
                source,
                now,
                [word.member_id for word in words],
                [word.purpose for word in words],
                [word.is_given for word in words],
                [word.at for word in words],
                [word.text_version for word in words],
                [word.company_id for word in words],
            ],
        )
        news = set(cursor.fetchall())
    new = [word for word in words if (word.member_id, word.purpose, word.at) in news]
    _stop_who_took_back([word for word in new if not word.is_given and word.company_id is None], now)
    return {word.member_id for word in new}


def _stop_who_took_back(words: Sequence[Word], now: datetime) -> None:
    wishes = [word for word in words if word.purpose in (Consent.Purpose.MARKETING, Consent.Purpose.PROFILING)]
    if not wishes:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO members_stop (member_id, corp, channel, purpose, at)"
            " SELECT DISTINCT ON (w.member_id, w.corp, w.purpose) w.member_id, w.corp, '', w.purpose, w.at"
            " FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[]) AS w(member_id, corp, purpose, at)"
            " WHERE NOT EXISTS (SELECT FROM members_consent c WHERE c.member_id = w.member_id"
            "  AND c.purpose = w.purpose AND c.company_id IS NULL AND c.is_given AND c.at > w.at)"
            " ORDER BY w.member_id, w.corp, w.purpose, w.at ON CONFLICT DO NOTHING RETURNING member_id, purpose",
            [
                [word.member_id for word in wishes],
                ["" if word.purpose == Stop.Purpose.PROFILING else word.corp for word in wishes],
                [word.purpose for word in wishes],
                [word.at for word in wishes],
            ],
        )
        unprofiled = [member_id for member_id, purpose in cursor.fetchall() if purpose == Stop.Purpose.PROFILING]
    if unprofiled:
        model_tags.drop(member_ids=unprofiled, now=now)
