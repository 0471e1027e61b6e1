"""The read side: the right rows, every one once, in few statements, and none outside the token's scope."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from retail import scope, shapes
from retail.api import tokens
from retail.models import Post
from tests.factories import NOW, World, franchisee, world
from tests.retail.api.conftest import Api

LISTS = ["orders", "products", "stores", "staff", "entries"]
RULE = {"id": "base", "calc": {"type": "rate", "ppm": 30000}, "split": [{"role": "serve", "weight": 1}]}


@pytest.fixture
def sell(shop):
    """Sells in the shop; each order pays its clerk 300 fen of the house's."""
    with scope.within(scope.EVERYTHING):
        shop.hire("A1")
        shop.plan(RULE)

    def sell(count=1, **fields):
        with scope.within(scope.EVERYTHING):
            return [shop.settle(shop.order(**{"serving_clerk": "A1", **fields}))[0] for _ in range(count)]

    return sell


def ids(answer):
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def reader(**place) -> Api:
    return Api(*tokens.issue(name="reader", can_read=True, **place))


# ── What is shown ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_order_shows_its_lines_and_refunds(shop, till, sell):
    with scope.within(scope.EVERYTHING):
        phone = shapes.Buyer("phone", "13800005678")
        sold = shop.order(serving_clerk="A1", lines=[{}, {"qty": 2}], buyer=(phone,))
        (pk,) = shop.settle(sold)
        shop.refund(sold, line="2", fen=500)

    shown = till.get(f"orders/{pk}/").json()

    assert (shown["outer_order_id"], shown["store"]) == (sold.outer_order_id, shop.store.code)
    assert shown["paid_fen"] == 20000
    assert [(line["outer_line_id"], line["sku"], line["qty"]) for line in shown["lines"]] == [
        ("1", shop.product.sku, 1),
        ("2", shop.product.sku, 2),
    ]
    assert [(refund["outer_line_id"], refund["fen"]) for refund in shown["refunds"]] == [("2", 500)]
    assert "buyer" not in str(shown) and "1380000" not in str(shown)


def test_entries_show_who_gets_what_and_in_which_state(shop, till, sell):
    (pk,) = sell()

    shown = till.get("entries/", {"order": pk}).json()["results"]

    assert {(row["staff"], row["fen"], row["kind"]) for row in shown} == {("A1", 300, "earn"), (None, -300, "earn")}
    assert {row["rule"] for row in shown if row["staff"]} == {"base"}
    (state,) = {row["state"] for row in shown}
    by_state = {name: ids(till.get("entries/", {"state": name})) for name in ("pending", "earned", "settled")}
    assert {name: rows for name, rows in by_state.items() if rows} == {state: [row["id"] for row in shown]}


def test_people_show_their_posts(shop, till, sell):
    (shown,) = till.get("staff/").json()["results"]

    assert (shown["code"], shown["share_code"]) == ("A1", "s-A1")
    assert [(post["role"], post["store"]) for post in shown["posts"]] == [("clerk", shop.store.code)]
    assert "phone" not in str(shown)


