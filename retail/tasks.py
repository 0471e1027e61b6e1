"""The table of everything a worker can do, and the Celery tasks that do it. Ids in, fetch, one call."""

from datetime import date, datetime, timedelta

from celery import current_app, shared_task
from django.utils import timezone

from clerks import book, callbacks, oneid, pool, responses, tagging
from clerks.callbacks import marks, sync
from clerks.handover import chats, leaving, running
from clerks.leads import push, scoring, training
from clerks.materials import files, openings, results, uploads, viewers
from clerks.outreach import broadcasts, budgets, codes, full, help, welcome
from commissions import actions, attaining
from commissions.runs import JOB as RUN
from members import behaviour, coupons, doubts, model_tags, points, profiles, segments, tiers
from members.coupons import issuing
from members.models import Segment
from retail import (
    approvals,
    doctor,
    dossier,  # noqa: F401  writes one kind of the exported files
    erasure,
    exports,
    intake,
    jobs,
    periodic,
    retention,
    runs,
    scope,
    seals,
)
from retail.desk import roles  # noqa: F401  whose invariant is one of the doctor's
from retail.imports import members
from retail.wecom import inbox, media, outbox


def _settle_order(order_id: int) -> None:
    intake.settle_order(order_id=order_id, now=timezone.now())


def _settle_refund(refund_id: int) -> None:
    intake.settle_refund(refund_id=refund_id, now=timezone.now())


def _settle_refunds(order_id: int) -> None:
    intake.settle_refunds_of(order_id=order_id, now=timezone.now())


def _join_members(doubt_id: int) -> None:
    oneid.join(doubt_id=doubt_id, now=timezone.now())


@jobs.apart
def _wecom_event(message_id: int) -> None:
    now = timezone.now()
    with inbox.noting_failure(message_id=message_id, now=now):
        callbacks.take(message_id=message_id, now=now)


@jobs.apart
def _wecom_again(message_id: int, round: int) -> None:
    now = timezone.now()
    with inbox.noting_failure(message_id=message_id, now=now):
        callbacks.take(message_id=message_id, now=now, round=round)


@jobs.apart
def _wecom_sync(run_id: int) -> None:
    sync.run(run_id=run_id, now=timezone.now())


@jobs.apart
def _contact_way(way_id: int) -> None:
    codes.apply(way_id=way_id, now=timezone.now())


@jobs.apart
def _wecom_welcome(message_id: int) -> None:
    welcome.send(message_id=message_id, now=timezone.now())


@jobs.apart
def _wecom_media(media_id: int) -> None:
    welcome.renew_file(media_id=media_id, now=timezone.now())


@jobs.apart
def _wecom_call(call_id: int) -> None:
    outbox.send(call_id=call_id, now=timezone.now())


@jobs.apart
def _tags_told(call_id: int) -> None:
    marks.told(call_id=call_id, now=timezone.now())


@jobs.apart
def _tags_look(friend_id: int, wish_id: int) -> None:
    marks.look(friend_id=friend_id, wish_id=wish_id, now=timezone.now())


@jobs.apart
def _handover_move(handover_id: int) -> None:
    running.move(handover_id=handover_id, now=timezone.now())


@jobs.apart
def _handover_told(call_id: int) -> None:
    running.told(call_id=call_id, now=timezone.now())


@jobs.apart
def _handover_look(handover_id: int) -> None:
    running.look(handover_id=handover_id, now=timezone.now())


def _handover_chats(handover_id: int) -> None:
    chats.ask_of(handover_id=handover_id, now=timezone.now())


@jobs.apart
def _handover_chats_told(call_id: int) -> None:
    running.told_of_chats(call_id=call_id, now=timezone.now())


def _tags_send(friend_id: int) -> None:
    tagging.send(friend_id=friend_id, now=timezone.now())


def _make_export(export_id: int) -> None:
    exports.make(export_id=export_id, now=timezone.now())


@jobs.apart
def _import_members(import_id: int) -> None:
    members.work(import_id=import_id, now=timezone.now)


@jobs.apart
def _material_upload(upload_id: int) -> None:
    uploads.work(upload_id=upload_id, now=timezone.now)


