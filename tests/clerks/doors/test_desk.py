"""Signing in to the admin through WeCom: in place of the password, never of the second factor."""

import pytest
from django.test import Client
from django_otp import oath
from django_otp.plugins.otp_totp.models import TOTPDevice

from retail.desk import roles
from retail.models import StaffAccount
from retail.wecom.models import App
from tests import factories
from tests.clerks.doors.conftest import IN_WECOM, authorized, through_wecom
from tests.factories import World
from tests.wecom_server import CLERK, CORP, Wecom


@pytest.fixture
def finance(shop: World) -> TOTPDevice:
    """Somebody of headquarters with an authenticator."""
    staff = shop.hire("H1", role="hq_finance")
    StaffAccount.objects.create(staff=staff, corp=CORP, userid="clerk_zhou")
    staff.user = factories.user()
    staff.save()
    roles.grant(user=staff.user, role="hq_finance")
    return TOTPDevice.objects.create(user=staff.user, name="test", confirmed=True)


def test_the_admin_has_the_door_where_there_is_an_application(shop: World, client: Client):
    assert "/admin/wecom/?app=demo" in client.get("/admin/login/?next=/admin/retail/order/").content.decode()
    App.objects.update(is_active=False)
    assert "企业微信" not in client.get("/admin/login/").content.decode()
    assert client.get("/admin/wecom/").status_code == 404


def test_wecom_stands_in_for_the_password_and_the_second_factor_is_asked(
    wecom: Wecom, shop: World, finance: TOTPDevice, client: Client
):
    wanted = "/admin/retail/order/"
    assert through_wecom(client, "clerk_zhou", wanted=wanted, begin="/admin/wecom/")["Location"] == wanted

    asked = client.get(wanted)
    assert asked["Location"] == "/admin/verify/?next=%2Fadmin%2Fretail%2Forder%2F"
    code = oath.totp(finance.bin_key)
    assert client.post(asked["Location"], {"code": f"{code:06d}"})["Location"] == wanted
    assert client.get(wanted).status_code == 200


def test_a_clerk_has_no_business_at_the_desk(wecom: Wecom, shop: World, client: Client):
    answer = through_wecom(client, CLERK, begin="/admin/wecom/", wanted="/admin/")

    assert answer.status_code == 403 and "没有后台账号" in answer.content.decode()
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("wanted", ["https://elsewhere.example/admin/", "/m/", "//admin/", "/admin/../m/"])
def test_it_leads_to_the_admin_only(wecom: Wecom, shop: World, finance: TOTPDevice, client: Client, wanted: str):
    assert through_wecom(client, "clerk_zhou", begin="/admin/wecom/", wanted=wanted)["Location"] == "/admin/"


def test_a_state_of_the_phone_opens_no_desk_without_its_checks(wecom: Wecom, shop: World, client: Client):
    back = authorized(client.get("/m/sign-in/", headers=IN_WECOM), CLERK)

    answer = client.get(back.replace("/m/sign-in/back/", "/admin/wecom/back/"))

    assert answer.status_code == 403 and "_auth_user_id" not in client.session
