"""Everything that happens to an order: the facts are taken down, then settled, each in one readable step.

`take_*` write facts and a job, and answer at once; `settle_*` run in a worker and do the rest. Both are idempotent:
the same fact again changes nothing, and a job that runs twice posts nothing the second time.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial

from django.db import OperationalError, connection, transaction
from django.db.models import F

from clerks import attribution, binding, book, rewards
from clerks.leads import dealing as leads
from clerks.materials import credit, viewers
from commissions import ledger, returns
from commissions.engine import Returned
from members import behaviour, consent, coupons, enrolment, identity, points, profiles, segments, spending, tags, tiers
from members.models import Membership, MemberTag, Purchase, Tag
from members.spending import Back
from retail import jobs, orders, shapes, told
from retail.models import Brand, Channel, Order, Refund
from retail.models.orders import lines_of
from retail.orders import Fault, Taken

log = logging.getLogger(__name__)


# ── Taking down ──────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def take_orders(*, channel: Channel, data: Sequence[shapes.Order], now: datetime) -> list[Taken]:
    """Record orders of one channel and enqueue their settlement; the outcome of each row, in order."""
    outcomes = orders.record(channel=channel, data=data, now=now)
    news = [
        # Orders of one buyer are settled in the order they came, so that "first order" means the first.
        jobs.Work("settle_order", {"order_id": outcome.id}, f"buyer:{outcome.buyer_key}" if outcome.buyer_key else "")
        for outcome in outcomes
        if outcome.status in ("created", "corrected")
    ]
    jobs.enqueue(work=news, now=now)
    return outcomes


@transaction.atomic
def take_refunds(*, channel: Channel, data: Sequence[shapes.Refund], now: datetime) -> list[Taken]:
    """Record refunds of one channel and enqueue those whose order is known; the others wait for it."""
    outcomes = orders.record_refunds(channel=channel, data=data, now=now)
    news = [
        jobs.Work("settle_refund", {"refund_id": outcome.id})
        for outcome in outcomes
        if outcome.status in ("created", "corrected")
    ]
    # A refund that was corrected onto another order gives back what it took from the first.
    left = [outcome.left_order for outcome in outcomes if outcome.left_order]
    news += [jobs.Work("settle_refunds", {"order_id": order_id}) for order_id in left]
    jobs.enqueue(work=news, now=now)
    return outcomes


def take_events(*, channel: Channel, data: Sequence[shapes.Event], now: datetime) -> list[Taken]:
    """What buyers did other than buying; the outcome of each row, in order.

    A registration takes effect at once and by itself; what people looked at is only kept, a batch at a time.
    """
    read = list(zip(data, told.events(channel=channel, data=data), strict=True))
    outcomes = [Taken("rejected", faults=_faults_of(row, said, now)) for row, said in read]
    seen: dict[str, behaviour.Seen] = {}
    for (row, said), outcome in zip(read, outcomes, strict=True):
        if outcome.faults or isinstance(said, list):
            continue
        if row.type == "register":
            outcome.status = "created" if _register(channel, row, said, now) else "unchanged"
        elif seen.setdefault(row.outer_event_id, event := _seen(row, said)) != event:
            outcome.faults = [Fault("outer_event_id", "appears twice in this batch")]
        else:
            outcome.status = "unchanged"
    kept = _keep_events(channel, list(seen.values()), now)
    for row, outcome in zip(data, outcomes, strict=True):
        if row.type != "register" and not outcome.faults:
            outcome.status = kept[row.outer_event_id]
    return outcomes


@transaction.atomic
def _keep_events(channel: Channel, events: Sequence[behaviour.Seen], now: datetime) -> dict[str, behaviour.Outcome]:
    """What people looked at; the first time a view of a clerk's link is told, it is an opening of that link."""
    kept = behaviour.keep(channel_id=channel.pk, events=events, now=now)
    fresh = [event for event in events if kept[event.outer_event_id] == "created"]
    viewers.take(channel_id=channel.pk, events=fresh, now=now)
    return kept