def _broadcast(broadcast_id: int) -> None:
    broadcasts.send(broadcast_id=broadcast_id, now=timezone.now())


def _budget_ended(rate_id: int) -> None:
    budgets.tell_of_end(rate_id=rate_id, now=timezone.now())


@jobs.apart
def _coupon_issue(issue_id: int) -> None:
    issuing.work(issue_id=issue_id, now=timezone.now())


def _erase_member(member_id: int) -> None:
    erasure.as_approved(member_id=member_id, now=timezone.now())


def _attain(period_id: int, is_booking: bool) -> None:
    attaining.run(period_id=period_id, is_booking=is_booking, now=timezone.now())


def _share_pool(store_id: int) -> None:
    pool.share_out(store_id=store_id, now=timezone.now())


def _share_opened(share_id: int, member_id: int, at: str) -> None:
    moment = datetime.fromisoformat(at)
    responses.opened(share_id=share_id, member_id=member_id, at=moment, now=timezone.now())


def _refresh_segment(segment_id: int) -> None:
    """One that ended meanwhile stays as it was."""
    segment = Segment.objects.filter(pk=segment_id, ended_at=None).first()
    if segment is not None:
        segments.refresh(segment=segment, now=timezone.now())


@jobs.apart
def _run(run_id: int) -> None:
    runs.work(run_id=run_id, now=timezone.now())


# Job kind → function; how to add one: docs/architecture.md.
REGISTRY: jobs.Registry = {
    "settle_order": _settle_order,
    doubts.JOIN: _join_members,
    "settle_refund": _settle_refund,
    "settle_refunds": _settle_refunds,
    "wecom_event": _wecom_event,
    "wecom_again": _wecom_again,
    "wecom_welcome": _wecom_welcome,
    "wecom_sync": _wecom_sync,
    "contact_way": _contact_way,
    "wecom_call": _wecom_call,
    media.JOB: _wecom_media,
    uploads.JOB: _material_upload,
    running.MOVE: _handover_move,
    running.TOLD: _handover_told,
    running.LOOK: _handover_look,
    chats.ASK: _handover_chats,
    chats.TOLD: _handover_chats_told,
    tagging.SEND: _tags_send,
    tagging.TOLD: _tags_told,
    tagging.LOOK: _tags_look,
    broadcasts.JOB: _broadcast,
    actions.BUDGET_ENDED: _budget_ended,
    exports.MAKE: _make_export,
    issuing.JOB: _coupon_issue,
    erasure.JOB: _erase_member,
    members.JOB: _import_members,
    RUN: _run,
    attaining.JOB: _attain,
    segments.JOB: _refresh_segment,
    pool.JOB: _share_pool,
    openings.JOB: _share_opened,
}


FAST_SWEEP_EXPIRES = 5  # seconds: by then the next two have been sent
NIGHT = 2  # o'clock, in Shanghai
MORNING = 8  # when clerks hear of what the night decided
SUNDAY = 6


@shared_task(name="retail.run_jobs")
def run_jobs(ids: list[int], is_catching_up: bool = False) -> int:
    """Rung by `jobs.ring`: run those of the jobs that are still to do. The sweeper's are followed by more of them."""
    if jobs.FAST not in current_app.amqp.queues.consume_from:
        jobs.give_way()
    done = jobs.run(ids=ids, registry=REGISTRY)
    if is_catching_up:
        jobs.sweep(now=timezone.now())
    return done


@shared_task(name="retail.sweep")
def sweep() -> int:
    """Ring again for due work whose bell was lost."""
    now = timezone.now()
    rung = jobs.sweep(now=now)
    periodic.note(task="retail.sweep", now=now)
    return rung


@shared_task(name="retail.sweep_fast", expires=FAST_SWEEP_EXPIRES)
def sweep_fast() -> int:
    """The same for what is worth nothing half a minute later, heard by the workers that do it."""
    return jobs.sweep(now=timezone.now(), queues=[jobs.FAST])


@shared_task(name="retail.forget")
def forget() -> int:
    """Drop what is kept only for a while, and close what nobody decided in time."""
    now = timezone.now()
    approvals.expire(now=now)
    return sum(retention.forget(now=now).values())


