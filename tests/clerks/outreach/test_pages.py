"""The desk's pages of outreach: a code is made, a welcome is written and seen as the customer will see it."""

import pytest
from django.test import Client

from clerks.models import ContactWay, Welcome
from retail.desk import roles
from retail.models import Post
from tests import factories, signing_in
from tests.factories.corp import CUSTOMER, LI, Corp

SHIFTS, PARTS = "shifts", "parts"


def forms(name: str, *rows: dict[str, object]) -> dict[str, object]:
    head = {f"{name}-TOTAL_FORMS": len(rows), f"{name}-INITIAL_FORMS": 0}
    return head | {f"{name}-{place}-{field}": value for place, row in enumerate(rows) for field, value in row.items()}


@pytest.fixture
def desk(wecom_corp: Corp) -> Client:
    staff = wecom_corp.shop.hire("ops", role=Post.Role.HQ_OPS)
    staff.user = factories.user()
    staff.save()
    roles.grant(user=staff.user, role=Post.Role.HQ_OPS)
    staff.user.refresh_from_db()
    return signing_in.signed_in(staff.user, post=staff.posts.get())


def test_a_code_made_at_the_desk_is_made_in_wecom(wecom_corp: Corp, desk: Client) -> None:
    shop = wecom_corp.shop
    given = {"name": "门口", "kind": "store", "brand": shop.brand.pk, "store": shop.store.pk, "skip_verify": "on"}
    shift = {"staff": wecom_corp.staff(LI).pk, "weekdays": "1234567"}
    answer = desk.post("/admin/clerks/contactway/add/", {**given, "is_active": "on", **forms(SHIFTS, shift)})
    assert answer.status_code == 302, answer.context["errors"]
    wecom_corp.work()
    way = ContactWay.objects.get()
    assert way.applied == [LI]
    wecom_corp.act("scan", state=way.state_code, external_userid=CUSTOMER)
    wecom_corp.happen()
    page = desk.get(f"/admin/clerks/contactway/{way.pk}/change/").text
    assert f"员工{LI}" in page and way.qr_code in page
    assert "门口" in desk.get("/admin/clerks/contactway/").text


def test_a_welcome_is_shown_as_the_customer_will_see_it(wecom_corp: Corp, desk: Client) -> None:
    shop = wecom_corp.shop
    given = {"name": "通用", "brand": shop.brand.pk, "text": "我是{store}的{clerk}", "is_active": "on"}
    part = {"kind": "link", "title": "上新<b>", "url": "https://example.test/"}
    answer = desk.post("/admin/clerks/welcome/add/", {**given, **forms(PARTS, part)})
    assert answer.status_code == 302, answer.context["errors"]
    page = desk.get(f"/admin/clerks/welcome/{Welcome.objects.get().pk}/change/").text
    assert f"我是{shop.store.name}的员工" in page
    assert "上新&lt;b&gt;" in page and "上新<b>" not in page


def test_a_link_without_an_address_is_refused(wecom_corp: Corp, desk: Client) -> None:
    given = {"name": "通用", "brand": wecom_corp.shop.brand.pk, "text": "您好", "is_active": "on"}
    answer = desk.post("/admin/clerks/welcome/add/", {**given, **forms(PARTS, {"kind": "link", "title": "上新"})})
    assert answer.status_code == 200 and not Welcome.objects.exists()


@pytest.mark.parametrize(
    "page", ["friend", "groupchat", "greeting", "touch", "notice", "corptag", "department", "syncrun"]
)
def test_what_wecom_told_is_only_looked_at(wecom_corp: Corp, desk: Client, page: str) -> None:
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    assert desk.get(f"/admin/clerks/{page}/").status_code == 200
    assert desk.get(f"/admin/clerks/{page}/add/").status_code == 403
