"""The invariants of the whole house, looked at from above: what must hold whatever happened, and where it does not.

Nothing here mends anything, and nothing is changed: what has to write in order to compare is rolled back.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from django.apps import apps
from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import F, Max, Min, Q
from django.utils import timezone

from clerks import book, pooled
from clerks.materials import lettering
from clerks.materials.models import PosterTemplate
from commissions import closing, plans, returns
from commissions.models import Entry, Period, PlanVersion
from members import profiles, spending
from members.models import Membership
from retail import intake, periodic, rights, rotation, seals
from retail.models import Job, Order, Refund

SAMPLE = 2_000  # orders judged again in a night, about: more where there are so many that it took too many nights
NIGHTS = 64  # after at most so many every order had its turn
PAGE = 500
SHOWN = 5
STALE = timedelta(hours=24)
UNSEALED = timedelta(hours=1)  # six sealings


class Finding(NamedTuple):
    """How often an invariant fails, with a few examples; 0 and none where it holds."""

    name: str
    says: str
    failures: int
    examples: tuple[str, ...]


class Look(NamedTuple):
    """What one examination goes by. `sample`: about how many orders are judged again, None = all."""

    now: datetime
    sample: int | None


def examine(*, now: datetime, sample: int | None) -> list[Finding]:
    """Look at every invariant. Needs the scope of everything."""
    return [_finding(name, check, Look(now, sample)) for name, check in INVARIANTS.items()]


def _finding(name: str, check: Callable[[Look], Iterator[str]], look: Look) -> Finding:
    examples, failures = [], 0
    for failure in check(look):
        failures += 1
        if failures <= SHOWN:
            examples.append(failure)
    return Finding(name, str(check.__doc__), failures, tuple(examples))


def note(*, found: Sequence[Finding], now: datetime) -> int:
    """Keep the counts of an examination for the metrics; returns how many invariants fail."""
    periodic.note(task="retail.doctor", now=now, found={finding.name: finding.failures for finding in found})
    return sum(finding.failures > 0 for finding in found)


# ── People ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _one_active_binding(_look: Look) -> Iterator[str]:
    """A member has at most one clerk per brand at a time."""
    yield from _rows(
        "SELECT format('brand %s, member %s: %s active bindings', brand_id, member_id, count(*)) FROM clerks_binding"
        " WHERE ended_at IS NULL GROUP BY brand_id, member_id HAVING count(*) > 1"
    )


def _purchase_dates(_look: Look) -> Iterator[str]:
    """The first and last purchase of a membership are those of its purchases."""
    known = Membership.objects.alias(first=Min("purchases__paid_at"), last=Max("purchases__paid_at"))
    bought = ~Q(first=F("first_purchase_at")) | ~Q(last=F("last_purchase_at"))
    one_only = Q(first=None, first_purchase_at__isnull=False) | Q(first__isnull=False, first_purchase_at=None)
    for pk in known.filter(bought | one_only).order_by("pk").values_list("pk", flat=True).iterator():
        yield f"membership {pk}"


def _profiles_follow(look: Look) -> Iterator[str]:
    """What is rolled up of a membership is what it bought and gave back."""
    ids = _settled_members(look).values_list("pk", flat=True)
    yield from (f"membership {pk}" for pk in profiles.otherwise(membership_ids=ids.iterator(), now=look.now))


def _books_follow(look: Look) -> Iterator[str]:
    """The list of customers on a clerk's phone is what relations, friendships, purchases and tags say."""
    ids = _settled_members(look).values_list("member", flat=True)
    yield from (f"member {pk}" for pk in book.otherwise(member_ids=ids.iterator()))


def _pools_follow(look: Look) -> Iterator[str]:
    """Who is in the pool of which store is what relations, purchases and registrations say."""
    ids = _settled_members(look).values_list("member", flat=True)
    yield from (f"member {pk}" for pk in pooled.otherwise(member_ids=ids.iterator(), now=look.now))


def _settled_members(look: Look) -> models.QuerySet[Membership]:
    """Those of tonight of whom nothing waits to be settled."""
    waiting = Order.objects.exclude(settled_version=F("version")).values("pk")
    refunded = Refund.objects.filter(settled_at=None, order__isnull=False).values("order")
    return _in_turn(Membership.objects.order_by("pk"), look).exclude(
        Q(purchases__order__in=waiting) | Q(purchases__order__in=refunded)
    )


