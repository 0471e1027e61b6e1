"""P29: below /admin/ nobody gets without a second factor, and nothing dangerous happens without a fresh proof."""

import re
import time
from datetime import timedelta

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib import admin
from django.core import signing
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from clerks.models import SyncRun
from commissions import plans
from commissions.models import Plan, PlanVersion
from retail import gate, scope, second_factor
from retail.models import ApiToken, AuditRow, Post, Staff, User
from tests.factories import add_rule, user, wecom
from tests.figures import figure
from tests.forms import NO_ACCOUNTS
from tests.signing_in import keep, signed_in

OPEN = {"admin:login", "admin:logout", "entrance:verify", "entrance:enrol", "entrance:wecom_back"}
PASSWORD = "a-long-password"


def admin_pages() -> list[tuple[str, str]]:
    """(name, path) of every address below /admin/, with 1 for every number in it."""
    return sorted(_walk(get_resolver(), "/", ""))


def _walk(resolver: URLResolver, path: str, space: str):
    for pattern in resolver.url_patterns:
        here = path + _as_path(str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern, here, pattern.namespace or space)
        elif isinstance(pattern, URLPattern) and here.startswith("/admin/"):
            yield f"{space}:{pattern.name}", here


def _as_path(pattern: str) -> str:
    if pattern.startswith("^"):  # auth's or the catch-all's
        return re.sub(r"\(\?P<\w+>.*?\)", "1", pattern).strip("^$").replace("\\Z", "").replace(".*", "x")
    return re.sub(r"<[^>]+>", "1", pattern)


def code_of(device: TOTPDevice, *, ahead: int = 0) -> str:
    """The code that the authenticator shows now, or some steps of 30 seconds later."""
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits)
    totp.time = time.time() + 30 * ahead
    return f"{totp.token():06d}"


@pytest.fixture
def boss(db) -> User:
    return user(is_staff=True, is_superuser=True)


@pytest.fixture
def half_in(boss: User) -> Client:
    """A browser that knows the password of a superuser, no more."""
    return signed_in(boss, is_confirmed=False)


def test_no_admin_page_opens_without_a_second_factor(boss: User, half_in: Client, size: str):
    pages = admin_pages()
    assert len(pages) > 5 * len(admin.site._registry), "the walk found the pages"
    reached = []
    methods = (half_in.get, half_in.post, *((half_in.head, half_in.delete) if size == "full" else ()))
    for name, path in pages:
        if name in OPEN:
            continue
        for ask in methods:
            answer = ask(path)
            if not (answer.status_code == 302 and answer["Location"].startswith("/admin/verify/")):
                reached.append((name, path, answer.status_code))

    part = half_in.get("/admin/retail/order/", headers={"HX-Request": "true"})
    walked = f"{len(pages) - len(OPEN)} admin pages × {len(methods)} methods without a second factor"
    figure("P29", f"{walked}: {len(reached)} reachable")
    assert reached == []
    assert part["HX-Redirect"].startswith("/admin/verify/") and not part.content


@pytest.mark.parametrize("length", [151, 300, 5_000])
def test_a_name_that_is_too_long_is_just_wrong(db, length: int):
    answer = Client().post("/admin/login/", {"username": "x" * length, "password": PASSWORD})

    assert answer.status_code == 200 and AccessAttempt.objects.get().username == "x" * 150


def test_nor_below_an_address_of_its_own_before_every_path(half_in: Client):
    answer = half_in.get("/admin/retail/order/", SCRIPT_NAME="/x")

    assert answer.status_code == 302 and "/admin/verify/" in answer["Location"]


