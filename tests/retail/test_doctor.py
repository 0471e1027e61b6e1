"""The doctor names each invariant that is broken, and only that one."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.utils import timezone

from clerks import oneid
from clerks.models import Binding, Touch
from commissions import closing
from commissions.models import ClaimRow, Entry, Period, Rule, Statement
from members import consent
from members.models import Member, Membership, PointsEntry, PointsRule, Profile, Purchase
from retail import doctor, jobs, periodic, privacy, seals, shapes, tasks
from retail.desk import roles
from retail.models import Order
from tests.factories import NOW, user, world

pytestmark = pytest.mark.usefixtures("everything")


@pytest.fixture
def shop():
    """A shop with a settled sale to a customer of its own, half of it given back."""
    shop = world()
    shop.hire("A1")
    shop.plan(
        {"id": "r", "calc": {"type": "rate", "ppm": 50_000}, "split": [{"role": "serve", "weight": 1}]},
    )
    seals.seal(now=NOW)  # what the plan left in the journal long ago
    sold = shop.order(serving_clerk="A1", buyer=(shapes.Buyer("phone", "13912345678"),))
    shop.settle(sold, shop.order(serving_clerk="A1"))
    shop.refund(sold, fen=5000)
    return shop


def failing(sample=None):
    return {found.name: found.failures for found in doctor.examine(now=NOW, sample=sample) if found.failures}


def tamper(sql, *values):
    """As the owner of the database, past every trigger."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, values)
        assert cursor.rowcount, "nothing was touched"
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def test_a_sound_house_has_no_failures(shop):
    assert failing() == {}


def test_who_was_merged_holds_nothing(shop):
    one, other = Member.objects.get(), Member.objects.create(created_at=NOW)
    done = oneid.merge(keep=other.pk, drop=one.pk, evidence={}, by=None, now=NOW)
    assert failing() == {}
    tamper("UPDATE members_identity SET member_id = %s", one.pk)
    assert failing() == {"merged_hold_nothing": 1, "books_follow_the_facts": 1}
    tamper("UPDATE clerks_merge SET undone_at = now() WHERE id = %s", done.pk)
    assert failing() == {"merged_hold_nothing": 2, "books_follow_the_facts": 1}


def test_every_order_has_its_turn_within_some_nights(shop, monkeypatch):
    monkeypatch.setattr(doctor, "NIGHTS", 4)
    shop.settle(*(shop.order(serving_clerk="A1") for _ in range(3)))

    def looked_at(night):
        look = doctor.Look(NOW + timedelta(days=night), 1)
        return set(doctor._orders_of_tonight(look).values_list("pk", flat=True))

    nights = [looked_at(night) for night in range(8)]

    assert sum(map(len, nights[:4])) == 5 and set.union(*nights[:4]) == set(Order.objects.values_list("pk", flat=True))
    assert nights[4:] == nights[:4] and max(map(len, nights)) < 5


def test_a_cipher_in_the_form_that_any_row_could_hold(shop):
    key = privacy.BuyerKey.objects.get()
    ring, nonce = privacy._ring(), bytes(12)
    old = bytes([ring.ids[0]]) + nonce + ring.ciphers[ring.ids[0]].encrypt(nonce, b"13912345678", None)
    privacy.BuyerKey.objects.filter(pk=key.pk).update(cipher=old)

    assert failing() == {"keys_open": 1}


def touched(member, *, at, purpose="service"):
    Touch.objects.create(corp="ww1", member=member, purpose=purpose, at=at, effect=f"{purpose} {at}")


def test_somebody_was_contacted_after_their_stop(shop):
    """What came before it, what they answered, another purpose and what came once it was lifted are in order."""
    member, day = Member.objects.get(), timedelta(days=1)
    touched(member, at=NOW - 3 * day)
    wish = consent.stop(member=member, corp="ww1", by=None, now=NOW - 2 * day)
    touched(member, at=NOW - day, purpose="reply")
    consent.lift(stop=wish, by=None, now=NOW - day / 2)
    consent.stop(member=member, corp="ww1", purpose="marketing", by=None, now=NOW - day / 4)
    consent.stop(member=member, corp="ww2", by=None, now=NOW - 4 * day)
    touched(member, at=NOW)
    seals.seal(now=NOW)
    assert failing() == {}

    touched(member, at=NOW - day)

    assert failing() == {"no_send_after_stop": 1}
    touched(member, at=NOW, purpose="marketing")
    assert failing() == {"no_send_after_stop": 2}


@pytest.fixture
def points_given(shop):
    """Two customers with points, some used, and some given back."""
    PointsRule.objects.create(brand=shop.brand, name="积分", starts_on=(NOW - timedelta(days=30)).date())
    for n in range(2):
        sold = shop.order(buyer=(shapes.Buyer("phone", f"1390000000{n}"),), points_used=10, serving_clerk="A1")
        shop.settle(sold)
        shop.refund(sold, fen=5000)
    seals.seal(now=NOW)
    assert failing() == {}
    return shop


