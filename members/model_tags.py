"""模型标签: words the computation puts on members, from what they bought, anew every night.

RULES says of each word when it holds, on which numbers, and how it is explained; the preferences below it work the
same for every category and size there is. All of it is what `members_profile` knows, and one look at the purchases of
the last year. What holds is compared with what stands, and only differences are written.

Of whom nobody may work anything out (Stop, purpose "profiling"), and of who never bought, nothing is.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from members import profiles
from members.models import MemberTag, Profile, Stop, Tag
from retail import database

# Words are data, kept in the language of the shops; gettext only learns their English.
ACTIVITY, VALUE, PRICE, SENSITIVITY = _("活跃度"), _("消费力"), _("价格带"), _("敏感度")
CATEGORY, SIZE = _("品类偏好"), _("尺码")


class Rule(NamedTuple):
    """A word, when it holds (SQL over the columns of `known`), and the numbers that explain it (name → column).

    How the numbers read as a sentence stands in `members.tag_words`, under the same code.
    """

    code: str
    group: str
    name: str
    when: str
    shows: str


SPENT, EACH = "'fen', year_fen, 'n', year_orders", "'fen', each_fen, 'n', pieces"
# n = orders of the last year; low, coupons, points = those of them at 70 % of the tag price or less, with a coupon,
# paid in part with points. `age` = days from the last order to today; fen are net of refunds; `each_fen` = per piece.
RULES = (
    Rule("new", ACTIVITY, _("新客"), "orders = 1 AND age <= 90", "'day', last_on"),
    Rule("active", ACTIVITY, _("活跃"), "orders > 1 AND age <= 90", "'day', last_on, 'n', year_orders"),
    Rule("cooling", ACTIVITY, _("渐冷"), "age BETWEEN 91 AND 180", "'day', last_on"),
    Rule("asleep", ACTIVITY, _("久未购买"), "age BETWEEN 181 AND 365", "'day', last_on"),
    Rule("lost", ACTIVITY, _("流失"), "age > 365", "'day', last_on"),
    Rule("value_high", VALUE, _("高消费"), "year_fen >= 500000", SPENT),
    Rule("value_mid", VALUE, _("中等消费"), "year_fen BETWEEN 150000 AND 499999", SPENT),
    Rule("price_low", PRICE, _("两百元以内"), "pieces >= 2 AND each_fen < 20000", EACH),
    Rule("price_mid", PRICE, _("两百到六百"), "pieces >= 2 AND each_fen BETWEEN 20000 AND 59999", EACH),
    Rule("price_high", PRICE, _("六百元以上"), "pieces >= 2 AND each_fen >= 60000", EACH),
    Rule("discount", SENSITIVITY, _("价格敏感"), "n >= 3 AND low * 2 >= n", "'n', n, 'k', low"),
    Rule("coupon", SENSITIVITY, _("券敏感"), "n >= 3 AND coupons * 2 >= n", "'n', n, 'k', coupons"),
    Rule("points", SENSITIVITY, _("积分敏感"), "n >= 3 AND points * 10 >= n * 3", "'n', n, 'k', points"),
)  # fmt: skip


class Preference(NamedTuple):
    """The category, or the size of one kind, that most pieces of the last year were of: at least so many, and so large
    a share of all (SQL over `most` and `total`). Pieces that came back say nothing.
    """

    word: str
    kind: str
    least: int
    share: str


PREFERENCES = (
    Preference("g.category", "1", least=3, share="most * 10 >= total * 4"),
    Preference("g.size", "g.kind", least=2, share="most * 2 >= total"),
)
# The size stands at the end of the name or SKU: letters or one size for all (均码), a shoe's number, or
# centimetres. Each is a kind of its own.
SIZES = r"(?:^|[^0-9A-Za-z.])(XXS|XS|S|M|L|XL|XXL|XXXL|[2-6]XL|\u5747\u7801|(?:3[3-9]|4[0-9])(?:\.5)?|1[4-9][05])$"
SIZE_OF = "coalesce(substring(g.name FROM %(sizes)s), substring(g.sku FROM %(sizes)s))"
SIZE_KIND = "CASE WHEN size ~ '^1' THEN 3 WHEN size ~ '^[34][0-9]' THEN 2 ELSE 1 END"

# Which members: all, or some; what is known of each, and how they bought in the last year.
_KNOWN = """
CREATE TEMPORARY TABLE tags_known ON COMMIT DROP AS
SELECT m.member_id, m.brand_id, m.id AS membership_id, p.orders, p.pieces, p.year_orders, p.year_fen,
    CASE WHEN p.pieces > 0 THEN p.paid_fen / p.pieces END AS each_fen,
    (p.last_at AT TIME ZONE %(zone)s)::date AS last_on,
    %(today)s::date - (p.last_at AT TIME ZONE %(zone)s)::date AS age,
    coalesce(b.n, 0) AS n, coalesce(b.low, 0) AS low, coalesce(b.coupons, 0) AS coupons,
    coalesce(b.points, 0) AS points