def _points_add_up(_look: Look) -> Iterator[str]:
    """The points of a membership are the sum of its entries."""
    yield from _rows(
        "SELECT format('membership %s has %s points, its entries add up to %s', m.id, m.points, coalesce(e.points, 0))"
        " FROM members_membership m LEFT JOIN (SELECT membership_id, sum(points) AS points FROM members_pointsentry"
        "  GROUP BY 1) e ON e.membership_id = m.id WHERE m.points <> coalesce(e.points, 0) ORDER BY m.id"
    )


def _points_where_they_belong(_look: Look) -> Iterator[str]:
    """Points stand at the membership whose order or adjustment gave them; no more is given back than was used."""
    yield from _rows(
        "SELECT format('membership %s holds %s points of %s, which is another one''s', e.membership_id, sum(e.points),"
        " coalesce('order ' || e.order_id, 'adjustment ' || e.adjustment_id)) FROM members_pointsentry e"
        " LEFT JOIN members_purchase p ON p.order_id = e.order_id"
        " LEFT JOIN members_pointsadjustment a ON a.id = e.adjustment_id WHERE e.kind <> 'expire'"
        " AND e.membership_id IS DISTINCT FROM coalesce(p.membership_id, a.membership_id)"
        " GROUP BY e.order_id, e.adjustment_id, e.membership_id HAVING sum(e.points) <> 0 ORDER BY 1"
    )
    yield from _rows(
        "SELECT format('order %s: %s points used, %s given back', order_id, -used, back) FROM (SELECT order_id,"
        "  coalesce(sum(points) FILTER (WHERE kind = 'burn'), 0) AS used,"
        "  sum(points) FILTER (WHERE kind = 'unburn') AS back"
        "  FROM members_pointsentry WHERE order_id IS NOT NULL GROUP BY 1) of_order"
        " WHERE back < 0 OR back > -used ORDER BY order_id"
    )


def _purchases_worth(look: Look) -> Iterator[str]:
    """A purchase is worth what was paid, less what came back."""
    yield from _rows(
        "SELECT format('order %s: worth %s fen, paid %s', o.id, p.net_fen, o.paid_fen) FROM members_purchase p"
        " JOIN retail_order o ON o.id = p.order_id WHERE o.settled_version = o.version AND p.net_fen <> o.paid_fen"
        " AND NOT EXISTS (SELECT FROM retail_refund r WHERE r.order_id = o.id) ORDER BY o.id"
    )
    refunded = _orders_of_tonight(look).filter(refunds__settled_at__isnull=False, purchase__isnull=False).distinct()
    ids = list(refunded.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), PAGE):
        some = Order.objects.filter(pk__in=ids[start : start + PAGE]).select_related("purchase").order_by("pk")
        for order in some.prefetch_related("refunds"):
            back = returns.tally(lines=order.all_lines, refunds=order.all_refunds).back
            worth = sum(spending.left(paid_fen=line.paid_fen, came=back.get(line.pk)) for line in order.all_lines)
            if worth != order.purchase.net_fen:
                yield f"order {order.pk}: worth {order.purchase.net_fen} fen, to be {worth}"


def _coupons_as_moved(_look: Look) -> Iterator[str]:
    """A coupon stands where its last move put it, and the order that used it names it and counts."""
    yield from _rows(
        "SELECT format('coupon %s is %s; its last move: %s', c.id, c.state, coalesce(m.state, 'none'))"
        " FROM members_coupon c LEFT JOIN LATERAL ("
        "  SELECT state, order_id FROM members_couponmove WHERE coupon_id = c.id ORDER BY id DESC LIMIT 1"
        " ) AS m ON true WHERE m.state IS DISTINCT FROM c.state"
        " OR c.state = 'redeemed' AND m.order_id IS DISTINCT FROM c.order_id ORDER BY c.id"
    )
    yield from _rows(
        "SELECT format('coupon %s: used by order %s, which it does not count for', c.id, c.order_id)"
        " FROM members_coupon c LEFT JOIN members_couponuse u ON u.coupon_id = c.id AND u.order_id = c.order_id"
        " WHERE c.order_id IS NOT NULL AND u.outcome IS DISTINCT FROM 'counted' ORDER BY c.id"
    )


