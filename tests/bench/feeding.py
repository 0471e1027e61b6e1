"""The feed: orders through the HTTP view and through a CSV file, against COPY and a plain ModelSerializer."""

import csv
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from django.db import connection, transaction
from django.test import Client
from rest_framework import serializers

from retail import shapes
from retail.api import tokens
from retail.imports import feed
from retail.imports.orders import Orders
from retail.models import Channel, Order, OrderLine, Product, Store
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import NOW

BATCH, LINES = 100, 3


class PlainLine(serializers.ModelSerializer):
    sku = serializers.SlugRelatedField(slug_field="sku", source="product", queryset=Product._base_manager.all())

    class Meta:
        model = OrderLine
        fields = ("outer_line_id", "sku", "qty", "tag_fen", "paid_fen", "cost_fen", "is_gift", "serving_clerk")


class Plain(serializers.ModelSerializer):
    """The peer: what the tutorial would write, with a create() for the nested lines."""

    channel = serializers.SlugRelatedField(slug_field="code", queryset=Channel._base_manager.all())
    store_code = serializers.SlugRelatedField(slug_field="code", source="store", queryset=Store._base_manager.all())
    lines = PlainLine(many=True)

    class Meta:
        model = Order
        fields = ("channel", "outer_order_id", "paid_at", "store_code", "serving_clerk", "lines")

    def create(self, validated_data: dict) -> Order:
        lines = validated_data.pop("lines")
        store = validated_data["store"]
        amounts = {name: sum(line[name] for line in lines) for name in ("tag_fen", "paid_fen")}
        order = Order.objects.create(brand=store.brand, received_at=NOW, fingerprint=b"", **amounts, **validated_data)
        for line in lines:
            product = line["product"]
            labels = {"brand_label": product.brand.code, "category_label": product.category.code}
            OrderLine.objects.create(order=order, **labels, **line)
        return order


def http(shop: Shop, *, full: bool) -> list[Verdict]:
    """Batches of 100 orders of 3 lines: the view with all it does (token, checks, buyer keys, rows, jobs)."""
    rounds = 60 if full else 12
    _, secret = tokens.issue(name="bench", channel=shop.world.pos)
    ours, plain = Way("POST /api/v1/orders/", BATCH), Way("ModelSerializer(many=True)", BATCH)
    limit, replay = (
        Way("COPY of the same order and line rows", BATCH),
        Way("the same call again, stored answer", BATCH),
    )
    client = Client(HTTP_AUTHORIZATION=f"Bearer {secret}")
    for turn in range(rounds + 2):
        ways = [ours, plain, limit, replay] if turn >= 2 else [Way("") for _ in range(4)]
        rows = shop.orders(BATCH, lines=LINES, prefix=f"h{turn}-", buyers=1_000_000)
        body = msgspec.json.encode({"orders": rows})
        first = _post(client, body, f"key-{turn}", ways[0])
        again = _post(client, body, f"key-{turn}", ways[3])
        assert first == again and first.count('"created"') == BATCH, first[:300]
        written = _copied(f"h{turn}-", ways[2])
        data = [_plain(row) for row in rows]
        with ways[1].turn(), transaction.atomic():
            serializer = Plain(data=data, many=True)
            serializer.is_valid(raise_exception=True)
            serializer.save()
        assert _content(f"h{turn}-") == _content(f"plain-h{turn}-") == written
    return [
        Verdict(
            "feed through HTTP, speed against COPY",
            ours.speed / limit.speed,
            0.3,
            [limit, ours],
            is_floor=True,
            notes=[f"{ours.speed:,.0f} orders/s; COPY {limit.speed:,.0f}"],
        ),
        Verdict(
            "feed through HTTP, speed against a plain ModelSerializer",
            ours.speed / plain.speed,
            12,
            [plain, ours],
            is_floor=True,
            notes=[f"{ours.speed:,.0f} orders/s; plain {plain.speed:,.0f}"],
        ),
        Verdict(
            "replay of a stored batch against its first delivery", replay.median / ours.median, 0.6, [ours, replay]
        ),
    ]


