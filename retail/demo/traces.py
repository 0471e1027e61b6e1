"""What the members of the demo did besides buying in the last thirty days, what they allow, and a list to be imported.

Set-based and by the numbers of the members, so that the same world comes out of the same day.
"""

from datetime import datetime, timedelta

from django.db import connection

from members import behaviour, consent
from members.models import Identity, Member
from retail import privacy
from retail.imports import members
from retail.models import Brand, BuyerKey, Staff, Store

TEXT = "2025-06"  # version of the demo's privacy text


def write(*, now: datetime) -> None:
    behaviour.make_months(now - timedelta(days=days) for days in range(0, 62, 15))
    behaviour.prepare(now=now)
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS, {"now": now})
        cursor.execute(_CONSENTS, {"now": now, "text": TEXT})
    _take_back(now)
    _list(now)


# Every fifth member, one to six times. `h` is a random number that is always the same.
_EVENTS = """
WITH goods AS (
    SELECT brand_id, array_agg(id ORDER BY id) AS ids FROM retail_product GROUP BY 1
), shops AS (
    SELECT brand_id, array_agg(id ORDER BY id) AS ids FROM retail_store GROUP BY 1
), ways AS (
    SELECT DISTINCT ON (brand_id, kind) brand_id, kind, id FROM retail_channel ORDER BY brand_id, kind, id
), done AS (
    SELECT m.brand_id, m.member_id, m.id, n, abs(hashint8(m.id * 64 + n)::bigint) AS h
    FROM members_membership m, generate_series(1, 1 + m.id %% 6) n WHERE m.id %% 5 = 0
), seen AS (
    SELECT *, CASE WHEN h %% 100 < 55 THEN 'view' WHEN h %% 100 < 72 THEN 'cart' WHEN h %% 100 < 82 THEN 'favourite'
        WHEN h %% 100 < 92 THEN 'visit' WHEN h %% 100 < 98 THEN 'asked' ELSE 'complained' END AS kind,
        date_trunc('day', %(now)s::timestamptz AT TIME ZONE 'Asia/Shanghai') AT TIME ZONE 'Asia/Shanghai'
            - (1 + h / 100 %% 30) * interval '1 day' + (600 + h / 3000 %% 660) * interval '1 minute' AS at
    FROM done
)
INSERT INTO members_event
    (at, channel_id, outer_event_id, kind, brand_id, member_id, buyer_keys, product_id, store_id, seconds, received_at)
SELECT s.at, w.id, 'demo-' || s.id || '-' || s.n, s.kind, s.brand_id, s.member_id, '{}',
    CASE WHEN s.kind IN ('view', 'cart', 'favourite') THEN g.ids[1 + s.h / 7 %% cardinality(g.ids)] END,
    CASE WHEN s.kind = 'visit' THEN p.ids[1 + s.h / 7 %% cardinality(p.ids)] END,
    CASE WHEN s.kind = 'view' THEN 3 + s.h / 11 %% 240 END, s.at
FROM seen s JOIN goods g USING (brand_id) JOIN shops p USING (brand_id)
JOIN ways w ON w.brand_id = s.brand_id AND w.kind = CASE WHEN s.kind = 'visit' THEN 'pos' ELSE 'mini_program' END
"""
# A third agreed to offers when they joined, most of them to recommendations, too.
_CONSENTS = """
INSERT INTO members_consent (member_id, purpose, is_given, at, noted_at, text_version, source)
SELECT DISTINCT ON (m.member_id, p.purpose) m.member_id, p.purpose, true, m.registered_at, %(now)s, %(text)s, 'feed'
FROM members_membership m, unnest(ARRAY['marketing', 'profiling']) AS p(purpose)
WHERE m.id %% 3 = 0 AND (p.purpose = 'marketing' OR m.id %% 15 <> 0) AND m.registered_at < %(now)s
ORDER BY m.member_id, p.purpose, m.registered_at ON CONFLICT DO NOTHING
"""


def _take_back(now: datetime) -> None:
    """Some changed their minds lately."""
    some = list(Member._base_manager.order_by("pk").values_list("pk", "memberships__brand__corp")[:4000:97])
    words = [
        consent.Word(
            pk, corp, ("marketing", "profiling")[place % 2], False, now - timedelta(days=1 + place % 20), TEXT
        )
        for place, (pk, corp) in enumerate(some)
        if corp
    ]
    consent.note(words=words, source="feed", now=now)


def _list(now: datetime) -> None:
    """A list that waits to be looked at: people known, people new, and rows that are wrong."""
    brand = Brand._base_manager.earliest("pk")
    store = Store._base_manager.filter(brand=brand).earliest("pk")
    clerk = Staff._base_manager.filter(posts__store=store).earliest("pk")
    phones = Identity._base_manager.filter(key__type=BuyerKey.Type.PHONE, member__memberships__brand=brand)
    known = [privacy.reveal(one.key) for one in phones.select_related("key").order_by("pk")[:3]]
    rows = ["手机号,姓名,生日,开卡时间,开卡门店,导购工号,同意营销,备注"]
    rows += [
        f"{phone},,1988-03-0{n},2024-05-01,{store.code},{clerk.code},是,老系统" for n, phone in enumerate(known, 1)
    ]
    rows += [
        f"1540099{n:04},新会员{n},1990/7/{n},2025-10-0{n} 15:30,{store.code},{clerk.code},否," for n in range(1, 9)
    ]
    rows += [f"154,号码不全,,2025-10-01,{store.code},,,", f"15400991234,门店不对,,2025-10-01,{store.code}X,,,"]
    given = members.give_in(
        name="老会员名单.csv", content=("\n".join(rows) + "\n").encode(), brand=brand, by=None, now=now
    )
    members.check(given=given, now=now, is_here=True)
    members.work(import_id=given.pk, now=lambda: now)