def _coupons_within_limits(_look: Look) -> Iterator[str]:
    """Of no type more coupons were made than it allows, and no clerk gave more than their quota; both are counted."""
    yield from _rows(
        "SELECT format('coupon type %s: %s made, %s counted, limit %s', t.id, count(c.id), t.issued, t.\"limit\")"
        " FROM members_coupontype t LEFT JOIN members_coupon c ON c.type_id = t.id GROUP BY t.id"
        ' HAVING count(c.id) <> t.issued OR count(c.id) > t."limit" ORDER BY t.id'
    )
    yield from _rows(
        "SELECT format('coupon quota %s: %s given, %s counted, limit %s', q.id, count(c.id), q.given, q.\"limit\")"
        " FROM members_couponquota q LEFT JOIN members_coupon c ON c.type_id = q.type_id"
        " AND c.issued_by_id = q.staff_id GROUP BY q.id"
        ' HAVING count(c.id) <> q.given OR count(c.id) > q."limit" ORDER BY q.id'
    )


def _merged_hold_nothing(_look: Look) -> Iterator[str]:
    """Who was merged into somebody has no identity, purchase or clerk of their own, and who did it is on record."""
    yield from _rows(
        "SELECT format('member %s, merged into %s, has %s', m.id, m.merged_into_id, held.what) FROM members_member m,"
        " LATERAL (SELECT 'an identity' AS what FROM members_identity i WHERE i.member_id = m.id"
        "  UNION SELECT 'purchases' FROM members_membership s JOIN members_purchase p ON p.membership_id = s.id"
        "   WHERE s.member_id = m.id"
        "  UNION SELECT 'points' FROM members_membership s WHERE s.member_id = m.id AND s.points <> 0"
        "  UNION SELECT 'a clerk' FROM clerks_binding b WHERE b.member_id = m.id AND b.ended_at IS NULL) held"
        " WHERE m.merged_into_id IS NOT NULL ORDER BY m.id"
    )
    yield from _rows(
        "SELECT format('member %s is merged into %s, and no merge says so', m.id, m.merged_into_id)"
        " FROM members_member m WHERE m.merged_into_id IS NOT NULL AND NOT EXISTS (SELECT FROM clerks_merge g"
        "  WHERE g.drop_id = m.id AND g.keep_id = m.merged_into_id AND g.undone_at IS NULL) ORDER BY m.id"
    )
    yield from _rows(
        "SELECT format('merge %s stands, and member %s is not merged into %s', g.id, g.drop_id, g.keep_id)"
        " FROM clerks_merge g JOIN members_member m ON m.id = g.drop_id"
        " WHERE g.undone_at IS NULL AND m.merged_into_id IS DISTINCT FROM g.keep_id ORDER BY g.id"
    )


def _no_send_after_stop(_look: Look) -> Iterator[str]:
    """Nobody was contacted who had asked to be left alone, for as long as they had not taken it back.

    Whatever goes to a customer leaves a touch (clerks.outreach.contact); what the outbox sends goes to our own people.
    Answers of a customer are touches, too, and no sends of ours.
    """
    yield from _rows(
        "SELECT format('touch %s (%s): member %s had stopped it at %s', t.id, t.purpose, t.member_id, min(s.at))"
        " FROM clerks_touch t JOIN members_stop s ON s.member_id = t.member_id AND s.corp = t.corp"
        " WHERE t.purpose NOT IN ('reply', 'opened') AND s.channel IN ('', 'wecom') AND s.purpose IN ('', t.purpose)"
        " AND t.at > s.at AND (s.lifted_at IS NULL OR t.at < s.lifted_at) GROUP BY t.id ORDER BY t.id"
    )


# ── Money ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _legs_add_up(_look: Look) -> Iterator[str]:
    """The legs of every transaction add up to 0."""
    yield from _rows(
        "SELECT format('transaction %s is out by %s fen', txn, sum(fen)) FROM commissions_entry"
        " GROUP BY txn HAVING sum(fen) <> 0 ORDER BY txn"
    )


def _entries_follow(look: Look) -> Iterator[str]:
    """What is booked for an order is what its plan gives on the inputs that were kept."""
    ids = list(_orders_of_tonight(look).order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), PAGE):
        yield from _judged_otherwise(sorted(ids[start : start + PAGE]), look.now)


