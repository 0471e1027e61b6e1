"""A handover of ten thousand customers: planned, and committed with relations, journal and lists of customers."""

from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction

from clerks.handover import cases, running
from clerks.handover.planning import Way
from clerks.models import Binding, HandoverRow
from retail.models import Staff, Store
from tests.bench.measure import Verdict
from tests.bench.measure import Way as Timed
from tests.bench.worlds import Shop
from tests.factories import NOW, World, world

CUSTOMERS, TURNS, RECEIVERS = 10_000, 3, 10
PLANNED, COMMITTED = 2, 10  # seconds that a manager waits for the one and the other
RATIO = 15  # so many times the least a database can be asked for the same rows


def handover(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    """The same at both sizes: it is what the product promises."""
    made = world()
    leavers = [made.hire(f"leaver{n}") for n in range(TURNS + 1)]
    receivers = [made.hire(f"receiver{n}") for n in range(RECEIVERS)]
    for leaver in leavers:
        _customers(made, leaver)
    _run("ANALYZE members_member, members_membership, members_profile, clerks_binding")
    plain, plan, commit = (Timed(name, CUSTOMERS) for name in ("INSERT … SELECT of the rows", "planned", "committed"))
    choice = cases.Choice(Way.EVEN, {one.pk: None for one in receivers})
    for turn, leaver in enumerate(leavers):
        _turn(leaver, receivers[0], choice, plain, plan, commit)
        if not turn:  # the first one warms up
            for way in (plain, plan, commit):
                way.wall.clear()
    yield Verdict(f"{CUSTOMERS:,} customers planned, seconds of {PLANNED}", plan.median / PLANNED, 1, [plan])
    yield Verdict(f"{CUSTOMERS:,} customers committed, seconds of {COMMITTED}", commit.median / COMMITTED, 1, [commit])
    notes = ["the rest: locks, who wins a race, a line of the journal each, the clerks' lists made anew"]
    yield Verdict(
        "committed against the plain rows", commit.median / plain.median, RATIO, [plain, commit], notes=notes
    )


def _turn(leaver: Staff, receiver: Staff, choice: cases.Choice, plain: Timed, plan: Timed, commit: Timed) -> None:
    (case,) = cases.open_(staff=leaver, kind="on_job", by=None, now=NOW)
    assert case.total == CUSTOMERS
    with transaction.atomic():
        with plain.turn():
            _plain(case.pk, leaver, receiver)
        transaction.set_rollback(True)
    with plan.turn():
        seen = cases.preview(handover=case, choice=choice, now=NOW)
    assert {share.customers for share in seen.shares.values()} == {CUSTOMERS // RECEIVERS}
    with commit.turn():
        cases.start(handover=case, choice=choice, by=None, now=NOW)
        assert running.move(handover_id=case.pk, now=NOW) == CUSTOMERS
    case.refresh_from_db()
    assert case.state == "done"
    assert not Binding.objects.active().filter(staff=leaver).exists()
    assert HandoverRow.objects.filter(handover=case, state="local").count() == CUSTOMERS


def _plain(case: int, leaver: Staff, receiver: Staff) -> None:
    """The same rows of relations, journal and lists, without asking whether they may be."""
    given = {"case": case, "leaver": leaver.pk, "receiver": receiver.pk, "now": NOW}
    _run(
        "UPDATE clerks_handoverrow SET state = 'local', receiver_id = %(receiver)s, holder_id = %(receiver)s,"
        " moved_at = %(now)s WHERE handover_id = %(case)s",
        given,
    )
    _run(
        "CREATE TEMP TABLE bench_moved ON COMMIT DROP AS SELECT * FROM clerks_binding"
        " WHERE staff_id = %(leaver)s AND ended_at IS NULL",
        given,
    )
    _run(
        "UPDATE clerks_binding SET ended_at = %(now)s, end_reason = 'handed_over'"
        " WHERE staff_id = %(leaver)s AND ended_at IS NULL",
        given,
    )
    _run(
        "INSERT INTO clerks_binding (brand_id, member_id, staff_id, store_id, source, started_at,"
        " protected_until, end_reason, reason) SELECT brand_id, member_id, %(receiver)s, store_id, 'handover',"
        " %(now)s, protected_until, '', '' FROM bench_moved",
        given,
    )
    _run(
        "INSERT INTO retail_auditrow (at, action, target_type, target_id, reason)"
        " SELECT %(now)s, 'binding.change', 'clerks.binding', id::text, '' FROM bench_moved",
        given,
    )


def _customers(made: World, leaver: Staff) -> None:
    """Members with a relation to the leaver, and what they spent in a year."""
    store: Store = made.store
    given = {"brand": store.brand_id, "store": store.pk, "staff": leaver.pk, "now": NOW, "count": CUSTOMERS}
    _run(
        """
        WITH member AS (
            INSERT INTO members_member (name, created_at) SELECT '顾客' || n, %(now)s
            FROM generate_series(1, %(count)s) n RETURNING id
        ), membership AS (
            INSERT INTO members_membership (brand_id, member_id, registered_at, points)
            SELECT %(brand)s, id, %(now)s, 0 FROM member RETURNING id, member_id
        ), profile AS (
            INSERT INTO members_profile (membership_id, orders, pieces, paid_fen, tag_fen, returned_fen, orders_30,
                orders_90, orders_180, year_orders, year_fen, tag_ids, refreshed_at)
            SELECT id, 0, 0, 0, 0, 0, 0, 0, 0, 0, mod(id * 7919, 1000000), '{}', %(now)s FROM membership
        )
        INSERT INTO clerks_binding (brand_id, member_id, staff_id, store_id, source, started_at, protected_until,
            end_reason, reason)
        SELECT %(brand)s, id, %(staff)s, %(store)s, 'history', %(now)s - interval '9 days', %(now)s, '', '' FROM member
        """,
        given,
    )


def _run(statement: str, given: dict[str, Any] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
