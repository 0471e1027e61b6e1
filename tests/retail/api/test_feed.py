"""Batches of orders and refunds: what is kept, what is refused and why, and that nothing counts twice."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from retail import retention, scope
from retail.api import tokens
from retail.models import ApiCall, Job, Order, OrderVersion, Refund
from tests.factories import number, world
from tests.retail.api.conftest import Api


def order(shop, **fields):
    return {
        "channel": shop.pos.code,
        "outer_order_id": f"O{number()}",
        "paid_at": "2026-10-12T14:30:00+08:00",
        "store_code": shop.store.code,
        "buyer": [{"type": "phone", "value": f"139{number():08d}"}],
        "lines": [line(shop)],
        **fields,
    }


def line(shop, **fields):
    return {"outer_line_id": "1", "sku": shop.product.sku, "qty": 1, "tag_fen": 10000, "paid_fen": 9000, **fields}


def refund(sold, **fields):
    return {
        "channel": sold["channel"],
        "outer_refund_id": f"R{number()}",
        "outer_order_id": sold["outer_order_id"],
        "outer_line_id": "1",
        "refunded_at": "2026-10-13T10:00:00+08:00",
        **({} if {"cumulative_fen", "qty"} & fields.keys() else {"fen": 100}),
        **fields,
    }


def statuses(answer):
    return [row["status"] for row in answer.json()["results"]]


def rows(model):
    return list(model._base_manager.order_by("pk"))


# ── Orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_batch_becomes_orders_and_work(shop, till):
    first, second = order(shop), order(shop, lines=[line(shop), line(shop, outer_line_id="2", paid_fen=-50, qty=-1)])

    answer = till.post("orders/", {"orders": [first, second]})

    assert answer.status_code == 200
    kept = rows(Order)
    assert answer.json() == {
        "results": [
            {"row": 0, "status": "created", "id": kept[0].pk, "outer_order_id": first["outer_order_id"]},
            {"row": 1, "status": "created", "id": kept[1].pk, "outer_order_id": second["outer_order_id"]},
        ],
        "accepted": 2,
        "rejected": 0,
    }
    assert [one.paid_fen for one in kept] == [9000, 8950]
    assert [job.payload for job in rows(Job)] == [{"order_id": one.pk} for one in kept]


def test_the_same_batch_twice_changes_nothing(shop, till):
    batch = {"orders": [order(shop), order(shop)]}
    till.post("orders/", batch)

    again = till.post("orders/", batch)

    assert again.status_code == 200 and statuses(again) == ["unchanged", "unchanged"]
    assert len(rows(Order)) == len(rows(Job)) == 2


def test_other_content_under_the_same_number_is_a_correction(shop, till):
    sold = order(shop)
    till.post("orders/", {"orders": [sold]})

    answer = till.post("orders/", {"orders": [sold | {"lines": [line(shop, paid_fen=8000)]}]})

    assert statuses(answer) == ["corrected"]
    (kept,) = rows(Order)
    assert (kept.version, kept.paid_fen) == (2, 8000)
    assert [old.document["paid_fen"] for old in rows(OrderVersion)] == [9000]


def test_an_order_twice_in_one_batch_is_kept_once(shop, till):
    sold = order(shop)

    answer = till.post("orders/", {"orders": [sold, sold, sold | {"serving_clerk": "A9"}]})

    assert answer.status_code == 422 and statuses(answer)[2] == "rejected"
    assert answer.json()["results"][2]["errors"] == [
        {"field": "outer_order_id", "message": "appears twice in this batch", "code": "repeated"}
    ]
    assert len(rows(Order)) == 1


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"channel": "tmall"}, "channel", "'tmall'"),
        ({"store_code": "X1"}, "store_code", "unknown store 'X1'"),
        ({"fulfil_store_code": "X2"}, "fulfil_store_code", "unknown store 'X2'"),
        ({"lines": [{"sku": "X3"}]}, "lines[0].sku", "unknown SKU 'X3'"),
        ({"lines": [{}, {"outer_line_id": "2", "brand": "X4"}]}, "lines[1].brand", "unknown brand 'X4'"),
        ({"lines": [{}, {}]}, "lines[1].outer_line_id", "appears twice"),
        ({"lines": []}, "lines", "length >= 1"),
        ({"lines": [{}, {"qty": "2"}]}, "lines[1].qty", "Expected `int`, got `str`"),
        ({"lines": [{"qty": 1.5}]}, "lines[0].qty", "Expected `int`"),
        ({"lines": [{"colour": "red"}]}, "lines[0].colour", "unknown field"),
        ({"lines": [{"paid_fen": 10**13}]}, "lines[0].paid_fen", "<= 1000000000000"),
        ({"paid_at": None}, "paid_at", "Expected `datetime`"),
        ({"paid_at": "2026-10-12T14:30:00"}, "paid_at", "timezone"),
        ({"outer_order_id": ""}, "outer_order_id", "length >= 1"),
        ({"outer_order_id": "a\x00b"}, "outer_order_id", "regex"),
        ({"buyer": [{"type": "phone", "value": "abc"}]}, "buyer[0]", "phone"),
        ({"buyer": [{"type": "shoe", "value": "42"}]}, "buyer[0].type", "'shoe'"),
        ({"points_used": -1}, "points_used", ">= 0"),
        ({"lines": [{}, {"outer_line_id": "2", "paid_fen": -1}]}, "lines[1].paid_fen", "a refund"),
        ({"coupon": ["x"]}, "coupon", "unknown field"),
    ],
)
def test_a_bad_row_is_named_with_its_field_and_its_neighbours_are_kept(shop, till, wrong, field, said):
    if "lines" in wrong:
        wrong = {"lines": [line(shop, **fields) for fields in wrong["lines"]]}

    answer = till.post("orders/", {"orders": [order(shop), order(shop, **wrong), order(shop)]})

    assert answer.status_code == 422
    assert statuses(answer) == ["created", "rejected", "created"]
    (error,) = answer.json()["results"][1]["errors"]
    assert error["field"] == field and said in error["message"]
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, 1)
    assert len(rows(Order)) == 2


def test_a_missing_field_is_named(shop, till):
    bad = order(shop)
    del bad["lines"][0]["sku"]

    answer = till.post("orders/", {"orders": [bad]})

    assert answer.json()["results"] == [
        {
            "row": 0,
            "status": "rejected",
            "errors": [{"field": "lines[0].sku", "message": "Object missing required field `sku`", "code": "missing"}],
            "outer_order_id": bad["outer_order_id"],
        }
    ]


def test_a_key_given_twice_is_an_error_that_names_it(shop, till):
    good, bad = json.dumps(order(shop)), json.dumps(order(shop)).replace('"qty": 1', '"qty": 1, "qty" : 9')

    answer = till.post("orders/", f'{{"orders": [{good}, {bad}]}}'.encode())

    assert statuses(answer) == ["created", "rejected"]
    assert answer.json()["results"][1]["errors"] == [
        {"field": "lines[0].qty", "message": "appears twice in one object", "code": "repeated"}
    ]


def test_a_text_that_looks_like_a_repeated_key_is_no_error(shop, till):
    sold = order(shop, serving_clerk='":"qty":1', share_code='"sku":"sku":')

    assert statuses(till.post("orders/", {"orders": [sold]})) == ["created"]


def test_a_batch_has_1_to_500_rows(shop, till):
    nothing = till.post("orders/", {"orders": []})
    too_many = till.post("orders/", {"orders": [order(shop)] * 501})
    enough = till.post("orders/", {"orders": [order(shop) for _ in range(500)]})

    assert nothing.status_code == 400 and "at least one" in nothing.json()["detail"]
    assert too_many.status_code == 413 and "more than 500 rows" in too_many.json()["detail"]
    assert enough.status_code == 200 and len(rows(Order)) == 500


@pytest.mark.parametrize("said", ["text/plain", "application/x-www-form-urlencoded", "text/json", ""])
def test_what_does_not_say_it_is_json_is_refused(shop, till, said):
    raw = json.dumps({"orders": [order(shop)]}).encode()

    answer = till._call("post", "orders/", data=raw, content_type=said, headers={})

    assert answer.status_code == 415 and "detail" in answer.json() and not rows(Order)
    assert till._call("post", "orders/", data=raw, content_type="Application/JSON; charset=utf-8", headers={}).json()


WORDS = [
    ({"store_code": "X1"}, "unknown_store", "没有这家门店：X1"),
    ({"paid_at": "2026-10-12T14:30:00"}, "no_timezone", "时间要带时区"),
    ({"lines": []}, "bad_length", "至少要 1 项"),
    ({"points_used": "a"}, "bad_type", "应是 int，收到的是 str"),
    ({"coupon": ["x"]}, "unknown_field", "没有字段 coupon"),
]


@pytest.mark.parametrize(("wrong", "code", "said"), WORDS)
def test_an_error_has_a_code_and_speaks_the_language_that_was_asked_for(shop, till, wrong, code, said):
    bad = {"orders": [order(shop, **wrong)]}

    chinese = till.post("orders/", bad, **{"Accept-Language": "zh-CN"}).json()["results"][0]["errors"]
    english = till.post("orders/", bad).json()["results"][0]["errors"]

    assert [one["code"] for one in (*chinese, *english)] == [code, code]
    assert said in chinese[0]["message"] and english[0]["message"].isascii()


def test_a_refused_call_has_a_code_and_one_language(shop, till):
    def told(answer) -> tuple[int, str, bool]:
        said = answer.json()
        return answer.status_code, said["code"], said["detail"].isascii()

    cut = b'{"orders": [\n{"a": 1'
    for language, words in (("zh-CN", "第 2 行第 8 列"), ("en", "line 2 column 8")):
        answer = till.post("orders/", cut, **{"Accept-Language": language})
        assert (answer.json()["code"], words in answer.json()["detail"]) == ("not_json", True)
    client, wrong = Client(), {"Authorization": "Bearer wrong"}
    for language, is_ascii in (("", False), ("zh-CN", False), ("en", True)):
        spoken = {"Accept-Language": language}
        assert told(client.get("/api/v1/orders/", headers=spoken)) == (401, "not_authenticated", is_ascii)
        assert told(client.get("/api/v1/orders/", headers=spoken | wrong)) == (401, "authentication_failed", is_ascii)
        assert told(till.post("orders/", {"orders": []}, **spoken)) == (400, "no_rows", is_ascii)
        assert told(till.get("orders/?x=1", **spoken)) == (400, "invalid", is_ascii)
    assert client.get("/api/v1/nothing/").json()["code"] == "not_found"


@pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing/", "/api/v2/orders/", "/api/v1/orders/x/y/", "/api/%ff"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_an_address_that_is_none_is_told_in_json(db, path, method):
    answer = getattr(Client(), method)(path)

    assert answer.status_code == 404 and answer["Content-Type"] == "application/json"
    assert answer.json()["detail"]
    assert Client().get("/nothing/")["Content-Type"].startswith("text/html")


def test_a_batch_sent_to_the_address_without_its_slash_is_not_led_elsewhere(shop, till):
    answer = till.post("orders", [order(shop)])

    assert answer.status_code == 404 and answer["Content-Type"] == "application/json"


def test_a_body_of_too_many_bytes_is_refused(till, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    assert till.post("orders/", b"x" * 1001).status_code == 413


def test_orders_cost_the_same_number_of_statements_however_many(shop, till):
    def statements(count):
        with CaptureQueriesContext(connection) as seen:
            assert till.post("orders/", {"orders": [order(shop) for _ in range(count)]}).status_code == 200
        return len(seen)

    assert [statements(1), statements(50)] == [13, 13]


def test_the_rights_of_one_channel_are_not_those_of_another(shop, till):
    with scope.within(scope.EVERYTHING):
        other = world()

    answer = till.post("orders/", {"orders": [order(other)]})

    assert answer.status_code == 422 and statuses(answer) == ["rejected"]
    assert not rows(Order)


# ── Refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_refund_before_its_order_waits_for_it(shop, till):
    sold = order(shop)
    back = refund(sold)

    early = till.post("refunds/", {"refunds": [back]})
    assert early.status_code == 200 and statuses(early) == ["parked"]
    assert not rows(Job)

    till.post("orders/", {"orders": [sold]})

    (kept,) = rows(Refund)
    assert kept.order_id == rows(Order)[0].pk
    assert statuses(till.post("refunds/", {"refunds": [back]})) == ["unchanged"]


def test_a_refund_of_a_known_order_becomes_work(shop, till):
    sold = order(shop)
    till.post("orders/", {"orders": [sold]})

    answer = till.post("refunds/", {"refunds": [refund(sold), refund(sold, qty=1)]})

    assert statuses(answer) == ["created", "created"]
    assert [job.kind for job in rows(Job)] == ["settle_order", "settle_refund", "settle_refund"]
    assert answer.json()["results"][0]["outer_refund_id"] == rows(Refund)[0].outer_refund_id


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"outer_line_id": "9"}, "outer_line_id", "no line '9'"),
        ({"channel": "tmall"}, "channel", "'tmall'"),
        ({"fen": -1}, "fen", ">= 0"),
        ({"fen": 1, "qty": 1}, "", "exactly one"),
        ({"refunded_at": "yesterday"}, "refunded_at", "datetime"),
    ],
)
def test_a_bad_refund_is_named_with_its_field(shop, till, wrong, field, said):
    sold = order(shop)
    till.post("orders/", {"orders": [sold]})

    answer = till.post("refunds/", {"refunds": [refund(sold, **wrong), refund(sold)]})

    assert answer.status_code == 422 and statuses(answer) == ["rejected", "created"]
    (error,) = answer.json()["results"][0]["errors"]
    assert error["field"] == field and said in error["message"]


# ── Idempotency ──────────────────────────────────────────────────────────────────────────────────────────────────────
KEY = {"Idempotency-Key": "night run 1"}


def test_the_same_key_and_body_get_the_stored_answer(shop, till):
    batch = {"orders": [order(shop), order(shop, store_code="nowhere")]}

    first, again = till.post("orders/", batch, **KEY), till.post("orders/", batch, **KEY)

    assert "Idempotency-Hit" not in first.headers and again.headers["Idempotency-Hit"] == "true"
    assert first.status_code == again.status_code == 422
    assert first.content == again.content and statuses(again) == ["created", "rejected"]


def test_the_same_key_with_another_body_is_a_conflict(shop, till):
    till.post("orders/", {"orders": [order(shop)]}, **KEY)

    answer = till.post("orders/", {"orders": [order(shop)]}, **KEY)

    assert answer.status_code == 409 and "Idempotency-Key" in answer.json()["detail"]
    assert len(rows(Order)) == 1


def test_a_key_belongs_to_its_token(shop, till):
    batch = {"orders": [order(shop)]}
    other = Api(*tokens.issue(name="other till", channel=shop.pos))

    till.post("orders/", batch, **KEY)

    assert statuses(other.post("orders/", batch, **KEY)) == ["unchanged"]


def test_an_answer_without_effect_is_not_stored(shop, till):
    assert till.post("orders/", b"{", **KEY).status_code == 400

    assert till.post("orders/", {"orders": [order(shop)]}, **KEY).status_code == 200
    assert ApiCall.objects.count() == 1


@pytest.mark.parametrize("key", ["", "k" * 129, "a\tb"])
def test_a_key_has_1_to_128_printable_characters(shop, till, key):
    answer = till.post("orders/", {"orders": [order(shop)]}, **{"Idempotency-Key": key})

    assert answer.status_code == 400 and not rows(Order)


def test_answers_are_forgotten_after_a_week(shop, till):
    till.post("orders/", {"orders": [order(shop)]}, **KEY)

    assert retention.forget(now=timezone.now() + timedelta(days=6))["stored API answers"] == 0
    assert retention.forget(now=timezone.now() + timedelta(days=8))["stored API answers"] == 1
    assert not ApiCall.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("headers", [KEY, {}])
def test_the_same_batch_at_once_has_one_effect(shop, till, headers):
    batch, start = {"orders": [order(shop) for _ in range(20)]}, Barrier(4)

    def post(_):
        try:
            start.wait()
            return till.post("orders/", batch, **headers)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(post, range(4)))

    assert [answer.status_code for answer in said] == [200] * 4
    assert len(rows(Order)) == len(rows(Job)) == 20
    if headers:
        assert len({answer.content for answer in said}) == 1
        assert sum("Idempotency-Hit" in answer.headers for answer in said) == 3
    else:
        assert sorted(statuses(answer)[0] for answer in said) == ["created"] + ["unchanged"] * 3