def _orders_of_tonight(look: Look) -> models.QuerySet[Order]:
    return _in_turn(Order.objects.filter(settled_version=F("version")), look)


def _in_turn(rows: models.QuerySet[Any], look: Look) -> models.QuerySet[Any]:
    """Every row in its turn, by its number and the day: nothing has to be remembered, and nothing left to chance.

    The number of nights only doubles. So an order of today waits, while orders come, for two rounds at the most.
    """
    if look.sample is None:
        return rows
    nights, count = 1, rows.count()
    while nights < NIGHTS and count > nights * look.sample:
        nights *= 2
    return rows.alias(turn=F("pk") % nights).filter(turn=timezone.localtime(look.now).toordinal() % nights)


def _judged_otherwise(order_ids: Sequence[int], now: datetime) -> list[str]:
    """The verb that corrects them is asked, and what it posts is rolled back."""
    with transaction.atomic():
        before = Entry.objects.aggregate(last=Max("pk"))["last"] or 0
        impossible = intake.recompute(order_ids=order_ids, now=now)
        posted = Entry.objects.filter(order__in=order_ids, pk__gt=before, posted_at=now).of_staff()
        sums = posted.values_list("order_id").annotate(models.Count("pk")).order_by("order_id")
        failures = [f"order {order_id}: {count} differences" for order_id, count in sums]
        transaction.set_rollback(True)
    return failures + [f"order {order_id} cannot be judged" for order_id in impossible]


def _refunds_within_sales(_look: Look) -> Iterator[str]:
    """Of what somebody earned on a line, refunds take back no more than all of it."""
    yield from _rows(
        "SELECT format('order %s, line %s, %s of staff %s: %s fen of %s', order_id, line_id, role, staff_id, back,"
        " earned) FROM (SELECT e.order_id, e.line_id, r.code, e.role, e.staff_id, e.store_id, e.payer_id,"
        "  coalesce(sum(e.fen) FILTER (WHERE e.kind = 'reverse'), 0) AS back,"
        "  coalesce(sum(e.fen) FILTER (WHERE e.kind <> 'reverse'), 0) AS earned"
        "  FROM commissions_entry e LEFT JOIN commissions_rule r ON r.id = e.rule_id"
        "  WHERE e.staff_id IS NOT NULL AND e.order_id IS NOT NULL"
        "  AND e.order_id IN (SELECT order_id FROM commissions_entry WHERE kind = 'reverse')"
        "  GROUP BY 1, 2, 3, 4, 5, 6, 7) awards"
        " WHERE back <> 0 AND (sign(back) = sign(earned) OR abs(back) > abs(earned)) ORDER BY order_id"
    )


def _links_as_claimed(_look: Look) -> Iterator[str]:
    """The order that a link brought is claimed by the link's clerk, and a claim that names a link has its order."""
    yield from _rows(
        "WITH claimed AS (SELECT c.order_id, c.staff_id, (c.evidence ->> 'share')::bigint AS share_id"
        "  FROM commissions_claimrow c WHERE c.role = 'share' AND c.evidence ? 'share' AND NOT EXISTS (SELECT"
        "   FROM commissions_buyersnapshot s WHERE s.order_id = c.order_id AND s.revision > c.revision))"
        " SELECT format('order %s: link %s brought it, claimed is link %s', coalesce(x.order_id, c.order_id),"
        "  x.share_id, c.share_id) FROM materials_sharesale x FULL JOIN claimed c ON c.order_id = x.order_id"
        " LEFT JOIN materials_share h ON h.id = x.share_id"
        " WHERE x.share_id IS DISTINCT FROM c.share_id OR h.staff_id <> c.staff_id ORDER BY 1"
    )


