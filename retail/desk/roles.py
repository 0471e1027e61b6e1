"""Which pages and buttons each role of a post may use. Which *rows* it sees is the scope's business, not ours.

A role is a Django group of the same name. `grant` puts a user into it and brings the group up to date with the table
below, so a change here reaches everybody at the next `grant` or `refresh`.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from retail import approvals, audit, doctor, org, scope
from retail.models import Post, Staff, User

# Permissions that no model declares: label of the model, codename, what the person sees.
EXTRA = {
    "commissions.approve_planversion": "批准与启用分佣方案",
    "commissions.close_period": "结算与发放佣金",
    "commissions.post_run": "重算过账",
    "commissions.decide_run": "决定大额重算过账",
    "commissions.export_runfigure": "导出试算明细",
    "commissions.answer_dispute": "答复佣金疑问",
    "commissions.decide_dispute": "决定佣金调整",
    "commissions.export_statement": "导出工资表",
    "commissions.export_companyleg": "导出公司往来",
    "commissions.export_payout": "导出发放名单",
    "retail.decide_post": "决定总部岗位",
    "retail.export_order": "导出订单",
    "retail.decide_exportfile": "决定大批导出",
    "retail.decide_apitoken": "决定可读的接口令牌",
    "members.erase_member": "提出抹去会员",
    "members.decide_member": "决定抹去会员",
    "members.decide_pointsadjustment": "决定大额积分调整",
    "clerks.run_handover": "安排客户继承",
    "clerks.export_handoverrow": "导出继承明细",
    "materials.export_shareday": "导出素材效果",
    "members.stop_member": "登记不要联系",
    "members.correct_member": "更正会员资料",
    "members.export_member": "提出导出会员资料",
    "members.merge_member": "合并会员和撤销合并",
    "clerks.assign_binding": "指定专属导购",
    "clerks.share_pooled": "分配公海里的顾客",
}

# Who stands above whom. Nobody makes, changes or ends anybody on their own level or higher, save headquarters posts,
# which take two persons; what no post has is the superuser's.
LEVELS: dict[str, int] = {
    Post.Role.CLERK: 0,
    Post.Role.STORE_MANAGER: 1,
    Post.Role.FRANCHISE_OWNER: 2,
    Post.Role.REGION_MANAGER: 2,
    **dict.fromkeys(org.HEADQUARTERS, 3),
}
SUPERUSER_LEVEL = 4
NO_LEVEL = -1

_ORDERS = [
    *("retail.order", "retail.orderline", "retail.orderversion", "retail.refund", "retail.refundversion"),
    *("commissions.entry", "commissions.claimrow", "commissions.buyersnapshot", "commissions.actionevent"),
]
_MEMBERS = [
    *("members.member", "members.membership", "members.identity", "members.purchase", "members.tier"),
    *("members.pointsentry", "members.tiermove"),
    *("members.coupontype", "members.coupon", "members.couponmove", "members.couponquota", "members.couponuse"),
    "members.segment",
    *("members.membertag", "members.consent", "members.stop", "members.event"),
    *("clerks.binding", "clerks.tie", "clerks.friend", "clerks.friendmove", "clerks.groupchat"),
    *("clerks.pooled", "clerks.poolpolicy", "clerks.handover", "clerks.handoverrow"),
    *("clerks.contactway", "clerks.shift", "clerks.greeting", "clerks.notice", "clerks.touch"),
    *("clerks.broadcast", "clerks.helprequest"),
]
_PLACES = [
    "retail.brand",
    "retail.region",
    "retail.store",
    "retail.staff",
    "retail.staffaccount",
    "retail.post",
    "retail.employment",
]
_SHARED = ["materials.shareday"]
_LEADS = ["leads.lead"]
_LEAD_RULES = ["leads.leadpolicy"]
_GOODS = ["retail.category", "retail.product", "retail.channel"]
_REWARDS = ["members.tier", "members.tierrule", "members.pointsrule"]
_COUPONS = ["members.coupontype", "members.couponquota"]
_STRUCTURE = [*_PLACES, *_GOODS, "retail.franchisee", "retail.storegroup", "retail.apitoken", "members.tag", *_REWARDS]
_TERMS = ["commissions.payterms", "commissions.guarantee"]
_PARTS = [
    *("commissions.rule", "commissions.share", "commissions.attainment", "commissions.attainmentstep"),
    *("commissions.plancase", "commissions.actionrate"),
]
_PLANS = ["commissions.plan", "commissions.planversion", *_PARTS]
_SCHEDULE = [f"django_celery_beat.{model}" for model in ("periodictask", "intervalschedule", "crontabschedule")]
_PEOPLE = ["retail.user", "retail.approval", "retail.exportfile", "axes.accessattempt"]
_WECOM = ["wecom.app", "wecom.message", "wecom.call", "clerks.corptag", "clerks.department", "clerks.syncrun"]
_WELCOMES = ["clerks.welcome", "clerks.welcomepart", "wecom.media"]
_POSTERS = ["materials.postertemplate"]
_CODES = ["clerks.contactway", "clerks.shift"]
_ATTAINED = ["commissions.attained", "commissions.target"]
_SETTLED = [
    *("commissions.period", "commissions.statement", "commissions.payoutbatch", "commissions.paycycle"),
    *("commissions.payout", "commissions.dispute", *_TERMS, *_ATTAINED),
]
_POLICIES = ["clerks.policy", "clerks.pastpolicy"]
_INTENT = ["leads.intentmodel"]
_MERGING = ["members.doubt", "clerks.merge"]
_BETWEEN = ["commissions.companyaccount", "commissions.companyleg"]
_RUNS = ["commissions.run", "commissions.runfigure"]
_LISTS = ["members.memberimport", "members.couponissue"]
_MACHINERY = [
    *(*_POLICIES, *_SETTLED, *_BETWEEN, *_RUNS, *_MERGING, *_LISTS, *_INTENT),
    *("retail.job", "retail.auditrow", *_PEOPLE, *_SCHEDULE, *_WECOM),
]


def _may(models: list[str], *verbs: str) -> frozenset[str]:
    """Permission names ("retail.view_order") of these verbs on these models."""
    split = (label.split(".") for label in models)
    return frozenset(f"{app}.{verb}_{model}" for app, model in split for verb in verbs)


_TELLS = _may(["clerks.broadcast"], "add", "change")  # the people in the stores they see
_OWN_STORES = _may(
    [
        *_ORDERS,
        *_MEMBERS,
        *_PLACES,
        *_GOODS,
        *_LEADS,
        *_SHARED,
        "commissions.statement",
        "commissions.dispute",
        *_ATTAINED,
    ],
    "view",
) | {
    *("commissions.answer_dispute", "members.stop_member", *_TELLS),
    *("clerks.assign_binding", "clerks.share_pooled", "clerks.run_handover"),
}
_TAKES_PAYROLL = frozenset({"commissions.export_statement", "commissions.export_companyleg"})
_EVERYTHING = _may(
    [*_LEADS, *_SHARED, *_LEAD_RULES, *_ORDERS, *_MEMBERS, *_STRUCTURE, *_PLANS, *_WELCOMES, *_POSTERS, *_MACHINERY],
    "view",
)

# What takes two persons: operations and finance decide for each other.
_DECIDES = frozenset(
    {
        *("retail.decide_post", "retail.decide_exportfile", "retail.decide_apitoken", "members.decide_member"),
        "members.decide_pointsadjustment",
        *("commissions.decide_run", "commissions.answer_dispute", "commissions.decide_dispute"),
    }
)
_TRIES = frozenset({"commissions.add_run", "commissions.export_runfigure"})

PERMISSIONS: dict[str, frozenset[str]] = {
    Post.Role.CLERK: frozenset(),
    Post.Role.STORE_MANAGER: _OWN_STORES,
    Post.Role.REGION_MANAGER: _OWN_STORES | _may(["retail.franchisee"], "view"),
    Post.Role.FRANCHISE_OWNER: _OWN_STORES
    | _may(["retail.franchisee", *_BETWEEN], "view")
    | _TAKES_PAYROLL
    | {"retail.view_exportfile", "clerks.export_handoverrow"},  # their own ones: the page shows nobody else's
    Post.Role.HQ_OPS: _EVERYTHING
    | _may([*_STRUCTURE, *_PLANS, *_CODES, *_WELCOMES, *_POSTERS, *_COUPONS, "retail.user"], "add", "change")
    | _may(["commissions.target", "members.segment", "clerks.poolpolicy", *_LEAD_RULES], "add", "change")
    | {"clerks.share_pooled"}
    | _may([*_PARTS, "clerks.shift", "clerks.welcomepart"], "delete")
    | _may(_LISTS, "add", "change")
    | _may(["clerks.policy"], "change")
    | {"clerks.assign_binding"}
    | _may(["retail.job", "wecom.app", "wecom.message", "wecom.call", "clerks.syncrun"], "change")
    | _may(["members.pointsadjustment", "members.tiermove"], "add")
    | {"clerks.run_handover", "clerks.export_handoverrow", "materials.export_shareday"}
    | {"members.stop_member", "members.correct_member", "members.export_member"}
    | {"retail.unmask_buyerkey", "retail.export_order", "members.erase_member", "members.merge_member"}
    | _TELLS
    | _TRIES
    | _DECIDES,
    Post.Role.HQ_FINANCE: _EVERYTHING
    | _may(_TERMS, "add", "change")
    | _may(["commissions.paycycle"], "add")
    | _TAKES_PAYROLL
    | {"commissions.approve_planversion", "commissions.close_period", "retail.export_order"}
    | {"commissions.export_payout"}
    | {"commissions.post_run"}
    | _TRIES
    | _DECIDES,
    Post.Role.AUDITOR: _EVERYTHING,
}


@transaction.atomic
def grant(*, user: User, role: str) -> Group:
    """Let a user use the pages of a role, and the admin at all unless they are a clerk. Returns the role's group."""
    group = refresh(role=role)
    user.groups.add(group)
    if PERMISSIONS[role] and not user.is_staff:
        user.is_staff = True
        user.save(update_fields=["is_staff"])
    return group