def test_the_first_sign_in_sets_up_an_authenticator_and_shows_recovery_codes_once(boss: User):
    client = Client()
    answer = client.post("/admin/login/?next=/admin/", {"username": boss.username, "password": PASSWORD}, follow=True)
    assert answer.redirect_chain[-1][0].startswith("/admin/enrol/")
    page = answer.content.decode()
    assert "<svg" in page and "密钥" in page
    assert "no-store" in answer["Cache-Control"]

    wrong = client.post("/admin/enrol/", {"code": "000000"})
    assert "对不上" in wrong.content.decode() and not TOTPDevice.objects.filter(user=boss).exists()
    key = client.session["enrol_key"]
    done = client.post("/admin/enrol/", {"code": code_of(TOTPDevice(key=key))}).content.decode()

    codes = list(StaticToken.objects.filter(device__user=boss).values_list("token", flat=True))
    assert len(codes) == 10 and all(code in done for code in codes)
    assert client.get("/admin/").status_code == 200
    assert not [code for code in codes if code in client.get("/admin/safety/").content.decode()]


def test_the_password_alone_cannot_set_up_another_authenticator(boss: User, half_in: Client):
    device = TOTPDevice.objects.create(user=boss, confirmed=True)
    keep(half_in, enrol_key="ab" * 20)

    answers = [
        half_in.get("/admin/enrol/"),
        half_in.post("/admin/enrol/", {"code": code_of(TOTPDevice(key="ab" * 20))}),
    ]

    assert [answer["Location"] for answer in answers] == ["/admin/verify/"] * 2
    assert list(TOTPDevice.objects.filter(user=boss)) == [device]


def test_a_code_lets_in_once(boss: User, half_in: Client):
    device = TOTPDevice.objects.create(user=boss, confirmed=True)
    code = code_of(device)

    answer = half_in.post("/admin/verify/?next=/admin/retail/store/", {"code": f"{code[:3]} {code[3:]}"})
    again = signed_in(boss, is_confirmed=False).post("/admin/verify/", {"code": code})

    assert answer["Location"] == "/admin/retail/store/"
    assert half_in.get("/admin/retail/store/").status_code == 200
    assert again.status_code == 200 and "不对" in again.content.decode()


def test_who_has_used_the_last_recovery_code_is_told(boss: User, half_in: Client):
    device_of = TOTPDevice.objects.create(user=boss, confirmed=True)
    code, *others = second_factor.new_recovery_codes(user=boss, by=boss, now=timezone.now())
    StaticToken.objects.filter(token__in=others).delete()

    page = half_in.post("/admin/verify/", {"code": code}, follow=True).content.decode()

    assert "恢复码已经用完" in page
    second_factor.new_recovery_codes(user=boss, by=boss, now=timezone.now())
    again = signed_in(boss, is_confirmed=False)
    assert (
        "恢复码已经用完"
        not in again.post("/admin/verify/", {"code": code_of(device_of)}, follow=True).content.decode()
    )


def test_a_recovery_code_lets_in_once(boss: User, half_in: Client):
    TOTPDevice.objects.create(user=boss, confirmed=True)
    with scope.within(scope.EVERYTHING):
        code = second_factor.new_recovery_codes(user=boss, by=boss, now=timezone.now())[0]

    assert half_in.post("/admin/verify/", {"code": code.upper()}).status_code == 302
    assert signed_in(boss, is_confirmed=False).post("/admin/verify/", {"code": code}).status_code == 200
    assert second_factor.codes_left(boss) == 9


@pytest.mark.parametrize("wanted", ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)"])
def test_the_way_on_leads_nowhere_else(boss: User, half_in: Client, wanted: str):
    device = TOTPDevice.objects.create(user=boss, confirmed=True)

    answer = half_in.post(f"/admin/verify/?next={wanted}", {"code": code_of(device)})

    assert answer["Location"] == "/admin/"


def test_the_device_of_another_confirms_nothing(boss: User, half_in: Client):
    TOTPDevice.objects.create(user=boss, confirmed=True)
    other = TOTPDevice.objects.create(user=user(), confirmed=True)

    assert half_in.post("/admin/verify/", {"code": code_of(other)}).status_code == 200
    keep(half_in, otp_device_id=other.persistent_id, **{gate.DESK_SEEN_AT: int(time.time())})
    assert half_in.get("/admin/").status_code == 302