@shared_task(name="retail.contact_ways")
def refresh_contact_ways() -> int:
    """Shifts begin and end: let WeCom know who stands behind which code."""
    with scope.within(scope.EVERYTHING):
        return codes.refresh(now=timezone.now())


@shared_task(name="retail.wecom_media")
def refresh_media() -> int:
    """Files that WeCom forgets soon are given to it again; of materials those that may be sent."""
    now = timezone.now()
    with scope.within(scope.EVERYTHING):
        files.follow(now=now)
        return media.refresh(now=now)


@shared_task(name="retail.wecom_sync")
def sync_wecom() -> int:
    """Once a night look at everything WeCom holds."""
    with scope.within(scope.EVERYTHING):
        return sync.start_due(now=timezone.now())


@shared_task(name="retail.full_clerks")
def tell_full_clerks() -> int:
    """Clerks to whom customers would have come, had there been room."""
    with scope.within(scope.EVERYTHING):
        return full.tell(now=timezone.now())


@shared_task(name="retail.handovers")
def look_after_handovers() -> int:
    """Ask WeCom what became of customers whose day to refuse is over."""
    with scope.within(scope.EVERYTHING):
        return running.enqueue_due(now=timezone.now())


@shared_task(name="retail.leavers")
def see_who_left() -> int:
    """Whose posts ended by a date leaves as anybody does: their customers come into a handover."""
    with scope.within(scope.EVERYTHING):
        return leaving.follow_dates(now=timezone.now())


@shared_task(name="retail.help")
def tend_help() -> int:
    """Who was asked for help and has not answered is reminded; then the level above hears of it."""
    with scope.within(scope.EVERYTHING):
        return help.tend(now=timezone.now())


@shared_task(name="retail.coupons")
def end_coupons() -> int:
    """Coupons whose time is over end; what did not count lately is judged by what is known by now."""
    now = timezone.now()
    with scope.within(scope.EVERYTHING):
        return coupons.expire(now=now) + intake.settle_coupons_again(now=now)


@shared_task(name="retail.segments")
def refresh_segments() -> int:
    """Who fits moves with time, too: see to it that each segment is looked at every hour."""
    with scope.within(scope.EVERYTHING):
        return segments.enqueue_due(now=timezone.now())


@shared_task(name="retail.leads")
def tend_leads() -> int:
    """What is over ends, what fired becomes leads; from 08:00 on those of the morning, at hours of day the digests."""
    now, task = timezone.now(), "retail.leads"
    today = timezone.localdate(now).isoformat()
    ran = periodic.last(task=task)
    is_morning = timezone.localtime(now).hour >= MORNING and (ran is None or ran.found.get("on") != today)
    with scope.within(scope.EVERYTHING):
        count = push.run(now=now, is_morning=is_morning)
    found = {"on": today} if is_morning else ran.found if ran else {}
    periodic.note(task=task, now=now, found=found)
    return count


@shared_task(name="retail.share_results")
def roll_up_results() -> int:
    """What came of links, on the days on which something has changed; once a night on all that may still change."""
    now, task = timezone.now(), "retail.share_results"
    today, ran = timezone.localdate(now), periodic.last(task=task)
    is_night = timezone.localtime(now).hour >= NIGHT and (ran is None or ran.found.get("on") != today.isoformat())
    # What was being settled while it last ran was not to be seen yet.
    days = results.changed_since(ran.at - timedelta(minutes=10) if ran else None, now=now)
    with scope.within(scope.EVERYTHING):
        count = results.roll_up(days=[*days, *(results.still_moving(now=now) if is_night else ())], now=now)
    found = {"on": today.isoformat()} if is_night else ran.found if ran else {}
    periodic.note(task=task, now=now, found=found)
    return count


@shared_task(name="retail.behaviour")
def tend_behaviour() -> int:
    """Make the months to come, and give what nobody had done or opened to those who became known since."""
    now, task = timezone.now(), "retail.behaviour"
    behaviour.prepare(now=now)
    openings.prepare(now=now)
    ran = periodic.last(task=task)
    since = int(ran.found.get("until", 0)) if ran else 0
    viewers.adopt(since=since, now=now)
    count, until = behaviour.adopt(since=since)
    periodic.note(task=task, now=now, found={"until": until})
    return count