def _faults_of(row: shapes.Event, said: told.Told | list[Fault], now: datetime) -> list[Fault]:
    if isinstance(said, list):
        return said
    if row.type != "register" and not behaviour.is_kept(row.at, now=now):
        return [Fault("at", f"must be of the last {behaviour.KEPT.days} days")]
    return []


def _seen(row: shapes.Event, said: told.Told) -> behaviour.Seen:
    return behaviour.Seen(
        outer_event_id=row.outer_event_id,
        at=row.at,
        kind=row.type,
        brand_id=said.brand_id,
        buyer_keys=tuple(said.key_ids),
        product_id=said.product_id,
        store_id=said.store_id,
        share_code=row.share_code or "",
        live_event=row.live_event or "",
        seconds=row.seconds,
        outer_order_id=row.order or "",
        fen=row.fen,
    )


@transaction.atomic
def _register(channel: Channel, row: shapes.Event, said: told.Told, now: datetime) -> bool:
    """Somebody became a member: who it is, who recruited them, and what that pays. False: they were one before.

    Or they asked to be forgotten since, and are not known again by being told of once more.
    """
    if not said.key_ids:
        return False
    # A phone typed at a till is nobody's word but the clerk's; elsewhere the member has signed in with it.
    is_verified = channel.kind != Channel.Kind.POS
    met = identity.meet(key_ids=said.key_ids, name="", at=row.at, source=identity.REGISTER, is_verified=is_verified)
    clerk = credit.clerk(code=row.share_code, brand_id=said.brand_id, at=row.at) if row.share_code else None
    membership = identity.register(
        brand_id=said.brand_id,
        member_id=met.member_id,
        store_id=said.store_id or (clerk.store_id if clerk else None),
        staff_id=clerk.staff_id if clerk else None,
        at=row.at,
    )
    rewards.of_registrations(memberships=[membership] if membership else [], now=now)
    if clerk and (membership or not identity.asked_to_be_forgotten(met.member_id)):
        brand, code = Brand.objects.get(pk=said.brand_id), row.share_code or ""
        binding.on_registration(brand=brand, member_id=met.member_id, clerk=clerk, share_code=code, at=row.at, now=now)
    book.refresh(member_ids=[met.member_id], now=now)
    if membership is not None:
        keep_up(membership_ids=[membership.pk], now=now)
    return membership is not None


@transaction.atomic
def take_members(
    *,
    channel: Channel | None,
    data: Sequence[shapes.Member],
    now: datetime,
    brand: Brand | None = None,
    source: str = "feed",
) -> list[Taken]:
    """People the group already knew, of a batch; the outcome of each row, in order, with the member's number.

    Who they are, whose customer they are, what they own, what they allow: each is one verb for the whole batch.
    """
    read = told.members(channel=channel, brand=brand, data=data, now=now)
    good = [said for said in read if isinstance(said, told.ToldMember)]
    outcomes = iter(enrolment.enrol(entrants=[_entrant(said) for said in good], source=source, now=now))
    rows = [(said, next(outcomes)) if isinstance(said, told.ToldMember) else said for said in read]
    taken = [(said, outcome) for said, outcome in (row for row in rows if not isinstance(row, list))]
    known = [(said, outcome) for said, outcome in taken if not outcome.faults]
    changed = _bind_told(known, now) | _note_told(known, source, now) | _tag_told(known, now)
    _open_points(known, now)
    for _said, outcome in known:
        if outcome.member_id in changed:
            outcome.change()
    keep_up(membership_ids=[outcome.membership_id for _said, outcome in known if outcome.is_news], now=now)
    return [Taken("rejected", faults=row) if isinstance(row, list) else _taken(row[1]) for row in rows]


def _taken(outcome: enrolment.Enrolled) -> Taken:
    return Taken(outcome.status, id=outcome.member_id or None, faults=outcome.faults)


def _entrant(said: told.ToldMember) -> enrolment.Entrant:
    data = said.data
    return enrolment.Entrant(
        brand_id=said.brand_id,
        key_ids=said.key_ids,
        name=data.name,
        born_on=data.birthday,
        registered_at=data.registered_at,
        store_id=said.store_id,
        channel_id=said.channel_id,
        tier=data.tier,
        tags=data.tags,
        points=data.points or 0,
        is_forgotten=said.is_forgotten,
    )


