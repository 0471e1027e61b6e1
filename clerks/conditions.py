"""Conditions of segments over what this room knows: whose customer somebody is, WeCom, and when they last heard of us.

Registered in `clerks.apps`: the members' room cannot know of clerks.
"""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clerks.models import Friend, Touch
from members.segments.fields import Choice, Choices, Codes, Window, Words, spelled
from members.segments.kinds import Kind, Parts, Said, day, plain
from members.segments.names import Names
from members.segments.query import Query

HEADING = gettext_lazy("导购和企业微信")


# ── Whose customer ───────────────────────────────────────────────────────────────────────────────────────────────────
def _bound(said: Said, query: Query) -> Parts:
    where = f"b.member_id = {query.membership('member_id')} AND b.brand_id = {query.membership('brand_id')}"
    where += " AND b.ended_at IS NULL"
    value = f"(SELECT s.name FROM clerks_binding b JOIN retail_staff s ON s.id = b.staff_id WHERE {where})"
    if "staff" in said:
        where += f" AND b.staff_id = ANY({query.ids('staff', said['staff'])})"
    if "store" in said:
        where += f" AND b.store_id = ANY({query.ids('store', said['store'])})"
    some = f"EXISTS (SELECT FROM clerks_binding b WHERE {where})"
    return Parts(some if said["is"] == "bound" else f"NOT {some}", value, is_certain=True)


def _bound_words(said: Said, names: Names) -> str:
    if said["is"] == "unbound":
        return _("没有专属导购")
    whose = [spelled(names.of(of, said[of])) for of in ("staff", "store") if of in said]
    return _("专属导购是%(whose)s") % {"whose": _("，").join(whose)} if whose else _("有专属导购")


# ── Friends in WeCom ─────────────────────────────────────────────────────────────────────────────────────────────────
FRIEND, LOST, NEVER = "friend", "lost", "never"


def _friend(said: Said, query: Query) -> Parts:
    """With the corp of the brand: of anybody there, or of the clerks who were named."""
    state = Friend.State
    where = f"f.member_id = {query.membership('member_id')} AND f.corp = {query.put(query.brand.corp)}"
    if "staff" in said:
        where += f" AND f.staff_id = ANY({query.ids('staff', said['staff'])})"
    is_friend = f"EXISTS (SELECT FROM clerks_friend f WHERE {where} AND f.state = '{state.FRIEND.value}')"
    if said["is"] == FRIEND:
        return Parts(is_friend, is_certain=True)
    if said["is"] == LOST:
        was = f"EXISTS (SELECT FROM clerks_friend f WHERE {where} AND f.state = '{state.LOST.value}')"
        return Parts(f"{was} AND NOT {is_friend}", is_certain=True)
    return Parts(f"NOT EXISTS (SELECT FROM clerks_friend f WHERE {where})", is_certain=True)


def _friend_words(said: Said, names: Names) -> str:
    whose = spelled(names.of("staff", said["staff"])) if "staff" in said else _("导购")
    template = {
        FRIEND: _("是%(whose)s的企业微信好友"),
        LOST: _("删除了%(whose)s的企业微信"),
        NEVER: _("没加过%(whose)s的企业微信"),
    }
    return template[said["is"]] % {"whose": whose}


# ── The last contact ─────────────────────────────────────────────────────────────────────────────────────────────────
PURPOSES: dict[str, Words] = {
    one.value: one.label for one in Touch.Purpose if one not in (Touch.Purpose.REPLY, Touch.Purpose.OPENED)
}  # what a customer says or does is no contact of ours


def _contacted(said: Said, query: Query) -> Parts:
    """By anybody of the brand's corp."""
    purposes = list(said.get("purpose", PURPOSES))
    where = f"t.member_id = {query.membership('member_id')} AND t.corp = {query.put(query.brand.corp)}"
    where += f" AND t.purpose = ANY({query.put(purposes, 'text[]')})"
    value = f"(SELECT max(t.at) FROM clerks_touch t WHERE {where})"
    some = f"EXISTS (SELECT FROM clerks_touch t WHERE {where}{query.within('t.at', said['within'])})"
    return Parts(some if said["is"] == "in" else f"NOT {some}", value, is_certain=True)


def _contacted_words(said: Said, names: Names) -> str:
    purposes = spelled([str(PURPOSES[one]) for one in said["purpose"]]) if "purpose" in said else ""
    told = {"when": said["within"], "purposes": _("（%(what)s）") % {"what": purposes} if purposes else ""}
    return (_("%(when)s联系过%(purposes)s") if said["is"] == "in" else _("%(when)s没有联系过%(purposes)s")) % told


def _choices(**words: Words) -> Choice:
    return Choice(name="is", label=gettext_lazy("怎样"), choices=dict(words))


KINDS = (
    Kind(
        code="bound",
        heading=HEADING,
        title=gettext_lazy("专属导购"),
        column=gettext_lazy("专属导购"),
        fields=(
            _choices(bound=gettext_lazy("有"), unbound=gettext_lazy("没有")),
            Codes(
                name="staff", label=gettext_lazy("导购"), of="staff", is_required=False, asked_where=("is", ("bound",))
            ),
            Codes(
                name="store", label=gettext_lazy("门店"), of="store", is_required=False, asked_where=("is", ("bound",))
            ),
        ),
        words=_bound_words,
        parts=_bound,
        shown=plain,
    ),
    Kind(
        code="friend",
        heading=HEADING,
        title=gettext_lazy("企业微信好友"),
        fields=(
            _choices(friend=gettext_lazy("是好友"), lost=gettext_lazy("删除了我们"), never=gettext_lazy("从来没加过")),
            Codes(name="staff", label=gettext_lazy("导购"), of="staff", is_required=False),
        ),
        words=_friend_words,
        parts=_friend,
    ),
    Kind(
        code="contacted",
        heading=HEADING,
        title=gettext_lazy("最近联系"),
        column=gettext_lazy("最近联系"),
        fields=(
            Choice(
                name="is",
                label=gettext_lazy("怎样"),
                choices={"in": gettext_lazy("联系过"), "not_in": gettext_lazy("没有联系过")},
            ),
            Window(name="within", label=gettext_lazy("什么时候"), usual=(14, "day")),
            Choices(name="purpose", label=gettext_lazy("目的"), choices=PURPOSES, is_required=False, is_further=True),
        ),
        words=_contacted_words,
        parts=_contacted,
        shown=day,
    ),
)