FROM members_profile p JOIN members_membership m ON m.id = p.membership_id LEFT JOIN (
    SELECT p.membership_id, count(*) AS n,
        count(*) FILTER (WHERE o.tag_fen > 0 AND o.paid_fen * 100 <= o.tag_fen * 70) AS low,
        count(*) FILTER (WHERE o.coupons <> '{{}}') AS coupons,
        count(*) FILTER (WHERE o.points_used > 0) AS points
    FROM members_purchase p JOIN retail_order o ON o.id = p.order_id
    WHERE p.paid_at >= %(since)s {some} GROUP BY 1
) b ON b.membership_id = m.id
WHERE p.orders > 0 {some} AND m.member_id NOT IN (
    SELECT s.member_id FROM members_stop s WHERE s.purpose = %(profiling)s AND s.lifted_at IS NULL)
"""
_PIECES = """
CREATE TEMPORARY TABLE tags_pieces ON COMMIT DROP AS
SELECT p.membership_id, l.product_id, l.qty AS pieces
FROM members_purchase p JOIN retail_orderline l ON l.order_id = p.order_id
WHERE p.paid_at >= %(since)s {some} AND l.qty > 0 AND NOT l.is_gift AND NOT EXISTS (
    SELECT FROM retail_refund r WHERE r.order_id = l.order_id AND r.outer_line_id = l.outer_line_id)
"""
# Every product with the words of its category and its size, in small numbers.
_PRODUCTS = f"""
CREATE TEMPORARY TABLE tags_product ON COMMIT DROP AS
SELECT g.id, c.id::integer AS category, s.id::integer AS size, {SIZE_KIND.replace("size", "s.name")} AS kind
FROM retail_product g JOIN members_tag c ON c.kind = 'model' AND c.code = 'category:' || g.category_id
LEFT JOIN members_tag s ON s.kind = 'model' AND s.code = 'size:' || {SIZE_OF}
"""
_WORDS_OF_CATEGORIES = f"""
INSERT INTO members_tag AS t (kind, code, group_name, name, corp, corp_tag_id, is_active)
SELECT 'model', 'category:' || id, '{CATEGORY}', name, '', '', true FROM retail_category ORDER BY id
ON CONFLICT (kind, brand_id, staff_id, code) DO UPDATE SET name = excluded.name WHERE t.name <> excluded.name
"""
_WORDS_OF_SIZES = f"""
INSERT INTO members_tag (kind, code, group_name, name, corp, corp_tag_id, is_active)
SELECT 'model', 'size:' || size, '{SIZE}', size, '', '', true
FROM (SELECT DISTINCT {SIZE_OF} AS size FROM retail_product g) sizes WHERE size IS NOT NULL ORDER BY size COLLATE "C"
ON CONFLICT DO NOTHING
"""


def _most(preference: Preference) -> str:
    """What most pieces of a member are of, of each kind: one word, of two the one we knew first.

    Pieces and word are packed into one number, so that the greatest is found without sorting. They are counted as
    integers: a sum of bigints is a numeric, which is slow to add. Of whom nothing reached enough no more is asked.
    """
    word, kind, least, share = preference
    pieces = f"tags_pieces p JOIN tags_product g ON g.id = p.product_id AND {word} IS NOT NULL"
    return f"""
