"""What the scope costs: lists of a store manager against the same pages with the condition on rows written by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection, models
from django.db.models import Exists, OuterRef, Q
from django.test import Client
from django.test.utils import setup_test_environment, teardown_test_environment
from django.urls import reverse

from clerks import book
from clerks.models import Binding, Customer
from members.models import Member, Membership, Purchase
from retail import scope
from retail.desk import roles
from retail.models import Order, Post, Staff, Store, User
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW
from tests.signing_in import signed_in

TURNS = 15


def scoping(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    """Each page is asked for in turns with the scoped managers and without them; both show the same rows."""
    count = 100_000 if full else 10_000
    _fill(shop, count)
    store = shop.stores[0]
    browser, clerk = signed_in(_manager(store)), _clerk(store)
    purchases = Purchase.objects.filter(membership__member=OuterRef("pk"), store=store.pk)
    setup_test_environment()  # answers tell what they were rendered from
    try:
        for model, condition in (
            (Order, Q(store=store.pk)),
            (Binding, Q(store=store.pk)),
            (Member, Q(Exists(purchases))),
        ):
            yield _compared(browser, model, condition, count)
        yield _own_list(clerk, count)
    finally:
        teardown_test_environment()


def _compared(browser: Client, model: type[models.Model], condition: Q, count: int) -> Verdict:
    page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    ours, plain = Way(f"{page}, scoped managers"), Way(f"{page}, the condition by hand")
    _rows(browser, page)
    for _turn in range(TURNS):
        with plain.turn(), _by_hand(model, condition):
            wanted = _rows(browser, page)
        with ours.turn():
            seen = _rows(browser, page)
        assert seen == wanted and seen[0] > 0
    name = f"{model._meta.verbose_name_raw} list of a store among {count:,}, page against page"
    return Verdict(name, ours.median / plain.median, 1.1, [plain, ours])


def _own_list(clerk: Staff, count: int) -> Verdict:
    """A clerk's own customers on the phone; the query names the clerk itself, so that by hand nothing is added."""
    page, browser = reverse("clerks:customers"), signed_in(clerk.user)
    ours, plain = Way(f"{page}, scoped managers"), Way(f"{page}, the condition by hand")
    _customers(browser, page)
    for _turn in range(TURNS):
        with plain.turn(), _by_hand(Customer, Q(staff=clerk.pk)):
            wanted = _customers(browser, page)
        with ours.turn():
            seen = _customers(browser, page)
        assert seen == wanted and seen
    return Verdict(
        f"clerk's own list among {count:,}, page against page", ours.median / plain.median, 1.1, [plain, ours]
    )


def _customers(browser: Client, page: str) -> list[int]:
    answer = browser.get(page)
    assert answer.status_code == 200, answer
    return [customer.pk for customer in answer.context["page"].customers]


def _rows(browser: Client, page: str) -> tuple[int, list[int]]:
    """How many rows the list has, and those that it shows."""
    answer = browser.get(page)
    assert answer.status_code == 200, answer
    shown = answer.context["cl"]
    return shown.result_count, [row.pk for row in shown.result_list]


@contextmanager
def _by_hand(model: type[models.Model], condition: Q) -> Iterator[None]:
    """Managers that know of no scope; one model's rows are narrowed as somebody would who needs just this page."""
    known = scope.ScopedManager.get_queryset

    def get_queryset(manager: scope.ScopedManager) -> models.QuerySet:
        rows = super(scope.ScopedManager, manager).get_queryset()
        return rows.filter(condition) if manager.model is model else rows

    scope.ScopedManager.get_queryset = get_queryset  # type: ignore[method-assign]  # only for these turns
    try:
        yield
    finally:
        scope.ScopedManager.get_queryset = known  # type: ignore[method-assign]


def _manager(store: Store) -> User:
    staff = Staff.objects.get(posts__store=store, posts__role=Post.Role.STORE_MANAGER)
    staff.user = User.objects.create_user(f"u-{staff.code}", is_staff=True)
    staff.save()
    roles.grant(user=staff.user, role=Post.Role.STORE_MANAGER)
    return staff.user


def _clerk(store: Store) -> Staff:
    staff = Staff.objects.filter(posts__store=store, posts__role=Post.Role.CLERK).first()
    assert staff is not None
    staff.user = User.objects.create_user(f"u-{staff.code}")
    staff.save()
    return staff


def _fill(shop: Shop, count: int) -> None:
    """So many members, each with an order in some store and a clerk there."""
    brand, channel, stores = shop.world.brand, shop.world.pos, shop.stores
    crews = {store.pk: list(Staff.objects.filter(posts__store=store)) for store in stores}
    days = [NOW - timedelta(minutes=n) for n in range(count)]
    members = Member.objects.bulk_create(
        [Member(name=f"会员{n}", created_at=day) for n, day in enumerate(days)], batch_size=5_000
    )
    memberships = Membership.objects.bulk_create(
        [
            Membership(brand=brand, member=member, registered_at=day, first_purchase_at=day, last_purchase_at=day)
            for member, day in zip(members, days, strict=True)
        ],
        batch_size=5_000,
    )
    orders = Order.objects.bulk_create(
        [
            Order(
                channel=channel, brand=brand, store=stores[n % len(stores)], outer_order_id=f"list{n}", paid_at=day,
                fingerprint=b"", tag_fen=100, paid_fen=100, received_at=day, settled_at=day, settled_version=1,
            )
            for n, day in enumerate(days)
        ],
        batch_size=5_000,
    )  # fmt: skip
    Purchase.objects.bulk_create(
        [
            Purchase(order=order, membership=membership, store=order.store, paid_at=order.paid_at, is_first=True)
            for order, membership in zip(orders, memberships, strict=True)
        ],
        batch_size=5_000,
    )
    Binding.objects.bulk_create(
        [
            Binding(
                brand=brand, member=member, store=order.store, staff=crews[order.store.pk][n % 4],
                source=Binding.Source.HISTORY, started_at=order.paid_at, protected_until=NOW,
            )
            for n, (member, order) in enumerate(zip(members, orders, strict=True))
        ],
        batch_size=5_000,
    )  # fmt: skip
    book.refresh(member_ids=[member.pk for member in members], now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
