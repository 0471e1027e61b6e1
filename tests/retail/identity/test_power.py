"""P16: nobody widens their own power, or hands out what they do not have; headquarters posts take two persons."""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from retail import approvals, org, scope
from retail.approvals import Approval
from retail.desk import roles
from retail.models import AuditRow, Post, Staff, User
from tests.factories import franchisee, number, user, world
from tests.figures import figure
from tests.forms import NO_ACCOUNTS
from tests.signing_in import signed_in

ROLES = [role for role in Post.Role.values if role != Post.Role.CLERK]
HEADQUARTERS = ["hq_ops", "hq_finance", "auditor"]


@pytest.fixture
def two_shops(shop):
    with scope.within(scope.EVERYTHING):
        other = world()
        other.hire(f"other-{number()}")
    return shop, other


def place(shop, role: str) -> dict:
    if role == "region_manager":
        return {"region": shop.region}
    if role == "franchise_owner":
        with scope.within(scope.EVERYTHING):
            company = franchisee()
            type(shop.store)._base_manager.filter(pk=shop.store.pk).update(franchisee=company)
        return {"franchisee": company}
    return {}


def armed(person) -> None:
    """Hand somebody every page of people there is, as an installation might: levels must hold without the pages."""
    wanted = ["staff", "post", "employment", "user", "approval"]
    person.user.user_permissions.set(
        Permission.objects.filter(
            content_type__app_label="retail",
            codename__in=[f"{verb}_{model}" for verb in ("view", "add", "change", "delete") for model in wanted],
        )
    )


def power() -> dict[str, object]:
    """Everything that says what who may do."""
    with scope.within(scope.EVERYTHING):
        return {
            "users": list(User.objects.order_by("pk").values("pk", "is_superuser", "is_staff", "password")),
            "groups": sorted(User.groups.through.objects.values_list("user_id", "group__name")),
            "permissions": sorted(User.user_permissions.through.objects.values_list("user_id", "permission_id")),
            "of groups": sorted(Group.permissions.through.objects.values_list("group_id", "permission_id")),
            "posts": list(Post.objects.order_by("pk").values()),
            "links": list(Staff._base_manager.order_by("pk").values_list("pk", "user_id")),
        }


def staff_form(staff, **posts) -> dict:
    rows = {"posts-TOTAL_FORMS": "0", "posts-INITIAL_FORMS": "0", **posts}
    jobs = {"employments-TOTAL_FORMS": "0", "employments-INITIAL_FORMS": "0", **NO_ACCOUNTS}
    return {"code": staff.code, "name": staff.name, "user": staff.user_id or "", **rows, **jobs}


def new_post(role: str, **place) -> dict:
    rows = {f"posts-0-{name}": value for name, value in place.items()}
    return {
        "posts-TOTAL_FORMS": "1", "posts-INITIAL_FORMS": "0", "posts-0-role": role,
        "posts-0-starts_at_0": "2026-01-01", "posts-0-starts_at_1": "00:00:00", **rows,
    }  # fmt: skip


_IN_STORES = (lambda ours, _: {"store": ours.store.pk}, lambda _, theirs: {"store": theirs.store.pk})
PLACES_OF = dict.fromkeys(HEADQUARTERS, (lambda *_: {},)) | {
    "clerk": _IN_STORES,
    "store_manager": _IN_STORES,
    "region_manager": (lambda ours, _: {"region": ours.region.pk},),
}


def attempts(me, shop, other, people):
    """(path, form) of every grant that no role may make alone, save a superuser some."""
    for target in people:
        page = f"/admin/retail/staff/{target.pk}/change/"
        for role, places in PLACES_OF.items():
            for where in (place(shop, other) for place in places):
                yield role, where, target, page, staff_form(target, **new_post(role, **where))
        account = target.user
        powers = {"is_superuser": "on", "is_staff": "on", "groups": [Group.objects.first().pk],
                  "user_permissions": list(Permission.objects.values_list("pk", flat=True)[:3]), "is_active": "on",
                  "session_epoch": "9", "password": "pbkdf2_sha256$1$x$x"}  # fmt: skip
        for name, value in powers.items():
            form = {"username": account.username, "is_active": "on", name: value}
            yield None, {}, target, f"/admin/retail/user/{account.pk}/change/", form
        form = {"username": f"n{number()}", "password1": "y" * 12, "password2": "y" * 12, **powers}
        yield None, {}, target, "/admin/retail/user/add/", {name: form[name] for name in form if name != "password"}


