"""What clerks noted about their customers and when they last turned to them; then the lists on their phones."""

from datetime import datetime

from django.db import connection

from clerks import book
from retail.demo import copying

_NOTES = (
    "喜欢真丝，不穿羊毛",
    "常给女儿买，身高 165",
    "下午方便，上午别打扰",
    "肩宽，上衣拿大一码",
    "上次看中的米色风衣没货，到了告诉一声",
    "爱穿连衣裙，颜色要素净",
    "每年换季会来一次",
    "先生也在我们家买，穿 52 码",
)
_WRITTEN = """
INSERT INTO clerks_note (brand_id, member_id, staff_id, store_id, text, created_at)
SELECT brand_id, member_id, staff_id, store_id, (%(notes)s::text[])[1 + mod(id, cardinality(%(notes)s::text[]))],
    greatest(started_at, %(now)s - make_interval(hours => mod(id * 37, 4000)::int))
FROM clerks_binding WHERE ended_at IS NULL AND mod(id * 7919, 10) < 2 AND started_at < %(now)s ORDER BY id
"""
_TURNED_TO = """
INSERT INTO clerks_touch (corp, member_id, staff_id, store_id, purpose, at, effect)
SELECT brand.corp, b.member_id, b.staff_id, b.store_id, 'service',
    greatest(b.started_at, %(now)s - make_interval(hours => 2 + mod(b.id * 53, 3000)::int)), 'demo:' || b.id
FROM clerks_binding b JOIN retail_brand brand ON brand.id = b.brand_id
WHERE b.ended_at IS NULL AND mod(b.id * 7919, 10) > 5 AND b.started_at < %(now)s ORDER BY b.id
"""


def run(*, now: datetime) -> None:
    """One customer in five has a note, two in five were contacted."""
    with copying.indexed_at_the_end("clerks_note", "clerks_touch"), connection.cursor() as cursor:
        cursor.execute(_WRITTEN, {"notes": list(_NOTES), "now": now})
        cursor.execute(_TURNED_TO, {"now": now})
    with copying.indexed_at_the_end("clerks_customer", "clerks_pooled"):
        book.refresh_all(now=now)
