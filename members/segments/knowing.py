"""Conditions over what is known of a member: tags, what they did other than buying, what they allow."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from members.models import Event
from members.segments.fields import Choice, Codes, Whole, Window, Words, spelled
from members.segments.kinds import Kind, Parts, Said, compare, compared, comparison, only, register
from members.segments.names import Names
from members.segments.query import Query

# ── Tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
ANY, ALL, NONE = "any", "all", "none"


def _tags(said: Said, query: Query) -> Parts:
    """By the ids in force that the profile holds, where an index finds them."""
    held = query.profile("tag_ids")
    value = f"""(SELECT string_agg(t.name, U&'\\3001' ORDER BY t.name) FROM members_tag t
        WHERE t.id = ANY({held}) AND t.id = ANY({query.ids("tag", said["tag"])}))"""
    if said["is"] == ALL:
        return Parts(
            _all(held, [query.names.ids("tag", [code]) for code in said["tag"]], query), value, has_profile=True
        )
    some = f"{held} && {query.put(query.names.ids('tag', said['tag']), 'int[]')}"
    return Parts(some, value, has_profile=True) if said["is"] == ANY else Parts(f"({some}) IS NOT TRUE", value)


def _all(held: str, wanted: list[list[int]], query: Query) -> str:
    """One of each. Those that a single id stands for are asked for together: that is what the index is quickest at."""
    single = [ids[0] for ids in wanted if len(ids) == 1]
    together = [f"{held} @> {query.put(single, 'int[]')}"] if single else []
    return " AND ".join(together + [f"{held} && {query.put(ids, 'int[]')}" for ids in wanted if len(ids) != 1])


def _tags_words(said: Said, names: Names) -> str:
    tags = _("、").join(_("「%(name)s」") % {"name": name} for name in names.of("tag", said["tag"]))
    if len(said["tag"]) == 1:
        return (_("没有标签%(tags)s") if said["is"] == NONE else _("有标签%(tags)s")) % {"tags": tags}
    template = {ANY: _("有标签%(tags)s中的任意一个"), ALL: _("同时有标签%(tags)s"), NONE: _("标签%(tags)s一个都没有")}
    return template[said["is"]] % {"tags": tags}


# ── Behaviour ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _events(said: Said, query: Query) -> Parts:
    times = query.gather(("events", only(said, *_OF_EVENTS)), lambda: _happened(said, query))
    return compare(f"{times}.times", said, said["count"], query.put(said["count"], "bigint"))


_OF_EVENTS = ("event", "within", "product", "category", "store")


def _happened(said: Said, query: Query) -> str:
    where = f"e.kind = {query.put(said['event'])} AND e.brand_id = {query.put(query.brand.pk)}"
    where += query.within("e.at", said.get("within"))
    if "product" in said:
        where += f" AND e.product_id = ANY({query.ids('product', said['product'])})"
    if "category" in said:
        category = f"g.category_id = ANY({query.ids('category', said['category'])})"
        where += f" AND EXISTS (SELECT FROM retail_product g WHERE g.id = e.product_id AND {category})"
    if "store" in said:
        where += f" AND e.store_id = ANY({query.ids('store', said['store'])})"
    return f"""SELECT near.id, count(*) AS times FROM near JOIN members_event e ON e.member_id = near.member_id
        WHERE {where} GROUP BY 1"""


def _events_words(said: Said, names: Names) -> str:
    about = [spelled(names.of(of, said[of])) for of in ("product", "category", "store") if of in said]
    return _("%(when)s%(did)s%(about)s%(is)s %(count)s 次") % {
        "when": str(said["within"]) if "within" in said else _("累计"),
        "did": Event.Kind(said["event"]).label,
        "about": _("（%(what)s）") % {"what": _("，").join(about)} if about else "",
        "is": comparison(said),
        "count": said["count"],
    }


# ── What they allow ──────────────────────────────────────────────────────────────────────────────────────────────────
CONSENTS: dict[str, Words] = {"marketing": gettext_lazy("营销联系"), "profiling": gettext_lazy("个性化推荐")}
STOPS: dict[str, Words] = {"service": gettext_lazy("服务通知"), "marketing": gettext_lazy("营销联系")}

# Both stay with the member who said it, also when that one was merged into another: who that is by now, however often.
_MERGED = """(WITH RECURSIVE up AS (
        SELECT id, merged_into_id AS root FROM members_member WHERE merged_into_id IS NOT NULL
        UNION ALL
        SELECT up.id, m.merged_into_id FROM up
            JOIN members_member m ON m.id = up.root AND m.merged_into_id IS NOT NULL
    ) SELECT up.id, up.root FROM up JOIN members_member m ON m.id = up.root AND m.merged_into_id IS NULL)"""


def _consent(said: Said, query: Query) -> Parts:
    """By the last word on it to the group itself; who never said anything has not agreed."""
    purpose = said["purpose"]
    last = query.gather(
        ("consent", purpose),
        lambda: (
            f"""SELECT DISTINCT ON (near.id) near.id, c.is_given
        FROM members_consent c LEFT JOIN {_MERGED} gone ON gone.id = c.member_id
        JOIN near ON near.member_id = coalesce(gone.root, c.member_id)
        WHERE c.purpose = {query.put(purpose)} AND c.company_id IS NULL ORDER BY near.id, c.at DESC, c.id DESC"""
        ),
    )
    return Parts(f"{last}.is_given IS {'TRUE' if said['is'] == 'given' else 'NOT TRUE'}", is_certain=True)


def _stopped(said: Said, query: Query) -> Parts:
    """Somebody whom the corp of the brand is to leave alone, on any channel."""
    some = f"""{query.membership("member_id")} IN (
        SELECT coalesce(gone.root, s.member_id)
        FROM members_stop s LEFT JOIN {_MERGED} gone ON gone.id = s.member_id
        WHERE s.lifted_at IS NULL AND s.corp = {query.put(query.brand.corp)}
            AND s.purpose IN ('', {query.put(said["purpose"])}))"""
    return Parts(some if said["is"] == "stopped" else f"NOT {some}", is_certain=True)


def _about(purposes: dict[str, Words], templates: dict[str, Words]) -> Any:
    def words(said: Said, names: Names) -> str:
        return str(templates[said["is"]]) % {"purpose": purposes[said["purpose"]]}

    return words


register(
    Kind(
        code="tags",
        heading=gettext_lazy("标签"),
        title=gettext_lazy("标签"),
        column=gettext_lazy("标签"),
        fields=(
            Choice(
                name="is",
                label=gettext_lazy("怎样"),
                choices={
                    ANY: gettext_lazy("有任意一个"),
                    ALL: gettext_lazy("全都有"),
                    NONE: gettext_lazy("一个都没有"),
                },
            ),
            Codes(name="tag", label=gettext_lazy("标签"), of="tag"),
        ),
        words=_tags_words,
        parts=_tags,
    ),
    Kind(
        code="event",
        heading=gettext_lazy("行为"),
        title=gettext_lazy("浏览、加购、到店…"),
        column=gettext_lazy("次数"),
        fields=(
            Choice(name="event", label=gettext_lazy("做了什么"), choices=dict(Event.Kind.choices)),
            Window(name="within", label=gettext_lazy("什么时候"), is_required=False),
            compared(),
            Whole(name="count", label=gettext_lazy("次数"), unit=gettext_lazy("次")),
            Codes(name="product", label=gettext_lazy("商品"), of="product", is_required=False, is_further=True),
            Codes(name="category", label=gettext_lazy("品类"), of="category", is_required=False, is_further=True),
            Codes(name="store", label=gettext_lazy("门店"), of="store", is_required=False, is_further=True),
        ),
        words=_events_words,
        parts=_events,
        shown=lambda value: str(value or 0),
    ),
    Kind(
        code="consent",
        heading=gettext_lazy("同意与打扰"),
        title=gettext_lazy("同意"),
        fields=(
            Choice(
                name="is",
                label=gettext_lazy("怎样"),
                choices={"given": gettext_lazy("同意了"), "not_given": gettext_lazy("没有同意")},
            ),
            Choice(name="purpose", label=gettext_lazy("什么"), choices=CONSENTS),
        ),
        words=_about(
            CONSENTS, {"given": gettext_lazy("同意%(purpose)s"), "not_given": gettext_lazy("没有同意%(purpose)s")}
        ),
        parts=_consent,
    ),
    Kind(
        code="stop",
        heading=gettext_lazy("同意与打扰"),
        title=gettext_lazy("不要联系"),
        fields=(
            Choice(
                name="is",
                label=gettext_lazy("怎样"),
                choices={"stopped": gettext_lazy("说过不要联系"), "open": gettext_lazy("没有说过不要联系")},
            ),
            Choice(name="purpose", label=gettext_lazy("什么"), choices=STOPS),
        ),
        words=_about(
            STOPS, {"stopped": gettext_lazy("说过不要%(purpose)s"), "open": gettext_lazy("没有拒绝%(purpose)s")}
        ),
        parts=_stopped,
    ),
)