def refresh(*, role: str) -> Group:
    """The group of a role with exactly the permissions of the table above."""
    group = Group.objects.get_or_create(name=role)[0]
    names = PERMISSIONS[role]
    if _names_of(group) != names:
        group.permissions.set(_rows(names))
    return group


@transaction.atomic
def follow_posts(*, staff: Staff, now: datetime) -> None:
    """Give the sign-in of a person exactly the roles of the posts they hold now."""
    if staff.user is None:
        return
    held = {post.role for post in org.posts_of(staff=staff, now=now)}
    staff.user.groups.remove(*Group.objects.filter(name__in=set(PERMISSIONS) - held))
    for role in sorted(held):
        grant(user=staff.user, role=role)


def _powers_as_posted(_look: doctor.Look) -> Iterator[str]:
    """Nobody may do more than the table of roles says for the posts they have held."""
    for group in Group.objects.order_by("name"):
        for name in sorted(_names_of(group) - PERMISSIONS.get(group.name, frozenset())):
            yield f"group {group.name}: {name}"
    posted = Post._base_manager.filter(staff__user=OuterRef("user"), role=OuterRef("group__name"))
    unposted = User.groups.through.objects.filter(~Exists(posted)).order_by("pk")
    for user_id, role in unposted.values_list("user", "group__name"):
        yield f"user {user_id}: {role} without a post"
    for user_id in User.objects.exclude(user_permissions=None).order_by("pk").values_list("pk", flat=True).distinct():
        yield f"user {user_id}: permissions of their own"