SELECT k.member_id, k.brand_id, t.id AS tag_id, jsonb_build_object('n', total, 'k', most) AS why FROM (
    SELECT b.membership_id, ((best - 1) >> 32) + 1 AS most, (((best - 1) >> 32) + 1 << 32) - best AS word,
        sum(pieces) AS total
    FROM (
        SELECT membership_id, kind, max((pieces::bigint << 32) - word) AS best FROM (
            SELECT membership_id, {word} AS word, {kind} AS kind, sum(pieces)::integer AS pieces
            FROM {pieces} GROUP BY 1, 2, 3 HAVING sum(pieces) >= {least}
        ) sums GROUP BY 1, 2
    ) b JOIN ({pieces}) ON p.membership_id = b.membership_id AND {kind} = b.kind
    GROUP BY b.membership_id, b.kind, best
) packed JOIN tags_known k USING (membership_id) JOIN members_tag t ON t.id = word
WHERE {share} AND t.is_active
"""


_DIFFERENCES = """
CREATE TEMPORARY TABLE tags_other ON COMMIT DROP AS
SELECT t.id, coalesce(w.member_id, t.member_id) AS member_id, w.brand_id, w.tag_id, w.why,
    w.tag_id IS NOT NULL AS holds
FROM tags_wanted w FULL JOIN (
    SELECT * FROM members_membertag t WHERE t.source = 'model' AND t.until IS NULL {some}
) t ON t.member_id = w.member_id AND t.brand_id = w.brand_id AND t.tag_id = w.tag_id
WHERE t.id IS NULL OR w.tag_id IS NULL OR t.why <> w.why
"""
_END = """
UPDATE members_membertag t SET until = %(now)s FROM tags_other o WHERE o.id = t.id AND NOT o.holds
"""
_EXPLAIN_ANEW = """
UPDATE members_membertag t SET why = o.why, as_of = %(today)s FROM tags_other o WHERE o.id = t.id AND o.holds
"""
_PUT_ON = """
INSERT INTO members_membertag (member_id, brand_id, tag_id, source, why, as_of, since)
SELECT member_id, brand_id, tag_id, 'model', why, %(today)s, %(now)s FROM tags_other WHERE id IS NULL
"""


# How all members are read. Purchases, orders and their lines lie in the order in which they came, and are joined in
# it: that takes half the time of hashing them, and no memory. What is compared afterwards lies in no order.
_IN_ORDER = {"enable_nestloop": "off", "enable_hashjoin": "off", "parallel_tuple_cost": "0.005"}
_HASHED = {"enable_nestloop": "off", "enable_mergejoin": "off"}
_MEMORY = "128MB"


class Changed(NamedTuple):
    """How many were put on, taken off, and explained by other numbers than before."""

    put: int
    ended: int
    explained: int


def recompute(*, now: datetime, membership_ids: Collection[int] | None = None) -> Changed:
    """Work out all computed tags, of everybody or of these, and write what is otherwise. Profiles must be up to date.

    The profiles of whose tags changed follow by chunks, each in a transaction of its own.
    """
    with transaction.atomic():
        changed, member_ids = _work_out(now, membership_ids)
    profiles.retag(member_ids=member_ids, now=now)
    return changed


def recompute_changed(*, since: datetime, now: datetime) -> Changed:
    """The same for those whose profile changed since then, as it does on every day a rule looks at: its windows end on
    the same midnights. What no profile shows (another size of a product, say) is left to the next whole run.
    """
    changed = Profile._base_manager.filter(refreshed_at__gte=since).order_by("pk")
    return recompute(now=now, membership_ids=list(changed.values_list("pk", flat=True)))


def _work_out(now: datetime, membership_ids: Collection[int] | None) -> tuple[Changed, list[int]]:
    today = timezone.localtime(now).date()
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    given: dict[str, Any] = {
        "now": now,
        "today": today,
        "since": midnight - timedelta(days=profiles.YEAR),
        "zone": settings.TIME_ZONE,
        "profiling": Stop.Purpose.PROFILING,
        "sizes": SIZES,
        "ids": list(membership_ids or ()),
    }
    is_some = membership_ids is not None
    of_some = "AND p.membership_id = ANY(%(ids)s::bigint[])" if is_some else ""
    theirs = (
        "AND EXISTS (SELECT FROM members_membership m WHERE m.id = ANY(%(ids)s::bigint[])"
        " AND m.member_id = t.member_id AND m.brand_id = t.brand_id)"
        if is_some
        else ""
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('computed tags'))")
        cursor.execute(_WORDS_OF_CATEGORIES)
        cursor.execute(_WORDS_OF_SIZES, given)
        with database.planning(**({} if is_some else _IN_ORDER), work_mem=_MEMORY):
            cursor.execute(_KNOWN.format(some=of_some), given)
            cursor.execute(_PIECES.format(some=of_some), given)
        cursor.execute(_PRODUCTS, given)
        with database.planning(**({} if is_some else _HASHED), work_mem=_MEMORY):
            cursor.execute(f"CREATE TEMPORARY TABLE tags_wanted ON COMMIT DROP AS {_wanted()}")
            cursor.execute(_DIFFERENCES.format(some=theirs), given)
        counts = {}
        for name, statement in {"ended": _END, "explained": _EXPLAIN_ANEW, "put": _PUT_ON}.items():
            cursor.execute(statement, given)
            counts[name] = cursor.rowcount
        cursor.execute("SELECT DISTINCT member_id FROM tags_other WHERE id IS NULL OR NOT holds ORDER BY 1")
        member_ids = [member_id for (member_id,) in cursor.fetchall()]
        cursor.execute("DROP TABLE tags_known, tags_pieces, tags_product, tags_wanted, tags_other")
    return Changed(**counts), member_ids


def _wanted() -> str:
    """What holds, of whom, and why: a SELECT for each rule that is switched on."""
    words = _words()
    rules = [
        f"SELECT member_id, brand_id, {words[rule.code].pk} AS tag_id, jsonb_build_object({rule.shows}) AS why"
        f" FROM tags_known WHERE {rule.when}"
        for rule in RULES
        if words[rule.code].is_active
    ]
    return " UNION ALL ".join(f"({part})" for part in (*rules, *map(_most, PREFERENCES)))


def _words() -> dict[str, Tag]:
    """The tags of RULES by their codes, made where they are missing."""
    for rule in RULES:
        named = {"group_name": rule.group, "name": rule.name}
        Tag._base_manager.get_or_create(kind=Tag.Kind.MODEL, brand=None, code=rule.code, defaults=named)
    codes = [rule.code for rule in RULES]
    return {tag.code: tag for tag in Tag._base_manager.filter(kind=Tag.Kind.MODEL, brand=None, code__in=codes)}


@transaction.atomic
def drop(*, member_ids: Collection[int], now: datetime) -> None:
    """Nothing is worked out of these members any more, at once when they say so; nor are earlier reasons kept."""
    computed = MemberTag._base_manager.filter(member__in=member_ids, source=MemberTag.Source.MODEL)
    computed.exclude(why={}).update(why={})
    computed.filter(until=None).update(until=now)
    profiles.retag(member_ids=member_ids, now=now)