# ── Wrong, and wrong again ───────────────────────────────────────────────────────────────────────────────────────────
def test_five_wrong_passwords_lock_the_door_for_a_quarter_of_an_hour(boss: User, later):
    client = Client()
    answers = [
        client.post("/admin/login/", {"username": boss.username, "password": f"guess {n}"}).status_code
        for n in range(5)
    ]
    right = {"username": boss.username, "password": PASSWORD}
    refused = client.post("/admin/login/", right)

    assert answers == [200, 200, 200, 200, 429]
    assert refused.status_code == 429 and "15 分钟" in refused.content.decode()
    assert client.post("/admin/login/", right, REMOTE_ADDR="10.0.0.9").status_code == 302, "the owner, elsewhere"
    later(minutes=16)
    assert client.post("/admin/login/", right).status_code == 302


def test_wrong_codes_lock_it_too_and_the_password_does_not_open_it(boss: User, half_in: Client, later):
    device = TOTPDevice.objects.create(user=boss, confirmed=True)
    statuses = []
    for _ in range(5):
        statuses.append(half_in.post("/admin/verify/", {"code": "000000"}).status_code)
        half_in.post("/admin/login/", {"username": boss.username, "password": PASSWORD})
    locked = half_in.post("/admin/verify/", {"code": code_of(device)})

    assert statuses[-1] == 429 and locked.status_code == 429
    device.refresh_from_db()
    assert device.throttling_failure_count >= 1
    later(minutes=20)
    half_in = signed_in(boss, is_confirmed=False)
    assert half_in.post("/admin/verify/", {"code": code_of(device)}).status_code == 302


def test_the_address_is_that_of_the_last_proxy_only_behind_one(rf, settings):
    request = rf.get("/", REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "6.6.6.6, 7.7.7.7"})

    assert gate.client_ip(request) == "10.0.0.1"
    settings.BEHIND_PROXY = True
    assert gate.client_ip(request) == "7.7.7.7"


def test_failed_sign_ins_are_listed_without_what_was_typed(boss: User):
    Client().post("/admin/login/", {"username": "nobody", "password": "sesame-open"})
    page = signed_in(boss).get("/admin/axes/accessattempt/").content.decode()

    assert "nobody" in page and "sesame" not in page


# ── Once more, before what cannot be undone ──────────────────────────────────────────────────────────────────────────
@pytest.fixture
def stale(boss: User) -> Client:
    """A confirmed browser in which nobody has proved who they are for eleven minutes."""
    client = signed_in(boss)
    keep(client, **{gate.PROVED_AT: int(time.time()) - 660})
    return client


def test_nothing_dangerous_happens_without_a_fresh_login(shop, stale: Client, boss: User):
    with scope.within(scope.EVERYTHING):
        plan = Plan.objects.create(brand=shop.brand, name="方案")
        version = PlanVersion.objects.create(plan=plan, number=1, status="tested")
        add_rule(version, {"id": "r", "calc": {"type": "rate", "ppm": 1}, "split": [{"role": "serve", "weight": 1}]})
        approved = PlanVersion.objects.create(plan=plan, number=2)
        add_rule(approved, {"id": "r", "calc": {"type": "rate", "ppm": 1}, "split": [{"role": "serve", "weight": 1}]})
        plans.approve(version=approved, by=None, now=timezone.now())
        clerk = next(iter(shop.staff.values()))
        clerk.user = other = user()
        clerk.save()
    posts = {"posts-TOTAL_FORMS": "0", "posts-INITIAL_FORMS": "0"}
    jobs = {"employments-TOTAL_FORMS": "0", "employments-INITIAL_FORMS": "0", **NO_ACCOUNTS}
    acts = [
        (f"/admin/commissions/planversion/{version.pk}/approve/", {"_form_submitted": "True"}),
        (
            f"/admin/commissions/planversion/{approved.pk}/activate/",
            {
                "_form_submitted": "True",
                "starts_at": "2027-01-01T00:00",
                "starts_at_0": "2027-01-01",
                "starts_at_1": "00:00",
                "reason": "新季",
            },
        ),
        (f"/admin/retail/staff/{clerk.pk}/change/", {"code": "new", "name": "new", **posts, **jobs}),
        ("/admin/retail/staff/add/", {"code": "new2", "name": "new", **posts, **jobs}),
        (f"/admin/retail/staff/{clerk.pk}/end_sessions/", {"_form_submitted": "True"}),
        (f"/admin/retail/user/{other.pk}/change/", {"username": "renamed", "is_superuser": "on"}),
        (f"/admin/retail/user/{other.pk}/password/", {"password1": "y" * 12, "password2": "y" * 12}),
        ("/admin/retail/user/add/", {"username": "made", "password1": "y" * 12, "password2": "y" * 12}),
        (f"/admin/retail/user/{other.pk}/end_sessions/", {"_form_submitted": "True"}),
        (f"/admin/retail/user/{other.pk}/reset_factor/", {"_form_submitted": "True"}),
        ("/admin/retail/apitoken/add/", {"name": "made", "can_read": "on"}),
        ("/admin/safety/codes/", {}),
        ("/admin/safety/end-others/", {}),
        ("/admin/enrol/", {"code": "123456"}),
    ]
    done = []
    before = _world()
    for path, data in acts:
        answers = [stale.post(path, data), stale.post(path, data, headers={"HX-Request": "true"})]
        if _world() != before:
            done.append(path)
        asked = ["再确认一次" in answers[0].content.decode() or answers[0].status_code == 302, _asks(answers[1])]
        assert asked == [True, True], (path, [answer.status_code for answer in answers])
    figure("P29", f"{len(acts)} dangerous acts without a fresh login: {len(done)} done")
    assert done == []


