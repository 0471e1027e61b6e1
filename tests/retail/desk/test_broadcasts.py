"""The admin pages of broadcasts and requests for help, as people use them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from clerks.models import Broadcast, HelpRequest, Notice
from clerks.outreach import broadcasts
from members.models import Member
from retail import scope
from tests.factories import World, number, world
from tests.retail.desk.conftest import Person

PAGES, HELP = "/admin/clerks/broadcast/", "/admin/clerks/helprequest/"
GIVEN = {"title": "换价签", "text": "周五打烊前换好。", "roles": ["clerk", "store_manager"], "link": ""}


@pytest.fixture
def hq(shop: World, sign_in) -> Person:
    return sign_in(shop, "hq_ops")


def body(answer) -> str:
    return answer.content.decode()


def written(person: Person, **fields: object) -> Broadcast:
    answer = person.post(f"{PAGES}add/", **GIVEN | fields)
    assert answer.status_code == 302, body(answer)
    with scope.within(scope.EVERYTHING):
        row = Broadcast.objects.latest("pk")
    assert answer["Location"] == f"{PAGES}{row.pk}/change/"
    return row


def work(row: Broadcast) -> None:
    with scope.within(scope.EVERYTHING):
        broadcasts.send(broadcast_id=row.pk, now=timezone.now())


def test_it_is_shown_whom_it_reaches_before_it_is_sent_and_then_who_has_read_it(shop, hq):
    row = written(hq, brands=[shop.brand.pk])
    page = f"{PAGES}{row.pk}/"
    seen = body(hq.get(f"{page}change/"))
    assert "1 家门店，一共 1 人" in seen and shop.store.name in seen and "没有企业微信账号" in seen
    assert hq.post(f"{page}send/", _form_submitted="True")["HX-Redirect"] == f"{page}change/"
    work(row)
    with scope.within(scope.EVERYTHING):
        notice = Notice.objects.get(broadcast=row)
        assert notice.store == shop.store
    seen = body(hq.get(f"{page}change/"))
    assert "0 / 1" in seen and f'hx-get="{page}progress/"' in seen
    assert hq.post(f"{page}change/", **GIVEN | {"title": "别的"}).status_code == 403, "what was sent stays"
    assert str(notice.staff) in body(hq.get(f"{page}people/{shop.store.pk}/"))
    with scope.within(scope.EVERYTHING):
        Notice.objects.update(read_at=timezone.now())
    after = body(hq.get(f"{page}progress/"))
    assert "1 / 1" in after and "hx-get" not in after, "nothing will change any more"


def test_a_manager_writes_to_the_own_store_and_reminds_of_what_headquarters_wrote(shop, hq, sign_in):
    manager, other = sign_in(shop, "store_manager"), sign_in(world_of_its_own(), "store_manager")
    with scope.within(scope.EVERYTHING):
        far = shop.another_store()
        shop.hire(f"F{number()}", store=far)
    mine = written(manager)
    assert set(mine.stores.through.objects.filter(broadcast=mine).values_list("store", flat=True)) == {shop.store.pk}
    assert "区域经理" not in body(manager.get(f"{PAGES}add/"))
    assert manager.post(f"{PAGES}add/", **GIVEN, places=[far.pk]).status_code == 200, "not a store of theirs"
    assert other.get(f"{PAGES}{mine.pk}/change/").status_code == 404

    theirs = written(hq, brands=[shop.brand.pk])
    assert manager.get(f"{PAGES}{theirs.pk}/change/").status_code == 404, "a draft is its writer's"
    hq.post(f"{PAGES}{theirs.pk}/send/", _form_submitted="True")
    work(theirs)
    seen = body(manager.get(f"{PAGES}{theirs.pk}/change/"))
    assert "0 / 2" in seen and far.name not in seen
    assert manager.get(f"{PAGES}{theirs.pk}/people/{far.pk}/").status_code == 404
    with scope.within(scope.EVERYTHING):
        Notice.objects.update(created_at=timezone.now() - timedelta(hours=1))
    manager.post(f"{PAGES}{theirs.pk}/remind/", _form_submitted="True")
    assert "提醒了 2 人" in body(manager.get(f"{PAGES}{theirs.pk}/change/"))
    with scope.within(scope.EVERYTHING):
        assert Notice.objects.filter(broadcast=theirs, reminded=1).count() == 2, "not those of other stores"


def world_of_its_own() -> World:
    with scope.within(scope.EVERYTHING):
        return world()


def test_help_is_answered_in_the_admin_too_and_its_list_costs_the_same(shop, sign_in, django_assert_max_num_queries):
    region, now = sign_in(shop, "region_manager", region=shop.region), timezone.now()
    clerk = next(iter(shop.staff.values()))

    def asked() -> HelpRequest:
        with scope.within(scope.EVERYTHING):
            member = Member.objects.create(created_at=now, name="王女士")
            where = {"brand": shop.brand, "store": shop.store, "staff": clerk, "member": member}
            return HelpRequest.objects.create(
                kind="stock", text="能调货吗", level="region", asked_at=now, raised_at=now, **where
            )

    row = asked()
    region.get(HELP)
    with django_assert_max_num_queries(18):
        assert "能调货吗" in body(region.get(HELP))
    asked(), asked()
    with django_assert_max_num_queries(18):
        region.get(HELP)
    assert "王女士" in body(region.get(f"{HELP}{row.pk}/change/"))
    region.post(f"{HELP}{row.pk}/take/", _form_submitted="True")
    region.post(f"{HELP}{row.pk}/answer/", _form_submitted="True", text="周六到店")
    with scope.within(scope.EVERYTHING):
        row.refresh_from_db()
    assert (row.outcome, row.answer, row.taken_by) == ("answered", "周六到店", region.staff)
    assert "一半在 0 分钟内答复" in body(region.get(HELP))