def _statements_as_closed(_look: Look) -> Iterator[str]:
    """What a closed period owes to whom is what was frozen, and what is booked in it."""
    for period in Period.objects.filter(status=Period.Status.CLOSED).order_by("pk"):
        if closing.digest(period.statements.all()) != period.digest:
            yield f"period {period.pk}: other statements than it was closed with"
    yield from _rows(
        "SELECT format('period %s, staff %s: %s fen in the statement, %s booked', period_id, staff_id, said, booked)"
        " FROM (SELECT period_id, staff_id, coalesce(payer_id, 0) AS payer, sum(net_fen) AS said"
        "  FROM commissions_statement GROUP BY 1, 2, 3) statements"
        " FULL JOIN (SELECT period_booked_id AS period_id, staff_id, coalesce(payer_id, 0) AS payer,"
        "  sum(fen) AS booked FROM commissions_entry WHERE staff_id IS NOT NULL AND kind <> 'payout'"
        "  AND period_booked_id IN (SELECT id FROM commissions_period WHERE status = 'closed')"
        "  GROUP BY 1, 2, 3) entries USING (period_id, staff_id, payer)"
        " WHERE coalesce(said, 0) <> coalesce(booked, 0) ORDER BY period_id, staff_id"
    )
    yield from _rows(
        "SELECT format('statement %s: %s fen paid, %s in batches that were', s.id, s.paid_fen, coalesce(p.fen, 0))"
        " FROM commissions_statement s LEFT JOIN (SELECT statement_id, sum(fen) AS fen FROM commissions_payout"
        "  JOIN commissions_payoutbatch b ON b.id = batch_id WHERE b.state = 'paid' GROUP BY 1) p"
        " ON p.statement_id = s.id WHERE s.paid_fen <> coalesce(p.fen, 0) ORDER BY s.id"
    )
    yield from _rows(
        "SELECT format('company account %s: %s fen between companies, %s in its legs', a.id, between_fen, l.fen)"
        " FROM commissions_companyaccount a LEFT JOIN (SELECT account_id, sum(fen) AS fen FROM commissions_companyleg"
        "  GROUP BY 1) l ON l.account_id = a.id WHERE between_fen <> coalesce(l.fen, 0) ORDER BY a.id"
    )


def _seals_whole(_look: Look) -> Iterator[str]:
    """The content of an approved plan version is what was approved."""
    for version in PlanVersion.objects.filter(status__in=PlanVersion.SEALED).order_by("pk"):
        if plans.content_hash(version) != version.content_hash:
            yield f"plan version {version.pk}"


# ── The database ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _rows_as_sealed(look: Look) -> Iterator[str]:
    """What is history is what was sealed, and sealing goes on."""
    yield from seals.faults()
    for table, since in seals.unsealed_since().items():
        if since < look.now - UNSEALED:  # whoever keeps a transaction open holds up the sealing of a table
            yield f"{table}: what came since {since:%Y-%m-%d %H:%M} is not sealed"
    ran = periodic.last(task="retail.seal")
    if ran and ran.at < look.now - STALE:
        yield f"nothing was sealed since {ran.at:%Y-%m-%d %H:%M}"


def _guards_stand(_look: Look) -> Iterator[str]:
    """Logins, their rights, triggers and row security are what they are to be."""
    yield from rights.faults()


def _keys_open(_look: Look) -> Iterator[str]:
    """Our keys open what they sealed, where it was sealed, and find what they index."""
    yield from rotation.faults()
    if count := rotation.unbound():
        yield f"{count} values would open in any row: run `manage.py rotate_privacy_keys`"


def _posters_written(_look: Look) -> Iterator[str]:
    """Where there are templates of posters there is a font to write Chinese with."""
    if PosterTemplate._base_manager.exists() and lettering.trouble():
        yield f"no font at {settings.FONT}: install fonts-noto-cjk, or name another by DAOGOU_FONT"