def is_allowed(role, mine, where, shop, before, after) -> bool:
    """Whether a change is one that this role may make: a lower post inside the scope, or a powerless new account."""
    same = [name for name in before if before[name] != after[name] and name not in ("users", "posts", "groups")]
    if same or mine not in roles.LEVELS:
        return not same
    new_posts = [row for row in after["posts"] if row not in before["posts"]]
    lost = [row for row in before["posts"] if row not in after["posts"]]
    new_users = [row for row in after["users"] if row not in before["users"]]
    stores = None if roles.LEVELS[mine] == 3 else {shop.store.pk}
    return (
        not lost
        and all(roles.LEVELS[post["role"]] < roles.LEVELS[mine] for post in new_posts)
        and all(stores is None or post["store_id"] in stores for post in new_posts)
        and not [row for row in new_users if row["is_superuser"] or (row["is_staff"] and not new_posts)]
        and {row["pk"] for row in before["users"]} <= {row["pk"] for row in after["users"]}
    )


@pytest.mark.parametrize("mine", ROLES)
def test_no_role_writes_what_it_may_not_grant(two_shops, sign_in, mine, size):
    shop, other = two_shops
    for role in Post.Role.values:
        roles.refresh(role=role)  # else the first grant of a role is what writes its permissions
    me = sign_in(shop, mine, **place(shop, mine))
    armed(me)
    people = [me.staff, sign_in(shop, "clerk").staff, sign_in(shop, "hq_finance").staff]
    if size == "full":
        people += [sign_in(shop, mine, **place(shop, mine)).staff, sign_in(other, "clerk").staff]
    tried, forbidden, made = 0, [], 0
    for role, where, target, path, form in attempts(me, shop, other, people):
        before = power()
        with transaction.atomic():
            answer = me.client.post(path, form)
            after = power()
            transaction.set_rollback(True)
        tried += 1
        made += before != after
        if not is_allowed(role, mine, where, shop, before, after):
            forbidden.append((target.code, role, where, path, answer.status_code))
    figure(
        "P16", f"{mine}: {tried} grants in the user and post admin: {len(forbidden)} forbidden writes, {made} lawful"
    )
    assert forbidden == []


def test_nobody_stands_above_somebody_of_another_store(two_shops, sign_in):
    """Lower in rank is not enough: where they work has to be within the scope, each of their posts."""
    shop, other = two_shops
    manager = sign_in(shop, "store_manager")
    mine, theirs = sign_in(shop, "clerk").staff, sign_in(other, "clerk").staff
    both = sign_in(shop, "clerk").staff
    with scope.within(scope.EVERYTHING):
        Post.objects.create(staff=both, role="clerk", store=other.store, starts_at=timezone.now())
    post = manager.staff.posts.get()

    with scope.within(org.scope_of(post)):
        above = [roles.is_above(by=manager.user, post=post, staff=staff) for staff in (mine, theirs, both)]

    assert above == [True, False, False]


def test_a_superuser_is_changed_on_the_server_also_by_another(shop, sign_in):
    boss, other = (user(is_staff=True, is_superuser=True) for _ in range(2))

    assert not roles.outranks(by=boss, post=None, user=other) and not roles.outranks(by=boss, post=None, user=boss)
    assert roles.outranks(by=boss, post=None, user=user())


# ── Two persons ──────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def asked(shop, sign_in):
    """An hq_ops who has asked for a colleague to become auditor; (asker, clerk, approval)."""
    asker, clerk = sign_in(shop, "hq_ops"), sign_in(shop, "clerk")
    answer = asker.client.post(
        f"/admin/retail/staff/{clerk.staff.pk}/change/", staff_form(clerk.staff, **new_post("auditor"))
    )
    assert answer.status_code == 302
    with scope.within(scope.EVERYTHING):
        return asker, clerk, Approval.objects.get()


