"""What no till would ever send: every one of these is refused, none of them breaks anything."""

import gc
import json
import tracemalloc

import pytest

from retail import shapes
from retail.api import bodies
from retail.models import Order
from tests.figures import figure

GOOD = {
    "channel": "POS",
    "outer_order_id": "O1",
    "paid_at": "2026-10-12T14:30:00+08:00",
    "store_code": "STORE",
    "lines": [{"outer_line_id": "1", "sku": "SKU", "qty": 1, "tag_fen": 100, "paid_fen": 100}],
}
TEXT = json.dumps({"orders": [GOOD]})
DEEP = 100_000


def with_value(name, value):
    """The good order with the raw JSON `value` in one field."""
    return json.dumps({"orders": [GOOD | {name: "HOLE"}]}).replace('"HOLE"', value).encode()


def in_line(name, value):
    lines = [GOOD["lines"][0] | {name: "HOLE"}]
    return json.dumps({"orders": [GOOD | {"lines": lines}]}).replace('"HOLE"', value).encode()


BODIES = {
    "nothing": b"",
    "blank": b"  \n ",
    "a brace": b"{",
    "cut off": TEXT.encode()[:-5],
    "trailing": TEXT.encode() + b"x",
    "two documents": TEXT.encode() * 2,
    "byte order mark": b"\xef\xbb\xbf" + TEXT.encode(),
    "utf-16": TEXT.encode("utf-16"),
    "gb18030": json.dumps({"orders": [GOOD | {"share_code": "导购"}]}, ensure_ascii=False).encode("gb18030"),
    "bytes": bytes(range(256)),
    "zeros": b"\x00" * 1000,
    "null": b"null",
    "number": b"1",
    "text": b'"orders"',
    "array": b"[]",
    "no batch": b"{}",
    "null batch": b'{"orders": null}',
    "object batch": b'{"orders": {}}',
    "text batch": b'{"orders": "[]"}',
    "empty batch": b'{"orders": []}',
    "other batch": b'{"refunds": []}',
    "more than a batch": b'{"orders": [], "x": 1}',
    "batch twice": b'{"orders": [], "orders": [1]}',
    "null rows": b'{"orders": [null, 1, "x", [], {}]}',
    "form": b"orders=%5B%5D",
    "xml": b'<?xml version="1.0"?><orders/>',
    "deep arrays": b"[" * DEEP + b"]" * DEEP,
    "deep arrays, open": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep rows": b'{"orders": [' + b"[" * DEEP + b"]" * DEEP + b"]}",
    "deep row": b'{"orders": [' + b'{"lines":' * DEEP + b"1" + b"}" * DEEP + b"]}",
    "deep line": in_line("sku", "[" * DEEP + "]" * DEEP),
    "shallow nest": in_line("sku", "[" * 300 + "]" * 300),
    "NaN": in_line("paid_fen", "NaN"),
    "Infinity": in_line("paid_fen", "Infinity"),
    "-Infinity": in_line("paid_fen", "-Infinity"),
    "1e999": in_line("paid_fen", "1e999"),
    "1e400 points": with_value("points_used", "1e400"),
    "100000 digits": in_line("paid_fen", "9" * 100_000),
    "5000 digits as code": with_value("outer_order_id", "9" * 5000),
    "beyond 64 bits": in_line("qty", str(2**64)),
    "beyond 63 bits": in_line("tag_fen", str(2**63)),
    "minus": in_line("qty", str(-(2**63))),
    "fraction": in_line("paid_fen", "0.5"),
    "leading zero": in_line("qty", "01"),
    "hexadecimal": in_line("qty", "0x10"),
    "true as number": in_line("qty", "true"),
    "number as flag": in_line("is_gift", "1"),
    "lone surrogate": with_value("serving_clerk", '"\\ud800"'),
    "lone low surrogate": with_value("serving_clerk", '"\\udc00"'),
    "surrogate as bytes": with_value("serving_clerk", '"HERE"').replace(b"HERE", b"\xed\xa0\x80"),
    "overlong utf-8": with_value("serving_clerk", '"HERE"').replace(b"HERE", b"\xc0\xaf"),
    "NUL in a code": with_value("outer_order_id", '"a\\u0000b"'),
    "NUL in a buyer": with_value("buyer", '[{"type": "card", "value": "a\\u0000b"}]'),
    "NUL in a coupon": with_value("coupons", '["\\u0000"]'),
    "raw newline in text": with_value("serving_clerk", '"a\nb"'),
    "long code": with_value("outer_order_id", '"' + "x" * 100_000 + '"'),
    "long clerk": with_value("serving_clerk", '"' + "导" * 33 + '"'),
    "year 0": with_value("paid_at", '"0000-01-01T00:00:00+08:00"'),
    "before year 1": with_value("paid_at", '"0001-01-01T00:00:00+14:00"'),
    "after year 9999": with_value("paid_at", '"9999-12-31T23:59:59-12:00"'),
    "delivered after year 9999": with_value("delivered_at", '"9999-12-31T23:59:59-12:00"'),
    "month 13": with_value("paid_at", '"2026-13-01T00:00:00+08:00"'),
    "offset 99": with_value("paid_at", '"2026-10-12T00:00:00+99:99"'),
    "offset that PostgreSQL does not know": with_value("paid_at", '"2026-10-12T00:00:00+23:59"'),
    "time as number": with_value("paid_at", "1760000000"),
    "twenty-one buyers": with_value("buyer", json.dumps([{"type": "card", "value": "1"}] * 21)),
    "1001 lines": json.dumps({"orders": [GOOD | {"lines": GOOD["lines"] * 1001}]}).encode(),
    "repeated key": TEXT.replace('"qty": 1', '"qty": 1, "qty": 1').encode(),
    "escaped repeated key": TEXT.replace('"qty": 1', '"qty": 1, "\\u0071ty": 2').encode(),
    "prototype": with_value("__proto__", '{"is_admin": true}'),
    "class": with_value("__class__", '"x"'),
    "100 000 keys": b'{"orders": [{' + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}]}",
    "100 000 rows": b'{"orders": [' + b"1," * 99_999 + b"1]}",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_hostile_body_is_refused_in_words(shop, till, body):
    for name, code in (("POS", shop.pos.code), ("STORE", shop.store.code), ("SKU", shop.product.sku)):
        body = body.replace(f'"{name}"'.encode(), f'"{code}"'.encode())

    answer = till.post("orders/", body)

    assert 400 <= answer.status_code < 500, answer.content
    said = answer.json()
    assert said.get("detail") or [row["errors"] for row in said["results"]]
    assert not Order._base_manager.exists()
    assert till.post("refunds/", body).status_code in range(400, 500)


