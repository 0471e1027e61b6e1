"""P4: whatever somebody edits past every trigger, as the administrator of the database, the doctor finds it."""

import random
import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from commissions.models import (
    ActionEvent,
    BuyerSnapshot,
    ClaimRow,
    CompanyAccount,
    CompanyLeg,
    CountMark,
    Dispute,
    DisputeStep,
    Entry,
    Payout,
    PayoutBatch,
    Period,
    Statement,
)
from members.models import Consent, CouponMove, Member, PointsEntry, PointsRule
from retail import audit, doctor, jobs, periodic, rights, scope, seals, shapes, tasks
from retail.models import AuditRow, Order, OrderVersion, RefundVersion, Seal, Suppression
from tests.factories import LONG_AGO, NOW, franchisee, world
from tests.factories.coupons import coupon_type, issued, member
from tests.figures import figure

MODELS = (
    *(Entry, ClaimRow, BuyerSnapshot, CountMark, AuditRow, OrderVersion, RefundVersion, Suppression),
    *(ActionEvent, Payout, DisputeStep, CompanyLeg, CouponMove, PointsEntry, Consent),
)


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    """Where this machine remembers the end of the chain: each test is a machine of its own."""
    settings.VAR_DIR = tmp_path


@pytest.fixture
def shop(everything):
    """Sales, corrected and given back, so that every table that is history has rows; in two blocks each."""
    shop = world()
    shop.hire("A1")
    shop.plan({"id": "r", "calc": {"type": "rate", "ppm": 50_000}, "split": [{"role": "serve", "weight": 1}]})
    PointsRule.objects.create(brand=shop.brand, name="积分", starts_on=LONG_AGO.date())
    for _ in range(2):
        trade(shop)
        seals.seal(now=NOW)
    return shop


def trade(shop, *, orders=3):
    for n in range(orders):
        sale = shop.order(serving_clerk="A1", buyer=(shapes.Buyer("phone", f"1390000{n:04}"),))
        (order_id,) = shop.settle(sale)
        CountMark.objects.create(order_id=order_id, line_id=n, counts=False, posted_at=NOW)
        ActionEvent.objects.create(number=f"a{order_id}", brand=shop.brand, type="friend", staff=shop.staff["A1"],
                                   at=NOW, day=NOW.date(), judged_at=NOW, fen=0, reason="no_rate", rate_id=1,
                                   version_id=1)  # fmt: skip
        shop.settle(shop.order(outer_order_id=sale.outer_order_id, serving_clerk="A1", coupons=("c",)))
        for fen in (100, 200):
            shop.refund(sale, outer_refund_id=f"RF{sale.outer_order_id}", fen=fen)
        audit.record(by=None, action="change", target=shop.store, now=NOW, after={"name": "店", "n": n})
        issued(coupon_type(shop), member(shop, "13900001111"))
        Suppression.objects.create(hmac=random.Random(str(sale)).randbytes(32), at=NOW)
        buyer = Member.objects.get(memberships__purchases__order=order_id)
        said = {"source": "feed", "at": Order.objects.get(pk=order_id).received_at + timedelta(seconds=order_id)}
        Consent.objects.create(member=buyer, purpose="marketing", is_given=True, noted_at=NOW, **said)
        settle_accounts(shop, Order.objects.get(outer_order_id=sale.outer_order_id))


def settle_accounts(shop, order):
    """A statement that was doubted and is in a batch, and what two companies owe each other for a sale."""
    period, made = Period.objects.filter(brand=shop.brand).first(), {"made_at": NOW}
    batch = PayoutBatch.objects.create(period=period, total_fen=1, people=1, **made)
    owed = {"payer": franchisee(), "net_fen": 1, "pay_fen": 1, **made}
    statement = Statement.objects.create(period=period, staff=shop.staff["A1"], **owed)
    Payout.objects.create(batch=batch, statement=statement, fen=1)
    asked = {"opened_at": NOW, "answer_by": NOW, "reason": "少算了"}
    case = Dispute.objects.create(brand=shop.brand, staff=shop.staff["A1"], statement=statement, **asked)
    DisputeStep.objects.create(dispute=case, kind="opened", text="少算了", at=NOW)
    sides = [CompanyAccount.objects.create(period=period, company=franchisee(), **made) for _ in range(2)]
    CompanyLeg.objects.bulk_create(
        CompanyLeg(account=account, other=other.company, order=order, kind="recharge", fen=fen, **made)
        for account, other, fen in ((*sides, 1), (*reversed(sides), -1))
    )