# ── Filters ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"channel": "pos"}, [0, 1]),
        ({"channel": "tmall"}, [2]),
        ({"store": "home"}, [0]),
        ({"serving_clerk": "A1"}, [0, 2]),
        ({"outer_order_id": "T1"}, [2]),
        ({"paid_from": "2026-10-12T14:30:00+08:00"}, [0, 1]),
        ({"paid_before": "2026-10-12T06:30:00Z"}, [2]),
        ({"is_settled": "true"}, [0]),
        ({"is_settled": "false"}, [1, 2]),
        ({"store": "home", "serving_clerk": "nobody"}, []),
        ({"store": "unheard of"}, []),
    ],
)
def test_orders_are_filtered(shop, till, sell, given, expected):
    with scope.within(scope.EVERYTHING):
        tmall, other = shop.channel("tmall"), shop.another_store()
        rows = [
            sell()[0],
            shop.take(shop.order(store_code=other.code))[0].id,
            shop.take(
                shop.order(channel=tmall, outer_order_id="T1", serving_clerk="A1", paid_at=NOW.replace(month=9)),
                channel=tmall,
            )[0].id,
        ]
    codes = {"pos": shop.pos.code, "tmall": tmall.code, "home": shop.store.code}

    answer = till.get("orders/", {name: codes.get(value, value) for name, value in given.items()})

    assert ids(answer) == [rows[place] for place in expected]


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("products/", {"category": "{category}"}),
        ("products/", {"sku": "{sku}"}),
        ("stores/", {"region": "{region}", "is_open": "true"}),
        ("staff/", {"store": "{store}", "role": "clerk"}),
        ("entries/", {"staff": "A1", "kind": "earn"}),
        ("entries/", {"brand": "{brand}", "staff": "A1", "earned_from": "2026-01-01"}),
    ],
)
def test_the_other_lists_are_filtered(shop, till, sell, path, given):
    sell()
    with scope.within(scope.EVERYTHING):
        other = world()
        other.hire("B1")
        other.plan(RULE)
        other.settle(other.order(serving_clerk="B1"))
    codes = {
        "category": shop.product.category.code,
        "sku": shop.product.sku,
        "region": shop.region.code,
        "store": shop.store.code,
        "brand": shop.brand.code,
    }

    answer = till.get(path, {name: value.format(**codes) for name, value in given.items()})

    assert len(ids(answer)) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("colour=red", "colour"),
        ("store__code=1", "store__code"),
        ("buyer_keys=1", "buyer_keys"),
        ("ordering=paid_fen", "ordering"),
        ("paid_from=yesterday", "paid_from"),
        ("paid_from=2026-13-01", "paid_from"),
        ("paid_from=2026-10-12T00:00:00%2B23:59", "paid_from"),
        ("id_from=x", "id_from"),
        ("id_from=-1", "id_from"),
        ("id_from=9223372036854775808", "id_from"),
        ("id_from=1e400", "id_from"),
        ("id_from=NaN", "id_from"),
        ("store=%00", "store"),
        ("store=a&store=b", "store"),
        ("page_size=0", "page_size"),
        ("page_size=501", "page_size"),
        ("page_size=%C2%B2", "page_size"),
        ("cursor=cD1hYmM=", "cursor"),
        ("cursor=cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk=", "cursor"),
    ],
)
def test_a_parameter_that_is_unknown_or_wrong_is_named(till, query, field):
    answer = till.get(f"orders/?{query}")

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=%00", "paid_from=0001-01-01T00:00:00%2B14:00", "store=%F0%9F%98%80"]
)
def test_an_odd_parameter_breaks_nothing(till, sell, query):
    sell()

    assert till.get(f"orders/?{query}").status_code < 500


def test_a_detail_takes_no_parameter(till, sell):
    (pk,) = sell()

    assert till.get(f"orders/{pk}/?fields=id").status_code == 400


@pytest.mark.parametrize("pk", ["0", "999999999999999999", "9" * 30, "abc", "-1", "1.0"])
@pytest.mark.parametrize("name", LISTS)
def test_what_does_not_exist_is_not_found(till, name, pk):
    assert till.get(f"{name}/{pk}/").status_code == 404


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_nothing_is_changed_or_deleted_from_outside(till, sell, method):
    (pk,) = sell()

    assert till._call(method, f"orders/{pk}/", headers={}).status_code == 405
    assert till._call(method, "orders/", headers={}).status_code == 405


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_walk_over_the_pages_sees_every_row_once(till, sell):
    sold = sell(7)

    seen, address = [], "orders/?page_size=3"
    while address:
        page = till.get(address)
        seen.append(ids(page))
        if len(seen) == 1:
            sold += sell(2)  # rows that come meanwhile are seen at the end
        address = page.json()["next"]

    assert seen == [sold[0:3], sold[3:6], sold[6:9]]
    assert ids(till.get(page.json()["previous"])) == sold[3:6]
    assert ids(till.get("orders/", {"id_from": sold[4]})) == sold[4:]


