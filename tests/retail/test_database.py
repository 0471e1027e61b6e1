"""What the two logins of the application may not do to the database, whatever the code above asks them."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, DataError, connection
from django.test import Client

from commissions.models import BuyerSnapshot, ClaimRow, Entry, Plan, PlanVersion, Rule
from retail import audit, database, logins, privacy, rights, scope, shapes
from retail.api import tokens
from retail.desk import roles
from retail.models import ApiToken, AuditRow, BuyerKey, Order, OrderVersion, RefundVersion, Staff, User
from tests.factories import NOW, world
from tests.figures import figure
from tests.logins import logged_in
from tests.signing_in import signed_in

BOTH = (logins.WEB, logins.JOB)
BUYER = (shapes.Buyer("phone", "13800005678"),)
RULE = {"id": "r", "calc": {"type": "rate", "ppm": 30000}, "split": [{"role": "serve", "weight": 1}]}


@pytest.fixture
def shop(transactional_db, everything):
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
    "become the administrator": "SET ROLE postgres",
    "become the owner": f"SET ROLE {logins.OWNER}",
    "be somebody else from the start": "SET SESSION AUTHORIZATION postgres",
    "go back to whom one was": "RESET ROLE; UPDATE commissions_entry SET fen = fen + 1",
    "be made a member of the owner": f"GRANT {logins.OWNER} TO CURRENT_USER",
    "give oneself a right": "GRANT UPDATE ON commissions_entry TO PUBLIC; UPDATE commissions_entry SET fen = fen + 1",
    "have a function of one's own": "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "forge what was applied": "DELETE FROM django_migrations",
    "delete orders": "DELETE FROM retail_order",
    "delete lines": "DELETE FROM retail_orderline",
    "delete refunds": "DELETE FROM retail_refund",
    "delete people": "DELETE FROM retail_staff",
    "delete bindings": "DELETE FROM clerks_binding",
    "delete periods": "DELETE FROM commissions_period",
    "empty the orders": "TRUNCATE retail_order CASCADE",
}
KEPT = (Entry, ClaimRow, BuyerSnapshot, AuditRow, Order, OrderVersion, RefundVersion, Rule, PlanVersion, Plan)


def kept():
    return {model: list(model._base_manager.order_by("pk").values()) for model in KEPT}


def test_no_tampering_succeeds_as_the_application(shop):
    before = kept()
    assert all(before.values())
    succeeded = []
    for login in BOTH:
        with logged_in(login), connection.cursor() as cursor:
            for name, statement in TAMPERS.items():
                try:
                    cursor.execute(statement)
                except DatabaseError:
                    continue
                succeeded.append((login, name))
            for statement in ("RESET ROLE", "SET ROLE NONE"):  # which leads nowhere
                cursor.execute(statement)
                cursor.execute("SELECT session_user, current_user")
                assert cursor.fetchone() == (login, login)
    assert succeeded == []
    assert kept() == before
    figure("P4", f"{2 * len(TAMPERS)} tamper statements, logged in as web and as job: 0 accepted, 0 rows changed")


OF_THE_SERVER = {
    "make everybody a superuser": "UPDATE retail_user SET is_superuser = true",
    "add a superuser": "INSERT INTO retail_user (password, is_superuser, username, first_name, last_name, email,"
    " is_staff, is_active, date_joined, session_epoch) VALUES ('', true, 'x', '', '', '', true, true, now(), 0)",
    "send the doctor away": "UPDATE django_celery_beat_periodictask SET enabled = false",
    "let it come once in a year": "UPDATE django_celery_beat_intervalschedule SET every = 31536000",
    "add work of one's own": "INSERT INTO django_celery_beat_intervalschedule (every, period) VALUES (1, 'days')",
    "bring a revoked token back": "UPDATE retail_apitoken SET revoked_at = NULL",
}


def test_a_request_gives_nobody_power_and_stops_no_clock(transactional_db, everything):
    token, _secret = tokens.issue(name="till", channel=world().pos)
    ApiToken.objects.update(revoked_at=NOW)
    User.objects.create(username="ops")
    admin = User.objects.create_superuser("admin", password="a-long-password")
    done = []
    with logged_in(logins.WEB), connection.cursor() as cursor:
        for name, statement in OF_THE_SERVER.items():
            try:
                cursor.execute(statement)
                done.append(name)
            except DatabaseError:
                pass
        cursor.execute("UPDATE retail_user SET is_staff = true")  # what the page of an account writes
        set_password = "UPDATE retail_user SET password = 'x' WHERE is_superuser"
        with pytest.raises(DatabaseError, match="theirs"):
            cursor.execute(set_password)
        with database.published(scope.EVERYTHING, person=admin.pk + 1), pytest.raises(DatabaseError, match="theirs"):
            cursor.execute(set_password)
        with database.published(scope.EVERYTHING, person=admin.pk):
            cursor.execute(set_password)
    assert done == []
    with logged_in(logins.JOB):
        User.objects.update(is_superuser=True)  # manage.py createsuperuser
        with pytest.raises(DatabaseError, match="revoked"):
            ApiToken.objects.filter(pk=token.pk).update(revoked_at=None)
    assert list(rights.faults()) == []


def test_both_have_exactly_the_rights_of_the_list(db):
    tables = connection.introspection.table_names()
    wanted = {
        rights.Held(login, table, right) for login in BOTH for table in tables for right in rights.of(login, table)
    }

    assert len(tables) > 70
    assert rights.held() == wanted
    assert list(rights.faults()) == []


def test_the_list_names_tables_that_there_are(db):
    named = [*rights.APPEND_ONLY, *rights.DELETABLE, "django_migrations"]

    assert len(set(named)) == len(named)
    assert set(named) <= set(connection.introspection.table_names())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (f"GRANT DELETE ON retail_order TO {logins.WEB}", "daogou_web may DELETE retail_order"),
        (f"GRANT UPDATE (fen) ON commissions_entry TO {logins.JOB}", "daogou_job may UPDATE commissions_entry"),
        (f"GRANT INSERT ON retail_seal TO {logins.WEB}", "daogou_web may INSERT retail_seal"),
        (f"REVOKE INSERT ON retail_auditrow FROM {logins.WEB}", "daogou_web may not INSERT retail_auditrow"),
        (
            f"GRANT UPDATE ON retail_user TO {logins.JOB}; DROP TRIGGER power_from_the_server ON retail_user",
            "retail_user: the guard power_from_the_server is missing",
        ),
        (
            f"GRANT UPDATE ON django_celery_beat_periodictask TO {logins.WEB}",
            "daogou_web may UPDATE django_celery_beat",
        ),
        (
            f"ALTER ROLE {logins.WEB} RESET idle_in_transaction_session_timeout",
            "daogou_web may leave a transaction open for ever",
        ),
        (
            f"ALTER ROLE {logins.WEB} SET idle_in_transaction_session_timeout = '2d'",
            "daogou_web may leave a transaction open for 2d",
        ),
        (f"GRANT {logins.OWNER} TO {logins.WEB}", "daogou_web can become daogou_owner"),
        (f"ALTER ROLE {logins.JOB} CREATEROLE", "daogou_job: BYPASSRLS, CREATEROLE, LOGIN"),
        (f"ALTER ROLE {logins.WEB} NOLOGIN", "daogou_web: ; to be LOGIN"),
        (f"GRANT CREATE ON SCHEMA public TO {logins.WEB}", "daogou_web may make tables"),
        (f"ALTER TABLE retail_category OWNER TO {logins.JOB}", "daogou_job owns something"),
        (
            f"ALTER ROLE {logins.WEB} SET session_replication_role = replica",
            "triggers are off by a setting of daogou_web",
        ),
        ("ALTER TABLE retail_auditrow DISABLE TRIGGER append_only", "retail_auditrow: the guard append_only is off"),
        ("DROP TRIGGER legs_add_up ON commissions_entry", "commissions_entry: the guard legs_add_up is missing"),
        ("DROP TRIGGER closed_stays ON commissions_period", "commissions_period: the guard closed_stays is missing"),
        ("ALTER TABLE retail_buyerkey DISABLE ROW LEVEL SECURITY", "retail_buyerkey: row security is missing"),
        (
            "CREATE TRIGGER append_only BEFORE DELETE ON retail_store EXECUTE FUNCTION refuse_change()",
            "retail_store: the guard append_only is not in the list",
        ),
        (
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "the function refuse_change() is ",
        ),
        (
            "CREATE OR REPLACE FUNCTION daogou_sees_key(wanted bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
            "the function daogou_sees_key(wanted bigint) is ",
        ),
        (
            "ALTER FUNCTION refuse_sealed_content() SET search_path = pg_temp, public",
            "the function refuse_sealed_content() is ",
        ),
        (
            "CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON retail_auditrow"
            " FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION refuse_change()",
            "retail_auditrow: the guard append_only is BEFORE DELETE OR UPDATE OR TRUNCATE FOR EACH STATEMENT WHEN",
        ),
        (
            "CREATE SCHEMA other; CREATE FUNCTION other.refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RETURN NULL; END'; CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE"
            " ON retail_auditrow FOR EACH STATEMENT EXECUTE FUNCTION other.refuse_change();"
            " SET LOCAL search_path = other, public",
            "retail_auditrow: the guard append_only is ",
        ),
        (
            "CREATE RULE nothing AS ON INSERT TO retail_auditrow DO INSTEAD NOTHING",
            "retail_auditrow: the rule nothing",
        ),
        ("ALTER POLICY of_scope ON retail_buyerkey USING (true)", "retail_buyerkey: the policy of_scope is "),
        ("ALTER POLICY of_person ON retail_exportfile TO daogou_job", "retail_exportfile: the policy of_person is "),
        (
            "CREATE POLICY another ON retail_exportfile USING (true)",
            "retail_exportfile: the policy another is not in the list",
        ),
    ],
)
def test_what_is_not_as_it_is_to_be_is_said(db, change, said):
    with connection.cursor() as cursor:
        cursor.execute(change)

    assert any(fault.startswith(said) for fault in rights.faults()), list(rights.faults())

    rights.grant()  # mends what it is there for
    assert not [fault for fault in rights.faults() if " may DELETE " in fault or " may UPDATE " in fault]


# ── The second net ───────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def two_shops(shop):
    """Another shop with a buyer of its own."""
    other = world()
    other.settle(other.order(buyer=(shapes.Buyer("phone", "13900001234"),)))
    return shop, other


def masked_of_all():
    return sorted(BuyerKey.objects.values_list("masked", flat=True))


def test_web_sees_only_the_keys_it_may_and_job_all(two_shops):
    ours, _other = two_shops

    with logged_in(logins.WEB):
        assert masked_of_all() == []
        with database.published(scope.Scope(store_ids=frozenset([ours.store.pk]))):
            assert masked_of_all() == ["138****5678"]
        with database.published(scope.EVERYTHING):
            assert len(masked_of_all()) == 2
        with database.published(scope.NOTHING):
            assert masked_of_all() == []
        assert masked_of_all() == []
    with logged_in(logins.JOB):
        assert len(masked_of_all()) == 2


def test_the_feed_stores_and_finds_keys_as_web(shop):
    _token, secret = tokens.issue(name="till", channel=shop.pos)
    row = {
        "channel": shop.pos.code, "outer_order_id": "N1", "paid_at": NOW.isoformat(), "store_code": shop.store.code,
        "buyer": [{"type": "phone", "value": "13800005678"}, {"type": "card", "value": "NEW-CARD-1"}],
        "lines": [{"outer_line_id": "1", "sku": shop.product.sku, "qty": 1, "tag_fen": 1, "paid_fen": 1}],
    }  # fmt: skip
    before = BuyerKey.objects.count()
    with logged_in(logins.WEB):
        answer = Client().post(
            "/api/v1/orders/", {"orders": [row]}, "application/json", headers={"Authorization": f"Bearer {secret}"}
        )
    assert answer.status_code == 200, answer.content
    assert BuyerKey.objects.count() == before + 1


def test_a_page_shows_its_keys_as_web(two_shops):
    ours, _other = two_shops
    manager = ours.hire("M1", role="store_manager")
    account = User.objects.create(username="M1", is_staff=True)
    Staff.objects.filter(pk=manager.pk).update(user=account)
    roles.grant(user=account, role="store_manager")
    key = BuyerKey.objects.get(masked="138****5678")
    client = signed_in(account)

    with logged_in(logins.WEB):
        page = client.get(f"/admin/members/member/{key.identity.member_id}/change/").content.decode()

    assert "138****5678" in page and "139****1234" not in page


# ── Who logs in as whom ──────────────────────────────────────────────────────────────────────────────────────────────
def test_making_the_logins_again_changes_nothing(db):
    with connection.cursor() as cursor:
        assert logins.make(cursor) == []
        cursor.execute(f"ALTER ROLE {logins.WEB} SUPERUSER")
        cursor.execute(f"GRANT {logins.OWNER} TO {logins.JOB}")
        assert logins.make(cursor) == []
        assert logins.powers(cursor) == logins.POWERS and logins.memberships(cursor) == []


def test_a_request_leaves_no_transaction_open_for_long(transactional_db):
    with logged_in(logins.WEB), connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("5min",)


def test_tables_of_an_older_version_are_handed_to_the_owner(db):
    with connection.cursor() as cursor:
        logins.hand_over(cursor)
        cursor.execute(f"SET ROLE {logins.OWNER}")
        cursor.execute("ALTER TABLE retail_order ADD COLUMN colour text")
        cursor.execute("ALTER FUNCTION daogou_sees_key(bigint) IMMUTABLE")
        cursor.execute("ALTER FUNCTION daogou_sees_key(bigint) STABLE")
        rights.grant()
        cursor.execute("RESET ROLE")
    assert list(rights.faults()) == []


def test_the_command_says_whose_address_is_which(db, capsys, monkeypatch):
    call_command("create_logins")

    said = capsys.readouterr().out
    assert f"DATABASE_URL=postgresql://{logins.WEB}:(the password it has)@" in said and "migrate" in said


def test_a_new_password_is_known_to_nobody_else(db):
    with connection.cursor() as cursor:
        password = logins.give_password(cursor, logins.WEB)
        cursor.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [logins.WEB])
        (kept,) = cursor.fetchone()
    assert len(password) >= 32 and kept.startswith("SCRAM-SHA-256$") and password not in kept


START = {  # twice: under the login given, and under the right one
    logins.WEB: """
