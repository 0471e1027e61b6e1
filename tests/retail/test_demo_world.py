"""The demo world, a hundredth of it: the same every time, true to the rules of the product, and it moves."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import msgspec
import pytest
from django.conf import settings
from django.contrib.auth import authenticate
from django.db import connection, transaction
from django.db.models import Count, F, Max, Min, Q, Sum
from django.test import Client, RequestFactory
from django.utils import timezone

from clerks.materials import library, posters, results
from clerks.materials.models import Material, PosterTemplate, ShareDay, ShareSale
from clerks.models import Binding
from commissions import plans, returns
from commissions.models import ActionEvent, ClaimRow, Entry, PlanVersion, Rule
from members.models import Membership
from retail import intake, jobs, privacy, scope, shapes
from retail.demo import logins, seasons, shops, traffic, world
from retail.models import BuyerKey, Order, OrderLine, Post, Refund, Staff, Store, User
from tests.factories import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("demo"), pytest.mark.slow]

EXAMPLES = Path(settings.BASE_DIR) / "docs" / "examples"

# What is the same in two worlds of one day: table → the columns that follow from the day alone. Left out are ids that
# sequences give out, ciphers, and times: those of today depend on the hour.
FACTS = {
    "retail_staff": "id, code, name, share_code, phone_key_id",
    "retail_post": "id, staff_id, role, store_id, region_id, franchisee_id, starts_at, ends_at",
    "retail_product": "id, sku, name, tag_fen",
    "retail_buyerkey": "id, type, scope, hmac, masked",
    "members_member": "id, name, created_at",
    "members_identity": "member_id, key_id, source, seen_at",
    "members_membership": "id, brand_id, member_id, tier_id, registered_at",
    "members_purchase": "order_id, membership_id, is_first",
    "retail_order": "id, channel_id, store_id, delivered_at, buyer_keys, serving_clerk, share_code, tag_fen, paid_fen",
    "retail_orderline": "order_id, outer_line_id, product_id, qty, tag_fen, paid_fen",
    "retail_refund": "order_id, refunded_at, fen, cumulative_fen, qty",
    "clerks_binding": "brand_id, member_id, staff_id, source, ended_at",
    "materials_material": "brand_id, kind, name, scene, is_pinned",
    "materials_share": "code, staff_id, store_id, member_id, via",
    "materials_opening": "visitor, member_id, seconds",
    "materials_sharesale": "order_id, way",
    "materials_shareday": "day, staff_id, store_id, shares, openings, viewers, known, buyers, orders, sales_fen",
    "members_membertag": "member_id, brand_id, source, staff_id, why",
    "commissions_entry": "kind, order_id, role, staff_id, fen, earned_on",
}


@pytest.fixture(scope="module")
def demo(django_db_setup, django_db_blocker):
    """The world of these tests, each of which leaves it as it was; yields what a first one, thrown away, was like."""
    with django_db_blocker.unblock():
        with made(now=NOW - timedelta(hours=3)):
            first = digests()
        with made(now=NOW):
            yield first


@contextmanager
def made(*, now: datetime) -> Iterator[None]:
    """A world that is gone after the block."""
    with transaction.atomic(), scope.within(scope.EVERYTHING):
        world.load(progress=lambda *_: None, now=now, size=world.scaled(0.01))
        yield
        transaction.set_rollback(True)


def digests() -> dict[str, tuple[int, str]]:
    """Of each table the number of its rows and a hash of them."""
    found = {}
    with connection.cursor() as cursor:
        for table, columns in FACTS.items():
            rows = f"SELECT ({columns})::text AS row FROM {table}"
            cursor.execute(f"SELECT count(*), md5(string_agg(row, '|' ORDER BY row)) FROM ({rows}) AS rows")
            found[table] = cursor.fetchone()
    return found


# ── The same every time, and whole ───────────────────────────────────────────────────────────────────────────────────
def test_two_worlds_of_one_day_are_the_same(demo):
    assert digests() == demo


def test_it_has_what_it_promises():
    assert Post.objects.filter(role="store_manager").count() == 30
    assert Store.objects.exclude(franchisee=None).count() == 8
    assert Order.objects.exclude(outer_order_id__startswith="MPD").count() == 1200  # those of people known twice apart
    assert set(Order.objects.values_list("channel__kind", flat=True)) == set(shops.SHARE_OF)
    assert Refund.objects.exists()
    assert OrderLine.objects.filter(is_gift=True).exists()
    assert Order.objects.filter(buyer_keys=[]).exists()
    assert 0.6 < Binding.objects.active().count() / Membership.objects.count() < 0.8
    assert Binding.objects.filter(end_reason="handed_over").exists()
    assert not jobs.Job.objects.exists()


def test_its_clerks_send_what_is_opened_and_bought():
    """Every kind can be sent; what came of it is what a roll-up would make of it."""
    star = Staff.objects.get(user__username=logins.CLERK.username)
    own = ShareDay.objects.filter(staff=star).aggregate(*map(Sum, ("shares", "openings", "known", "orders")))
    assert all(own.values())
    assert ShareSale.objects.filter(way="opening").exists()
    assert ActionEvent.objects.filter(type="opened", staff=star).exists()
    post = Post.objects.at(NOW).get(staff=star)
    kinds = set(library.sendable(post=post, now=NOW).values_list("kind", flat=True))
    assert kinds == set(Material.Kind.values)
    days = [NOW.date() - timedelta(days=back) for back in range(40)]
    assert results.roll_up(days=days, now=NOW) == 0
    for template in PosterTemplate.objects.all():
        assert not posters.faults(template.areas, template.width, template.height)


def test_nothing_happens_in_the_future():
    assert not Order.objects.filter(paid_at__gte=NOW).exists()
    assert not Refund.objects.filter(refunded_at__gte=NOW).exists()
    assert not Order.objects.filter(delivered_at__gte=NOW).exists()
    assert Order.objects.filter(paid_at__date=NOW.date()).exists()


# ── True to the rules of the product ─────────────────────────────────────────────────────────────────────────────────
def test_all_of_its_year_is_settled():
    assert not Order.objects.filter(settled_at=None).exists()
    assert not Refund.objects.filter(settled_at=None).exists()
    first_day = NOW - timedelta(days=360)
    assert Entry.objects.of_staff().filter(paid_at__lt=first_day + timedelta(days=30)).exists()
    assert ClaimRow.objects.values("order").distinct().count() > 1000


def test_it_is_marked_as_whole():
    """A start goes on with no other; the mark is taken back with the world."""
    assert world.is_whole()
    assert not world.is_unfinished()


def test_legs_add_up_to_zero():
    assert Entry.objects.exists()
    assert not Entry.objects.values("txn").annotate(total=Sum("fen")).exclude(total=0)


def test_brands_match():
    wrong = Order.objects.exclude(store=None).exclude(store__brand=F("brand"))
    assert not wrong.exists()
    assert not Order.objects.exclude(channel__brand=F("brand")).exists()
    assert not OrderLine.objects.exclude(product__brand=F("order__brand")).exists()


def test_nobody_has_two_clerks():
    twice = Binding.objects.active().values("brand", "member").annotate(clerks=Count("pk")).filter(clerks__gt=1)
    assert not twice.exists()


def test_clerks_serve_while_they_work_there():
    for order in Order.objects.exclude(serving_clerk="").select_related("store")[:300]:
        posts = Post.objects.at(order.paid_at).filter(staff__code=order.serving_clerk, store=order.store)
        assert posts.exists(), order


def test_no_more_comes_back_than_was_paid():
    for order in Order.objects.exclude(refunds=None).prefetch_related("lines", "refunds"):
        found = returns.tally(lines=order.lines.all(), refunds=order.refunds.all())
        assert not found.excess
        assert not found.astray


def test_memberships_know_their_purchases():
    spans = Membership.objects.annotate(first=Min("purchases__paid_at"), last=Max("purchases__paid_at"))
    assert not spans.exclude(first=None).exclude(first_purchase_at=F("first"), last_purchase_at=F("last")).exists()
    assert not spans.filter(first=None).exclude(first_purchase_at=None).exists()
    firsts = Membership.objects.filter(member__merges=None).annotate(
        firsts=Count("purchases", filter=Q(purchases__is_first=True))
    )
    assert not firsts.filter(firsts__gt=1).exists()


def test_an_order_is_what_the_feed_would_have_written():
    """Sent once more it changes nothing."""
    order = Order.objects.exclude(buyer_keys=[]).exclude(store=None).filter(delivered_at=None).first()
    row = as_sent(order)
    assert bytes(order.fingerprint) == hashlib.blake2b(shapes.encode(row), digest_size=16).digest()
    (taken,) = intake.take_orders(channel=order.channel, data=[row], now=NOW)
    assert (taken.status, taken.id) == ("unchanged", order.pk)


def as_sent(order: Order) -> shapes.Order:
    """The feed row of an order at the till, from what is stored of it."""
    keys = {key.pk: key for key in BuyerKey.objects.filter(pk__in=order.buyer_keys)}
    return shapes.Order(
        channel=order.channel.code,
        outer_order_id=order.outer_order_id,
        paid_at=order.paid_at.astimezone(seasons.SHANGHAI),
        store_code=order.store.code,
        buyer=tuple(shapes.Buyer(keys[pk].type, privacy.reveal(keys[pk])) for pk in order.buyer_keys),
        serving_clerk=order.serving_clerk or None,
        share_code=order.share_code or None,
        coupons=tuple(order.coupons),
        points_used=order.points_used,
        lines=tuple(
            shapes.Line(
                outer_line_id=line.outer_line_id,
                sku=line.product.sku,
                qty=line.qty,
                tag_fen=line.tag_fen,
                paid_fen=line.paid_fen,
                cost_fen=line.cost_fen,
                is_gift=line.is_gift,
            )
            for line in order.lines.order_by("pk")
        ),
    )


# ── The people behind the doors ──────────────────────────────────────────────────────────────────────────────────────
def test_everybody_behind_a_door_can_sign_in_and_holds_the_post():
    for login in logins.LOGINS[:-1]:
        assert Post.objects.at(NOW).filter(staff__user__username=login.username, role=login.role).exists()
    users = User.objects.filter(username__in=[login.username for login in logins.LOGINS])
    assert len(users) == len(logins.LOGINS)
    assert {user.password for user in users} == {users[0].password}  # one hash, made once: they are slow on purpose
    request = RequestFactory().post("/admin/login/")
    assert authenticate(request, username=logins.CLERK.username, password=logins.CLERK.password)
    assert users.get(username="admin").is_superuser


def test_the_clerk_has_a_story():
    entries = Entry.objects.filter(staff__user__username="clerk")
    today = NOW.date()
    assert {"serve", "bound", "share"} <= set(entries.paid_on(today).values_list("role", flat=True))
    assert entries.earned(today).filter(kind="earn").exists()
    assert entries.pending(today).exists()
    assert entries.filter(kind="reverse").exists()


def test_the_franchise_clerk_is_paid_by_the_company():
    payers = set(Entry.objects.filter(staff__user__username="clerk2").values_list("payer__code", flat=True))
    assert payers == {"F1"}


def test_plans_are_in_force_and_a_draft_waits():
    statuses = sorted(PlanVersion.objects.values_list("status", flat=True))
    assert statuses == ["active", "active", "draft", "draft"]
    for version in PlanVersion.objects.all():
        assert 10 <= version.rules.count() <= 15
        assert not plans.faults(version)


def test_every_rule_pays_somebody():
    idle = Rule.objects.filter(version__status="active").exclude(pk__in=Entry.objects.values("rule"))
    assert {rule.code for rule in idle} <= {"pos-home", "accessory", "bottle", "pos-flagship", "wake-up", "region"}


# ── It moves ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_traffic_is_taken_by_the_api():
    for seed in range(25):
        for message in traffic.compose(rng=Random(seed), now=timezone.now()):
            answer = Client().post(
                f"/api/v1/{message.path}/",
                data=msgspec.json.encode({message.path: [message.row]}),
                content_type="application/json",
                headers={"Authorization": f"Bearer {shops.secret(message.channel)}"},
            )
            assert answer.status_code == 200, answer.content
            assert answer.json()["accepted"] == 1


def test_the_examples_of_the_documentation_are_taken_by_the_api():
    for path in ("orders", "refunds"):
        answer = Client().post(
            f"/api/v1/{path}/",
            data=(EXAMPLES / f"{path[:-1]}.json").read_bytes(),
            content_type="application/json",
            headers={"Authorization": f"Bearer {shops.secret('xl-pos')}"},
        )
        assert (answer.status_code, answer.json()["results"][0]["status"]) == (200, "created"), answer.content
    order = Order.objects.get(outer_order_id="EXAMPLE-1")
    assert order.serving_clerk == Staff.objects.get(user__username=logins.CLERK.username).code


def test_traffic_needs_the_address_of_a_demo_on_this_machine(monkeypatch):
    for address in ("", "http://daogou.example/"):
        monkeypatch.setenv(traffic.ADDRESS, address)
        assert traffic.send() == 0


def test_traffic_that_nobody_takes_is_only_logged(monkeypatch, caplog):
    monkeypatch.setenv(traffic.ADDRESS, "http://127.0.0.1:9/")
    assert traffic.send() == 0
    assert "did not take" in caplog.text