_Known = list[tuple[told.ToldMember, enrolment.Enrolled]]


def _bind_told(known: _Known, now: datetime) -> set[int]:
    """Members whose row names their clerk become that clerk's customers, unless they are somebody's; who did."""
    wanted = {(said.brand_id, outcome.member_id): said.clerk for said, outcome in known if said.clerk is not None}
    return binding.bind_told(wanted=wanted, now=now)


def _tag_told(known: _Known, now: datetime) -> set[int]:
    """The tags their rows name, headquarters' words; whoever has one more now."""
    wanted: dict[int, set[int]] = defaultdict(set)
    for _said, outcome in known:
        for tag_id in outcome.tag_ids:
            wanted[tag_id].add(outcome.member_id)
    rows = Tag.objects.filter(pk__in=wanted)
    source = MemberTag.Source.IMPORT
    put = (tags.put(tag=tag, member_ids=wanted[tag.pk], staff=None, now=now, source=source) for tag in rows)
    return {member_id for some in put for member_id in some}


def _open_points(known: _Known, now: datetime) -> None:
    """What they bring along."""
    for _said, outcome in known:
        if outcome.opening:
            membership = Membership.objects.get(pk=outcome.membership_id)
            points.bring_along(membership=membership, points=outcome.opening, now=now)


def _note_told(known: _Known, source: str, now: datetime) -> set[int]:
    """Their consents; of whom one was new."""
    corps = dict(Brand.objects.filter(pk__in={said.brand_id for said, _ in known}).values_list("pk", "corp"))
    words = [
        consent.Word(
            member_id=outcome.member_id,
            corp=corps[said.brand_id],
            purpose=one.purpose,
            is_given=one.is_given,
            at=one.at,
            text_version=one.text_version,
            company_id=one.company_id,
        )
        for said, outcome in known
        for one in said.consents
    ]
    return consent.note(words=words, source=source, now=now)


# ── Settling ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def settle_order(*, order_id: int, now: datetime) -> None:
    """Who bought, whose customer that is, who was behind the sale, and what each of them gets. See `settle_orders`."""
    _settle([order_id], now)


def settle_orders(*, order_ids: Sequence[int], now: datetime, is_bulk: bool = False) -> list[int]:
    """Settle a batch in one transaction, in the order given; returns the ids of those that cannot be settled.

    It ends as if they had been settled one after another. Some hundreds at a time: each buyer costs a lock or two.
    `is_bulk`: what is rolled up is left to `catch_up`, instead of being done again with each batch.
    """
    return _sparing(partial(_settle, is_bulk=is_bulk), order_ids, now)


@transaction.atomic
def _settle(order_ids: Sequence[int], now: datetime, is_bulk: bool = False) -> None:
    """A corrected order keeps its claims, and the difference is posted, unless it names other clerks or a buyer."""
    known = ("brand", "fulfil_store", "purchase__membership__tier")
    waiting = [order for order in _locked(order_ids, known) if order.settled_version != order.version]
    corrected = [order for order in waiting if order.settled_version]
    reclaimed = dict.fromkeys(orders.with_other_clerks(orders=corrected), "clerk codes corrected")
    unknown = (order.pk for order in corrected if order.buyer_keys and not hasattr(order, "purchase"))
    reclaimed |= dict.fromkeys(unknown, "buyer named")
    fresh = [order for order in waiting if not order.settled_version or order.pk in reclaimed]

    purchases = identity.match_many(orders=fresh, now=now)
    bindings = binding.on_purchases(purchases=purchases, now=now)
    redeemed = coupons.redeem_many(orders=waiting, now=now)
    claims = attribution.resolve_many(orders=fresh, purchases=purchases, bindings=bindings)
    buyers = attribution.buyer_facts(purchases=purchases)
    ledger.accrue_many(
        orders=fresh,
        claims=claims,
        buyers=buyers,
        resolver=attribution.RESOLVER,
        now=now,
        reasons=reclaimed,
    )
    credit.note(orders=fresh, claims=claims, kept=[order for order in corrected if order.pk not in reclaimed])
    ledger.revise_many(orders=[order for order in corrected if order.pk not in reclaimed], now=now)
    rewards.of_purchases(purchases=purchases, claims=claims, buyers=buyers, now=now)
    back = _came_back(waiting)
    spending.note(orders=[order for order in waiting if order.settled_version or order.all_refunds], back=back)
    purchases |= {order.pk: order.purchase for order in corrected if hasattr(order, "purchase")}
    points.earn_many(orders=waiting, purchases=purchases, back=back, now=now)
    rewards.of_coupons(changes=redeemed, now=now)
    leads.close_won(purchases=purchases, now=now)
    _mark_settled(waiting, now)
    _follow({purchase.membership_id for purchase in purchases.values()}, now, is_bulk)