def test_the_good_order_would_have_been_taken(shop, till):
    body = json.dumps(GOOD | {"channel": shop.pos.code, "store_code": shop.store.code})

    assert till.post("orders/", f'{{"orders": [{body.replace("SKU", shop.product.sku)}]}}'.encode()).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"orders": [}', "line 1 column 13"),
        (b'{"orders": ["\xff"]}', "not UTF-8: byte 13"),
        (b'{"orders": [1], "orders": [2]}', "'orders' appears twice"),
        (b'{"orders": [1], "order": [2]}', "order:"),
        (b"[" * DEEP, "Expected `object`, got `array`"),
        (b'{"orders": [' + b"[" * DEEP, "too deeply"),
    ],
)
def test_a_body_that_is_no_batch_is_told_where(till, body, said):
    answer = till.post("orders/", body)

    assert answer.status_code == 400 and said in answer.json()["detail"]


# ── Bombs: a text of 8 MB that would be ten or a hundred times as much once it is read ──────────────────────────────
MOST = 8 * 1024 * 1024
START = json.dumps(GOOD)[:-1].encode() + b", "
LINE = json.dumps(GOOD["lines"][0]).encode()


def filled(head: bytes, piece: bytes, tail: bytes, most: int = MOST) -> bytes:
    return head + piece * ((most - len(head) - len(tail)) // len(piece)) + tail


def below(commas: int, head: bytes, piece: bytes, tail: bytes) -> bytes:
    """As many pieces as stay just below a limit of values."""
    return head + piece * ((commas - head.count(b",")) // (piece.count(b",") or 1)) + tail


def rows(row: bytes, count: int = bodies.MAX_ROWS) -> bytes:
    return b'{"orders": [' + b",".join([row] * count) + b"]}"


FEW = bodies.MAX_VALUES // bodies.MAX_ROWS - 2  # values of each row of a full batch
ROW = bodies.MAX_ROW_VALUES
BOMBS = {
    "rows of objects": filled(b'{"orders":[', b"{},", b"{}]}"),
    "rows, just few enough values": below(bodies.MAX_VALUES, b'{"orders":[', b"[],", b"[]]}"),
    "arrays in a row": filled(b'{"orders":[[', b"[],", b"[]]]}"),
    "arrays without commas": rows(b"[" * 900 + b"]" * 900),
    "lines": filled(b'{"orders":[{"lines":[', b"{},", b"{}]}]}"),
    "lines, just few enough": below(ROW, b'{"orders":[{"lines":[', b"{},", b"{}]}]}"),
    "lines in every row": rows(below(FEW, b'{"lines":[', b"{},", b"{}]}")),
    "keys twice in every row": rows(below(FEW, b'{"lines":[', b'{"a":1,"a":1},', b"1]}")),
    "coupons": below(ROW, rows(START + b'"coupons": [', 1)[:-2], b'"ab",', b'"ab"]}]}'),
    "good lines": rows(START + b'"lines": [' + b",".join([LINE] * 60) + b"]}"),
    "keys": below(ROW, b'{"orders":[{', b'"a":1,', b'"a":1}]}'),
    "a number": filled(b'{"orders":[', b"9", b"]}"),
    "a text, wide": filled('{"orders":["😀'.encode(), b"a", b'"]}'),
    "a text of a row, wide": rows(filled('{"outer_order_id":"😀'.encode(), b"a", b'"}', 1024 * 1024), 7),
    "a key, wide": filled('{"😀'.encode(), b"a", b'":1}'),
    "a second key, wide": filled('{"orders":[1], "😀'.encode(), b"a", b'":1}'),
    "keys of rows, wide": rows(filled('{"😀'.encode(), b"a", b'":1}', 1024 * 1024), 7),
    "keys of rows, twice": rows(filled(b'{"a', b"a", b'":1}', 500_000).replace(b":1}", b":1,") + b'"b":1,"b":1}', 15),
    "blanks": filled(b'{"orders":[1', b" ", b"]}"),
    "the batch again": filled(b"{", b'"orders":[1],', b'"orders":[1]}'),
    "broken at the end": below(bodies.MAX_VALUES, b'{"orders":[[', b"{},", b"{]]}"),
}


def taken(body: bytes) -> object:
    decoder = bodies.Decoder(batch=bodies.OrderBatch, row=shapes.Order, number="outer_order_id")
    try:
        return decoder.decode(body)
    except bodies.BadBody as error:
        return error


def test_no_body_takes_more_room_than_it_has():
    """What is made of a body besides its own bytes, at its highest."""
    peaks, said = {}, 0
    for kind, body in BOMBS.items():
        assert len(body) <= MOST, kind
        gc.collect()
        tracemalloc.start()
        answer = taken(body)
        peaks[kind] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        said = max(said, len(str(answer)) if kind != "good lines" else 0)

    worst = max(peaks, key=peaks.__getitem__)
    assert peaks[worst] <= 20_000_000, peaks
    assert said < 2_000_000  # nor is the answer one
    figure("P15", f"{len(BOMBS)} bodies of the feed up to 8 MB: + {peaks[worst] / 1e6:.1f} MB at most ({worst})")


def test_a_bomb_is_refused_by_the_feed_as_well(till):
    answers = [
        till.post("orders/", BOMBS[kind]) for kind in ("rows of objects", "lines, just few enough", "a key, wide")
    ]

    assert [answer.status_code for answer in answers] == [413, 422, 400]
    assert answers[0].json()["code"] == "too_large" and max(len(answer.content) for answer in answers) < 1000


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"[" + b"1," * (ROW + 1) + b"1]", "20000 values"),
        (b'"' + b"x" * bodies.MAX_ROW_BYTES + b'"', "1048576 bytes"),
        (b'{"outer_order_id": "O1", "a": 1, "b": {"c": [{"d": 1, "d": 1}]}, "a": 2}', "appears twice"),
    ],
)
def test_a_row_beyond_every_measure_is_refused_alone(row, said):
    refused, other = taken(b'{"orders": [' + row + b", 1]}")

    assert said in refused.faults[0].message and other.faults[0].message == "Expected `object`, got `int`"


def test_keys_given_twice_are_named_from_the_beginning_on():
    (row,) = taken(b'{"orders": [{"outer_order_id": "O1", "b": {"c": [0, {"d": 1, "d": 1}]}, "a": 1, "a": 2}]}')

    assert row.number == "O1" and [fault.field for fault in row.faults] == ["a", "b.c[1].d"]