import importlib
def start():
    importlib.import_module("retail.wsgi")
""",
    logins.JOB: """
import django; django.setup()
import celery.signals, retail.celery
def start():
    celery.signals.worker_init.send(sender=None)
""",
}
TWICE = """
from django.core.exceptions import ImproperlyConfigured
try:
    start()
except (ImproperlyConfigured, SystemExit) as refusal:
    print(refusal)
from retail import database
database.log_in({login!r})
start()
print("started")
"""


@pytest.mark.parametrize("login", START)
def test_web_server_and_worker_start_under_their_own_login_only(login):
    """Nobody connects for that."""
    unset = {"DAOGOU_TESTING", "DAOGOU_DEMO", "PGHOST", "PGUSER"}
    given = {name: value for name, value in os.environ.items() if name not in unset} | {
        "DATABASE_URL": "postgresql://daogou_owner@/none",
        "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "DAOGOU_PRIVACY_KEYS": privacy.new_key(1),
        "DAOGOU_BROKER_URL": "memory://",
    }
    command = [sys.executable, "-W", "ignore", "-c", START[login] + TWICE.format(login=login)]
    said = subprocess.run(command, env=given, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    refusal, started = said.stdout.splitlines()
    assert f"must log in to PostgreSQL as {login}, not as daogou_owner" in refusal and started == "started"


def test_commands_refuse_who_is_not_to_run_them(transactional_db):
    with logged_in(logins.WEB), pytest.raises(CommandError, match="log in as daogou_job"):
        call_command("retention", skip_checks=False)
    with logged_in(logins.OWNER), pytest.raises(CommandError, match="administrator"):
        call_command("create_logins")


@pytest.mark.django_db
def test_a_planned_statement_takes_values_by_place_or_by_name():
    assert database.planned("SELECT %s::int - %s::int, '100%%'", [7, 2]) == [(5, "100%")]
    said = "SELECT %(b)s::int - %(a)s::int, %(b)s::int + 0"
    assert database.planned(said, {"a": 2, "b": 7, "not asked for": 1}) == [(5, 7)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "spelled", ["2026-02-28 23:59:59.999999+00", "0001-01-01 00:00:00+00", "2026-11-23 21:00:00.5+08"]
)
def test_a_moment_is_read_as_it_was_written(spelled):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz, ARRAY[%s::timestamptz, NULL]", [spelled, spelled])
        ((moment, several),) = cursor.fetchall()
    assert (moment, moment.tzinfo, several) == (datetime.fromisoformat(spelled), UTC, [moment, None])


@pytest.mark.django_db
def test_a_moment_told_in_another_zone_is_the_same_moment():
    """And what no datetime can hold is an error of the database's, as ever."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL timezone = 'Asia/Shanghai'")
        cursor.execute("SELECT '2026-11-23 13:00:00+00'::timestamptz")
        assert cursor.fetchone() == (datetime(2026, 11, 23, 13, tzinfo=UTC),)
        cursor.execute("SELECT 'infinity'::timestamptz")
        with pytest.raises(DataError):
            cursor.fetchone()