def settle_refund(*, refund_id: int, now: datetime) -> None:
    """Take back what the refund takes with it; one whose order has not arrived waits for it."""
    order_id = Refund.objects.values_list("order_id", flat=True).get(pk=refund_id)
    if order_id is not None:
        _take_back([order_id], now)


def settle_refunds_of(*, order_id: int, now: datetime) -> None:
    """Post what the refunds of an order change by now. See `settle_refunds`."""
    _take_back([order_id], now)


def settle_refunds(*, order_ids: Sequence[int], now: datetime, is_bulk: bool = False) -> list[int]:
    """Post what the refunds of a batch of orders change by now; returns the ids of those where that cannot be.

    `is_bulk`: as in `settle_orders`.
    """
    return _sparing(partial(_take_back, is_bulk=is_bulk), order_ids, now)


@transaction.atomic
def _take_back(order_ids: Sequence[int], now: datetime, is_bulk: bool = False) -> None:
    """Before an order is settled itself, this is left to its settling."""
    settled = _settled(order_ids)
    given_back = coupons.take_back_many(orders=settled, now=now)  # locks coupons first, as settling does
    ledger.claw_back_many(orders=settled, now=now)
    rewards.of_returned(orders=settled, now=now)
    back = _came_back(settled)
    spending.note(orders=settled, back=back)
    points.take_back_many(orders=settled, back=back, now=now)
    rewards.of_coupons(changes=given_back, now=now)
    _close_refunds(settled, now)
    purchases = Purchase.objects.filter(order__pk__among=[order.pk for order in settled])
    _follow(set(purchases.values_list("membership_id", flat=True)), now, is_bulk)


def _follow(membership_ids: set[int], now: datetime, is_bulk: bool) -> None:
    """Keep up what is rolled up, now or later."""
    if is_bulk:
        profiles.mark_behind(membership_ids)
    else:
        keep_up(membership_ids=membership_ids, now=now)


def catch_up(*, now: datetime) -> None:
    """Roll up what bulk work has left behind, also that of a run that was killed; a chunk is a transaction."""
    for ids in profiles.behind():
        keep_up(membership_ids=ids, now=now)


def keep_up(*, membership_ids: Iterable[int], now: datetime) -> None:
    """Bring what is rolled up of these memberships to what they bought and gave back by now.

    At the end of each settling, in its transaction; where very much is settled, at the end of all (`catch_up`).
    """
    ids = sorted(membership_ids)
    profiles.refresh(membership_ids=ids, now=now)
    tiers.review(membership_ids=ids, now=now)
    segments.bought(membership_ids=ids, now=now)
    book.refresh(membership_ids=ids, now=now)


@transaction.atomic
def settle_coupons_again(*, now: datetime) -> int:
    """Judge the coupons that did not count lately by what is known by now; how many moved."""
    changes = coupons.look_again(since=now - coupons.LOOKED_BACK, now=now)
    rewards.of_coupons(changes=changes, now=now)
    return len(changes)


