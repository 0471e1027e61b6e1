"""Signing in through WeCom on the phone: who gets in, who does not, and where it leads."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from retail import sso
from retail.models import Employment, Post, StaffAccount, User
from retail.wecom.models import App
from tests import factories
from tests.clerks.doors.conftest import IN_WECOM, authorized, state_of, through_wecom
from tests.factories import World
from tests.factories import wecom as wecom_factory
from tests.figures import figure
from tests.wecom_server import CLERK, CORP, CUSTOMER, Wecom


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


# ── In ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_inside_wecom_it_takes_no_tap(wecom: Wecom, shop: World, client: Client):
    there = client.get("/m/earnings/", headers=IN_WECOM)
    begun = client.get(there["Location"], headers=IN_WECOM)
    back = client.get(authorized(begun, CLERK), headers=IN_WECOM)

    assert there["Location"] == "/m/sign-in/?next=/m/earnings/"
    assert back["Location"] == "/m/earnings/"
    assert client.session[sso.APP] == "demo"
    assert "员工A1" in client.get("/m/").content.decode()


def test_the_question_to_wecom_is_the_vendors(wecom: Wecom, shop: World, client: Client):
    begun = urlsplit(client.get("/m/sign-in/", headers=IN_WECOM)["Location"])
    query = {name: values[0] for name, values in parse_qs(begun.query).items()}

    assert begun.path == "/connect/oauth2/authorize" and begun.fragment == "wechat_redirect"
    assert query.pop("state").isalnum()
    assert query == {
        "appid": CORP,
        "redirect_uri": "http://testserver/m/sign-in/back/",
        "response_type": "code",
        "scope": "snsapi_base",
    }


def test_outside_wecom_there_is_a_button_and_a_code_to_scan(shop: World, client: Client, settings):
    settings.WECOM_LOGIN_URL = "https://login.example"
    page = client.get("/m/sign-in/", {"next": "/m/me/"}).content.decode()
    assert "用企业微信登录" in page and "?app=demo&amp;next=%2Fm%2Fme%2F" in page

    begun = client.get("/m/sign-in/", {"next": "/m/me/", "app": "demo"})["Location"]

    assert begun.startswith(f"https://login.example/wwlogin/sso/login?login_type=CorpApp&appid={CORP}&agentid=")


def test_who_has_no_account_yet_gets_one_without_a_password(wecom: Wecom, shop: World, client: Client):
    through_wecom(client, CLERK)

    user = User.objects.get(staff__code="A1")
    assert not user.has_usable_password() and not user.is_staff


def test_a_userid_is_the_same_in_any_case(wecom: Wecom, shop: World, client: Client):
    StaffAccount.objects.filter(userid=CLERK).update(userid=CLERK.upper())

    through_wecom(client, CLERK)

    assert client.session["_auth_user_id"] == str(User.objects.get(staff__code="A1").pk)


def test_the_application_in_the_address_is_the_one_signed_in_through(wecom: Wecom, shop: World, client: Client):
    wecom_factory.app(slug="other", corp_id="ww-another-corp")
    assert "用企业微信登录：导购台" in client.get("/m/sign-in/", headers=IN_WECOM).content.decode()

    through_wecom(client, CLERK, wanted="/m/sidebar/?app=demo")

    assert client.session[sso.APP] == "demo"


def test_the_same_userid_in_another_corp_is_somebody_else(wecom: Wecom, shop: World, client: Client):
    StaffAccount.objects.filter(userid=CLERK).update(corp="ww-another-corp")
    StaffAccount.objects.create(staff=shop.staff["A1"], corp=CORP, userid="somebody_else")

    assert through_wecom(client, CLERK).status_code == 403


# ── Not in ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_unknown_member_is_told_kindly_and_not_signed_in(wecom: Wecom, shop: World, client: Client):
    answer = through_wecom(client, "clerk_zhou")

    assert answer.status_code == 403 and not is_signed_in(client)
    assert "还没有认出您" in answer.content.decode() and "clerk_zhou" in answer.content.decode()


def test_a_customer_is_no_staff(wecom: Wecom, shop: World, client: Client):
    answer = through_wecom(client, CUSTOMER)

    assert answer.status_code == 403 and "这里只给员工用" in answer.content.decode() and not is_signed_in(client)


@pytest.mark.parametrize("end", ["employment", "post", "account"])
def test_an_ex_clerk_is_refused(wecom: Wecom, shop: World, client: Client, end: str):
    staff, now = shop.staff["A1"], timezone.now()
    if end == "employment":
        Employment.objects.filter(staff=staff).update(ends_at=now)
    elif end == "post":
        Post.objects.filter(staff=staff).update(ends_at=now)
    else:
        staff.user = factories.user(is_active=False)
        staff.save()

    answer = through_wecom(client, CLERK)

    assert answer.status_code == 403 and "您的岗位已经结束" in answer.content.decode() and not is_signed_in(client)


def test_headquarters_is_shown_to_the_desk(wecom: Wecom, shop: World, client: Client):
    staff = shop.hire("H1", role=Post.Role.HQ_OPS)
    StaffAccount.objects.create(staff=staff, corp=CORP, userid="clerk_zhou")

    answer = through_wecom(client, "clerk_zhou")

    assert answer.status_code == 403 and "请从后台进入" in answer.content.decode() and not is_signed_in(client)


def test_a_state_is_good_once_here_and_for_ten_minutes(wecom: Wecom, shop: World):
    """Repeats, other browsers, made-up states, late comers: nobody of them is signed in, and WeCom is not asked."""
    thief, victim, late = Client(), Client(), Client()
    back = authorized(victim.get("/m/sign-in/", headers=IN_WECOM), CLERK)
    late_back = authorized(late.get("/m/sign-in/", headers=IN_WECOM), CLERK)
    refused = [thief.get(back), thief.get("/m/sign-in/back/?code=x&state=made-up"), thief.get("/m/sign-in/back/")]
    with time_machine.travel(time.time() + sso.SECONDS + 1):
        refused.append(late.get(late_back))
    asked_before = len(_asked(wecom))
    assert victim.get(back).status_code == 302
    victim.logout()
    refused.append(victim.get(back))

    assert [answer.status_code for answer in refused] == [400] * 5
    assert not any(is_signed_in(client) for client in (thief, victim, late))
    assert asked_before == 0 and len(_asked(wecom)) == 1
    figure("P25", f"{len(refused)} sign-ins with a state of others, made up, late or used: 0 signed in")


def _asked(wecom: Wecom) -> list[object]:
    return wecom.control.get("log", path="auth/getuserinfo")["requests"]


def test_headquarters_reads_on_the_phone_what_it_was_told(wecom: Wecom, shop: World, client: Client):
    staff = shop.hire("H1", role=Post.Role.HQ_OPS)
    StaffAccount.objects.create(staff=staff, corp=CORP, userid="clerk_zhou")

    assert through_wecom(client, "clerk_zhou", wanted="/m/n/")["Location"] == "/m/n/"
    assert client.get("/m/n/").status_code == 200
    assert client.get("/m/customers/").status_code == 403
    assert client.get("/admin/").status_code == 302  # there it takes a second factor


def test_coming_back_is_limited_by_address(wecom: Wecom, shop: World, settings):
    settings.WECOM_RATES = {**settings.WECOM_RATES, "sign_in": (60, 3)}
    answers = [Client().get("/m/sign-in/back/", {"code": "x", "state": "made-up"}) for _time in range(4)]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 429]
    assert "试得太多了" in answers[-1].content.decode()
    elsewhere = Client(REMOTE_ADDR="10.0.0.7").get("/m/sign-in/back/", {"code": "x", "state": "made-up"})
    assert elsewhere.status_code == 400


def test_a_state_is_used_up_by_a_wrong_code(wecom: Wecom, shop: World, client: Client):
    """Nobody tries one code after the other."""
    begun = client.get("/m/sign-in/", headers=IN_WECOM)
    right = authorized(begun, CLERK)

    client.get("/m/sign-in/back/", {"code": "made-up", "state": state_of(begun)})

    assert client.get(right).status_code == 400 and not is_signed_in(client)
    assert len(_asked(wecom)) == 1


def test_a_code_wecom_does_not_know_signs_nobody_in(wecom: Wecom, shop: World, client: Client):
    state = state_of(client.get("/m/sign-in/", headers=IN_WECOM))

    answer = client.get("/m/sign-in/back/", {"code": "made-up", "state": state})

    assert answer.status_code == 400 and "没有登录成功" in answer.content.decode() and not is_signed_in(client)


@pytest.mark.parametrize("code", ["", "a b", "x" * 513, "汉"])
def test_what_is_no_code_is_not_asked_about(wecom: Wecom, shop: World, client: Client, code: str):
    state = state_of(client.get("/m/sign-in/", headers=IN_WECOM))

    assert client.get("/m/sign-in/back/", {"code": code, "state": state}).status_code == 400
    assert _asked(wecom) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "cut"}, "企业微信没有回应"),
        ({"kind": "errcode", "code": -1}, "企业微信没有回应"),
        ({"kind": "errcode", "code": 60020}, "企业微信的设置有误"),
    ],
)
def test_when_wecom_is_in_trouble_it_is_said(wecom: Wecom, shop: World, client: Client, fault: dict, said: str):
    wecom.control.post("faults", path="auth/getuserinfo", times=9, **fault)

    answer = through_wecom(client, CLERK)

    assert answer.status_code == 503 and said in answer.content.decode() and not is_signed_in(client)


# ── Where it leads ───────────────────────────────────────────────────────────────────────────────────────────────────
ELSEWHERE = [
    "https://elsewhere.example/m/", "//elsewhere.example/m/", "/\\elsewhere.example/m/", "javascript:alert(1)",
    "/admin/", "/", "/m/no-such-page/", "m/", "http:/m/", "/m/../admin/", "\t//elsewhere.example", "/m/" + "x" * 600,
    "https:///m/", "/%2felsewhere.example/m/", "/m\\..\\..", "http://testserver/m/me/",
]  # fmt: skip


def test_it_leads_to_pages_of_the_phone_only(wecom: Wecom, shop: World):
    client = Client()
    for wanted in ELSEWHERE:
        assert through_wecom(client, CLERK, wanted=wanted)["Location"] == "/m/", wanted
        client.logout()
    for wanted in ("/m/me/", "/m/sidebar/?app=demo", "/m/customers/?below=1-1"):
        assert through_wecom(client, CLERK, wanted=wanted)["Location"] == wanted
        client.logout()
    figure("P25", f"{len(ELSEWHERE)} addresses elsewhere as the way back of a sign-in: 0 followed")


# ── Without WeCom, and the demo ──────────────────────────────────────────────────────────────────────────────────────
def test_without_an_application_the_page_says_so(shop: World, client: Client):
    App.objects.update(is_active=False)

    for headers in ({}, IN_WECOM):
        answer = client.get("/m/sign-in/", headers=headers)
        assert answer.status_code == 404 and "还没有接入企业微信" in answer.content.decode()


def test_the_demo_has_both_ways(wecom: Wecom, shop: World, client: Client, settings):
    settings.DEMO = True

    page = client.get("/m/sign-in/").content.decode()

    assert shop.store.name in page and "用企业微信登录" in page
    assert client.get("/m/")["Location"] == "/"
    assert client.get("/m/", headers=IN_WECOM)["Location"] == "/m/sign-in/?next=/m/"


def test_who_is_signed_in_goes_on(wecom: Wecom, shop: World, client: Client):
    through_wecom(client, CLERK)

    assert client.get("/m/sign-in/", {"next": "/m/me/"})["Location"] == "/m/me/"