# ── Scope ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def two_stores(shop) -> tuple[World, World]:
    """The shop, and a franchisee's of another brand; each with a clerk, an order and its entries."""
    with scope.within(scope.EVERYTHING):
        other = world()
        other.store.franchisee = franchisee()
        other.store.save()
        for place, code in ((shop, "A1"), (other, "B1")):
            place.hire(code)
            place.plan(RULE)
            sold = place.order(serving_clerk=code)
            place.settle(sold)
            place.refund(sold, fen=100)
    return shop, other


@pytest.mark.parametrize("place", ["store", "region", "brand", "franchisee"])
@pytest.mark.parametrize("name", LISTS)
def test_a_token_sees_its_place_and_nothing_else(two_stores, till, name, place):
    _, other = two_stores
    theirs = {"store": other.store, "region": other.region, "brand": other.brand, "franchisee": other.store.franchisee}
    narrow = reader(**{place: theirs[place]})

    all_ids, own_ids = ids(till.get(f"{name}/")), ids(narrow.get(f"{name}/"))

    hidden = set(all_ids) - set(own_ids)
    assert own_ids and hidden and set(own_ids) < set(all_ids)
    assert [narrow.get(f"{name}/{pk}/").status_code for pk in own_ids] == [200] * len(own_ids)
    assert [narrow.get(f"{name}/{pk}/").status_code for pk in hidden] == [404] * len(hidden)


def test_a_filter_does_not_reach_over_the_scope(two_stores):
    shop, other = two_stores
    narrow = reader(store=other.store)

    assert ids(narrow.get("orders/", {"store": shop.store.code})) == []
    assert ids(narrow.get("staff/", {"store": shop.store.code})) == []
    assert ids(narrow.get("entries/", {"staff": "A1"})) == []


# ── Statements ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("name", "statements"), [("orders", 2), ("products", 2), ("stores", 2), ("staff", 3), ("entries", 2)]
)
def test_a_list_takes_the_same_statements_with_1_and_3_rows(shop, till, sell, name, statements):
    def fetched():
        with CaptureQueriesContext(connection) as seen:
            rows = ids(till.get(f"{name}/"))
        return len(seen), len(rows)

    sell()
    first = fetched()
    sell(2)
    with scope.within(scope.EVERYTHING):
        for code in ("A2", "A3"):
            shop.hire(code, store=shop.another_store())
        world(), world()
    second = fetched()

    assert second[1] >= first[1] + 2
    assert first[0] == second[0] == statements


def test_a_place_shows_only_its_own_posts_of_a_person(shop, till):
    with scope.within(scope.EVERYTHING):
        clerk, elsewhere = shop.hire("A1"), shop.another_store()
        Post.objects.create(staff=clerk, role="clerk", store=elsewhere, starts_at=NOW)

    def posts(api):
        return [post["store"] for row in api.get("staff/").json()["results"] for post in row["posts"]]

    assert posts(till) == [shop.store.code, elsewhere.code]
    assert posts(reader(store=elsewhere)) == [elsewhere.code]


def test_a_detail_takes_the_same_statements_with_1_and_3_lines(shop, till, sell):
    def fetched(count):
        with scope.within(scope.EVERYTHING):
            sold = shop.order(lines=[{}] * count)
            (pk,) = shop.settle(sold)
            for place in range(count):
                shop.refund(sold, line=str(place + 1), fen=1)
        with CaptureQueriesContext(connection) as seen:
            shown = till.get(f"orders/{pk}/").json()
        assert len(shown["lines"]) == len(shown["refunds"]) == count
        return len(seen)

    assert [fetched(1), fetched(3)] == [4, 4]