def failing(now=NOW):
    """As `manage.py doctor` says it."""
    (found,) = (each for each in doctor.examine(now=now, sample=1) if each.name == "rows_as_sealed")
    return list(found.examples)


def tamper(sql, *values):
    """As somebody whom no trigger and no right stops."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, values)
        assert cursor.rowcount, "nothing was touched"
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


# ── What is sealed ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_row_of_history_is_sealed_once(shop):
    tables = {model._meta.db_table: model for model in MODELS}
    assert {*tables, "retail_seal"} == set(rights.APPEND_ONLY)

    for table, model in tables.items():
        blocks = Seal.objects.filter(table=table).order_by("number")
        assert len(blocks) == 2 and all(seal.rows >= 3 for seal in blocks), table
        assert sum(seal.rows for seal in blocks) == model._base_manager.count(), table
    numbers = Seal.objects.order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, 2 * len(MODELS) + 1))
    assert failing() == [] and seals.seal(now=NOW) == 0


def test_many_rows_become_several_blocks(shop, monkeypatch):
    monkeypatch.setattr(seals, "BLOCK", 4)
    trade(shop, orders=4)

    seals.seal(now=NOW)

    blocks = Seal.objects.filter(table="commissions_entry", number__gt=2 * len(MODELS))
    sizes = list(blocks.order_by("number").values_list("rows", flat=True))
    assert len(sizes) > 2 and set(sizes[:-1]) == {4} and sizes[-1] <= 4
    assert failing() == []


def test_what_is_not_yet_sealed_may_be_changed_unseen_and_later_not(shop):
    """The window, as it is: triggers and rights alone guard what came since."""
    trade(shop)
    last = AuditRow._base_manager.latest("pk").pk
    tamper("UPDATE retail_auditrow SET action = 'nothing' WHERE id = %s", last)
    assert failing() == []

    seals.seal(now=NOW)
    tamper("UPDATE retail_auditrow SET action = 'something' WHERE id = %s", last)
    assert len(failing()) == 1


# ── What is found ────────────────────────────────────────────────────────────────────────────────────────────────────
def edits(dice):
    """One edit at a time of a random row of a random table, in every way there is, the seals themselves included."""
    while True:
        model = dice.choice([*MODELS, Seal])
        table, key = model._meta.db_table, model._meta.pk.column
        ids = list(model._base_manager.order_by("pk").values_list("pk", flat=True))
        pk = dice.choice(ids)
        way = dice.choice(["change", "change", "change", "delete", "move", "insert"])
        if way == "delete" and (model is not Seal or pk != ids[-1]):  # of the end of the chain: see below
            yield f"DELETE FROM {table} WHERE {key} = {pk}"
        elif way == "move":
            yield f"UPDATE {table} SET {key} = -{key} WHERE {key} = {pk}"
        elif way == "insert" and model is not Seal:
            yield copied(model, pk, dice)
        else:
            yield changed(model, pk, dice)


def changed(model, pk, dice):
    column, kind = dice.choice([known for known in columns_of(model) if known[0] != model._meta.pk.column])
    others = {
        "bigint": "coalesce({}, 0) + 1000",
        "integer": "coalesce({}, 0) + 1",
        "smallint": "coalesce({}, 0) + 100",
        "boolean": "NOT {}",
        "date": "{} + 1",
        "timestamp with time zone": "{} + interval '1 microsecond'",
        "uuid": "gen_random_uuid()",
        "bytea": "sha256(coalesce({}, ''))",
        "jsonb": """jsonb_build_object('was', {})""",
        "ARRAY": "{} || 'x'::varchar",
        "character varying": "left(md5(coalesce({}, '')), 3)",
        "text": "coalesce({}, '') || ' '",
    }
    value = others[kind].format(f'"{column}"')
    return f'UPDATE {model._meta.db_table} SET "{column}" = {value} WHERE {model._meta.pk.column} = {pk}'


def copied(model, pk, dice):
    """The same row once more, under a number below the last sealed one, or below all."""
    table = model._meta.db_table
    names = [column for column, _ in columns_of(model)]
    last = Seal.objects.filter(table=table).latest("number").up_to
    free = set(range(-3, last)) - set(model._base_manager.values_list("pk", flat=True))
    values = {"id": str(dice.choice(sorted(free))), "key": "gen_random_uuid()", "hmac": "sha256(hmac)"}
    values |= {"revision": "revision + 100", "version": "version + 100"} if table != "commissions_entry" else {}
    values |= {"batch_id": "batch_id + 100"} if table == "commissions_payout" else {}
    values |= {"number": "number || '-'"} if table == "commissions_actionevent" else {}
    values |= {"order_id": "order_id + 100"} if table == "commissions_companyleg" else {}
    said = ", ".join(values.get(name, f'"{name}"') for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    return f"INSERT INTO {table} ({columns}) SELECT {said} FROM {table} WHERE id = {pk}"


def columns_of(model):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s ORDER BY 1",
            [model._meta.db_table],
        )
        return cursor.fetchall()


@pytest.mark.slow
def test_every_edit_of_what_is_sealed_is_found(shop, size):
    wanted, seed = (2_000 if size == "full" else 200), random.randrange(10**9)
    found, tried, missed = edits(random.Random(seed)), 0, []
    check = doctor.INVARIANTS["rows_as_sealed"]
    look = doctor.Look(NOW, None)
    for statement in found:
        with (
            suppress(IntegrityError),
            transaction.atomic(),
        ):  # a key that may be there once refuses some edits by itself
            tamper(statement)
            tried += 1
            if not list(check(look)):
                missed.append(statement)
            transaction.set_rollback(True)
        if tried == wanted:
            break
    assert missed == [], f"SEED={seed}"
    assert failing() == []
    rows = sum(Seal.objects.values_list("rows", flat=True))
    figure(
        "P4",
        f"{tried} edits of {rows} sealed rows and their {Seal.objects.count()} seals, as administrator: all found",
    )


def test_a_table_that_was_emptied_is_found(shop):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("TRUNCATE commissions_entry")
    assert [fault.split(",")[0] for fault in failing()] == ["commissions_entry"] * 2


def test_a_row_under_a_number_to_come_is_found(shop):
    """The next sealing would not reach it."""
    names = [column for column, _ in columns_of(AuditRow)]
    values = ", ".join("10 ^ 12" if name == "id" else f'"{name}"' for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    tamper(f"INSERT INTO retail_auditrow ({columns}) SELECT {values} FROM retail_auditrow LIMIT 1")

    assert "retail_auditrow: 1 rows from id 1000000000000 on, a number that was never given out" in failing()


def test_a_seal_made_without_the_key_is_found(shop):
    """Changed rows under a digest that fits them: what is missing is the key."""
    last = Seal.objects.filter(table="commissions_entry").latest("number")
    tamper("UPDATE commissions_entry SET fen = fen * 2 WHERE id = %s", last.up_to)
    ((_, _, digest),) = seals._digests(last.table, last.columns, [(0, first_end(), last.up_to)])
    tamper("UPDATE retail_seal SET digest = %s WHERE number = %s", digest, last.number)

    assert any(f"seal {last.number} of commissions_entry was changed" in fault for fault in failing())


def first_end():
    return Seal.objects.filter(table="commissions_entry").earliest("number").up_to


def test_columns_that_come_later_are_no_fault_and_columns_that_go_are(shop):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE retail_auditrow ADD COLUMN colour text")
        assert failing() == []
        cursor.execute("ALTER TABLE retail_auditrow DROP COLUMN reason")
    assert any("gone" in fault for fault in failing())


def test_a_forged_seal_names_no_columns_to_the_database(shop):
    first = Seal.objects.get(number=1).table
    tamper("UPDATE retail_seal SET columns = 'id); SELECT 1/0; --' WHERE number = 1")

    assert failing() == [f"seal 1 of {first} was changed, or the one before it"]


# ── Sealing while others write ───────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def everywhere(transactional_db):
    with scope.within(scope.EVERYTHING):
        yield


def test_the_end_of_the_chain_is_remembered_outside_the_database(everywhere):
    """Whole blocks taken off the end with their rows: the chain that is left fits, and is too short."""
    shop = world()
    for action in ("a", "b"):
        audit.record(by=None, action=action, target=shop.store, now=NOW)
        seals.seal(now=NOW)
    assert list(seals.faults()) == []

    with transaction.atomic():
        tamper("DELETE FROM retail_seal WHERE number = 2")
        tamper("DELETE FROM retail_auditrow WHERE action = 'b'")
    (fault,) = seals.faults()
    assert fault.startswith("seal 2, which ") and fault.endswith("is not there any more: the chain was cut")

    audit.record(by=None, action="c", target=shop.store, now=NOW)
    with pytest.raises(seals.ChainCut, match="the chain was cut"):  # and it does not grow again
        seals.seal(now=NOW + timedelta(seconds=1))
    assert list(seals.faults()) == [fault] and Seal.objects.count() == 1

    seals.head_file().unlink()  # as after a backup that was restored on purpose
    assert list(seals.faults()) == []
    assert seals.seal(now=NOW + timedelta(seconds=1)) == 1


@pytest.mark.parametrize("said", ["", "2", "two abc", "2 abc", "-1 " + 64 * "0", "2 " + 64 * "x", "1 2 3"])
def test_a_damaged_end_of_the_chain_is_said_and_nothing_is_sealed(shop, said):
    seals.head_file().write_text(said)

    assert failing() == [f"{seals.head_file()} is damaged: nobody knows how long the chain was"]
    with pytest.raises(seals.ChainCut, match="damaged"):
        seals.seal(now=NOW)


def test_who_is_still_writing_is_left_to_the_next_time(everywhere):
    shop = world()
    has_written, may_end, failures = threading.Event(), threading.Event(), []
    audit.record(by=None, action="before", target=shop.store, now=NOW)

    def write():
        try:
            with transaction.atomic():
                audit.record(by=None, action="slow", target=shop.store, now=NOW)
                has_written.set()
                assert may_end.wait(20)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert has_written.wait(20)
    audit.record(by=None, action="fast", target=shop.store, now=NOW)  # a higher number, and committed

    assert seals.seal(now=NOW, patience=0.05) == 0
    assert waiting(NOW + timedelta(hours=2)) == {"retail_auditrow: what came since 2026-10-12 06:30 is not sealed"}
    may_end.set()
    writer.join()
    assert failures == []
    assert seals.seal(now=NOW) == 3
    assert list(seals.faults()) == []


@pytest.mark.slow
def test_sealing_amid_many_writers_seals_each_row_once(everywhere):
    shop = world()
    stop, failures = threading.Event(), []

    def write(number):
        dice = random.Random(number)
        try:
            while not stop.is_set():
                with transaction.atomic():
                    for _ in range(dice.randint(1, 5)):
                        audit.record(by=None, action="w", target=shop.store, now=NOW)
                    if dice.random() < 0.2:
                        transaction.set_rollback(True)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    sealed = sum(seals.seal(now=NOW) for _ in range(10))
    stop.set()
    for writer in writers:
        writer.join()
    assert failures == []
    amid, sealed = sealed, sealed + seals.seal(now=NOW)
    assert sealed == AuditRow._base_manager.count() and amid > 0
    assert list(seals.faults()) == []


# ── Going round ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_clock_seals_and_says_when(everything):
    shop = world()
    audit.record(by=None, action="a", target=shop.store, now=NOW)

    assert tasks.seal() == 1

    ran = periodic.last(task="retail.seal")
    assert ran.found["until"] == ran.at.timestamp() <= timezone.now().timestamp()
    jobs.Job.objects.all().delete()
    assert failing() == []


def test_what_waits_for_its_seal_for_more_than_an_hour_is_said(shop):
    """Each table is asked for itself: somebody with an open transaction may hold up the one of them."""
    trade(shop)
    assert failing(now=NOW + timedelta(minutes=59)) == []

    said = waiting(NOW + timedelta(minutes=61))

    assert said == {f"{model._meta.db_table}: what came since 2026-10-12 06:30 is not sealed" for model in MODELS}
    seals.seal(now=NOW)
    assert waiting(NOW + timedelta(minutes=61)) == set()


def test_a_chain_that_was_never_begun_is_said(everything):
    audit.record(by=None, action="a", target=world().store, now=NOW - timedelta(hours=2))

    assert failing() == ["retail_auditrow: what came since 2026-10-12 04:30 is not sealed"]


def waiting(now):
    return set(doctor.INVARIANTS["rows_as_sealed"](doctor.Look(now, None)))


def test_a_sealing_that_stopped_is_said(everything):
    periodic.note(task="retail.seal", now=NOW - timedelta(hours=25))

    assert failing() == ["nothing was sealed since 2026-10-11 13:30"]
