"""Which pages and buttons each role of a post may use. Which *rows* it sees is the scope's business, not ours.

A role is a Django group of the same name. `grant` puts a user into it and brings the group up to date with the table
below, so a change here reaches everybody at the next `grant` or `refresh`.
"""

from datetime import datetime

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction

from retail import org
from retail.models import Post, Staff, User

# Permissions that no model declares: label of the model, codename, what the person sees.
EXTRA = {"commissions.approve_planversion": "批准与启用分佣方案", "retail.export_order": "导出订单"}

_ORDERS = [
    *("retail.order", "retail.orderline", "retail.orderversion", "retail.refund", "retail.refundversion"),
    *("commissions.entry", "commissions.claimrow", "commissions.buyersnapshot"),
]
_MEMBERS = [
    *("members.member", "members.membership", "members.identity", "members.purchase", "members.tier"),
    "clerks.binding",
]
_PLACES = ["retail.brand", "retail.region", "retail.store", "retail.staff", "retail.post", "retail.employment"]
_GOODS = ["retail.category", "retail.product", "retail.channel"]
_STRUCTURE = [*_PLACES, *_GOODS, "retail.franchisee", "retail.storegroup", "retail.apitoken", "members.tier"]
_PARTS = ["commissions.rule", "commissions.share", "commissions.attainment", "commissions.attainmentstep"]
_PLANS = ["commissions.plan", "commissions.planversion", *_PARTS]
_SCHEDULE = [f"django_celery_beat.{model}" for model in ("periodictask", "intervalschedule", "crontabschedule")]
_MACHINERY = ["commissions.period", "retail.job", "retail.auditrow", "retail.user", *_SCHEDULE]


def _may(models: list[str], *verbs: str) -> frozenset[str]:
    """Permission names ("retail.view_order") of these verbs on these models."""
    split = (label.split(".") for label in models)
    return frozenset(f"{app}.{verb}_{model}" for app, model in split for verb in verbs)


_OWN_STORES = _may([*_ORDERS, *_MEMBERS, *_PLACES, *_GOODS], "view")
_EVERYTHING = _may([*_ORDERS, *_MEMBERS, *_STRUCTURE, *_PLANS, *_MACHINERY], "view")

PERMISSIONS: dict[str, frozenset[str]] = {
    Post.Role.CLERK: frozenset(),
    Post.Role.STORE_MANAGER: _OWN_STORES,
    Post.Role.REGION_MANAGER: _OWN_STORES | _may(["retail.franchisee"], "view"),
    Post.Role.FRANCHISE_OWNER: _OWN_STORES | _may(["retail.franchisee"], "view"),
    Post.Role.HQ_OPS: _EVERYTHING
    | _may([*_STRUCTURE, *_PLANS, "retail.user"], "add", "change")
    | _may(_PARTS, "delete")
    | _may(["retail.job", "django_celery_beat.periodictask"], "change")
    | {"retail.unmask_buyerkey", "retail.export_order"},
    Post.Role.HQ_FINANCE: _EVERYTHING | {"commissions.approve_planversion", "retail.export_order"},
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
    group, _ = Group.objects.get_or_create(name=role)
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


def grantable(*, by: User) -> list[str]:
    """The roles a user may hand out: those that allow nothing they may not do themselves."""
    own = by.get_all_permissions()
    return [role for role, names in PERMISSIONS.items() if by.is_superuser or names <= own]


def outranks(*, by: User, user: User) -> bool:
    """Whether `by` may change the account of `user`: nobody changes an account that may do more than their own."""
    return by.is_superuser or (not user.is_superuser and user.get_all_permissions() <= by.get_all_permissions())


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