def _asks(answer) -> bool:
    there = answer.get("HX-Redirect") or answer.get("Location") or ""
    return there.startswith("/admin/again/")


def _world() -> list[object]:
    with scope.within(scope.EVERYTHING):
        return [
            list(User.objects.order_by("pk").values("username", "password", "is_superuser", "session_epoch")),
            list(Staff.objects.order_by("pk").values()),
            list(Post.objects.order_by("pk").values()),
            list(PlanVersion.objects.order_by("pk").values()),
            list(ApiToken.objects.order_by("pk").values()),
            list(StaticToken.objects.order_by("pk").values()),
            list(TOTPDevice.objects.order_by("pk").values("key", "confirmed")),
            AuditRow.objects.count(),
        ]


# Pages of ModelAdmins on which nothing grave can happen, and plain views that prove or protect by other means.
EVERYDAY = {
    *("retail.category", "retail.product", "retail.job", "wecom.message", "wecom.call"),
    *("clerks.contactway", "clerks.welcome", "clerks.notice", "wecom.media"),
    "materials.postertemplate",  # what a poster looks like
    *("materials.material", "materials.materialcategory", "materials.materialupload"),  # drafts: another lets them out
    "clerks.helprequest",  # answered at the counter, many times a day
}
OTHERS = {
    *("admin:index", "admin:password_change", "admin:password_change_done", "admin:jsi18n", "admin:autocomplete"),
    *("admin:view_on_site", "admin:app_list", "admin:search", "admin:None", "entrance:wecom", "entrance:again"),
    *("entrance:safety", "admin:commissions_rule_preview"),  # the latter writes nothing: a sentence while one types
    "admin:members_segment_preview",  # likewise: how many fit, while one builds
    *(":portrait", ":relations", ":material_results"),  # take no POST
}


def test_every_page_of_the_admin_asks_for_fresh_proof_unless_it_says_why_not(stale: Client, boss: User):
    """No page can forget it: those that do not ask are the ones named above."""
    open_to_stale = set()
    pages = [(name, path) for name, path in admin_pages() if name not in OPEN]
    for name, path in pages:
        if not _asks(stale.post(path, {"nothing": "x"}, headers={"HX-Request": "true"})):
            open_to_stale.add(name)
    everyday = {f"admin:{label.replace('.', '_')}_" for label in EVERYDAY}
    forgotten = {n for n in open_to_stale - OTHERS if not n.startswith(tuple(everyday))}
    figure("P29", f"{len(pages)} admin pages posted to without fresh proof: {len(forgotten)} forget to ask")
    assert forgotten == set() and "admin:members_segment_preview" in open_to_stale
    assert {page.opts.label_lower for page in admin.site._registry.values() if page.is_everyday} == EVERYDAY


