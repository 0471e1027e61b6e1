"""What the two roles of the application may not do to the database, whatever the code above asks them."""

from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from commissions.models import BuyerSnapshot, ClaimRow, Entry, Plan, PlanVersion, Rule
from retail import audit, database, privacy, scope, shapes
from retail.api import tokens
from retail.desk import roles
from retail.models import AuditRow, BuyerKey, OrderVersion, RefundVersion, Staff, User
from tests.factories import NOW, world
from tests.figures import figure
from tests.signing_in import signed_in

BUYER = (shapes.Buyer("phone", "13800005678"),)
RULE = {"id": "r", "calc": {"type": "rate", "ppm": 30000}, "split": [{"role": "serve", "weight": 1}]}


@pytest.fixture
def shop(everything):
    """A sale, corrected and refunded twice, so that every append-only table has rows."""
    shop = world()
    shop.hire("A1")
    shop.plan(RULE)
    sale = shop.order(serving_clerk="A1", buyer=BUYER)
    shop.settle(sale)
    shop.settle(shop.order(outer_order_id=sale.outer_order_id, serving_clerk="A1", buyer=BUYER, coupons=("c",)))
    for fen in (100, 200):
        shop.refund(sale, outer_refund_id="RF1", fen=fen)
    audit.record(by=None, action="change", target=shop.store, now=NOW)
    return shop


@contextmanager
def acting_as(role, monkeypatch=None):
    """This role until the block ends, on the connection of the test."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {role}")
    if monkeypatch:
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"options": f"-c role={role}"})
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")


TAMPERS = {
    "change an entry": "UPDATE commissions_entry SET fen = fen + 1",
    "delete an entry": "DELETE FROM commissions_entry",
    "empty the entries": "TRUNCATE commissions_entry",
    "change a claim": "UPDATE commissions_claimrow SET staff_id = 1",
    "delete a snapshot": "DELETE FROM commissions_buyersnapshot",
    "rewrite the journal": "UPDATE retail_auditrow SET action = 'nothing'",
    "rewrite an old version of an order": "UPDATE retail_orderversion SET document = '{}'",
    "drop the guard": "DROP TRIGGER append_only ON commissions_entry",
    "switch the guard off": "ALTER TABLE commissions_entry DISABLE TRIGGER ALL",
    "replace what the guard does": "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RETURN NULL; END'",
    "step around the guard": "SET session_replication_role = replica",
    "change a sealed rule": 'UPDATE commissions_rule SET calc = \'{"type": "rate", "ppm": 999999}\'',
    "open a sealed version": "UPDATE commissions_planversion SET status = 'draft'",
    "an entry out of nothing": "INSERT INTO commissions_entry (key, txn, kind, brand_id, fen, base_fen, pool_fen,"
    " role, paid_at, posted_at, earned_on) SELECT gen_random_uuid(), 1, 'adjust', brand_id, 1, 0, 0, '', now(), now(),"
    " now() FROM commissions_entry LIMIT 1",
    "let everybody see the keys": "ALTER TABLE retail_buyerkey DISABLE ROW LEVEL SECURITY",
    "become the owner": "SET ROLE postgres; UPDATE commissions_entry SET fen = fen + 1",
}
KEPT = (Entry, ClaimRow, BuyerSnapshot, AuditRow, OrderVersion, RefundVersion, Rule, PlanVersion, Plan)


def kept():
    return {model: list(model._base_manager.order_by("pk").values()) for model in KEPT}


def test_no_tampering_succeeds_as_the_application(shop):
    before = kept()
    assert all(before.values())
    succeeded = []
    for role in (database.WEB, database.JOB):
        for name, statement in TAMPERS.items():
            try:
                with transaction.atomic(), acting_as(role), connection.cursor() as cursor:
                    cursor.execute(statement)
            except DatabaseError:
                continue
            succeeded.append((role, name))
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
    # A superuser login may always go back to itself; the tests' is one.
    assert {name for _, name in succeeded} <= {"become the owner", "step around the guard"}, succeeded
    assert kept() == before
    figure("P4", f"{2 * len(TAMPERS)} tamper statements as web and job: {len(succeeded)} accepted, 0 rows changed")


def test_every_append_only_table_is_closed_to_both_roles(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, role, right_ FROM pg_trigger, unnest(%s::text[]) role,"
            " unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) right_"
            " WHERE tgname = 'append_only' AND has_table_privilege(role, tgrelid, right_)",
            [[database.WEB, database.JOB]],
        )
        assert cursor.fetchall() == []
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname = 'append_only'")
        assert cursor.fetchone()[0] >= 6


# ── The second net ───────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def two_shops(shop):
    """Another shop with a buyer of its own."""
    other = world()
    other.settle(other.order(buyer=(shapes.Buyer("phone", "13900001234"),)))
    return shop, other


def masked_of_all():
    return sorted(BuyerKey.objects.values_list("masked", flat=True))


def test_the_web_role_sees_only_the_keys_it_may(two_shops, monkeypatch):
    ours, _other = two_shops

    with acting_as(database.WEB, monkeypatch):
        assert masked_of_all() == []
        with database.published(scope.Scope(store_ids=frozenset([ours.store.pk]))):
            assert masked_of_all() == ["138****5678"]
        with database.published(scope.EVERYTHING):
            assert len(masked_of_all()) == 2
        with database.published(scope.NOTHING):
            assert masked_of_all() == []
        assert masked_of_all() == []


def test_the_job_role_sees_all_keys(two_shops):
    with acting_as(database.JOB):
        assert len(masked_of_all()) == 2


def test_the_feed_stores_and_finds_keys_as_the_web_role(shop, monkeypatch):
    _token, secret = tokens.issue(name="till", channel=shop.pos)
    row = {
        "channel": shop.pos.code, "outer_order_id": "N1", "paid_at": NOW.isoformat(), "store_code": shop.store.code,
        "buyer": [{"type": "phone", "value": "13800005678"}, {"type": "card", "value": "NEW-CARD-1"}],
        "lines": [{"outer_line_id": "1", "sku": shop.product.sku, "qty": 1, "tag_fen": 1, "paid_fen": 1}],
    }  # fmt: skip
    before = BuyerKey.objects.count()
    with acting_as(database.WEB, monkeypatch):
        answer = Client().post(
            "/api/v1/orders/", {"orders": [row]}, "application/json", headers={"Authorization": f"Bearer {secret}"}
        )
    assert answer.status_code == 200, answer.content
    assert BuyerKey.objects.count() == before + 1


def test_a_page_shows_its_keys_as_the_web_role(two_shops, monkeypatch):
    ours, _other = two_shops
    manager = ours.hire("M1", role="store_manager")
    account = User.objects.create(username="M1", is_staff=True)
    Staff.objects.filter(pk=manager.pk).update(user=account)
    roles.grant(user=account, role="store_manager")
    key = BuyerKey.objects.get(masked="138****5678")
    client = signed_in(account)

    with acting_as(database.WEB, monkeypatch):
        page = client.get(f"/admin/members/member/{key.identity.member_id}/change/").content.decode()

    assert "138****5678" in page and "139****1234" not in page


def test_making_the_roles_again_changes_nothing(db):
    database.make_roles()
    database.make_roles()
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolname, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname LIKE 'daogou_%%'", [])
        assert sorted(cursor.fetchall()) == [("daogou_job", True, False), ("daogou_web", False, False)]
    assert privacy.keep([privacy.Known("card", "", "12345678")])
