"""The pages on which a list of members is given in, looked over, tried and taken."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from members.models import Member, MemberImport
from retail import jobs, scope, tasks
from retail.desk import roles
from retail.models import AuditRow, Job, Post
from tests import factories
from tests.signing_in import signed_in

HEAD = "手机号,姓名,密语"
PAGE = "/admin/members/memberimport/"


@pytest.fixture
def shop(db):
    with scope.within(scope.EVERYTHING):
        yield factories.world()


@pytest.fixture
def people(shop):
    made = {}
    for role in (Post.Role.HQ_OPS, Post.Role.HQ_FINANCE, Post.Role.STORE_MANAGER):
        staff = shop.hire(f"P-{role}", role=role)
        staff.user = factories.user()
        staff.save()
        roles.grant(user=staff.user, role=role)
        made[role] = signed_in(staff.user)
    return made


def upload(client, shop, *rows, name="会员.csv", head=HEAD):
    content = "\n".join([head, *rows, ""]).encode()
    return client.post(f"{PAGE}add/", {"brand": shop.brand.pk, "file": SimpleUploadedFile(name, content)})


def work():
    jobs.run(ids=list(Job.objects.pending().values_list("pk", flat=True)), registry=tasks.REGISTRY)


def test_the_whole_road(shop, people):
    ops = people["hq_ops"]
    answer = upload(ops, shop, "15400001111,王女士,x", "abc,李女士,y")
    given = MemberImport.objects.get()
    page = f"{PAGE}{given.pk}/"
    assert answer["Location"] == f"{page}change/"
    said = ops.get(answer["Location"]).content.decode()
    assert "154****1111" in said and "15400001111" not in said and "王女士" not in said
    assert "这些列不会导入：密语" in said

    ops.post(f"{page}columns/", {"column": ["phone", "name", ""]})
    assert "hx-get" in ops.get(f"{page}progress/").content.decode()
    work()
    assert ops.get(f"{page}progress/")["HX-Refresh"] == "true"
    said = ops.get(f"{page}change/").content.decode()
    assert "试运行结果" in said and "开始导入" in said and not Member.objects.exists()

    ops.post(f"{page}start/")
    work()
    said = ops.get(f"{page}change/").content.decode()
    assert "导入结果" in said and Member.objects.get().name == "王女士"
    content = ops.post(f"{page}refused/").content.decode()
    assert "abc" in content and "failed_reason" in content
    acts = AuditRow.objects.filter(target_type="members.memberimport").order_by("pk")
    assert [row.action for row in acts] == ["members.give_in", "members.import", "members.refused"]


def test_only_operations_give_lists_in_and_stores_see_none(shop, people):
    ops, finance, manager = people.values()
    assert upload(finance, shop, "15400001111,王女士,x").status_code == 403
    assert upload(manager, shop, "15400001111,王女士,x").status_code == 403
    upload(ops, shop, "15400001111,王女士,x")
    page = f"{PAGE}{MemberImport.objects.get().pk}/"
    assert finance.get(f"{page}change/").status_code == 200 and manager.get(f"{page}change/").status_code == 403
    for verb in ("columns", "start", "refused"):
        assert finance.post(f"{page}{verb}/").status_code == manager.post(f"{page}{verb}/").status_code == 403
        assert ops.get(f"{page}{verb}/").status_code == 405
    assert manager.get(f"{page}progress/").status_code == 403


def test_what_cannot_be_read_is_said_beside_the_file(shop, people):
    ops = people["hq_ops"]
    answer = upload(ops, shop, name="x.xlsx", head="PK\x03\x04 nonsense")
    assert answer.status_code == 200 and "这个文件读不了" in answer.content.decode()
    assert ops.post(f"{PAGE}add/", {"brand": "x"}).status_code == 200
    upload(ops, shop, "甲,乙,x", head="谁,什么,密语")
    given = MemberImport.objects.get()
    assert "没有一列能认出人" in ops.get(f"{PAGE}{given.pk}/change/").content.decode()
    ops.post(f"{PAGE}{given.pk}/columns/", {"column": ["phone", "nonsense", ""]})
    ops.post(f"{PAGE}{given.pk}/start/")
    assert MemberImport.objects.get().state == "mapping"


def test_the_list_takes_as_many_statements_for_three_as_for_one(shop, people, django_assert_max_num_queries):
    ops = people["hq_ops"]
    for count in (1, 2):
        for _ in range(count):
            upload(ops, shop, "15400001111,王女士,x")
        with django_assert_max_num_queries(16):
            assert ops.get(PAGE).status_code == 200
