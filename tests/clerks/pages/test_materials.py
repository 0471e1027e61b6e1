"""素材 on the phone: what is found, what is sent and to whom, what came of it; and words with names in them."""

import io
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import zxingcpp
from django.db import connection
from django.test import Client
from PIL import Image
from pytest_django import DjangoAssertNumQueries

from clerks import book
from clerks.leads.models import Lead
from clerks.materials import files, picks, scripts, shares, suggest
from clerks.materials.models import (
    Favourite,
    Material,
    MaterialFile,
    MaterialVersion,
    Opening,
    Share,
    ShareDay,
    ShareSale,
)
from clerks.models import Touch
from members import consent
from members.coupons import giving
from members.models import Member, Membership
from retail.models import Order, Post, Product
from retail.wecom.models import Media
from tests.clerks.pages.conftest import signed_in
from tests.clerks.pages.test_customers import customer, friend
from tests.clerks.pages.test_portrait import voucher
from tests.factories import NOW, World, wecom
from tests.factories import posters as poster_scene

CORP = "ww-materials"
DAY = timedelta(days=1)
SMALL = io.BytesIO()
Image.new("RGB", (9, 9)).save(SMALL, "JPEG")


def material(shop: World, name: str = "秋冬大衣搭配", **fields: Any) -> Material:
    """In force since a month ago, unless `version` says otherwise."""
    version, files = fields.pop("version", {}), fields.pop("files", 0)
    products, stores = fields.pop("products", ()), fields.pop("stores", ())
    made = Material.objects.create(
        **{"brand": shop.brand, "kind": "pictures", "name": name, "made_at": NOW - 30 * DAY, **fields}
    )
    made.products.set(products)
    made.stores.set(stores)
    said = {"state": "approved", "number": 1, "made_at": NOW - 30 * DAY, "decided_at": NOW - 30 * DAY, **version}
    put = MaterialVersion.objects.create(material=made, **said | {"state": "draft"})
    for place in range(files):
        media = Media.objects.create(corp_id=CORP, kind="image", name=f"{place}.jpg", made_at=NOW, size=9)
        MaterialFile.objects.create(version=put, place=place, media=media, small=SMALL.getvalue())
    put.state = said["state"]  # what is approved takes no files
    put.save(update_fields=["state"])
    return made


@pytest.fixture
def post(shop: World) -> Post:
    shop.brand.corp = CORP
    shop.brand.save()
    wecom.app(slug="app", corp_id=CORP)
    return Post.objects.select_related("store__brand", "staff").get(staff=shop.staff["A1"])


@pytest.fixture
def member(shop: World, post: Post) -> Member:
    made = customer(shop, 1)
    friend(made, CORP, "wm-1", of=shop.staff["A1"])
    book.refresh(member_ids=[made.pk], now=NOW)
    return made


def send(phone: Client, one: Material, **given: Any) -> Any:
    return phone.post(f"/m/materials/{one.pk}/share/", given)


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "full", "bare"),
    [
        ("{customer}，您好！我是{store}的{clerk}。", "王女士，您好！我是一店的小李。", "您好！我是一店的小李。"),
        ("晚上好，{customer}！", "晚上好，王女士！", "晚上好！"),
        ("祝{customer}生日快乐", "祝王女士生日快乐", "祝您生日快乐"),
        (
            "“{product}”到了，{customer}的{coupon}能用。来看看？",
            "“大衣”到了，王女士的{x}券能用。来看看？",
            "这款商品到了。来看看？",
        ),
        ("您看的“{product}”有货。", "您看的“大衣”有货。", "您看的这款商品有货。"),
        ("大衣到了，{coupon}能用，来看看？", "大衣到了，{x}券能用，来看看？", "大衣到了。"),
        ("您好，{customer}，您的{coupon}快到期了。", "您好，王女士，您的{x}券快到期了。", "您好。"),
        ("{coupon}快到期了", "{x}券快到期了", "优惠快到期了"),
    ],
)
def test_a_script_reads_well_with_and_without_names(text: str, full: str, bare: str) -> None:
    """A name that holds braces is not looked into."""
    here = {"clerk": "小李", "store": "一店"}
    assert scripts.fill(text, scripts.Names("王女士", product="大衣", coupon="{x}券", **here)) == full
    assert scripts.fill(text, scripts.Names(**here)) == bare


