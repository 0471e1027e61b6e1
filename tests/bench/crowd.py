"""A brand with very many members and two years of what they did: one million of them at full size.

Everything is made by a few statements over `generate_series`, each choice by the hash of a number, so that a member
is the same at every run. Own triggers of the tables fire as for anybody; keys and indexes are made anew at the end.

    8 of 10 members bought (2 of 10 make 6 of 10 orders), 5 orders a member, every other order has two lines
    7 of 10 are bound: 5 000 to one clerk, 100 each to a tenth of the clerks, the rest evenly to the others
    6 tags a member, one out of each group of ten, rarer towards the end of the group
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

from django.db import connection, models

from clerks import book
from clerks.models import Binding, Customer
from members import profiles
from members.models import Identity, Member, Membership, MemberTag, PointsAdjustment, PointsEntry, Purchase, Tag, Tier
from retail.models import BuyerKey, Employment, Order, OrderLine, Post, Refund, Staff, Store
from tests.bench.worlds import PRODUCTS, Shop
from tests.factories import LONG_AGO, NOW

FULL, QUICK = 1_000_000, 100_000
ORDERS, TAGS, TAG_GROUPS = 5, 60, 6
MANY, FEW = 5_000, 100  # customers of the busiest clerk, and of a tenth of the others
DAYS = 730

_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢"
_GIVEN = (
    "伟芳娜敏静秀丽强磊洋艳勇军杰娟涛明超霞平刚桂英华玉兰建国红梅志斌婷婷文慧鑫宇浩然欣怡子涵梓晨雨桐佳琪思雅诗涵晓东"
    "海燕春雪莲凤琴素云美玲淑珍雪丽萍金凤俊峰立新永康家豪嘉怡可馨若曦语嫣一诺俊熙博文天佑雅静晨曦紫萱梦瑶依琳安琪心怡"
)
_TIERS = (("普卡", 0), ("银卡", 200_000), ("金卡", 600_000), ("黑卡", 1_200_000))  # fen in a year


class Crowd(NamedTuple):
    """The world and where its rows begin: member number n has the ids `member + n`, `membership + n`."""

    shop: Shop
    size: int
    stores: list[Store]
    clerks: list[Staff]
    tags: list[Tag]
    tiers: list[Tier]
    member: int
    membership: int
    order: int
    binding: int

    @property
    def busiest(self) -> Staff:
        """Who has 5 000 customers."""
        return self.clerks[0]

    @property
    def quiet(self) -> list[Staff]:
        """Those with 100 each."""
        return self.clerks[1 : 1 + len(self.clerks) // 10]

    @property
    def usual(self) -> list[Staff]:
        return self.clerks[1 + len(self.clerks) // 10 :]

    @property
    def membership_ids(self) -> range:
        return range(self.membership + 1, self.membership + 1 + self.size)


@cache
def crowd(shop: Shop, *, full: bool) -> Crowd:
    """Made once in a run; the benchmarks that read it leave it as they found it."""
    made = _places(shop, size=FULL if full else QUICK)
    with _tuned(), _bare(_MODELS):
        _people(made)
        _sales(made)
        _members(made)
        _tags(made)
        _bindings(made)
    _run("DROP TABLE bench_people, bench_sold, bench_totals")
    _run("VACUUM ANALYZE")
    profiles.refresh(membership_ids=made.membership_ids, now=NOW)
    _run("VACUUM ANALYZE members_profile")
    return made


# ── Who and what there is to choose from ─────────────────────────────────────────────────────────────────────────────
def _places(shop: Shop, *, size: int) -> Crowd:
    brand, region = shop.world.brand, shop.world.region
    clerks = [Staff(code=f"w{n}", name=f"导购{n}") for n in range(max(20, size * 7 // 10_000))]
    Staff.objects.bulk_create(clerks)
    stores = [
        Store(code=f"crowd{n}", name=f"人民路第{n}店", brand=brand, region=region) for n in range(len(clerks) // 10)
    ]
    Store.objects.bulk_create(stores)
    Employment.objects.bulk_create(Employment(staff=clerk, starts_at=LONG_AGO) for clerk in clerks)
    Post.objects.bulk_create(
        Post(staff=clerk, role=Post.Role.CLERK, store=stores[n // 10], starts_at=LONG_AGO)
        for n, clerk in enumerate(clerks)
    )
    tags = Tag.objects.bulk_create(_tag(shop, n) for n in range(TAGS))
    tiers = Tier.objects.bulk_create(
        Tier(brand=brand, code=f"t{rank}", name=name, rank=rank, threshold=threshold)
        for rank, (name, threshold) in enumerate(_TIERS)
    )
    begins = [_last_id(model) for model in (Member, Membership, Order, Binding)]
    return Crowd(shop, size, stores, clerks, tags, tiers, *begins)


def _tag(shop: Shop, n: int) -> Tag:
    """The first group is the whole house's, the last three are computed."""
    group, place = divmod(n, TAGS // TAG_GROUPS)
    brand = shop.world.brand if group else None
    kind = Tag.Kind.COMPANY if group < TAG_GROUPS // 2 else Tag.Kind.MODEL
    return Tag(brand=brand, kind=kind, code=f"g{group}-{place}", group_name=f"组{group}", name=f"标签{group}-{place}")


# ── Choices by number ────────────────────────────────────────────────────────────────────────────────────────────────
def _pick(number: str, salt: int, of: int | str) -> str:
    """SQL for a choice from 0 up to `of`, the same for the same number and salt."""
    return f"mod(hashint8extended(({number})::bigint, {salt}) & 2147483647, ({of})::bigint)::int"


def _people(made: Crowd) -> None:
    """Number, name, clerk (null: unbound) and home store of each member."""
    quiet = MANY + FEW * len(made.quiet)
    char = f"substr(%(given)s, 1 + {_pick('n', 2, len(_GIVEN))}, 1)"
    _run(
        f"""CREATE UNLOGGED TABLE bench_people AS
        SELECT n, substr(%(surnames)s, 1 + least({_pick("n", 1, 50)}, {_pick("n", 11, 50)}), 1) || {char}
            || CASE WHEN {_pick("n", 3, 10)} < 7 THEN substr(%(given)s, 1 + {_pick("n", 4, len(_GIVEN))}, 1)
                ELSE '' END AS name,
            CASE WHEN place < {MANY} THEN 0
                WHEN place < {quiet} THEN 1 + (place - {MANY}) / {FEW}
                WHEN place < {made.size * 7 // 10} THEN {1 + len(made.quiet)} + mod(place, {len(made.usual)})
            END AS clerk,
            {_pick("n", 5, len(made.stores))} AS home,
            %(now)s::timestamptz - make_interval(mins => {_pick("n", 6, DAYS * 1440)}) AS since
        FROM (
            SELECT n, mod(n::bigint * 7919, {made.size})::int AS place FROM generate_series(1, {made.size}) AS n
        ) AS numbered
        ORDER BY n""",
        surnames=_SURNAMES,
        given=_GIVEN,
        now=NOW,
    )


# ── Two years of sales ───────────────────────────────────────────────────────────────────────────────────────────────
def _sales(made: Crowd) -> None:
    count = made.size * ORDERS
    regular, other = f"5 * {_pick('k', 22, made.size // 5)}", f"1 + {_pick('k', 23, 3)}"
    _run(
        f"""CREATE UNLOGGED TABLE bench_sold AS
        SELECT k, n, %(now)s::timestamptz - make_interval(secs => ({count} - k) * {DAYS * 86400 / count!r}) AS at,
            coalesce(p.clerk / 10, p.home) AS place, coalesce(p.clerk, p.home * 10) AS clerk,
            {_pick("k", 24, 10)} AS kind,  -- 0 to 6: in a store
            mod(k, 2) AS more, {_pick("k", 25, PRODUCTS)} AS one, {_pick("k", 26, PRODUCTS)} AS two,
            60 + {_pick("k", 27, 41)} AS percent
        FROM (SELECT k, CASE WHEN {_pick("k", 21, 10)} < 6 THEN {regular} + 5 ELSE {regular} + {other} END AS n
            FROM generate_series(1, {count}) AS k) AS bought
        JOIN bench_people p USING (n) ORDER BY k""",
        now=NOW,
    )
    _run(f"UPDATE retail_product SET tag_fen = 5000 + mod(id * 7919, 900) * 100 WHERE {_OF_SHOP}", **_shop(made))
    _run(
        f"""CREATE UNLOGGED TABLE bench_product AS
        SELECT row_number() OVER (ORDER BY p.id) - 1 AS n, p.id, tag_fen, c.code AS category
        FROM retail_product p JOIN retail_category c ON c.id = category_id WHERE p.{_OF_SHOP}""",
        **_shop(made),
    )
    _orders(made)
    _lines(made)
    _refunds(made)
    _run("DROP TABLE bench_product")


_OF_SHOP = "id = ANY(%(products)s)"


def _shop(made: Crowd) -> dict[str, Any]:
    return {"products": [product.pk for product in made.shop.products]}


_CHANNEL = "(%(channels)s::bigint[])[CASE WHEN kind < 7 THEN 1 WHEN kind < 9 THEN 2 ELSE 3 END]"


def _channels(made: Crowd) -> dict[str, Any]:
    return {"channels": [made.shop.channels[kind].pk for kind in ("pos", "mini_program", "tmall")]}


def _orders(made: Crowd) -> None:
    stores = [store.pk for store in made.stores]
    paid = "one.tag_fen * percent / 100"
    _insert(
        Order,
        "bench_sold JOIN bench_product one ON one.n = one JOIN bench_product two ON two.n = two",
        _channels(made) | {"stores": stores, "brand": made.shop.world.brand.pk},
        order="k",
        id=f"{made.order} + k",
        channel=_CHANNEL,
        outer_order_id="'crowd' || k",
        fingerprint="''::bytea",
        brand="%(brand)s",
        store="CASE WHEN kind < 7 THEN (%(stores)s::bigint[])[1 + place] END",
        paid_at="at",
        delivered_at="at + interval '2 days'",
        serving_clerk="CASE WHEN kind < 7 THEN 'w' || clerk ELSE '' END",
        tag_fen="one.tag_fen + more * two.tag_fen",
        paid_fen=f"{paid} + more * (two.tag_fen * percent / 100)",
        received_at="at",
        settled_at="at",
        settled_version="1",
    )


def _lines(made: Crowd) -> None:
    _insert(
        OrderLine,
        """bench_sold CROSS JOIN generate_series(1, 2) AS line
        JOIN bench_product p ON p.n = CASE line WHEN 1 THEN one ELSE two END""",
        {"label": made.shop.world.brand.code},
        where="line <= 1 + more",
        order="k, line",
        order_id=f"{made.order} + k",
        outer_line_id="line::text",
        product="p.id",
        brand_label="%(label)s",
        category_label="p.category",
        qty="1",
        tag_fen="p.tag_fen",
        paid_fen="p.tag_fen * percent / 100",
    )


def _refunds(made: Crowd) -> None:
    """Of one order in forty, which have two lines, the first came back."""
    _insert(
        Refund,
        "bench_sold JOIN bench_product p ON p.n = one",
        _channels(made) | {"now": NOW},
        where="mod(k, 40) = 1",
        order="k",
        channel=_CHANNEL,
        outer_refund_id="'crowd' || k",
        outer_order_id="'crowd' || k",
        outer_line_id="'1'",
        order_id=f"{made.order} + k",
        refunded_at="least(at + interval '5 days', %(now)s)",
        fen="p.tag_fen * percent / 100",
        received_at="least(at + interval '5 days', %(now)s)",
        settled_at="least(at + interval '5 days', %(now)s)",
    )


# ── The members, with what was rolled up of their purchases ──────────────────────────────────────────────────────────
def _members(made: Crowd) -> None:
    _run(
        f"""CREATE UNLOGGED TABLE bench_totals AS
        SELECT n, count(*)::int AS orders, sum(o.paid_fen - coalesce(fen, 0))::bigint AS paid_fen,
            min(at) AS first_at, max(at) AS last_at,
            coalesce(sum(o.paid_fen - coalesce(fen, 0)) FILTER (WHERE at > %(year_ago)s), 0)::bigint AS year_fen
        FROM bench_sold JOIN retail_order o ON o.id = {made.order} + k
        LEFT JOIN retail_refund r ON r.order_id = o.id GROUP BY n""",
        year_ago=NOW - timedelta(days=365),
    )
    known, brand = "bench_people LEFT JOIN bench_totals USING (n)", {"brand": made.shop.world.brand.pk}
    _insert(Member, "bench_people", {}, order="n", id=f"{made.member} + n", name="name", created_at="since")
    _phones(made)
    _insert(
        Membership,
        known,
        brand | {"tiers": [tier.pk for tier in made.tiers], "thresholds": [tier.threshold for tier in made.tiers]},
        order="n",
        id=f"{made.membership} + n",
        brand="%(brand)s",
        member=f"{made.member} + n",
        tier="(%(tiers)s::bigint[])[width_bucket(coalesce(year_fen, 0), %(thresholds)s::bigint[])]",
        tier_since="since",
        registered_at="since",
        first_purchase_at="first_at",
        last_purchase_at="last_at",
    )
    first = _last_id(PointsAdjustment)
    points = {"membership": f"{made.membership} + n", "points": "paid_fen / 100", "at": "last_at"}
    of_buyers = {"where": "paid_fen >= 100", "order": "n"}
    _insert(PointsAdjustment, "bench_totals", {}, **of_buyers, id=f"{first} + n", **points, reason="'crowd'")
    _insert(  # which adds up the balances
        PointsEntry,
        "bench_totals",
        {"now": NOW},
        **of_buyers,
        **points,
        kind="'adjust'",
        adjustment=f"{first} + n",
        created_at="%(now)s",
    )
    _purchases(made)


def _phones(made: Crowd) -> None:
    """Numbers as they are shown. Nobody can find or open them: the index and the cipher are not ours."""
    first = _last_id(BuyerKey)
    _insert(
        BuyerKey,
        "bench_people",
        {},
        order="n",
        id=f"{first} + n",
        type="'phone'",
        hmac="sha256(convert_to('crowd' || n, 'UTF8'))",
        cipher="decode(md5(n::text) || md5('x' || n), 'hex')",
        masked=f"'13' || {_pick('n', 7, 10)} || '****' || lpad({_pick('n', 8, 10_000)}::text, 4, '0')",
    )
    _insert(
        Identity,
        "bench_people",
        {},
        order="n",
        member=f"{made.member} + n",
        key=f"{first} + n",
        source="'order'",
        seen_at="since",
        verified_at="since",
    )


def _purchases(made: Crowd) -> None:
    before = "lag(at) OVER (PARTITION BY n ORDER BY at, k)"
    stores = [store.pk for store in made.stores]
    known = {field.name for field in Purchase._meta.fields}
    _insert(
        Purchase,
        f"""(SELECT *, {before} AS before FROM bench_sold) AS sold
        JOIN retail_order o ON o.id = {made.order} + k LEFT JOIN retail_refund r ON r.order_id = o.id""",
        {"stores": stores},
        order="k",
        order_id=f"{made.order} + k",
        membership=f"{made.membership} + n",
        store="CASE WHEN kind < 7 THEN (%(stores)s::bigint[])[1 + place] END",
        **({"net_fen": "o.paid_fen - coalesce(r.fen, 0)"} if "net_fen" in known else {}),
        paid_at="at",
        is_first="before IS NULL",
        dormant_days="extract(day FROM at - before)",
    )


# ── Tags and clerks ──────────────────────────────────────────────────────────────────────────────────────────────────
def _tag_of(group: str) -> str:
    """The tag a member has of a group; low ones more often."""
    size = TAGS // TAG_GROUPS
    place = f"least({_pick(f'n * 8 + {group}', 31, size)}, {_pick(f'n * 8 + {group}', 32, size)})"
    return f"(%(tags)s::int[])[1 + {group} * {size} + {place}]"


_TAG_IDS = f"ARRAY[{', '.join(_tag_of(str(group)) for group in range(TAG_GROUPS))}]"


def _tags(made: Crowd) -> None:
    _insert(
        MemberTag,
        f"bench_people CROSS JOIN generate_series(0, {TAG_GROUPS - 1}) AS g",
        {"tags": [tag.pk for tag in made.tags], "brand": made.shop.world.brand.pk},
        order="n, g",
        member=f"{made.member} + n",
        brand="CASE WHEN g > 0 THEN %(brand)s END",
        tag=_tag_of("g"),
        source="CASE WHEN g < 2 THEN 'manual' WHEN g = 2 THEN 'wecom' ELSE 'model' END",
        since="greatest(since, since + interval '1 day')",
    )


def _bindings(made: Crowd) -> None:
    clerk = "(%(clerks)s::bigint[])[1 + clerk]"
    usual = {
        "brand": "%(brand)s",
        "member": f"{made.member} + n",
        "staff": clerk,
        "store": "(%(stores)s::bigint[])[1 + clerk / 10]",
    }
    params = {
        "clerks": [staff.pk for staff in made.clerks],
        "stores": [store.pk for store in made.stores],
        "brand": made.shop.world.brand.pk,
        "tags": [tag.pk for tag in made.tags],
        "tiers": [tier.pk for tier in made.tiers],
        "now": NOW,
        "secret": book.secret(),
    }
    contacted = f"CASE WHEN clerk > 0 THEN %(now)s - make_interval(hours => {_pick('n', 12, 4000)}) END"
    bound = {"where": "clerk IS NOT NULL", "order": "n"}
    _insert(
        Binding,
        "bench_people",
        params,
        **bound,
        id=f"{made.binding} + n",
        **usual,
        source="'manual'",
        started_at="since",
        protected_until="since + interval '90 days'",
    )
    _insert(
        Customer,
        f"bench_people JOIN members_membership m ON m.id = {made.membership} + n LEFT JOIN bench_totals USING (n)",
        params,
        **bound,
        binding=f"{made.binding} + n",
        **usual | {"member": "m.member_id"},
        tier="m.tier_id",
        is_friend=f"{_pick('n', 9, 10)} < 6",
        intent=_pick("n", 10, 1_000_000),
        contacted_at=contacted,
        bought_at="last_at",
        orders="coalesce(orders, 0)",
        paid_fen="coalesce(paid_fen, 0)",
        tag_ids=_TAG_IDS,
        bound_at="since",
        quiet_since=f"coalesce({contacted}, since)",
        sought="name_sought(name)",
        tails=f"""left(encode(sha256(convert_to(%(secret)s || {clerk} || ':'
            || lpad({_pick("n", 8, 10_000)}::text, 4, '0'), 'UTF8')), 'hex'), 16)""",
        refreshed_at="%(now)s",
    )


# ── The tables ───────────────────────────────────────────────────────────────────────────────────────────────────────
_MODELS: tuple[type[models.Model], ...] = (
    *(Order, OrderLine, Refund, BuyerKey),
    *(Member, Identity, Membership, Purchase, PointsAdjustment, PointsEntry, MemberTag, Binding, Customer),
)


def _insert(
    model: type[models.Model],
    source: str,
    params: Mapping[str, Any],
    /,
    *,
    where: str = "true",
    order: str,
    **values: str,
) -> None:
    """INSERT … SELECT: field → expression; a field not named has the default it has in Python."""
    fields = {model._meta.get_field(name): sql for name, sql in values.items()}
    more = dict(params)
    for field in model._meta.concrete_fields:
        if field not in fields and not (field.primary_key or field.has_db_default() or field.generated or field.null):
            fields[field] = f"%(default_{field.name})s"
            more[f"default_{field.name}"] = field.get_db_prep_save(field.get_default(), connection)
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    statement = f"INSERT INTO {model._meta.db_table} ({columns}) SELECT {', '.join(fields.values())} FROM {source}"
    _run(f"{statement} WHERE {where} ORDER BY {order}", **more)
    if "id" in values:
        table = model._meta.db_table
        _run(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")


def _last_id(model: type[models.Model]) -> int:
    return model._base_manager.aggregate(last=models.Max("pk"))["last"] or 0


_PARTS = """
SELECT c.conrelid::regclass::text, format('CONSTRAINT %%I', conname), format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s',
    conrelid::regclass, conname, pg_get_constraintdef(c.oid)), contype = 'f'
FROM pg_constraint c WHERE conrelid = ANY(%(tables)s::regclass[]) AND contype IN ('f', 'u')
UNION ALL
SELECT indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid), false
FROM pg_index WHERE indrelid = ANY(%(tables)s::regclass[]) AND NOT indisprimary
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('u', 'x'))
ORDER BY 4 DESC, 1, 2
"""


@contextmanager
def _bare(tables: Sequence[type[models.Model]]) -> Iterator[None]:
    """Without foreign keys and indexes, which are made anew afterwards: that takes a fraction of keeping them up."""
    parts = _run(_PARTS, tables=[model._meta.db_table for model in tables])
    for table, part, _, _ in parts:
        _run(f"ALTER TABLE {table} DROP {part}" if part.startswith("CONSTRAINT") else f"DROP INDEX {part}")
    yield
    for _, _, made_by, _ in reversed(parts):
        _run(made_by)


@contextmanager
def _tuned() -> Iterator[None]:
    _run("SET synchronous_commit = off; SET work_mem = '256MB'; SET maintenance_work_mem = '512MB'; SET jit = off")
    yield
    _run("RESET synchronous_commit; RESET work_mem; RESET maintenance_work_mem; RESET jit")


def _run(statement: str, **params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)
        return cursor.fetchall() if cursor.description else []