def button(person, approval, name="agree", **said):
    return person.client.post(f"/admin/retail/approval/{approval.pk}/{name}/", {"_form_submitted": "True", **said})


def test_a_headquarters_post_waits_for_a_second_person(shop, sign_in, asked):
    asker, clerk, approval = asked
    assert not Post.objects.filter(staff=clerk.staff, role="auditor").exists()
    refused = button(asker, approval)
    decider = sign_in(shop, "hq_finance")
    page = decider.get(f"/admin/retail/approval/{approval.pk}/change/").content.decode()

    answer = button(decider, approval)

    assert refused.status_code == 403, "who asked does not decide"
    assert "导购" in page and "审计" in page and "→" in page
    assert answer.status_code == 200
    assert Post.objects.filter(staff=clerk.staff, role="auditor").count() == 1
    assert set(clerk.user.groups.values_list("name", flat=True)) == {"clerk", "auditor"}
    with scope.within(scope.EVERYTHING):
        approval.refresh_from_db()
        assert (approval.state, approval.decided_by) == ("approved", decider.user)
        kept = AuditRow.objects.filter(action__in=["approval.ask", "approval.approve", "post.grant"])
        assert [row.by for row in kept.order_by("pk")] == [asker.user, decider.user, decider.user]
    assert button(sign_in(shop, "hq_finance"), approval).status_code == 403, "once"
    assert Post.objects.filter(staff=clerk.staff, role="auditor").count() == 1


def test_a_refusal_does_nothing_and_may_be_asked_again(shop, sign_in, asked):
    asker, clerk, approval = asked
    again = asker.client.post(
        f"/admin/retail/staff/{clerk.staff.pk}/change/", staff_form(clerk.staff, **new_post("auditor")), follow=True
    )
    assert "已经在等人审批" in again.content.decode()

    finance = sign_in(shop, "hq_finance")
    assert 'name="answer"' in button(finance, approval, "refuse").content.decode(), (
        "without a reason it is asked again"
    )
    button(finance, approval, "refuse", answer="先问店长")

    approval.refresh_from_db()
    assert (approval.state, approval.answer) == ("refused", "先问店长")
    assert "先问店长" in asker.get(f"/admin/retail/approval/{approval.pk}/change/").content.decode()
    with scope.within(scope.EVERYTHING):
        assert AuditRow.objects.get(action="approval.refuse").reason == "先问店长"
    assert not Post.objects.filter(staff=clerk.staff, role="auditor").exists()


@pytest.mark.parametrize("role", ["store_manager", "region_manager", "auditor"])
def test_who_lacks_the_permission_or_the_scope_does_not_decide(shop, sign_in, asked, role):
    _asker, clerk, approval = asked
    other = sign_in(shop, role, **place(shop, role))
    armed(other)

    assert button(other, approval).status_code in (403, 404)
    other.user.user_permissions.add(*Permission.objects.filter(codename="decide_post"))
    with scope.within(scope.Scope(store_ids=frozenset([shop.store.pk]))), pytest.raises(Approval.DoesNotExist):
        approvals.decide(approval=approval, by=other.user, is_approved=True, now=timezone.now())
    assert not Post.objects.filter(staff=clerk.staff, role="auditor").exists()


def test_whom_it_is_about_does_not_decide(shop, sign_in, asked, everything):
    asker, clerk, approval = asked
    clerk.user.is_superuser = True
    clerk.user.save()

    with pytest.raises(approvals.Refused, match="关系到您自己"):
        approvals.decide(approval=approval, by=clerk.user, is_approved=True, now=timezone.now())
    with pytest.raises(approvals.Refused, match="另一个人"):
        approvals.decide(approval=approval, by=asker.user, is_approved=True, now=timezone.now())


def test_after_a_week_it_has_expired(shop, sign_in, asked, everything):
    _asker, _clerk, approval = asked
    later = timezone.now() + timedelta(days=8)

    with pytest.raises(approvals.Refused, match="已过期"):
        approvals.decide(approval=approval, by=sign_in(shop, "hq_finance").user, is_approved=True, now=later)
    approval.refresh_from_db()
    assert approval.state == "expired"