def test_quick_replies_are_ones_own_live_at_once_and_limited(shop: World, post: Post, phone: Client) -> None:
    shop.hire("A2")
    other, path = signed_in(shop.staff["A2"]), "/m/materials/replies/"
    assert phone.post(path, {"name": "换季", "text": "{customer}，天凉了。"}).status_code == 302
    made = Material.objects.get()
    assert "天凉了" in phone.get(path).text and "天凉了" not in other.get(path).text
    assert {version.decided_by for version in made.versions.all()} == {None}
    phone.post(f"{path}{made.pk}/", {"name": "换季", "text": "{顾客称呼}，降温了。"})
    assert [row.text for row in made.versions.all()] == ["{customer}，降温了。", "{customer}，天凉了。"]
    assert "{顾客称呼}，降温了。" in phone.get(f"{path}{made.pk}/").text
    for name, text, said in (
        ("", "空", "名称和内容都要写"),
        ("长" * 21, "字", "名称最多 20 个字，现在 21 个"),
        ("名", "长" * 501, "内容最多 500 个字"),
        ("名", "{phone}", "不认识 {phone}"),
    ):
        assert said in (page := phone.post(path, {"name": name, "text": text})).text and page.status_code == 400
    assert other.get(f"{path}{made.pk}/").status_code == 404
    assert other.post(f"{path}{made.pk}/delete/").status_code == 404
    assert other.get(f"/m/materials/{made.pk}/").status_code == 404
    phone.post(f"{path}{made.pk}/delete/")
    assert "降温了" not in phone.get(path).text
    for number in range(scripts.MOST_OWN):
        scripts.keep(post=post, name=f"第{number}", text="好", now=NOW)
    assert "最多 50 条" in phone.post(path, {"name": "再来", "text": "好"}).text


# ── Found ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def found(phone: Client, query: str) -> set[str]:
    page = phone.get(f"/m/materials/?{query}").text
    return {name for name in Material.objects.values_list("name", flat=True) if f">{name}<" in page}


def test_what_is_meant_for_me_is_found_by_letters_scene_and_favour(shop: World, post: Post, phone: Client) -> None:
    shop.product.name = "羊绒围巾"
    shop.product.save()
    coat = material(shop, "秋冬大衣", labels=["通勤"], scene="new", products=[shop.product], files=1)
    material(shop, "生日祝福", scene="birthday")
    elsewhere = material(shop, "别店大衣", stores=[shop.another_store()], files=1)
    material(shop, "总监大衣", grades=["总监"])
    over = material(shop, "过期大衣", valid_until=NOW)
    material(shop, "没批大衣", version={"state": "waiting"})
    material(shop, "明天大衣", version={"live_from": NOW + DAY})
    for query in ("q=大衣", "q=dayi", "q=qddy", "q=通勤", "q=羊绒", "q=yangrong", "q=YRWJ", "scene=new"):
        assert found(phone, query) == {"秋冬大衣"}, query
    assert found(phone, "all=1") == {"秋冬大衣", "生日祝福"}
    assert found(phone, "q=%") == found(phone, "favourites=1") == set()
    page = f"/m/materials/{coat.pk}/"
    for _twice in range(2):
        assert phone.post(f"{page}favour/").status_code == 302
    assert found(phone, "favourites=1") == {"秋冬大衣"} and Favourite.objects.count() == 1
    phone.post(f"{page}favour/", {"off": "1"})
    assert found(phone, "favourites=1") == set()
    ours, theirs = (MaterialFile.objects.get(version__material=one).pk for one in (coat, elsewhere))
    assert phone.get(f"/m/materials/files/{ours}/?tiny=1")["Content-Type"] == "image/jpeg"
    assert phone.get(f"/m/materials/files/{theirs}/").status_code == 404
    for verb in ("", "to/"):
        assert phone.get(f"/m/materials/{elsewhere.pk}/{verb}").status_code in (302, 404)
    assert phone.get(f"/m/materials/{elsewhere.pk}/").status_code == 404
    assert send(phone, elsewhere, via="copy").status_code == 404
    assert "已经过期" in phone.get(f"/m/materials/{over.pk}/").text
    assert phone.get("/m/materials/?scene=nonsense").status_code == 404