def _post(client: Client, body: bytes, key: str, way: Way) -> str:
    with way.turn():
        answer = client.post(
            "/api/v1/orders/", body, content_type="application/json", headers={"Idempotency-Key": key}
        )
    assert answer.status_code < 300, answer.content[:500]
    return answer.content.decode()


def _plain(row: shapes.Order) -> dict:
    said = json.loads(msgspec.json.encode(row))
    lines = [
        {name: line[name] for name in ("outer_line_id", "sku", "qty", "tag_fen", "paid_fen")} for line in said["lines"]
    ]
    names = ("channel", "paid_at", "store_code", "serving_clerk")
    return {**{name: said[name] for name in names}, "outer_order_id": f"plain-{row.outer_order_id}", "lines": lines}


def _copied(prefix: str, way: Way) -> tuple:
    """COPY the rows ours wrote into the same tables once more, under other numbers; what was written, to compare."""
    orders = _rows("retail_order", "outer_order_id LIKE %s", f"{prefix}%")
    lines = _rows(
        "retail_orderline", "order_id IN (SELECT id FROM retail_order WHERE outer_order_id LIKE %s)", f"{prefix}%"
    )
    for row in orders:
        row |= {"id": row["id"] + _FAR, "outer_order_id": f"copy-{row['outer_order_id']}"}
    for row in lines:
        row |= {"id": row["id"] + _FAR, "order_id": row["order_id"] + _FAR}
    ready = [("retail_order", list(orders[0]), [list(row.values()) for row in orders])]
    ready.append(("retail_orderline", list(lines[0]), [list(row.values()) for row in lines]))
    with way.turn(), transaction.atomic(), connection.cursor() as cursor:
        for table, columns, rows in ready:
            with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
    return _content(f"copy-{prefix}")


_FAR = 10**9  # beyond every id of the sequences


def _rows(table: str, where: str, param: str) -> list[dict]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY id", [param])
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _content(prefix: str) -> tuple:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT o.id), count(l.id), sum(l.paid_fen) FROM retail_order o"
            " JOIN retail_orderline l ON l.order_id = o.id WHERE o.outer_order_id LIKE %s",
            [f"{prefix}%"],
        )
        return cursor.fetchone()


def csv_file(shop: Shop, *, full: bool) -> list[Verdict]:
    """manage.py import_orders of a file of 3-line orders against COPY of the rows it wrote."""
    count, rounds = (20_000, 3) if full else (2_000, 3)
    ours, limit = Way("import_orders", count * LINES), Way("COPY of the same order and line rows", count * LINES)
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            path = Path(folder, f"{turn}.csv")
            _write(path, shop.orders(count, lines=LINES, prefix=f"c{turn}-", buyers=1_000_000))
            with ours.turn():
                report = feed.run(path=path, feed=Orders(now=NOW))
            assert report.outcomes == {"created": count} and not report.failed
            assert _copied(f"c{turn}-", limit) == _content(f"c{turn}-")
    note = f"{ours.speed:,.0f} rows/s; COPY {limit.speed:,.0f}"
    ratio = ours.speed / limit.speed
    return [Verdict("CSV import, speed against COPY", ratio, 0.3, [limit, ours], is_floor=True, notes=[note])]


def _write(path: Path, rows: Sequence[shapes.Order]) -> None:
    columns = ["channel", "outer_order_id", "paid_at", "store_code", "serving_clerk", "buyer_phone"]
    columns += ["outer_line_id", "sku", "qty", "tag_fen", "paid_fen"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            said = json.loads(msgspec.json.encode(row))
            writer.writerows({**said, "buyer_phone": row.buyer[0].value, **line} for line in _with_clerk(said))


def _with_clerk(said: dict) -> list[dict]:
    return [{**line, "serving_clerk": said["serving_clerk"]} for line in said["lines"]]
