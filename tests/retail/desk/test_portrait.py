"""会员画像 in the admin: one page of one person, no further than the reader's scope; and names looked for."""

import pytest
from django.test import Client

from clerks.models import Note
from members.models import Member
from retail.desk import roles
from retail.models import Post
from retail.shapes import Buyer
from tests import factories
from tests.factories import NOW, World
from tests.signing_in import signed_in


@pytest.fixture
def shop(everything: None) -> World:
    shop = factories.world()
    theirs = shop.another_store(franchisee=factories.franchisee())
    shop.hire("A1")
    shop.hire("F1", store=theirs)
    shop.hire("M1", role=Post.Role.STORE_MANAGER)
    shop.hire("H1", role=Post.Role.HQ_OPS)
    buyer = (Buyer("phone", "13800001234"),)
    shop.settle(shop.order(serving_clerk="A1", buyer=buyer))
    shop.settle(shop.order(serving_clerk="F1", store_code=theirs.code, buyer=buyer, lines=[{"paid_fen": 77700}]))
    member = Member.objects.get()
    Member.objects.update(name="欧阳小丽")
    for code, store in (("A1", shop.store), ("F1", theirs)):
        Note.objects.create(
            brand=shop.brand, member=member, staff=shop.staff[code], store=store, text=f"备注{code}", created_at=NOW
        )
    return shop


def browser(shop: World, code: str) -> Client:
    staff = shop.staff[code]
    staff.user = factories.user()
    staff.save()
    post = staff.posts.get()
    roles.grant(user=staff.user, role=post.role)
    return signed_in(staff.user)


def test_headquarters_sees_all_and_a_store_its_own_part(shop: World):
    page = f"/admin/members/member/{Member.objects.get().pk}/portrait/"
    whole, ours = (browser(shop, code).get(page).content.decode() for code in ("H1", "M1"))

    assert "877.00" in whole and "备注F1" in whole and "买了 777.00 元" in whole
    assert "100.00" in ours and "备注A1" in ours
    assert "777.00" not in ours and "备注F1" not in ours and "877.00" not in ours
    for said in (whole, ours):
        assert "欧阳小丽" in said and "138****1234" in said and "13800001234" not in said


@pytest.mark.parametrize("query", ["?brand=0", "?below=x", "?brand=x"])
def test_what_the_page_never_writes_is_not_found(shop: World, query: str):
    assert (
        browser(shop, "H1").get(f"/admin/members/member/{Member.objects.get().pk}/portrait/{query}").status_code == 404
    )


@pytest.mark.parametrize(
    ("typed", "count"),
    [("小丽", 1), ("欧阳", 1), ("丽", 1), ("欧阳小丽", 1), ("丽小", 0), ("阳丽", 0), ("欧 丽", 1), ("丽 王", 0)],
)
def test_members_are_found_by_any_letters_of_their_name(shop: World, typed: str, count: int):
    Member.objects.create(name="王芳", created_at=NOW)
    client = browser(shop, "H1")
    for page in ("/admin/members/member/", "/admin/members/membership/"):
        assert client.get(page, {"q": typed}).context["cl"].result_count == count


def test_a_list_and_a_search_lead_to_the_portrait_in_one_tap_and_mask_the_number(shop: World):
    page = f"/admin/members/member/{Member.objects.get().pk}/portrait/"
    stranger = Member.objects.create(name="王芳", created_at=NOW)  # known by WeCom alone, no member of a brand
    for code in ("H1", "M1"):
        client = browser(shop, code)
        for address in ("/admin/members/member/", "/admin/members/membership/"):
            found = client.get(address, {"q": "小丽"}).content.decode()
            assert page in found and "138****1234" in found and "13800001234" not in found
    assert f"/{stranger.pk}/portrait/" not in browser(shop, "H1").get("/admin/members/member/").content.decode()


def test_letters_are_those_of_icontains(shop: World):
    for name in ("Anna Li", "ANNA", "100%_a", "王芳", "芳王芳", "王芳王", "a\\b"):
        Member.objects.create(name=name, created_at=NOW)
    for text in (
        "an",
        "ANN",
        "na l",
        "%",
        "_",
        "%_A",
        "芳",
        "王芳",
        "芳王芳",
        "芳芳",
        "\\",
        "a\\b",
        "'",
        "{",
        "a,b",
        "",
    ):
        spelled, plain = (
            set(Member.objects.filter(**{f"name__{how}": text}).values_list("pk", flat=True))
            for how in ("spelled", "icontains")
        )
        assert spelled == plain, text