def test_an_asker_who_was_dismissed_has_asked_for_nothing(shop, sign_in, asked, everything):
    asker, _clerk, approval = asked
    User.objects.filter(pk=asker.user.pk).update(is_active=False)

    with pytest.raises(approvals.Refused, match="停用"):
        approvals.decide(approval=approval, by=sign_in(shop, "hq_finance").user, is_approved=True, now=timezone.now())


def test_an_asker_who_has_left_has_asked_for_nothing(shop, sign_in, asked, everything):
    asker, _clerk, approval = asked
    asker.staff.posts.update(ends_at=timezone.now())
    finance = sign_in(shop, "hq_finance")

    with pytest.raises(approvals.Refused, match="在职的人"):
        approvals.decide(approval=approval, by=finance.user, is_approved=True, now=timezone.now())


def test_no_button_for_what_would_be_refused_and_the_page_says_why(shop, sign_in, asked, everything):
    _asker, _clerk, approval = asked
    Approval.objects.filter(pk=approval.pk).update(payload={**approval.payload, "role": "hq_ops"})
    finance, page = sign_in(shop, "hq_finance"), f"/admin/retail/approval/{approval.pk}/"

    shown = finance.get(f"{page}change/").content.decode()

    assert f"{page}agree/" not in shown and f"{page}refuse/" in shown
    assert "比您多" in shown
    assert button(finance, approval).status_code == 403
    assert "这件事关系到您自己" not in shown


def test_an_act_that_fails_leaves_it_waiting(shop, sign_in, asked, everything):
    _asker, _clerk, approval = asked
    Approval.objects.filter(pk=approval.pk).update(payload={**approval.payload, "role": "hq_ops"})

    with pytest.raises(approvals.Refused, match="比您多"):
        approvals.decide(approval=approval, by=sign_in(shop, "hq_finance").user, is_approved=True, now=timezone.now())
    approval.refresh_from_db()
    assert approval.state == "waiting"
    assert not AuditRow.objects.filter(action="approval.approve").exists()


def test_the_table_itself_refuses_an_asker_who_decides(asked, everything):
    asker, _clerk, approval = asked

    with pytest.raises(IntegrityError, match="approval_decided_by_another"):
        Approval.objects.filter(pk=approval.pk).update(
            state="approved", decided_by=asker.user, decided_at=timezone.now()
        )


def test_a_headquarters_post_may_be_ended_early_by_one_person(shop, sign_in):
    boss, auditor = user(is_staff=True, is_superuser=True), sign_in(shop, "auditor")
    post = auditor.staff.posts.get()
    began = timezone.localtime(post.starts_at)
    row = {
        "posts-TOTAL_FORMS": "1", "posts-INITIAL_FORMS": "1", "posts-0-id": post.pk, "posts-0-staff": post.staff_id,
        "posts-0-role": "auditor", "posts-0-starts_at_0": f"{began:%Y-%m-%d}", "posts-0-starts_at_1": f"{began:%X}",
        "posts-0-ends_at_0": "2026-01-01", "posts-0-ends_at_1": "00:00:00",
    }  # fmt: skip

    client = signed_in(boss)
    answer = client.post(f"/admin/retail/staff/{auditor.staff.pk}/change/", staff_form(auditor.staff, **row))

    assert answer.status_code == 302
    post.refresh_from_db()
    assert post.ends_at is not None
    row |= {"posts-0-ends_at_0": "2030-01-01"}
    client.post(f"/admin/retail/staff/{auditor.staff.pk}/change/", staff_form(auditor.staff, **row))
    post.refresh_from_db()
    assert post.ends_at < timezone.now(), "to prolong it takes two"
    with scope.within(scope.EVERYTHING):
        assert Approval.objects.get().state == "waiting"


def test_the_server_gives_the_first_post_of_headquarters(shop, sign_in):
    clerk = sign_in(shop, "clerk")

    call_command("give_post", clerk.staff.code, "hq_ops", stdout=StringIO())

    assert clerk.user.groups.filter(name="hq_ops").exists()
    with pytest.raises(CommandError, match="already"):
        call_command("give_post", clerk.staff.code, "hq_ops")