doctor.INVARIANTS["powers_as_posted"] = _powers_as_posted


def level_of(*, by: User, post: Post | None) -> int:
    """How high somebody stands who acts in this post: posts never add up."""
    if by.is_superuser:
        return SUPERUSER_LEVEL
    return LEVELS[post.role] if post else NO_LEVEL


def grantable(*, by: User, post: Post | None) -> list[str]:
    """The roles a user acting in `post` may give, or ask a second person to give.

    Those below their own level; headquarters may ask for its own level, as far as it allows nothing they lack.
    """
    level, own = level_of(by=by, post=post), by.get_all_permissions()
    if level == SUPERUSER_LEVEL:
        return list(PERMISSIONS)
    below = [role for role in PERMISSIONS if LEVELS[role] < level]
    asked = [role for role in PERMISSIONS if takes_two(role) and LEVELS[role] == level and PERMISSIONS[role] <= own]
    return below + asked


def takes_two(role: str) -> bool:
    """Whether a post of this role is given by two persons."""
    return role in org.HEADQUARTERS


def is_above(*, by: User, post: Post | None, staff: Staff) -> bool:
    """Whether `by` may change this person: every post they hold, held or will hold is lower and in the scope."""
    level, visible = level_of(by=by, post=post), scope.current()
    theirs = Post.objects.filter(staff=staff)
    if any(LEVELS[held.role] >= level for held in theirs):
        return False
    stores = visible.store_ids
    return stores is None or all(held.store_id in stores for held in theirs)