@pytest.mark.parametrize("count", [1, 30])
def test_today_asks_as_often_for_many_as_for_one(
    shop: World, post: Post, member: Member, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Pinned first, then what fits my customers of today, what the best clerks send, what is new."""
    for number in range(count):
        material(shop, f"旧{number}", files=1)
    pinned, new = material(shop, "推荐", is_pinned=True), material(shop, "新的", version={"live_from": NOW - DAY})
    fits, sent = material(shop, "适合"), material(shop, "高手")
    for number, (one, fen) in enumerate([(sent, 9900), *[(new, 100)] * 9, (pinned, 0)]):
        clerk = {"staff": shop.hire(f"T{number}"), "store": shop.store, "brand": shop.brand}
        ShareDay.objects.create(day=NOW.date() - 6 * DAY, material=one, shares=1, openings=2, sales_fen=fen, **clerk)
    with django_assert_num_queries(7):
        shown = picks.today(post=post, fitting={fits.pk: 3}, now=NOW)
    assert [one.material.name for one in shown] == ["推荐", "适合", "高手", "新的"]
    assert [(one.customers, one.clerks, one.is_new) for one in shown] == [
        (0, 0, False), (3, 0, False), (0, 1, False), (0, 1, True)
    ]  # fmt: skip  # of eleven clerks the best two
    with django_assert_num_queries(3):
        assert len(picks.page(post=post, wanted=picks.Wanted(), start=0, limit=20, now=NOW).picks) == min(
            20, count + 4
        )
    browser = signed_in(shop.staff["A1"])
    page = browser.get("/m/materials/").text
    assert "1 位高手在发" in page and "员工T0" not in page


def test_a_lead_is_given_the_best_material_of_its_product_or_occasion(shop: World, post: Post) -> None:
    assert set(suggest.SCENES) == {str(kind) for kind in Lead.Kind.values}
    other = Product.objects.create(sku="X", name="别的", brand=shop.brand, category=shop.product.category)
    of_product = material(shop, "本品", products=[shop.product])
    better = material(shop, "本品好卖", products=[shop.product])
    material(shop, "别的", products=[other], scene="offer")
    offer = material(shop, "券", scene="offer")
    words = material(shop, "好久不见", kind="text", scene="wake", version={"text": "{customer}，好久不见"})
    given = {"brand": shop.brand, "staff": shop.staff["A1"], "store": shop.store, "shares": 1}
    ShareDay.objects.create(day=NOW.date() - 29 * DAY, material=better, sales_fen=500, **given)
    ShareDay.objects.create(day=NOW.date() - 31 * DAY, material=of_product, sales_fen=900, **given)
    want = suggest.Want
    wants = [want("asked"), want("cart", shop.product.pk), want("cart", 10**9), want("dormant"), want("expiring")]
    found = suggest.for_leads(post=post, wants=wants, now=NOW)
    names = [one.material and one.material.name for one in (found[each] for each in wants)]
    assert names == [None, "本品好卖", "券", None, "券"] and offer
    assert found[want("dormant")].script == (words.pk, "好久不见", "{customer}，好久不见")


# ── Sent ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_beside_the_chat_one_tap_sends_a_link_that_is_told_of(
    shop: World, post: Post, phone: Client, member: Member
) -> None:
    giving.make(type=voucher(shop), membership_ids=[Membership.objects.get().pk], now=NOW)
    said = {"title": "秋冬新款", "text": "{customer}，{coupon}可以用。", "price_fen": 39950}
    one = material(shop, version=said, files=1)
    assert "王女士会看到" in (page := phone.get(f"/m/materials/{one.pk}/?to={member.pk}&beside=1").text)
    assert "王女士，券v50可以用。" in page and "发给王女士" in page and "发原图" in page
    answer = send(phone, one, via="chat", to=member.pk).json()
    share = Share.objects.get()
    url = f"http://testserver/s/{share.code}"
    news = {"link": url, "title": "秋冬新款", "imgUrl": f"{url}/cover.jpg", "desc": "¥399.50 · 王女士，券v50可以用。"}
    assert answer["message"] == {"msgtype": "news", "news": news}
    assert (share.member_id, share.via, share.sent_at) == (member.pk, "chat", None) and not Touch.objects.exists()
    assert "刚才给这位顾客选的" in phone.get(f"/m/materials/beside/{member.pk}/").text
    assert send(phone, one, via="chat", to=member.pk).json()["sent"] == answer["sent"]  # the same link again
    assert phone.post(answer["sent"], {"sent": "1"}).status_code == 200
    share.refresh_from_db()
    assert share.sent_at == NOW and Touch.objects.get().purpose == "service"
    assert "刚才给这位顾客选的" not in phone.get(f"/m/materials/beside/{member.pk}/").text
    assert f"{NOW:%-m月%-d日} 发过" in phone.get(f"/m/materials/{one.pk}/to/").text
    beside = f"/m/materials/beside/{member.pk}/"
    assert (
        "秋冬大衣" in phone.get(f"{beside}?q=qddy").text
        and "秋冬大衣" in phone.get(f"{beside}?scene={one.scene}").text
    )
    assert (
        "还没有收藏" in phone.get(f"{beside}?favourites=1").text and phone.get(f"{beside}?scene=x").status_code == 404
    )


def test_elsewhere_the_chat_is_opened_with_the_words_at_hand(
    shop: World, post: Post, phone: Client, member: Member
) -> None:
    one = material(shop, "话术", kind="text", version={"text": "{customer}，您好"})
    assert "王女士" in (page := phone.get(f"/m/materials/{one.pk}/to/").text) and "发过" not in page
    assert "王女士" in phone.get(f"/m/materials/{one.pk}/to/?q=wns").text
    answer = send(phone, one, via="chat", to=member.pk, open="1").json()
    assert (answer["externalUserId"], answer["copy"]) == ("wm-1", "王女士，您好") and "message" not in answer
    moments = send(phone, one, via="moments").json()
    assert moments["moments"] == {"text": {"content": "您好"}, "attachments": []}
    assert phone.post(moments["sent"]).status_code == 200
    copied = [send(phone, one, via="copy").json()["copy"] for _ in range(2)]
    assert copied == ["您好", "您好"] and Share.objects.filter(via="copy").count() == 2
    assert send(phone, one, via="poster").status_code == send(phone, one, via="chat", to=0).status_code == 404


def test_a_mini_program_is_told_the_code_and_stays_out_of_moments(
    shop: World, post: Post, phone: Client, member: Member
) -> None:
    page = {"appid": "wx1", "page": "pages/item?id=3", "title": "围巾" * 20}
    one = material(shop, kind="miniprogram", version=page)
    card = send(phone, one, via="chat", to=member.pk).json()["message"]["miniprogram"]
    assert card["page"] == f"pages/item.html?id=3&daogou_share={Share.objects.get().code}"
    assert len(card["title"].encode()) <= 64
    answer = send(phone, one, via="moments")
    assert answer.status_code == 409 and "不能发到朋友圈" in answer.json()["said"]


def test_what_may_not_be_sent_is_refused_at_that_moment(
    shop: World, post: Post, phone: Client, member: Member
) -> None:
    one = material(shop, files=1, valid_until=NOW + DAY)
    theirs = customer(shop, 2, clerk="M1")
    file, original = MaterialFile.objects.select_related("media").get(), f"/m/materials/{one.pk}/original/"
    assert send(phone, one, via="chat", to=theirs.pk).status_code == 404
    given = {"to": member.pk, "file": file.pk}
    assert "还没有收好" in phone.post(original, given).json()["said"]
    Media.objects.update(media_id="m-1", uploaded_at=NOW)
    answer = phone.post(original, given).json()
    assert answer["message"] == {"msgtype": "image", "image": {"mediaid": "m-1"}} and not Share.objects.exists()
    assert phone.post(answer["sent"], given | {"sent": "1"}).status_code == 200 and Touch.objects.count() == 1
    Material.objects.update(valid_until=NOW - timedelta(minutes=1))
    for refused in (send(phone, one, via="chat", to=member.pk), phone.post(original, given)):
        assert refused.status_code == 409 and "10月12日 14:29 已经过期" in refused.json()["said"]
    Material.objects.update(valid_until=None)
    consent.stop(member=member, corp=CORP, by=None, now=NOW)
    for refused in (send(phone, one, via="chat", to=member.pk), phone.post(original, given)):
        assert (refused.status_code, refused.json()["said"]) == (409, "顾客说过不要再联系。")
    assert not Share.objects.exists()


# ── What came of it ──────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("count", [1, 20])
def test_my_shares_tell_who_looked_and_bought_and_no_stranger_by_name(
    shop: World, post: Post, member: Member, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    theirs, order = customer(shop, 2, name="赵先生", clerk="M1"), Order.objects.earliest("pk")
    connection.cursor().execute("SELECT make_opening_month(%s)", [NOW.date()])
    version = MaterialVersion.objects.get(material=material(shop))
    for _ in range(count):
        made = shares.make(post=post, version=version, via="chat", member_id=member.pk, now=NOW)
        shares.sent(share=made, now=NOW)
    shares.make(post=post, version=version, via="moments", now=NOW)  # never sent: no share of anybody's
    browser = uuid4()
    for visitor, who, seconds in ((None, member, 20), (uuid4(), member, 5), (browser, None, 1), (browser, None, 1)):
        Opening.objects.create(at=NOW, share=made, visitor=visitor, member=who, seconds=seconds)
    Opening.objects.create(at=NOW, share=made, visitor=None, member=theirs, seconds=3)
    ShareSale.objects.create(order=order, share=made, way="code", paid_at=NOW)
    phone, colleague = signed_in(shop.staff["A1"]), signed_in(shop.staff["M1"])
    with django_assert_num_queries(7):
        page = phone.get("/m/materials/shares/").text
    assert page.count("发给王女士") == page.count("发出") == count and page.count("还没有人打开") == count - 1
    for words in (
        "打开 5 次",
        "看了 30 秒",
        f'href="/m/customers/{member.pk}/">王女士</a>和 2 位访客看过',
        "最近 ",
        "成交 1 单",
    ):
        assert words in page
    assert "赵先生" not in page and "还没有分享过" in colleague.get("/m/materials/shares/").text
    if count > 1:
        shares.make(post=post, version=version, via="copy", now=NOW - DAY)
        assert "from=20" in phone.get("/m/materials/shares/").text
        assert "复制链接" in phone.get("/m/materials/shares/?from=20").text


def test_the_library_speaks_first_and_built_in_words_where_it_is_silent(
    shop: World, post: Post, phone: Client, member: Member
) -> None:
    words = material(shop, "问候", kind="text", scene="greeting", version={"text": "{customer}早安，我是{clerk}"})
    scripts.keep(post=post, name="自己的", text="{customer}，自己写的话", now=NOW)
    page = phone.post("/m/sidebar/customer/", {"external_userid": "wm-1"}).text
    assert "王女士早安，我是员工A1" in page and "以后挑衣服" not in page and "穿着合身吗" in page
    assert "王女士，自己写的话" in page and f"/m/materials/{words.pk}/share/" in page


# ── Posters ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_poster_bears_the_code_of_the_clerks_own_share(shop: World, post: Post, phone: Client) -> None:
    template = poster_scene.template(shop)
    one = material(shop, kind="poster", template=template, version={"title": "秋日"})
    page = phone.post(f"/m/materials/{one.pk}/poster/", follow=True)
    share = Share.objects.get()
    assert (share.via, share.staff, share.material) == ("poster", shop.staff["A1"], one)
    source = f"/m/materials/shares/{share.pk}/poster.jpg"
    assert source in page.text and "按住图片" in page.text
    drawn = phone.get(source)
    (code,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(drawn.content)))
    assert drawn["Content-Type"] == "image/jpeg" and code.text == f"http://testserver/s/{share.code}"
    colleague = signed_in(shop.staff["M1"])
    assert {colleague.get(path).status_code for path in (source, page.redirect_chain[-1][0])} == {404}
    # Where it cannot be drawn the page says why, and how to go on.
    template.areas = []
    template.save()
    page = phone.post(f"/m/materials/{one.pk}/poster/", follow=True)
    assert page.status_code == 200 and "这张海报现在做不出来" in page.text and "海报模板有问题" in page.text
    assert "poster.jpg" not in page.text and phone.get(source).status_code == 404


def test_beside_a_chat_one_comes_back_to_it_and_a_card_without_picture_names_none(
    shop: World, post: Post, member: Member, phone: Client
) -> None:
    plain = material(shop, kind="live", version={"title": "专场"})
    message = send(phone, plain, via="chat", to=member.pk).json()["message"]
    assert message["msgtype"] == "news" and "imgUrl" not in message["news"]
    page = phone.get(f"/m/materials/{plain.pk}/?to={member.pk}&beside=1&app=app").text
    assert 'href="/m/sidebar/?app=app"' in page and 'href="/m/earnings/"' not in page
    assert f'href="/m/materials/?to={member.pk}"' in phone.get(f"/m/materials/{plain.pk}/?to={member.pk}").text
    one = material(shop, kind="poster", template=poster_scene.template(shop), version={"title": "秋日"}, files=1)
    drawn_on = MaterialFile.objects.get(version__material=one)
    files.follow(now=NOW)
    assert not Media.objects.get(pk=drawn_on.media_id).is_active
    assert "原图" not in phone.get(f"/m/materials/{one.pk}/?to={member.pk}&beside=1").text
    answer = phone.post(f"/m/materials/{one.pk}/original/", {"to": member.pk, "file": drawn_on.pk})
    assert answer.status_code == 404