def test_what_was_posted_is_carried_out_after_the_proof_and_stands_on_no_page(stale: Client, boss: User):
    other = user()
    page, secret = f"/admin/retail/user/{other.pk}/password/", "a-brand-new-word-9"
    asked = stale.post(page, {"password1": secret, "password2": secret, "usable_password": "true"}).content.decode()
    (held,) = re.findall(r'name="again_for" value="([^"]+)"', asked)
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_data FROM django_session")
        kept = str([signing.loads(data, salt="django.contrib.sessions.SessionStore") for (data,) in cursor.fetchall()])

    wrong = stale.post(page, {"again_for": held, "again_code": "not it"}).content.decode()
    assert secret not in asked + wrong + kept and "不对" in wrong
    assert stale.post(page, {"again_for": held, "again_code": PASSWORD}).status_code == 302

    other.refresh_from_db()
    assert other.check_password(secret)
    assert gate.HELD not in stale.session
    stale.post("/admin/retail/apitoken/add/", {"name": "another"})
    assert ApiToken.objects.count() == 1, "ten minutes of peace"


@pytest.mark.parametrize("given", [{"reason": "对一下", "is_forced": "on"}, {"reason": "", "is_forced": "on"}])
def test_what_stands_in_a_dialog_is_carried_out_after_the_proof(stale: Client, given: dict[str, str]):
    """The page has to be left for the question, and nothing typed is typed twice; what is wrong in it is said."""
    app = wecom.app()
    page = "/admin/clerks/syncrun/"
    dialog = reverse("admin:clerks_syncrun_sync_now")
    head = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}?o=1"}
    leave = stale.post(dialog, {"_form_submitted": "True", "corp": app.corp_id, **given}, headers=head)
    asked = stale.get(leave["HX-Redirect"]).content.decode()
    (held,) = re.findall(r'name="again_for" value="([^"]+)"', asked)
    assert f'action="{dialog}"' in asked and not SyncRun.objects.exists()

    answer = stale.post(dialog, {"again_for": held, "again_code": PASSWORD}, follow=True)

    assert answer.redirect_chain == [(f"{page}?o=1", 302)]
    assert [run.is_forced for run in SyncRun.objects.all()] == ([True] if given["reason"] else [])
    assert given["reason"] or "请再填一次" in answer.content.decode()


def test_an_older_window_does_not_carry_out_what_another_one_held(stale: Client, boss: User):
    first = stale.post("/admin/retail/apitoken/add/", {"name": "one"}).content.decode()
    stale.post("/admin/retail/brand/add/", {"code": "b", "name": "two"})
    (held,) = re.findall(r'name="again_for" value="([^"]+)"', first)

    answer = stale.post("/admin/retail/apitoken/add/", {"again_for": held, "again_code": PASSWORD}, follow=True)

    assert "请再做一次" in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_guessing_on_the_page_that_asks_again_locks(stale: Client, boss: User):
    guesses = [{"again_for": "x", "again_code": f"guess {n}"} for n in range(5)]
    statuses = [stale.post("/admin/safety/codes/", guess).status_code for guess in guesses]
    right = stale.post("/admin/safety/codes/", {"again_for": "x", "again_code": PASSWORD})

    assert statuses[-1] == 429
    assert right.status_code == 429 and not StaticToken.objects.exists()


# ── The demo ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_in_the_demo_the_page_says_the_code(settings, boss: User, half_in: Client):
    assert second_factor.shown_now(boss, now=timezone.now()) == ""
    settings.DEMO = True
    page = half_in.get("/admin/verify/").content.decode()
    (code,) = re.findall(r"<b class=\"figure\">(\d{6})</b>", page)

    assert half_in.post("/admin/verify/", {"code": code})["Location"] == "/admin/"


@pytest.fixture
def later():
    """Let the clock stand so many minutes later, until the end of the test."""
    travels = []

    def travel(*, minutes: int) -> None:
        travels.append(time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=True))
        travels[-1].start()

    yield travel
    for started in travels:
        started.stop()