def test_points_that_no_entry_gave(points_given):
    Membership.objects.filter(points__gt=0).update(points=F("points") + 1)
    assert failing() == {"points_add_up": 2}


def test_points_left_behind_by_a_merge(points_given):
    one, other = Membership.objects.filter(points__gt=0).order_by("pk")
    one.purchases.update(membership=other)
    assert failing()["points_where_they_belong"] == 1


def test_more_given_back_than_was_used(points_given):
    row = PointsEntry.objects.filter(kind="unburn").first()
    PointsEntry.objects.create(
        membership=row.membership, order=row.order, kind="unburn", points=6, at=NOW, created_at=NOW
    )
    seals.seal(now=NOW)
    assert failing() == {"points_where_they_belong": 1}


def test_a_purchase_that_is_worth_something_else(points_given):
    points_given.settle(points_given.order(buyer=(shapes.Buyer("phone", "13900000009"),)))  # nothing of it came back
    seals.seal(now=NOW)
    Purchase.objects.update(net_fen=1)
    assert failing()["purchases_worth"] == Purchase.objects.count() == 4


def test_powers_that_no_page_of_ours_gave(shop):
    clerk = user()
    group = roles.refresh(role="store_manager")
    auditor = roles.refresh(role="auditor")
    staff = shop.hire("M1", role="store_manager")
    staff.user = user()
    staff.save()
    roles.grant(user=staff.user, role="store_manager")
    assert failing() == {}

    group.permissions.add(Permission.objects.get(codename="unmask_buyerkey"))
    clerk.groups.add(auditor)
    clerk.user_permissions.add(Permission.objects.get(codename="view_order"))

    assert failing() == {"powers_as_posted": 3}


def test_two_active_bindings(shop):
    known = Binding.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX binding_one_active")
    Binding.objects.create(
        brand=known.brand,
        member=known.member,
        staff=shop.hire("A2"),
        store=shop.store,
        source="manual",
        started_at=NOW,
        protected_until=NOW,
    )

    assert failing() == {"one_active_binding": 1, "books_follow_the_facts": 1}


def test_a_leg_that_was_changed(shop):
    tamper("UPDATE commissions_entry SET fen = fen + 1 WHERE id = %s", Entry.objects.of_staff().earliest("pk").pk)

    assert failing() == {"legs_add_up": 1, "entries_follow_the_plan": 1}


def test_legs_that_were_changed_together(shop):
    """They still add up to 0; the plan says otherwise."""
    txn = Entry.objects.of_staff().earliest("pk").txn
    tamper("UPDATE commissions_entry SET fen = fen * 2 WHERE txn = %s", txn)

    assert failing() == {"entries_follow_the_plan": 1}


def test_a_leg_that_was_given_to_another(shop):
    entry = Entry.objects.of_staff().filter(kind="earn").latest("pk")
    tamper("UPDATE commissions_entry SET staff_id = %s WHERE id = %s", shop.hire("A2").pk, entry.pk)

    assert failing() == {"entries_follow_the_plan": 1}


def test_a_correction_that_was_not_posted(shop):
    Order.objects.update(paid_at=NOW - timedelta(days=2_000))  # before there was a plan

    assert failing()["entries_follow_the_plan"] == 2
    assert failing(sample=1)["entries_follow_the_plan"] == 1
    assert not Entry.objects.filter(posted_at=NOW, kind="delta").exists()  # the doctor posts nothing


def test_more_given_back_than_was_sold(shop):
    tamper("UPDATE commissions_entry SET fen = fen * 3 WHERE kind = 'reverse'")

    assert failing() == {"refunds_within_sales": 1, "entries_follow_the_plan": 1}


@pytest.fixture
def closed(shop):
    """The period of that sale, closed and paid."""
    at = NOW + timedelta(days=40)
    period = closing.close(period=Period.objects.get(starts_on="2026-10-01"), by=None, now=at)
    for batch in closing.make_batches(period=period, by=None, now=at):
        closing.mark_paid(batch=batch, reference="1", by=None, now=at)
    assert Statement.objects.get().net_fen > 0 and failing() == {}
    connection.check_constraints()  # now, as at a commit: what is tampered with afterwards has been checked
    return period


def test_a_statement_that_was_changed(closed):
    tamper("UPDATE commissions_statement SET net_fen = net_fen + 1, pay_fen = pay_fen + 1")

    assert failing() == {"statements_as_closed": 2}  # not what was frozen, and not what is booked


def test_a_statement_that_was_changed_with_its_digest(closed):
    tamper("UPDATE commissions_statement SET net_fen = net_fen + 1, pay_fen = pay_fen + 1")
    tamper(
        "UPDATE commissions_period SET digest = %s WHERE id = %s", closing.digest(Statement.objects.all()), closed.pk
    )

    assert failing() == {"statements_as_closed": 1}


def test_a_statement_that_is_gone(closed):
    tamper("DELETE FROM commissions_statement")

    assert failing() == {"statements_as_closed": 2}