def outranks(*, by: User, post: Post | None, user: User) -> bool:
    """Whether `by` may change an account: nobody changes one that may do more than theirs, nor one of their equals.

    That of a superuser is changed on the server, also for another superuser.
    """
    if user.is_superuser:
        return False
    if by.is_superuser:
        return True
    staff = Staff._base_manager.filter(user=user).first()
    if not user.get_all_permissions() <= by.get_all_permissions():
        return False
    # An account of nobody is headquarters' to change.
    return is_above(by=by, post=post, staff=staff) if staff else scope.current().is_everything


# ── Posts of headquarters, by two persons ────────────────────────────────────────────────────────────────────────────
GRANT_POST = "post.grant"


def ask_for_post(*, post: Post, by: User, reason: str, now: datetime) -> approvals.Approval:
    """Put a post of headquarters, new or changed and not saved, before a second person. Raises approvals.Refused."""
    staff = post.staff
    held = [str(row) for row in org.posts_of(staff=staff, now=now)]
    wanted = {
        "post_id": post.pk,
        "role": post.role,
        "starts_at": post.starts_at.isoformat(),
        "ends_at": post.ends_at.isoformat() if post.ends_at else None,
    }
    until = f"{timezone.localtime(post.ends_at):%Y-%m-%d %H:%M}" if post.ends_at else _("不限")
    since = f"{timezone.localtime(post.starts_at):%Y-%m-%d %H:%M}"
    return approvals.ask(
        kind=GRANT_POST,
        target=staff,
        payload=wanted,
        before={str(staff): _("、").join(held) or _("没有岗位")},
        after={str(staff): _("%(post)s，从 %(since)s 到 %(until)s") % {"post": post, "since": since, "until": until}},
        by=by,
        reason=reason,
        needs="retail.change_post",
        now=now,
        concerns=staff.user,
    )


def _may_grant(*, payload: dict[str, Any], by: User) -> str:
    if PERMISSIONS[payload["role"]] <= by.get_all_permissions():
        return ""
    return _("这个岗位能做的事比您多，要由级别更高的人决定。")


@approvals.kind(GRANT_POST, name=gettext_lazy("授予总部岗位"), permission="retail.decide_post", objection=_may_grant)
def _grant_post(*, target_id: str, payload: dict[str, Any], by: User, now: datetime) -> None:
    staff = Staff._base_manager.select_for_update(of=("self",)).get(pk=target_id)
    post = Post.objects.get(pk=payload["post_id"]) if payload["post_id"] else Post(staff=staff)
    post.role, post.store, post.region, post.franchisee = payload["role"], None, None, None
    post.starts_at = datetime.fromisoformat(payload["starts_at"])
    post.ends_at = datetime.fromisoformat(payload["ends_at"]) if payload["ends_at"] else None
    post.full_clean()
    post.save()
    audit.record(by=by, action=GRANT_POST, target=post, now=now, after=payload)
    follow_posts(staff=staff, now=now)


@transaction.atomic
def give_post(*, staff: Staff, role: str, by: User | None, now: datetime) -> Post:
    """Give a post of headquarters at once: for the server's own operator, who has nobody to ask."""
    post = Post.objects.create(staff=staff, role=role, starts_at=now)
    audit.record(by=by, action=GRANT_POST, target=post, now=now, after={"role": role, "staff": staff.code})
    follow_posts(staff=staff, now=now)
    return post


def _names_of(group: Group) -> set[str]:
    rows = group.permissions.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows}


def _rows(names: frozenset[str]) -> list[Permission]:
    for name in names & set(EXTRA):
        app, codename = name.split(".")
        model = ContentType.objects.get_by_natural_key(app, codename.split("_", 1)[1])
        Permission.objects.get_or_create(content_type=model, codename=codename, defaults={"name": EXTRA[name]})
    codenames = {name.split(".")[1] for name in names}
    rows = Permission.objects.filter(codename__in=codenames).select_related("content_type")
    return [row for row in rows if f"{row.content_type.app_label}.{row.codename}" in names]
