"""Operations paste a month's targets; what is wrong is said on the page, which keeps what was pasted."""

from datetime import date

from commissions.models import Period, Target
from retail import scope

PAGE = "/admin/commissions/target/paste/"


def test_targets_are_pasted(shop, sign_in):
    person = sign_in(shop, "hq_ops")
    with scope.within(scope.EVERYTHING):
        period = Period.objects.create(brand=shop.brand, starts_on=date(2026, 11, 1), ends_on=date(2026, 12, 1))
    assert PAGE in person.get("/admin/commissions/target/").content.decode()
    assert str(period) in person.get(PAGE).content.decode()

    wrong = person.post(PAGE, period=period.pk, lines=f"{shop.store.code}\t5000\n没有的\t1").content.decode()
    assert "第 2 行：这个品牌没有工号或门店编码 没有的" in wrong and f"{shop.store.code}\t5000" in wrong
    assert person.post(PAGE, period=period.pk, lines="").status_code == 200

    answer = person.post(PAGE, period=period.pk, lines=f"{shop.store.code}\t5000")
    assert answer["Location"] == "/admin/commissions/target/"
    assert "新增 1 个目标" in person.get("/admin/commissions/target/").content.decode()
    with scope.within(scope.EVERYTHING):
        assert Target.objects.get().goal_fen == 5000_00