@shared_task(name="retail.attain")
def attain() -> int:
    """Count what everybody sold this month; once a night, from 02:00 on, book the bonuses that follow."""
    now = timezone.now()
    today, hour = timezone.localdate(now), timezone.localtime(now).hour
    ran = periodic.last(task="retail.attain")
    booked_on = str(ran.found.get("booked_on", "")) if ran else ""
    is_night = hour >= NIGHT and booked_on != today.isoformat()
    with scope.within(scope.EVERYTHING):
        count = attaining.enqueue(now=now, is_night=is_night)
    periodic.note(task="retail.attain", now=now, found={"booked_on": today.isoformat() if is_night else booked_on})
    return count


@shared_task(name="retail.members_night")
def members_by_night() -> int:
    """Once a night, from 02:00 on: points that expire, sums that move with the days, tiers, computed tags, the books.

    Tags of those whose profile has changed, on Sundays everybody's.
    """
    now = timezone.now()
    today, local = timezone.localdate(now), timezone.localtime(now)
    ran = periodic.last(task="retail.members_night")
    last_on = date.fromisoformat(ran.found["on"]) if ran and "on" in ran.found else None
    if local.hour < NIGHT or last_on == today:
        return 0
    with scope.within(scope.EVERYTHING):
        expired = points.expire(now=now, since=last_on - timedelta(days=1) if last_on else None)
        count = profiles.refresh_all(now=now)
        moved = tiers.nightly(now=now)
        if ran is None or local.weekday() == SUNDAY:
            changed = model_tags.recompute(now=now)
        else:
            changed = model_tags.recompute_changed(since=ran.at, now=now)
        book.refresh_all(now=now)
        tagging.forget(before=now - timedelta(days=1))
    found = {"on": today.isoformat(), "expired": expired, "profiles": count, "tiers": moved, **changed._asdict()}
    periodic.note(task="retail.members_night", now=now, found=found)
    return count


@shared_task(name="retail.pool")
def share_pools() -> int:
    """Once a day, from 08:00 on: share out the pools of the brands that want it so."""
    now, task = timezone.now(), "retail.pool"
    today, local = timezone.localdate(now), timezone.localtime(now)
    ran = periodic.last(task=task)
    if local.hour < MORNING or (ran and ran.found.get("on") == today.isoformat()):
        return 0
    with scope.within(scope.EVERYTHING):
        count = pool.enqueue_daily(now=now)
    periodic.note(task=task, now=now, found={"on": today.isoformat(), "stores": count})
    return count


@shared_task(name="retail.intent")
def judge_intent() -> int:
    """Once a night, as soon as the sums of the night are done: who is likely to buy. On Sundays new models first."""
    now, task = timezone.now(), "retail.intent"
    today = timezone.localdate(now)
    ran, rolled_up = periodic.last(task=task), periodic.last(task="retail.members_night")
    if (ran and ran.found.get("on") == today.isoformat()) or not rolled_up or rolled_up.found.get("on") != str(today):
        return 0
    with scope.within(scope.EVERYTHING):
        trained = training.train_all(as_of=today, now=now) if today.weekday() == SUNDAY else {}
        count = scoring.score_all(as_of=today, now=now)
    periodic.note(task=task, now=now, found={"on": today.isoformat(), "members": count, "models": trained})
    return count


@shared_task(name="retail.seal")
def seal() -> int:
    """Close what is append-only into blocks that show every later change."""
    now = timezone.now()
    count = seals.seal(now=now)
    until = min([now, *seals.unsealed_since().values()])
    periodic.note(task="retail.seal", now=now, found={"until": until.timestamp()})
    return count


@shared_task(name="retail.doctor")
def examine() -> int:
    """Look whether the invariants hold, on the orders whose turn it is; the outcome shows in the metrics."""
    now = timezone.now()
    with scope.within(scope.EVERYTHING):
        found = doctor.examine(now=now, sample=doctor.SAMPLE)
    return doctor.note(found=found, now=now)
