"""P8: who left, or lost a phone, is out: at the next request, with everything they ever signed in with."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from retail import gate, scope
from retail.api import tokens
from retail.desk import roles
from retail.models import AuditRow, Employment, Post, User
from tests.factories import number, user
from tests.figures import figure
from tests.signing_in import keep, signed_in

PASSWORD = "a-long-password"


def person(shop, role: str):
    """Somebody with a password and a post of that role; returns the staff row."""
    with scope.within(scope.EVERYTHING):
        place = {"region": shop.region} if role == "region_manager" else {}
        staff = shop.hire(f"{role}-{number()}", role=role, **place)
        staff.user = user()
        staff.save()
        roles.grant(user=staff.user, role=role)
    return staff


def ways_in(staff) -> list:
    """Everything this person can send a request with, as callables that say its status."""
    post = staff.posts.get()
    phones = [signed_in(staff.user, post=post) for _ in range(3)]
    with scope.within(scope.EVERYTHING):
        _token, secret = tokens.issue(name="own", can_read=True, staff=staff)
    bearer = {"Authorization": f"Bearer {secret}"}
    pages = ["/m/", "/m/me/", "/m/earnings/"] if post.role in gate.PHONE_ROLES else []
    pages += ["/admin/", "/admin/safety/"] if staff.user.is_staff else []
    asks = [lambda c=phone, p=page: c.get(p).status_code for phone in phones for page in pages]
    return [*asks, lambda: Client().get("/api/v1/orders/", headers=bearer).status_code]


ENDINGS = {
    "employment ended": lambda staff: Employment.objects.filter(staff=staff).update(ends_at=timezone.now()),
    "post ended": lambda staff: Post.objects.filter(staff=staff).update(ends_at=timezone.now()),
    "account off": lambda staff: User.objects.filter(pk=staff.user.pk).update(is_active=False),
}


def test_every_credential_is_dead_at_the_next_request(shop):
    tried = passed = 0
    for role in ("clerk", "store_manager", "region_manager", "hq_ops"):
        for name, end in ENDINGS.items():
            staff = person(shop, role)
            ways = ways_in(staff)
            assert [way() for way in ways] == [200] * len(ways), (role, name)
            end(staff)
            if name == "account off":
                ways.pop()  # the token is the person's, not the account's
            fresh = Client()
            fresh.post("/admin/login/", {"username": staff.user.username, "password": PASSWORD})
            ways += [lambda c=fresh: c.get("/admin/").status_code, lambda c=fresh: c.get("/m/").status_code]
            answers = [way() for way in ways] + [way() for way in ways]
            tried, passed = tried + len(answers), passed + answers.count(200)
    figure(
        "P8", f"{tried} requests with 4 roles' credentials after employment, post or account ended: {passed} passed"
    )
    assert passed == 0


def test_the_first_page_after_the_end_says_why(shop):
    clerk = person(shop, "clerk")
    phone = signed_in(clerk.user)
    Employment.objects.filter(staff=clerk).update(ends_at=timezone.now())

    said = phone.get("/m/")

    assert said.status_code == 403 and "岗位已经结束" in said.content.decode()
    assert "_auth_user_id" not in phone.session


def test_the_roles_of_another_post_give_nothing_here(shop):
    manager = person(shop, "hq_ops")
    with scope.within(scope.EVERYTHING):
        second = Post.objects.create(
            staff=manager, role="store_manager", store=shop.store, starts_at=timezone.now() - timedelta(days=1)
        )
        roles.follow_posts(staff=manager, now=timezone.now())
    here, there = signed_in(manager.user), signed_in(manager.user, post=second)

    assert here.get("/admin/retail/channel/add/").status_code == 200
    assert there.get("/admin/retail/channel/").status_code == 200
    assert there.get("/admin/retail/channel/add/").status_code == 403


# ── All sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_manager_signs_a_clerk_out_everywhere(shop):
    manager, clerk = person(shop, "store_manager"), person(shop, "clerk")
    phones = [signed_in(clerk.user) for _ in range(3)]

    answer = signed_in(manager.user).post(f"/admin/retail/staff/{clerk.pk}/end_sessions/", {"_form_submitted": "True"})

    assert answer.status_code == 200
    assert [phone.get("/m/").status_code for phone in phones] == [302] * 3
    clerk.user.refresh_from_db()
    assert signed_in(clerk.user).get("/m/").status_code == 200, "who signs in again is in"
    with scope.within(scope.EVERYTHING):
        assert AuditRow.objects.get(action="end_sessions").by == manager.user


def test_nobody_signs_out_equals_or_people_elsewhere(shop, sign_in):
    from tests.factories import world

    with scope.within(scope.EVERYTHING):
        elsewhere = world()
    manager = signed_in(person(shop, "store_manager").user)
    for other in (person(shop, "store_manager"), person(shop, "hq_ops"), person(elsewhere, "clerk")):
        answer = manager.post(f"/admin/retail/staff/{other.pk}/end_sessions/", {"_form_submitted": "True"})
        assert answer.status_code in (403, 404)
        other.user.refresh_from_db()
        assert other.user.session_epoch == 0


def test_one_ends_ones_own_other_sessions_and_stays(shop):
    staff = person(shop, "store_manager")
    here, there = signed_in(staff.user), signed_in(staff.user)

    here.post("/admin/safety/end-others/")

    assert here.get("/admin/").status_code == 200
    assert there.get("/admin/")["Location"].startswith("/admin/login/")


def test_a_new_password_ends_all_other_sessions(shop):
    staff = person(shop, "store_manager")
    here, there = signed_in(staff.user), signed_in(staff.user)
    words = {"old_password": PASSWORD, "new_password1": "another-word-9", "new_password2": "another-word-9"}

    answer = here.post("/admin/password_change/", words)

    assert answer.status_code == 302
    assert (here.get("/admin/").status_code, there.get("/admin/").status_code) == (200, 302)


def test_the_command_ends_sessions_and_forgets_the_authenticator(shop):
    staff = person(shop, "store_manager")
    there = signed_in(staff.user)

    call_command("end_sessions", user=staff.user.username, second_factor=True, stdout=StringIO())

    assert there.get("/admin/").status_code == 302
    assert not staff.user.totpdevice_set.exists()
    with pytest.raises(CommandError, match="no user"):
        call_command("end_sessions", user="nobody")


# ── How long a session lasts ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("role", "hours"), [("clerk", 30 * 24), ("store_manager", 30 * 24), ("region_manager", 12)])
def test_a_session_lasts_so_long_after_the_last_click(shop, role, hours):
    client = signed_in(person(shop, role).user)
    keep(client, **{gate.SEEN_AT: 0})

    cookie = client.get("/m/me/" if hours > 12 else "/admin/").cookies["sessionid"]

    assert cookie["max-age"] == hours * 3600
    assert "sessionid" not in client.get("/m/me/").cookies, "not written at every click"


def test_the_admin_on_a_managers_phone_asks_again_after_twelve_hours(shop):
    client = signed_in(person(shop, "store_manager").user)
    keep(client, **{gate.DESK_SEEN_AT: client.session[gate.DESK_SEEN_AT] - 12 * 3600 - 60})

    assert client.get("/admin/")["Location"].startswith("/admin/verify/")
    assert client.get("/m/").status_code == 200