def test_entries_added_to_a_closed_period(closed):
    """A whole transaction, which adds up."""
    columns = "txn, kind, brand_id, payer_id, staff_id, fen, base_fen, pool_fen, role, paid_at, posted_at, earned_on"
    tamper(
        f"INSERT INTO commissions_entry (key, {columns}, period_booked_id, period_origin_id)"
        " SELECT gen_random_uuid(), -1, 'adjust', brand_id, payer_id, staff_id, 5 * sign(n), 0, 0, '', paid_at,"
        f" posted_at, earned_on, {closed.pk}, {closed.pk}"
        " FROM commissions_entry, (VALUES (1), (-1)) AS n(n) WHERE kind = 'earn' AND (staff_id IS NULL) = (n < 0)"
    )

    assert failing()["statements_as_closed"] == 1


def test_a_rule_that_was_changed_under_its_seal(shop):
    tamper("""UPDATE commissions_rule SET "group" = 'other' WHERE id = %s""", Rule.objects.get().pk)

    assert failing() == {"seals_whole": 1}


def test_a_guard_that_was_switched_off(shop):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE commissions_entry DISABLE TRIGGER append_only")

    assert failing() == {"guards_stand": 1}


def test_a_key_that_is_gone(shop, settings):
    settings.PRIVACY_KEYS = [privacy.new_key(9)]

    # Seals are made with a key, too, and so is what the end of a number is found by.
    assert failing() == {"keys_open": 1, "rows_as_sealed": 1, "books_follow_the_facts": 1}


def test_an_order_that_names_a_key_there_is_none_of(shop):
    Order.objects.filter(pk=Order.objects.latest("pk").pk).update(buyer_keys=[999_999_999])

    assert failing() == {"buyer_keys_exist": 1}


def test_work_that_waits_for_more_than_a_day(shop):
    jobs.Job.objects.all().delete()
    jobs.enqueue(work=[jobs.Work("settle_order", {"order_id": 1})], now=NOW - timedelta(hours=25))
    jobs.enqueue(work=[jobs.Work("settle_order", {"order_id": 2})], now=NOW - timedelta(hours=23))

    assert failing() == {"nothing_waits_a_day": 1}


@pytest.mark.parametrize("column", ["claim_id", "store_id", "period_booked_id", "reverses_id"])
def test_an_entry_that_points_nowhere(shop, column):
    tamper(f"UPDATE commissions_entry SET {column} = 999999 WHERE kind = 'reverse' AND staff_id IS NOT NULL")

    found = failing()

    assert found.pop("references_point_somewhere") == 1
    assert set(found) <= {"entries_follow_the_plan", "refunds_within_sales"}  # the store is part of whose it is


def test_a_claim_that_points_nowhere(shop):
    tamper("UPDATE commissions_claimrow SET payer_id = 999999 WHERE id = %s", ClaimRow.objects.earliest("pk").pk)

    assert failing()["references_point_somewhere"] == 1


@pytest.mark.parametrize("field", ["first_purchase_at", "last_purchase_at"])
def test_a_purchase_date_that_no_purchase_has(shop, field):
    shift = timedelta(days=-1 if field == "first_purchase_at" else 1)
    Membership.objects.update(**{field: Purchase.objects.get().paid_at + shift})

    assert failing() == {"purchase_dates": 1, "profiles_follow_the_facts": 1}


def test_dates_of_somebody_who_never_bought(shop):
    purchase = Purchase.objects.get()
    purchase.delete()

    assert failing() == {"purchase_dates": 1, "profiles_follow_the_facts": 1}


@pytest.mark.parametrize("wrong", [{"paid_fen": 1}, {"orders": 2}, {"tag_ids": [7]}])
def test_a_profile_that_says_something_else(shop, wrong):
    Profile.objects.update(**wrong)

    assert failing() == {"profiles_follow_the_facts": 1, "books_follow_the_facts": 1}


# ── The command ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_command_says_what_holds(shop, capsys):
    jobs.Job.objects.all().delete()
    seals.seal(now=NOW)
    call_command("doctor", "--all")

    said = capsys.readouterr().out
    assert f"All {len(doctor.INVARIANTS)} invariants hold." in said and "FAIL" not in said
    assert set(periodic.last(task="retail.doctor").found.values()) == {0}


def test_the_command_fails_and_gives_examples(shop, capsys):
    jobs.Job.objects.all().delete()
    tamper("UPDATE commissions_entry SET fen = fen + 1")

    with pytest.raises(CommandError, match=f"of {len(doctor.INVARIANTS)} invariants do not hold"):
        call_command("doctor", "--all")

    said = capsys.readouterr().out
    assert "FAIL legs_add_up" in said and "is out by" in said
    assert periodic.last(task="retail.doctor").found["legs_add_up"] > 0


def test_the_nightly_run_keeps_what_it_found(shop):
    tamper("UPDATE commissions_entry SET fen = fen + 1")
    before = timezone.now()

    assert tasks.examine() >= 1

    ran = periodic.last(task="retail.doctor")
    assert ran.at >= before and ran.found["legs_add_up"] > 0