# ── Handovers ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _handovers_account_for_all(_look: Look) -> Iterator[str]:
    """Every customer of a handover has one row, and it is true: whose they are, what WeCom still has to say."""
    yield from _rows(
        "SELECT format('handover %s: %s customers found, %s accounted for', h.id, h.total, count(r.id))"
        " FROM clerks_handover h LEFT JOIN clerks_handoverrow r ON r.handover_id = h.id"
        " GROUP BY h.id HAVING count(r.id) <> h.total ORDER BY h.id"
    )
    yield from _rows(
        "SELECT format('handover %s is done, but row %s is %s', h.id, r.id, r.state) FROM clerks_handover h"
        " JOIN clerks_handoverrow r ON r.handover_id = h.id WHERE h.state = 'done'"
        " AND r.state IN ('open', 'planned', 'asked', 'waiting') ORDER BY r.id"
    )
    yield from _rows(
        "SELECT format('handover row %s waits, and WeCom was asked %s times', r.id, count(t.id))"
        " FROM clerks_handoverrow r LEFT JOIN clerks_friendtransfer t ON t.row_id = r.id"
        " AND t.state IN ('asked', 'waiting') WHERE r.state IN ('asked', 'waiting')"
        " GROUP BY r.id HAVING count(t.id) <> 1 ORDER BY r.id"
    )
    yield from _rows(
        "SELECT format('handover row %s: the receiver never had member %s', r.id, r.member_id)"
        " FROM clerks_handoverrow r JOIN clerks_handover h ON h.id = r.handover_id"
        " JOIN members_member m ON m.id = r.member_id AND m.merged_into_id IS NULL"
        " WHERE r.moved_at IS NOT NULL AND NOT EXISTS (SELECT FROM clerks_binding b WHERE b.brand_id = h.brand_id"
        " AND b.member_id = r.member_id AND b.staff_id = r.holder_id) ORDER BY r.id"
    )


# ── Work and rows ────────────────────────────────────────────────────────────────────────────────────────────────────
def _nothing_waits(look: Look) -> Iterator[str]:
    """No work is due for more than a day."""
    late = Job.objects.pending().filter(due_at__lt=look.now - STALE).order_by("pk")
    for pk, kind in late.values_list("pk", "kind").iterator():
        yield f"{kind} #{pk}"


def _buyer_keys_exist(_look: Look) -> Iterator[str]:
    """The buyer keys that an order names exist."""
    yield from _rows(
        "SELECT format('order %s: key %s', o.id, named) FROM retail_order o, unnest(buyer_keys) AS named"
        " WHERE NOT EXISTS (SELECT 1 FROM retail_buyerkey k WHERE k.id = named) ORDER BY o.id"
    )


def _references_point(_look: Look) -> Iterator[str]:
    """What a row points to exists, also where the database does not see to it."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            # Of a field's arguments Django's types know only some.
            if isinstance(field, models.ForeignKey) and not cast(Any, field).db_constraint:
                yield from _dangling(model, field)


def _dangling(model: type[models.Model], field: Any) -> Iterator[str]:
    names = {
        "table": model._meta.db_table,
        "number": model._meta.pk.column or "id",  # none of one that is made of several
        "column": field.column,
        "other": field.related_model._meta.db_table,
        "key": field.target_field.column,
    }
    quoted = {name: connection.ops.quote_name(value) for name, value in names.items()}
    yield from _rows(
        "SELECT format('{label} %s: {column} %s', t.{number}, t.{column}) FROM {table} t WHERE t.{column} IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM {other} o WHERE o.{key} = t.{column}) ORDER BY t.{number}".format(
            label=model._meta.label, **quoted
        )
    )


def _rows(sql: str) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        for (said,) in cursor:
            yield said


# Rooms above add theirs (retail.desk.roles).
INVARIANTS: dict[str, Callable[[Look], Iterator[str]]] = {
    "one_active_binding": _one_active_binding,
    "purchase_dates": _purchase_dates,
    "profiles_follow_the_facts": _profiles_follow,
    "points_add_up": _points_add_up,
    "points_where_they_belong": _points_where_they_belong,
    "purchases_worth": _purchases_worth,
    "books_follow_the_facts": _books_follow,
    "pools_follow_the_facts": _pools_follow,
    "coupons_as_moved": _coupons_as_moved,
    "coupons_within_limits": _coupons_within_limits,
    "merged_hold_nothing": _merged_hold_nothing,
    "handovers_account_for_all": _handovers_account_for_all,
    "no_send_after_stop": _no_send_after_stop,
    "legs_add_up": _legs_add_up,
    "entries_follow_the_plan": _entries_follow,
    "refunds_within_sales": _refunds_within_sales,
    "links_as_claimed": _links_as_claimed,
    "statements_as_closed": _statements_as_closed,
    "seals_whole": _seals_whole,
    "rows_as_sealed": _rows_as_sealed,
    "guards_stand": _guards_stand,
    "keys_open": _keys_open,
    "posters_written": _posters_written,
    "nothing_waits_a_day": _nothing_waits,
    "buyer_keys_exist": _buyer_keys_exist,
    "references_point_somewhere": _references_point,
}
