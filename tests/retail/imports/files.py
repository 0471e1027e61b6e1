"""Files of orders for tests, and what is said about them."""

import csv
import io
from pathlib import Path

from tests.factories import World

COLUMNS = "channel,outer_order_id,paid_at,store_code,buyer_phone,serving_clerk,outer_line_id,sku,qty,tag_fen,paid_fen"


def lines_of(shop: World, order: str, *lines: str, **cells: str) -> list[dict[str, str]]:
    """The rows of one order: a line of 90 yuan each, unless told otherwise."""
    given = {
        "channel": shop.pos.code,
        "outer_order_id": order,
        "paid_at": "2026-10-12T14:30:00+08:00",
        "store_code": shop.store.code,
        "buyer_phone": "138" + order.rjust(8, "0"),
        "sku": shop.product.sku,
        "qty": "1",
        "tag_fen": "10000",
        "paid_fen": "9000",
        **cells,
    }
    return [{**given, "outer_line_id": line} for line in lines or ("1",)]


def text_of(rows: list[dict[str, str]], columns: str = COLUMNS) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns.split(","))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def failures(path: Path) -> dict[int, str]:
    """The reasons in the file of failed rows of this one, by row number."""
    with path.with_name(path.stem + ".failed.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [(int(row["failed_row"]), row["failed_reason"]) for row in csv.DictReader(file)]
    assert len(dict(rows)) == len(rows), "each bad row once"
    return dict(rows)