def recompute(*, order_ids: Sequence[int], now: datetime, run: int | None = None) -> list[int]:
    """Judge a batch of settled orders again, by the plan that holds for them now, and post the differences.

    Nobody's claim changes and what was known of the buyer stays. Returns the ids of those where that cannot be.
    `run`: what asked for it; the entries name it.
    """
    return _sparing(partial(_judge_again, run=run), order_ids, now)


@transaction.atomic
def _judge_again(order_ids: Sequence[int], now: datetime, run: int | None) -> None:
    ledger.revise_many(orders=_settled(order_ids), now=now, run=run)


def _sparing(verb: Callable[[Sequence[int], datetime], None], order_ids: Sequence[int], now: datetime) -> list[int]:
    """Do a batch; one with an order that fails is halved until that one stands alone, logged and left as it was."""
    if not order_ids:
        return []
    try:
        verb(order_ids, now)
    except Exception as error:
        if isinstance(error, OperationalError) and not connection.is_usable():
            raise  # it is the database that is gone, not an order that is bad
        if len(order_ids) == 1:
            log.warning("Order %s cannot be settled: %s", order_ids[0], error)
            return list(order_ids)
        log.warning("A batch of %s orders is shared out: %r", len(order_ids), error)
        middle = len(order_ids) // 2
        return [failed for half in (order_ids[:middle], order_ids[middle:]) for failed in _sparing(verb, half, now)]
    return []


def end_needless_jobs(*, now: datetime) -> int:
    """Mark the jobs done that wait to settle what is settled by now; a first load would leave one for each order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE retail_job SET state = 'done', ended_at = %s WHERE id IN ("
            " SELECT j.id FROM retail_job j JOIN retail_order o ON o.id = (j.payload ->> 'order_id')::bigint"
            " WHERE j.state = 'due' AND j.kind = 'settle_order' AND o.settled_version = o.version"
            " FOR UPDATE OF j SKIP LOCKED)",
            [now],
        )
        return cursor.rowcount


def _settled(order_ids: Sequence[int]) -> list[Order]:
    """Those of the orders that are settled as they now stand."""
    return [order for order in _locked(order_ids) if order.settled_version == order.version]


def _locked(order_ids: Sequence[int], also: Sequence[str] = ()) -> list[Order]:
    """The orders, as they were asked for, with all that pricing reads; nobody else settles them meanwhile."""
    rows = Order.objects.select_for_update(of=("self",)).select_related("channel", "store", *also)
    by_id = {order.pk: order for order in rows.filter(pk__among=order_ids).order_by("pk")}
    lines, refunds = lines_of(by_id), defaultdict(list)
    for refund in Refund.objects.filter(order__pk__among=by_id):
        refunds[refund.order_id].append(refund)
    for order in by_id.values():
        order.all_lines, order.all_refunds = lines.get(order.pk, []), refunds.get(order.pk, [])
    if missing := [order_id for order_id in order_ids if order_id not in by_id]:
        raise Order.DoesNotExist(f"There is no order {missing[0]}.")
    return [by_id[order_id] for order_id in dict.fromkeys(order_ids)]


def _came_back(some: Sequence[Order]) -> Back:
    """By line what came back of it."""
    back: dict[int, Returned] = {}
    for order in some:
        if order.all_refunds:
            back |= returns.tally(lines=order.all_lines, refunds=order.all_refunds).back
    return back


def _mark_settled(settled: Sequence[Order], now: datetime) -> None:
    if settled:
        Order.objects.filter(pk__among=[order.pk for order in settled]).update(
            settled_at=now, settled_version=F("version")
        )
    _close_refunds(settled, now)


def _close_refunds(settled: Sequence[Order], now: datetime) -> None:
    """Mark the refunds of these orders settled, and note what of them no line could take."""
    for order in settled:
        if not order.all_refunds:
            continue
        found = returns.tally(lines=order.all_lines, refunds=order.all_refunds)
        if found.excess or found.astray:
            orders.note_trouble(excess=found.excess, astray=found.astray)
    refunded = [order.pk for order in settled if order.all_refunds]
    if refunded:
        Refund.objects.filter(order__in=refunded, settled_at=None).update(settled_at=now)
